"""A limit on what cannot be computed again: input records and interned values.

Law: what is refused has no effect. The lock is held; nothing of the program runs here.

Keeps: memory.state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from incr._errors import LimitExceededError
from incr._estimate import estimate
from incr._log import Change
from incr._node import ABSENT, Node

__all__ = ["StateLimit"]


@final
class StateLimit:
    """The estimated bytes of one database's records and interned values, and how many there may be."""

    __slots__ = ("_interned", "_limit", "_records", "_total")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._total = 0
        self._records: dict[Node, int] = {}
        #: Ingredient index -> how many interned values are counted, and their bytes.
        self._interned: dict[int, tuple[int, int]] = {}

    # spec: memory.state
    def admit(self, changes: Sequence[Change]) -> None:
        """Take note of a write that is about to happen.

        Raises:
            LimitExceededError: afterwards there would be too much, and more than now.
        """
        sizes = {slot: 0 if value is ABSENT else estimate(value) for slot, value, _, _ in changes}
        more = sum(size - self._records.get(slot, 0) for slot, size in sizes.items())
        self._check(more)
        self._total += more
        for slot, size in sizes.items():
            if size:
                self._records[slot] = size
            else:
                self._records.pop(slot, None)

    def admit_interned(self, index: int, instances: Mapping[Any, Any], value: Any) -> None:
        """Take note of a value that is about to be one of *instances*.

        Raises:
            LimitExceededError: afterwards there would be too much.
        """
        count, size = self._interned.get(index, (0, 0))
        if count != len(instances):  # some of them come from a file
            found = sum(map(estimate, list(instances)))
            self._total += found - size
            count, size = len(instances), found
            self._interned[index] = (count, size)
        more = estimate(value)
        self._check(more)
        self._total += more
        self._interned[index] = (count + 1, size + more)

    def _check(self, more: int) -> None:
        if more > 0 and self._total + more > self._limit:
            raise LimitExceededError(
                f"inputs and interned values take about {self._total} bytes; {more} more would exceed "
                f"max_state_bytes={self._limit}; nothing was changed"
            )

    def recount(self, tables: Sequence[Mapping[Any, Node]], interned: Mapping[int, Mapping[Any, Any]]) -> None:
        """All slots are new: a file was loaded. What is there stays, even if it is too much."""
        slots = [node for table in tables for node in list(table.values()) if node.ingredient.kind == "input"]
        self._records = {slot: estimate(slot.value) for slot in slots if slot.value is not ABSENT}
        self._interned = {
            index: (len(instances), sum(map(estimate, list(instances)))) for index, instances in interned.items()
        }
        self._total = sum(self._records.values()) + sum(size for _, size in self._interned.values())
