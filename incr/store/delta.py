"""A delta as bytes: one entry of the log; see docs/format-delta.md, which has the same tables.

    flags · revision · next page · sections · classes · rows · verified · suspect · removed

Law: numbers of one kind stand together in the narrowest width that holds all of them; lists of rows ascend, and are
kept as differences. No length or count is believed before it was compared with what is there, nothing is left over at
the end, and what this release does not know it refuses.

Keeps: store.delta.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice
from operator import sub
from struct import Struct
from typing import Any, Final, final

from incr._errors import CorruptError, StoreError
from incr.store.rows import NEVER, Content, Delta, Row, SectionInfo

__all__ = ["pack_delta", "unpack_delta"]

#: Bits of the first byte: the table of classes is there.
_CLASSES: Final = 1
# flags 1, revision 8, next page 8, sections 4.
_HEAD: Final = Struct("<BQQI")
# number 4, kind 1, name bytes 4, fingerprint bytes 4, parts 2, next row 8, pages 4, code since 8, doubt since 8,
# sections that it reads 4.
_SECTION: Final = Struct("<IBIIHQIQQI")
_LENGTH: Final = Struct("<I")
#: The codes of unsigned numbers by width; "I" has 4 bytes wherever Python runs now.
_CODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
#: Before a column: its numbers' width; none is needed for an empty one.
_WIDTH: Final = Struct("<B")
_NARROW: Final = _WIDTH.pack(1)


# spec: store.delta
def pack_delta(delta: Delta) -> bytes:
    """The entry of the log."""
    flags = 0 if delta.classes is None else _CLASSES
    parts = [_HEAD.pack(flags, delta.revision, delta.next_page, len(delta.sections))]
    for section in delta.sections:
        parts += _pack_section(section)
    if delta.classes is not None:
        parts += (_LENGTH.pack(len(delta.classes)), delta.classes)
    _pack_rows(delta, parts)
    for rows in (delta.verified, delta.suspect, delta.removed):
        _pack_ascending(sorted(rows), parts)
    return b"".join(parts)


def unpack_delta(path: str, data: bytes | memoryview) -> Delta:
    """The delta again; *path* is for messages.

    Raises:
        CorruptError: it is not what `pack_delta` makes.
        StoreError: it uses something that this release does not know.
    """
    reader = _Reader(path, memoryview(data))
    flags, revision, next_page, count = _HEAD.unpack(reader.take(_HEAD.size))
    if flags & ~_CLASSES:
        raise StoreError(path, f"a delta uses features that this release does not know (flags {flags:#x})")
    sections = [_unpack_section(reader) for _ in range(reader.claim(count, _SECTION.size))]
    classes = bytes(reader.take(reader.length())) if flags & _CLASSES else None
    rows = _unpack_rows(reader, revision)
    verified, suspect, removed = (list(reader.ascending()) for _ in range(3))
    if reader.at != len(reader.data):
        raise reader.wrong("bytes behind the end of a delta")
    return Delta(revision, sections, classes, next_page, rows, verified, suspect, removed)


# --- sections -----------------------------------------------------------------------------------------------------


def _pack_section(section: SectionInfo) -> Iterator[bytes]:
    name = section.name.encode("utf-8", "surrogatepass")
    texts = [part.encode("utf-8", "surrogatepass") for part in section.parts]
    fingerprint = section.fingerprint
    yield _SECTION.pack(
        section.number, section.kind, len(name), len(fingerprint), len(texts), section.next_row, section.pages,
        section.code_since, section.doubt_since, len(section.reads),
    )  # fmt: skip
    yield from (name, fingerprint)
    for text in texts:
        yield from (_LENGTH.pack(len(text)), text)
    yield from map(_LENGTH.pack, section.reads)


def _unpack_section(reader: _Reader) -> SectionInfo:
    found = _SECTION.unpack(reader.take(_SECTION.size))
    number, kind, name_bytes, fingerprint_bytes, parts, next_row, pages, code_since, doubt_since, count = found
    name = reader.text(name_bytes)
    fingerprint = bytes(reader.take(fingerprint_bytes))
    texts = tuple(reader.text(reader.length()) for _ in range(reader.claim(parts, _LENGTH.size)))
    reads = reader.take(reader.claim(count, _LENGTH.size) * _LENGTH.size)
    listed = tuple(section for (section,) in _LENGTH.iter_unpack(reads))
    return SectionInfo(number, kind, name, fingerprint, texts, next_row, pages, listed, code_since, doubt_since)


# --- rows ---------------------------------------------------------------------------------------------------------


def _pack_rows(delta: Delta, parts: list[bytes]) -> None:
    """One column after the other; in none is anything that can be told from those before it."""
    numbers = sorted(delta.rows)
    _pack_ascending(numbers, parts)
    found = [delta.rows[number] for number in numbers]
    rows = [row for row, _ in found]
    columns: tuple[Sequence[Any], ...] = tuple(zip(*rows, strict=True)) or ((),) * len(Row._fields)
    sections, keys, changed, valid, row_flags, dependencies = columns
    contents = [content for _, content in found if content is not None]
    # Ages are small numbers. Nothing is younger than the delta in a database; here nothing depends on that.
    newest = max(delta.revision, max(changed, default=0), max(valid, default=0))
    flags = [flag + flag + 1 for flag in row_flags]
    if len(contents) != len(rows):
        flags = [flag - (content is None) for flag, (_, content) in zip(flags, found, strict=True)]
    for column in (
        (newest - delta.revision,),
        sections,
        list(map(len, keys)),
        [newest - revision for revision in changed],
        # 0 is never.
        [0 if revision < 0 else 1 + newest - revision for revision in valid],
        flags,
        list(map(len, dependencies)),
        list(chain.from_iterable(dependencies)),
        [len(value) for value, _ in contents],
        [len(pushes) for _, pushes in contents],
    ):
        _pack_numbers(column, parts)
    parts += keys
    parts += chain.from_iterable(contents)


def _unpack_rows(reader: _Reader, revision: int) -> dict[int, tuple[Row, Content | None]]:
    numbers = list(reader.ascending())
    count = len(numbers)
    newest = revision + reader.numbers(1)[0]
    sections, key_bytes, changed, valid, flags, dependency_counts = (reader.numbers(count) for _ in range(6))
    # A count is compared with the bytes that are there before anything is made from it.
    dependencies = iter(reader.numbers(sum(dependency_counts)))
    with_content = sum(flag & 1 for flag in flags)
    value_bytes, pushes_bytes = reader.numbers(with_content), reader.numbers(with_content)
    if max(changed, default=0) > newest or max(valid, default=0) > newest + 1:
        raise reader.wrong("a row is of a revision before the first one")
    keys = [bytes(reader.take(length)) for length in key_bytes]
    lengths = zip(value_bytes, pushes_bytes, strict=True)
    rows: dict[int, tuple[Row, Content | None]] = {}
    columns = zip(numbers, sections, keys, changed, valid, flags, dependency_counts, strict=True)
    for number, section, key, ago, since, flag, amount in columns:
        valid_from = newest + 1 - since if since else NEVER
        row = Row(section, key, newest - ago, valid_from, flag >> 1, tuple(islice(dependencies, amount)))
        rows[number] = (row, reader.content(*next(lengths)) if flag & 1 else None)
    return rows


# --- columns ------------------------------------------------------------------------------------------------------


def _pack_numbers(numbers: Sequence[int], parts: list[bytes]) -> None:
    """The width of all of them, and each in so many bytes; of none of them nothing."""
    if not numbers:
        return
    largest = max(numbers)
    if largest < 1 << 8:
        parts += (_NARROW, bytes(numbers))
        return
    width = 2 if largest < 1 << 16 else 4 if largest < 1 << 32 else 8
    parts += (_WIDTH.pack(width), _little(array(_CODES[width], numbers)).tobytes())


def _pack_ascending(rows: Sequence[int], parts: list[bytes]) -> None:
    """How many, and the difference of each to the one before it, from -1 on."""
    parts.append(_LENGTH.pack(len(rows)))
    if rows:
        _pack_numbers(list(map(sub, rows, chain((-1,), rows))), parts)


def _little(numbers: array[int], order: str = sys.byteorder) -> array[int]:
    if order == "big":
        numbers.byteswap()
    return numbers


@final
class _Reader:
    """A place in a delta. Nothing is taken, and no count believed, beyond what is there."""

    __slots__ = ("at", "data", "path")

    def __init__(self, path: str, data: memoryview) -> None:
        self.path = path
        self.data = data
        self.at = 0

    def wrong(self, what: str) -> CorruptError:
        return CorruptError(self.path, self.at, f"{what}; it was not written by this release, or has a wrong checksum")

    def claim(self, count: int, least: int) -> int:
        """*count*, after a look at whether so many things of at least *least* bytes can follow."""
        if count * least > len(self.data) - self.at:
            raise self.wrong("a delta claims more than is there")
        return count

    def take(self, count: int) -> memoryview:
        before = self.at
        self.at += self.claim(count, 1)
        return self.data[before : self.at]

    def length(self) -> int:
        (length,) = _LENGTH.unpack(self.take(_LENGTH.size))
        return int(length)

    def text(self, count: int) -> str:
        try:
            return str(self.take(count), "utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise self.wrong("a name is not UTF-8") from error

    def content(self, value_bytes: int, pushes_bytes: int) -> Content:
        return Content(bytes(self.take(value_bytes)), bytes(self.take(pushes_bytes)))

    def numbers(self, count: int) -> Sequence[int]:
        if not count:
            return ()
        (width,) = _WIDTH.unpack(self.take(_WIDTH.size))
        if width not in _CODES:
            raise self.wrong(f"a number has {width} bytes")
        found = array(_CODES[width])
        found.frombytes(self.take(self.claim(count, width) * width))
        return _little(found)

    def ascending(self) -> Iterable[int]:
        differences = self.numbers(self.length())
        if 0 in differences:
            raise self.wrong("a row is listed twice")
        return islice(accumulate(differences, initial=-1), 1, None)
