"""What was read lately, up to so many bytes.

Law: what is kept together never costs more than was allowed; what has not been used for the longest time goes first.

Keeps: paged.cache.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar, final

__all__ = ["ByteCache"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@final
class ByteCache(Generic[K, V]):
    """Values by key, each with what it costs in bytes. Any thread may use it."""

    __slots__ = ("_held", "_lock", "limit", "used")

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()
        #: The most bytes that are kept.
        self.limit = limit
        #: The bytes that are kept; used <= limit.
        self.used = 0

    def get(self, key: K) -> V | None:
        """A value that is kept."""
        with self._lock:
            held = self._held.get(key)
            if held is None:
                return None
            self._held.move_to_end(key)
            return held[0]

    # spec: paged.cache
    def put(self, key: K, value: V, cost: int) -> None:
        """Keep a value, if it can be kept at all, in place of what was not used lately."""
        with self._lock:
            if cost > self.limit or key in self._held:
                return
            self._held[key] = (value, cost)
            self.used += cost
            while self.used > self.limit:
                _, (_, freed) = self._held.popitem(last=False)
                self.used -= freed

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._held.clear()
            self.used = 0
