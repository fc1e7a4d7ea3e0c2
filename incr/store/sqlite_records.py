"""Rows of a SQLite store as SQLite has them, each with a checksum of its own.

Law: what a record says is believed only after its digest was looked at; the digest also covers the record's number.
That a record is there at all, and that a list is complete, is shown by sums that are kept in other records: SQLite
itself gives out altered rows, and misses rows, without an error.

Keeps: sqlite.checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from json import dumps, loads
from struct import Struct
from typing import Any, Final, NamedTuple, final

from incr._errors import CorruptError, StoreError
from incr.store.checksum import BLAKE2B, XXH3, checksum_of_kind
from incr.store.columns import pack_numbers, unpack_numbers
from incr.store.rows import Content, Head, Row, SectionInfo

__all__ = ["Record", "Records", "SectionRecord", "mark_of", "marks_of"]

_ALL: Final = (1 << 64) - 1
_ODD: Final = 0x9E3779B97F4A7C15
_NUMBER: Final = Struct("<Q")
_ROW: Final = Struct("<6qQ2I")
_HEAD: Final = Struct("<5q")
_SECTION: Final = Struct("<7qQ2I")


def mark_of(number: int) -> int:
    """A row's part in the sum of a list that it is in."""
    mixed = (number + 1) * _ODD & _ALL
    return mixed ^ mixed >> 32


def marks_of(numbers: Iterable[int]) -> int:
    """The sum of a list."""
    return sum(map(mark_of, numbers)) & _ALL


class Record(NamedTuple):
    """A row, what is known of the rows that depend on it, and the digest of its content; empty if it has none."""

    row: Row
    dependents: int
    dependent_sum: int
    content: bytes


class SectionRecord(NamedTuple):
    """A section, and what is known of its rows."""

    info: SectionInfo
    rows: int
    row_sum: int


@final
class Records:
    """Packs and unpacks records with one kind of checksum. *path* is named in errors."""

    __slots__ = ("_digest", "path")

    def __init__(self, path: str, checksum: int) -> None:
        self.path = path
        if checksum not in (XXH3, BLAKE2B):
            raise self.damaged(f"names an unknown checksum ({checksum!r})")
        found = checksum_of_kind(checksum)
        if found is None:
            raise StoreError(path, "was written with xxh3 checksums; install the package xxhash to read it")
        self._digest = found.digest

    # --- rows -----------------------------------------------------------------------------------------------------

    def hash_of(self, section: int, key: bytes) -> int:
        """By what a row is found a second time, so that one damaged index does not hide it."""
        return int.from_bytes(self._digest(_NUMBER.pack(section), key), "big", signed=True)

    def digest_of(self, number: int, content: Content) -> bytes:
        """A content's digest."""
        if not content.value and not content.pushes:
            return b""
        place = b"content" + _NUMBER.pack(number) + _NUMBER.pack(len(content.value))
        return self._digest(place, content.value + content.pushes)

    def pack(self, number: int, record: Record) -> tuple[Any, ...]:
        """The columns from `number` on."""
        section, key, changed_at, valid_from, flags, dependencies = record.row
        packed = pack_numbers("Q", dependencies)
        hashed = self.hash_of(section, key)
        fixed = (section, hashed, changed_at, valid_from, flags, record.dependents, record.dependent_sum)
        digest = self._row_digest(number, fixed, key, packed, record.content)
        return (
            number, section, key, hashed, changed_at, valid_from, flags, packed, record.dependents,
            _signed(record.dependent_sum), record.content, digest,
        )  # fmt: skip

    # spec: sqlite.checked
    def unpack(self, found: Sequence[Any]) -> Record:
        """A record out of its columns.

        Raises:
            CorruptError: it does not check.
        """
        try:
            number, section, key, hashed, changed_at, valid_from, flags, packed, count, total, content, digest = found
            total &= _ALL
            fixed = (section, hashed, changed_at, valid_from, flags, count, total)
            if digest == self._row_digest(number, fixed, key, packed, content):
                dependencies = unpack_numbers("Q", memoryview(packed))
                return Record(Row(section, key, changed_at, valid_from, flags, dependencies), count, total, content)
        except Exception:  # a column of another type, as a flipped bit makes it
            pass
        raise self.damaged(f"the checksum of row {found[0]} differs")

    def _row_digest(self, number: int, fixed: tuple[int, ...], key: bytes, packed: bytes, content: bytes) -> bytes:
        place = b"row" + _NUMBER.pack(number) + _ROW.pack(*fixed, len(key), len(packed))
        return self._digest(place, key + packed + content)

    # --- sections and the head ------------------------------------------------------------------------------------

    def pack_section(self, record: SectionRecord) -> tuple[Any, ...]:
        """The columns of a section."""
        info = record.info
        names = dumps([info.name, *info.parts]).encode()
        reads = pack_numbers("I", info.reads)
        digest = self._section_digest(record, names, reads)
        return (
            info.number, info.kind, names, info.fingerprint, info.next_row, info.pages, reads, info.code_since,
            info.doubt_since, record.rows, _signed(record.row_sum), digest,
        )  # fmt: skip

    def unpack_section(self, found: Sequence[Any]) -> SectionRecord:
        """A section out of its columns.

        Raises:
            CorruptError: it does not check.
        """
        try:
            number, kind, names, fingerprint, next_row, pages, packed, code, doubt, rows, row_sum, digest = found
            name, *parts = loads(names)
            reads = tuple(unpack_numbers("I", memoryview(packed)))
            info = SectionInfo(number, kind, name, fingerprint, tuple(parts), next_row, pages, reads, code, doubt)
            record = SectionRecord(info, rows, row_sum & _ALL)
            if digest == self._section_digest(record, names, packed):
                return record
        except Exception:  # as in `unpack`
            pass
        raise self.damaged(f"the checksum of section {found[0]} differs")

    def _section_digest(self, record: SectionRecord, names: bytes, reads: bytes) -> bytes:
        number, kind, _, fingerprint, _, next_row, pages, _, code_since, doubt_since = record.info
        fixed = _SECTION.pack(
            number, kind, next_row, pages, code_since, doubt_since, record.rows, record.row_sum, len(names), len(reads)
        )
        return self._digest(b"section" + fixed, names + reads + fingerprint)

    def head_digest(self, head: Head, synced: int) -> bytes:
        """What guards the head; the sections have digests of their own."""
        fixed = _HEAD.pack(head.revision, head.next_page, head.last, synced, len(head.sections))
        return self._digest(b"head" + fixed, head.classes)

    def damaged(self, what: str) -> CorruptError:
        """The error of what does not check. SQLite does not say at which byte."""
        return CorruptError(self.path, 0, f"{what}; bring back a copy, or salvage what can be read")


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
