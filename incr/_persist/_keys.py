"""Rows' keys as columns, and back.

Most keys are texts, numbers, or tuples of them: those are packed in C, a column per argument. Anything else goes
through the codec, row by row.

Law: a key comes back as exactly the row that the program would look up.

Keeps: call.exact, base.bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from incr._exact import Exact, plain_value
from incr.store.columns import Column, OpaqueColumn

__all__ = ["UNREADABLE", "column_of", "rows_of", "sizes_of"]

#: In place of a key that this program cannot read.
UNREADABLE: Final[Any] = object()
#: Tuples of more parts, or in more tuples, are left to the codec.
_MOST_PARTS: Final = 64
_DEEPEST: Final = 3
_LARGEST: Final = 1 << 63


def column_of(keys: Sequence[Any], encode: Callable[[Any], bytes], depth: int = _DEEPEST) -> Column:
    """The keys as a column; *encode* is for those that columns do not know."""
    kinds = set(map(type, keys))
    if Exact in kinds:
        keys = [plain_value(key) for key in keys]
        kinds = set(map(type, keys))
    if kinds <= {str}:
        return list(keys)
    if kinds == {int} and min(keys) >= -_LARGEST and max(keys) < _LARGEST:
        return list(keys)
    if kinds == {tuple} and depth:
        sizes = set(map(len, keys))
        if len(sizes) == 1 and (size := sizes.pop()) <= _MOST_PARTS:
            return tuple(column_of([key[place] for key in keys], encode, depth - 1) for place in range(size))
    return OpaqueColumn(map(encode, keys))


def sizes_of(column: Column, rows: int) -> list[int]:
    """About how many bytes each row of the column takes."""
    if isinstance(column, tuple):
        parts = [sizes_of(part, rows) for part in column]
        return [sum(sizes) for sizes in zip(*parts, strict=True)] if parts else [0] * rows
    if column and type(column[0]) is int:
        return [8] * rows
    return [4 + (len(row) if type(row) is bytes or row.isascii() else 4 * len(row)) for row in column]


def rows_of(column: Column, count: int, decode: Callable[[bytes], Any], row_of: Callable[[Any], Any]) -> list[Any]:
    """The rows that belong to the column's keys; `UNREADABLE` where *decode* says so.

    *row_of* makes a row of a key as the program gave it; texts, numbers and tuples of them are their own rows.
    """
    keys = _plain(column, count, decode)
    if not _has_opaque(column):
        return keys
    return [key if key is UNREADABLE else row_of(key) for key in keys]


def _has_opaque(column: Column) -> bool:
    return any(map(_has_opaque, column)) if isinstance(column, tuple) else isinstance(column, OpaqueColumn)


def _plain(column: Column, count: int, decode: Callable[[bytes], Any]) -> list[Any]:
    if isinstance(column, OpaqueColumn):
        return list(map(decode, column))
    if not isinstance(column, tuple):
        return list(column)
    if not column:
        return [()] * count
    keys = zip(*(_plain(part, count, decode) for part in column), strict=True)
    if not _has_opaque(column):
        return list(keys)
    return [UNREADABLE if any(part is UNREADABLE for part in key) else key for key in keys]
