"""The header and the table of contents of a paged base; see docs/format-base.md, which has the same tables.

    header · page · page · … · bucket · bucket · … · table of contents · footer

Law: the table has an entry of one width for each page and each bucket, and stays bytes: opening makes no object for
any of them, and an entry is unpacked when it is asked for. Where a page or bucket begins is where the one before ends.

Keeps: paged.open, paged.bounded, base.version.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple, final

from incr._errors import CorruptError, StoreError
from incr.store.checksum import DIGEST_BYTES, Checksum
from incr.store.layout import HEADER_BYTES, MAGIC, PROLOGUE_BYTES, pack_prologue, unpack_prologue
from incr.store.rows import Head, SectionInfo

__all__ = [
    "BUCKET_ENTRY",
    "PAGED_FORMAT",
    "PAGE_ENTRY",
    "BaseHeader",
    "PageEntry",
    "Table",
    "pack_base_header",
    "pack_table",
    "unpack_base_header",
]

#: The format number of a paged base.
PAGED_FORMAT: Final = 2

# store id 16, generation 8, revision 8, last delta 8; then the digest of the 56 bytes before it.
_IDENTITY: Final = Struct("<16sQQQ")
# flags 4, next page 4, rows 4, pages 4, buckets 4, sections 4, bytes of the table of classes 4.
_COUNTS: Final = Struct("<IIIIIII")
#: End 8, digest 8 of its list of blocks, section 4, blocks 4, rows 2.
PAGE_ENTRY: Final = Struct("<Q8sIIH")
#: End 8, digest 8.
BUCKET_ENTRY: Final = Struct("<Q8s")
# number 4, kind 1, next row 8, pages 4, code since 8, doubt since 8, bytes of the name 4, of the fingerprint 2,
# parts 2, sections that it reads 4; then name, fingerprint, parts, and those sections.
_SECTION: Final = Struct("<IBQIQQIHHI")
_PART: Final = Struct("<I")
_END: Final = Struct("<Q")


class BaseHeader(NamedTuple):
    """Which store, which generation of it, and what is in it."""

    store_id: bytes
    generation: int
    #: Of the inputs.
    revision: int
    #: The number of the last delta.
    last: int


class PageEntry(NamedTuple):
    """What the table says about one page; one without rows has no bytes."""

    start: int
    end: int
    digest: bytes
    section: int
    blocks: int
    rows: int


def pack_base_header(header: BaseHeader, checksum: Checksum) -> bytes:
    """The first 64 bytes of a file."""
    start = pack_prologue(MAGIC, checksum, PAGED_FORMAT) + _IDENTITY.pack(*header)
    return start + checksum.digest(b"", start)


# spec: paged.open
def unpack_base_header(path: str, data: memoryview) -> tuple[BaseHeader, Checksum]:
    """The header, and what the rest of the file is to be checked with.

    Raises:
        CorruptError: not a file of incr, or damaged.
        VersionError: healthy, and of another format.
        StoreError: healthy, but it needs something that this installation does not have.
    """
    if len(data) < HEADER_BYTES:
        raise CorruptError(path, len(data), f"ends within its header; {HEADER_BYTES} bytes are the least")
    checksum = unpack_prologue(path, data, MAGIC, PAGED_FORMAT)
    end = HEADER_BYTES - DIGEST_BYTES
    if checksum.digest(b"", data[:end]) != bytes(data[end:HEADER_BYTES]):
        raise CorruptError(path, end, "the header's checksum differs")
    return BaseHeader(*_IDENTITY.unpack_from(data, PROLOGUE_BYTES)), checksum


def pack_table(head: Head, rows: int, pages: bytes, buckets: bytes) -> bytes:
    """The table of contents; *pages* and *buckets* are the packed entries.

    Raises:
        struct.error: a number or length is too large for its place.
    """
    parts = [
        _COUNTS.pack(
            0,
            head.next_page,
            rows,
            len(pages) // PAGE_ENTRY.size,
            len(buckets) // BUCKET_ENTRY.size,
            len(head.sections),
            len(head.classes),
        ),
        pages,
        buckets,
        head.classes,
    ]
    for section in head.sections:
        name = _text(section.name)
        parts += [
            _SECTION.pack(
                section.number,
                section.kind,
                section.next_row,
                section.pages,
                section.code_since,
                section.doubt_since,
                len(name),
                len(section.fingerprint),
                len(section.parts),
                len(section.reads),
            ),
            name,
            section.fingerprint,
        ]
        for part in map(_text, section.parts):
            parts += [_PART.pack(len(part)), part]
        parts += map(_PART.pack, section.reads)
    return b"".join(parts)


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@final
class Table:
    """A table of contents."""

    __slots__ = ("_buckets", "_offset", "_pages", "_path", "buckets", "head", "pages", "rows")

    # spec: paged.bounded
    def __init__(self, path: str, offset: int, data: memoryview, header: BaseHeader) -> None:
        """*offset* is the table's in the file; its digest has been compared."""
        self._path = path
        self._offset = offset
        reader = _Reader(path, offset, data)
        counts: tuple[int, ...] = _COUNTS.unpack(reader.take(_COUNTS.size))
        flags, next_page, self.rows, self.pages, self.buckets, sections, classes = counts
        if flags:
            raise StoreError(path, f"uses features that this release does not know (flags {flags:#x})")
        self._pages = reader.take(self.pages * PAGE_ENTRY.size)
        self._buckets = reader.take(self.buckets * BUCKET_ENTRY.size)
        if self.buckets & (self.buckets - 1) or not self.buckets or self.pages > next_page:
            raise CorruptError(path, offset, "the numbers of pages or buckets cannot be")
        class_table = bytes(reader.take(classes))
        listed = tuple(reader.section() for _ in range(sections))
        if reader.at != len(data):
            raise CorruptError(path, offset + reader.at, "bytes behind the last section of the table of contents")
        #: Without pages and buckets.
        self.head = Head(header.revision, listed, class_table, next_page, header.last)

    @property
    def pages_end(self) -> int:
        """Where the last page ends, and the first bucket begins."""
        return self._page_end(self.pages - 1)

    def page(self, number: int) -> PageEntry | None:
        """The entry of a page, or None if it has no rows."""
        if not 0 <= number < self.pages:
            return None
        end, digest, section, blocks, rows = PAGE_ENTRY.unpack_from(self._pages, number * PAGE_ENTRY.size)
        start = self._page_end(number - 1)
        if not start <= end <= self._offset:
            raise CorruptError(self._path, self._offset, f"page {number} lies where it cannot be")
        return PageEntry(start, end, digest, section, blocks, rows) if rows else None

    def sections(self) -> dict[int, list[int]]:
        """Section -> its pages, ascending."""
        found: dict[int, list[int]] = {}
        for number, (_, _, section, _, rows) in enumerate(PAGE_ENTRY.iter_unpack(self._pages)):
            if rows:
                found.setdefault(section, []).append(number)
        return found

    def bucket(self, number: int) -> tuple[int, int, bytes]:
        """Where a bucket begins and ends, and its digest."""
        end, digest = BUCKET_ENTRY.unpack_from(self._buckets, number * BUCKET_ENTRY.size)
        start = self.pages_end
        if number:
            (start,) = _END.unpack_from(self._buckets, (number - 1) * BUCKET_ENTRY.size)
        if not start <= end <= self._offset:
            raise CorruptError(self._path, self._offset, f"bucket {number} lies where it cannot be")
        return start, end, digest

    def _page_end(self, number: int) -> int:
        if number < 0:
            return HEADER_BYTES
        (end,) = _END.unpack_from(self._pages, number * PAGE_ENTRY.size)
        return int(end)


class _Reader:
    """A place in the table. Nothing is taken, and no count believed, beyond what is there."""

    __slots__ = ("_data", "_path", "_start", "at")

    def __init__(self, path: str, start: int, data: memoryview) -> None:
        self._path = path
        self._start = start
        self._data = data
        self.at = 0

    def take(self, count: int) -> memoryview:
        before = self.at
        if count > len(self._data) - before:
            raise CorruptError(self._path, self._start + before, "the table of contents claims more than is there")
        self.at += count
        return self._data[before : self.at]

    def section(self) -> SectionInfo:
        found = _SECTION.unpack(self.take(_SECTION.size))
        number, kind, next_row, pages, code_since, doubt_since, name, fingerprint, parts, reads = found
        text = self.text(name)
        code = bytes(self.take(fingerprint))
        names = tuple(self.part() for _ in range(parts))
        listed = tuple(section for (section,) in _PART.iter_unpack(self.take(reads * _PART.size)))
        return SectionInfo(number, kind, text, code, names, next_row, pages, listed, code_since, doubt_since)

    def part(self) -> str:
        return self.text(*_PART.unpack(self.take(_PART.size)))

    def text(self, count: int) -> str:
        try:
            return str(self.take(count), "utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise CorruptError(self._path, self._start + self.at, "a section's name is not UTF-8") from error
