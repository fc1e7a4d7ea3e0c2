"""One page of a paged base: what its rows are, and what depends on them, as columns; see docs/format-base.md.

Law: a page is packed and unpacked as a whole, in C. What is unpacked has exactly as many bytes as its rows say, or it
is refused; a row is made of it when somebody asks for that row.

Keeps: paged.bounded.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate, chain
from operator import add, ge
from struct import Struct
from typing import Final, final

from incr._errors import CorruptError
from incr.store.columns import pack_numbers, unpack_numbers
from incr.store.rows import PAGE_ROWS, Row

__all__ = ["HeadRow", "PageHead", "pack_dependents", "pack_head", "unpack_head"]

#: Row number in its page 1, flags 1, changed at 8, valid from 8, lengths of key, dependencies, value, pushes 4 each.
_ROW_BYTES: Final = Struct("<BBqqIIII").size

#: The numbers of the rows of most pages.
_FULL: Final = bytes(range(PAGE_ROWS))

#: A row as a page's head has it: flags, changed at, valid from, key, dependencies, bytes of its value, of its pushes.
HeadRow = tuple[int, int, int, bytes, Sequence[int], int, int]


@final
class PageHead:
    """The rows of a page without their contents."""

    __slots__ = (
        "_changed",
        "_dependencies",
        "_dependency_bounds",
        "_flags",
        "_key_bounds",
        "_keys",
        "_pushes",
        "_valid",
        "_values",
        "content_bounds",
        "locals",
        "section",
        "size",
    )

    def __init__(self, section: int, rows: int, data: memoryview) -> None:
        """Raises `ValueError` if these are not *rows* rows."""
        if rows * _ROW_BYTES > len(data):
            raise ValueError("its columns are cut short")
        self.section = section
        #: How many bytes it was unpacked from.
        self.size = len(data)
        #: The numbers of the rows in the page, ascending.
        self.locals = bytes(data[:rows])
        self._flags = data[rows : 2 * rows]
        at = 2 * rows
        self._changed = unpack_numbers("q", data[at : at + 8 * rows])
        self._valid = unpack_numbers("q", data[at + 8 * rows : at + 16 * rows])
        at += 16 * rows
        lengths = unpack_numbers("I", data[at : at + 16 * rows])
        at += 16 * rows
        self._key_bounds = array("Q", accumulate(lengths[:rows], initial=at))
        self._keys = data
        keys_end = self._key_bounds[-1]
        self._dependency_bounds = array("Q", accumulate(lengths[rows : 2 * rows], initial=0))
        if keys_end + 4 * self._dependency_bounds[-1] != len(data):
            raise ValueError("its columns are not as long as they say")
        self._dependencies = unpack_numbers("I", data[keys_end:])
        self._values = lengths[2 * rows : 3 * rows]
        self._pushes = lengths[3 * rows :]
        #: Where in the page's contents each row's begins, and where the last one ends.
        self.content_bounds = array("Q", accumulate(map(add, self._values, self._pushes), initial=0))
        if self.locals != _FULL and any(map(ge, self.locals, self.locals[1:])):
            raise ValueError("its rows are out of order")

    def index(self, local: int) -> int:
        """The place of a row among those of the page, or -1."""
        return self.locals.find(local)

    def key(self, index: int) -> memoryview:
        """A row's key."""
        return self._keys[self._key_bounds[index] : self._key_bounds[index + 1]]

    def dependencies(self, index: int) -> Sequence[int]:
        """What a row depends on."""
        return self._dependencies[self._dependency_bounds[index] : self._dependency_bounds[index + 1]]

    def row(self, index: int) -> Row:
        """A row."""
        return Row(
            self.section,
            bytes(self.key(index)),
            self._changed[index],
            self._valid[index],
            self._flags[index],
            tuple(self.dependencies(index)),
        )

    def value_bytes(self, index: int) -> int:
        """How many bytes of a row's content are its value; the rest is what it pushed."""
        return self._values[index]

    def rows(self) -> dict[int, HeadRow]:
        """All rows by their numbers in the page."""
        numbers = range(len(self.locals))
        columns = zip(
            self._flags,
            self._changed,
            self._valid,
            map(bytes, map(self.key, numbers)),
            map(self.dependencies, numbers),
            self._values,
            self._pushes,
            strict=True,
        )
        return dict(zip(self.locals, columns, strict=True))


# spec: paged.bounded
def unpack_head(path: str, offset: int, section: int, rows: int, data: bytes) -> PageHead:
    """The head of a page of *rows* rows; *offset* is for messages.

    Raises:
        CorruptError: these bytes are no such head.
    """
    try:
        return PageHead(section, rows, memoryview(data))
    except ValueError as error:
        raise CorruptError(path, offset, f"the head of a page is not one: {error}") from error


def pack_head(rows: dict[int, HeadRow]) -> bytes:
    """The head of a page with these rows, which are in order.

    Raises:
        OverflowError: something in it is too long, or too large a number.
    """
    flags, changed, valid, keys, dependencies, values, pushes = zip(*rows.values(), strict=True)
    return b"".join(
        [
            bytes(rows),
            pack_numbers("B", flags),
            pack_numbers("q", changed),
            pack_numbers("q", valid),
            pack_numbers("I", [*map(len, keys)]),
            pack_numbers("I", [*map(len, dependencies)]),
            pack_numbers("I", values),
            pack_numbers("I", pushes),
            *keys,
            pack_numbers("I", [*chain.from_iterable(dependencies)]),
        ]
    )


def pack_dependents(dependents: Sequence[Sequence[int]]) -> bytes:
    """What depends on the rows of a page, for each of them; nothing at all if nothing depends on any."""
    if not any(dependents):
        return b""
    return pack_numbers("I", [*map(len, dependents)]) + pack_numbers("I", [*chain.from_iterable(dependents)])


assert PAGE_ROWS == 256  # a row's number in its page is one byte
