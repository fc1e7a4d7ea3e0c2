"""Many small things of one kind packed into one stream: numbers, texts, byte strings, and tuples of them.

A column is packed and unpacked as a whole, in C; a hundred thousand rows cost milliseconds.

Law: a count or length out of a file is compared with the bytes that are there before anything is made from it, and what
is left over is an error: unpacking gives what was packed or raises `ValueError`.

Keeps: base.bounded.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from struct import Struct
from typing import Any, Final, TypeAlias

__all__ = [
    "Column",
    "OpaqueColumn",
    "pack_column",
    "pack_numbers",
    "split",
    "unpack_column",
    "unpack_numbers",
]

#: What a column's rows may be: texts, 64-bit numbers, bytes that mean something to somebody else, tuples of such.
TEXT: Final = 1
NUMBER: Final = 2
OPAQUE: Final = 3
TUPLE: Final = 4
#: Tuples in tuples deeper than this are not columns any more.
_DEEPEST: Final = 4

_TUPLE_HEAD: Final = Struct("<B")
_PART_BYTES: Final = Struct("<Q")
_WIDTHS: Final = {"B": 1, "I": 4, "Q": 8, "q": 8}


class OpaqueColumn(list[bytes]):
    """Rows that are bytes whose meaning is not known here."""

    __slots__ = ()


#: A column as Python has it: a row per item, or for tuples a column per place.
Column: TypeAlias = list[Any] | tuple[Any, ...]


def pack_numbers(code: str, numbers: Iterable[int]) -> bytes:
    """Numbers of one width: code B, I, Q (unsigned, 1, 4, 8 bytes) or q (signed, 8 bytes), little-endian.

    Raises:
        OverflowError: a number is too large for the width.
    """
    packed = array(code, numbers)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack_numbers(code: str, data: memoryview) -> Sequence[int]:
    """The numbers again; as many as *data* holds.

    Raises:
        ValueError: *data* does not hold a whole number of them.
    """
    if len(data) % _WIDTHS[code]:
        raise ValueError("a number is cut short")
    packed = array(code)
    packed.frombytes(data)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed


def split(lengths: Sequence[int], total: int) -> list[int]:
    """Where rows of these lengths begin, and where the last one ends.

    Raises:
        ValueError: together they are not *total* long.
    """
    bounds = [0, *accumulate(lengths)]
    if bounds[-1] != total:
        raise ValueError(f"rows of {bounds[-1]} in all, but {total} are there")
    return bounds


# --- columns ------------------------------------------------------------------------------------------------------


def pack_column(column: Column) -> bytes:
    """The column with its kind before it."""
    if isinstance(column, OpaqueColumn):
        return bytes((OPAQUE,)) + pack_numbers("I", map(len, column)) + b"".join(column)
    if isinstance(column, tuple):
        parts = [pack_column(part) for part in column]
        head = bytes((TUPLE,)) + _TUPLE_HEAD.pack(len(parts))
        return head + b"".join(_PART_BYTES.pack(len(part)) + part for part in parts)
    if column and type(column[0]) is int:
        return bytes((NUMBER,)) + pack_numbers("q", column)
    return bytes((TEXT,)) + pack_numbers("I", map(len, column)) + "".join(column).encode("utf-8", "surrogatepass")


def unpack_column(data: memoryview, rows: int, depth: int = _DEEPEST) -> Column:
    """The column again: it must have *rows* rows and use up all of *data*.

    Raises:
        ValueError: it does not.
    """
    if not data:
        raise ValueError("a column without a kind")
    kind, body = data[0], data[1:]
    if kind == TUPLE:
        return _unpack_tuple(body, rows, depth)
    width = 8 if kind == NUMBER else 4
    if rows * width > len(body):
        raise ValueError(f"{rows} rows do not fit into {len(body)} bytes")
    if kind == NUMBER:
        if len(body) != rows * width:
            raise ValueError("bytes behind the last number")
        return list(unpack_numbers("q", body))
    lengths, content = unpack_numbers("I", body[: rows * width]), body[rows * width :]
    if kind == TEXT:
        text = str(content, "utf-8", "surrogatepass")
        return [text[start:end] for start, end in pairwise(split(lengths, len(text)))]
    if kind == OPAQUE:
        return OpaqueColumn(bytes(content[start:end]) for start, end in pairwise(split(lengths, len(content))))
    raise ValueError(f"a column of the unknown kind {kind}")


def _unpack_tuple(body: memoryview, rows: int, depth: int) -> tuple[Any, ...]:
    if not body or not depth:
        raise ValueError("a tuple of columns without a size, or in too many tuples")
    places, at = body[0], 1
    parts: list[Column] = []
    for _ in range(places):
        if len(body) - at < _PART_BYTES.size:
            raise ValueError("a column of a tuple is missing")
        (size,) = _PART_BYTES.unpack_from(body, at)
        at += _PART_BYTES.size
        if size > len(body) - at:
            raise ValueError("a column of a tuple is cut short")
        parts.append(unpack_column(body[at : at + size], rows, depth - 1))
        at += size
    if at != len(body):
        raise ValueError("bytes behind the last column of a tuple")
    return tuple(parts)
