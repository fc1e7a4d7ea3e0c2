"""Where values are until they are asked for: in the rows of a store.

Law: a row's content is what the row's node has, or had before it was found different; whoever needs an older value
keeps its bytes before that.

Keeps: lazy.value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from incr._node import Stored
from incr.store.rows import Content, Store

__all__ = ["Kept", "Source"]


@final
class Source:
    """One part of the contents of all rows. *decode* is given a row's number and bytes; without the graph's lock."""

    __slots__ = ("_decode", "_part", "_store")

    def __init__(self, store: Store, decode: Callable[[int, bytes], Any], part: Callable[[Content], bytes]) -> None:
        self._store = store
        self._decode = decode
        self._part = part

    def decode(self, row: int) -> Any:
        """The value."""
        return self._decode(row, self._part(self._store.content(row)))

    def encoded(self, row: int) -> bytes | None:
        """The value's bytes."""
        return self._part(self._store.content(row))

    def kept(self, stored: Stored, row: int) -> Stored:
        """The value, whatever becomes of the row."""
        return Stored(Kept(self._part(self._store.content(row)), self._decode), row)


@final
class Kept:
    """Bytes that a row had."""

    __slots__ = ("_data", "_decode")

    def __init__(self, data: bytes, decode: Callable[[int, bytes], Any]) -> None:
        self._data = data
        self._decode = decode

    def decode(self, row: int) -> Any:
        """The value."""
        return self._decode(row, self._data)

    def encoded(self, row: int) -> bytes | None:
        """The value's bytes."""
        return self._data

    def kept(self, stored: Stored, row: int) -> Stored:
        """The value itself."""
        return stored
