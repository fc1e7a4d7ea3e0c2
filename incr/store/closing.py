"""What is closed when a ``with`` block is left.

Law: an error of the block is what the caller hears of, whatever closing has met.

Keeps: store.close.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from types import TracebackType
from typing import Self

from incr._errors import StoreError

__all__ = ["Closing"]


class Closing(ABC):
    """A context manager that closes itself."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """Let go of it. Closing again does nothing."""

    def __enter__(self) -> Self:
        return self

    # spec: store.close
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        if error is None:
            self.close()
        else:  # that error is what the caller has to hear of
            with suppress(StoreError):
                self.close()
