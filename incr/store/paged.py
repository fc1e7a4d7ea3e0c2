"""Reading a paged base: nothing is read before it is asked for, and nothing is believed before it checks.

Law: opening reads header, footer and table of contents. All else is read by position when it is needed, a page or a
bucket or a block at a time, and each is compared with its digest whenever it is read. Any thread may read.

Keeps: paged.open, paged.checksum, paged.find, paged.bounded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final, Self, final

from incr._errors import CorruptError
from incr.store.block import (
    DEPENDENTS,
    HEAD,
    LISTED_BYTES,
    VALUES,
    Listed,
    Proof,
    unpack_block,
    unpack_list,
)
from incr.store.cache import ByteCache
from incr.store.checksum import Checksum
from incr.store.columns import unpack_numbers
from incr.store.contents import BaseHeader, PageEntry, Table, unpack_base_header
from incr.store.directory import Directory, File, explained
from incr.store.index import Bucket, bucket_of, hash_of
from incr.store.layout import BLOCK_BYTES, FOOTER_BYTES, HEADER_BYTES, contents_digest, unpack_footer
from incr.store.page import PageHead, unpack_head
from incr.store.rows import PAGE_ROWS, Content, Head, Progress, Row

__all__ = ["CACHE_BYTES", "Page", "PagedBase", "Stream"]

#: What is kept of what was read, unless `open` is told otherwise.
CACHE_BYTES: Final = 16 << 20


@final
class Stream:
    """The blocks of one kind of a page, as one run of bytes."""

    __slots__ = ("blocks", "bounds", "offsets")

    def __init__(self, blocks: Sequence[Listed], offset: int) -> None:
        self.blocks = blocks
        #: Where in the file each block begins, and where the last one ends.
        self.offsets = list(accumulate((block.stored_bytes for block in blocks), initial=offset))
        #: Where in the run each block begins, and where the last one ends.
        self.bounds = list(accumulate((block.raw_bytes for block in blocks), initial=0))

    @property
    def end(self) -> int:
        """Where the last block ends in the file."""
        return self.offsets[-1]

    @property
    def size(self) -> int:
        """How long the run is."""
        return self.bounds[-1]


@final
class Page:
    """One page as far as it is kept in memory: its rows, and where the rest of it is."""

    __slots__ = ("dependents", "entry", "head", "heads", "number", "values")

    def __init__(self, number: int, entry: PageEntry, streams: tuple[Stream, Stream, Stream], head: PageHead) -> None:
        self.number = number
        self.entry = entry
        self.heads, self.dependents, self.values = streams
        self.head = head

    @property
    def cost(self) -> int:
        """About how many bytes it takes."""
        return 2 * self.head.size + 24 * self.entry.rows + 300 * self.entry.blocks + 1_000


@final
class PagedBase:
    """A base file that is open for reading."""

    __slots__ = ("_cache", "_file", "_sections", "_table", "decoded", "header", "path", "proof")

    def __init__(self, path: str, file: File, proof: Proof, header: BaseHeader, table: Table, cache_bytes: int) -> None:
        self.path = path
        self._file = file
        self.proof = proof
        self.header = header
        self._table = table
        #: Section -> its pages; None until somebody asks.
        self._sections: dict[int, list[int]] | None = None
        self._cache: ByteCache[tuple[int, int, int], Page | Bucket | bytes] = ByteCache(cache_bytes)
        #: How many pages have been unpacked so far.
        self.decoded = 0

    # spec: paged.open
    @classmethod
    def open(cls, directory: Directory, name: str, cache_bytes: int = CACHE_BYTES) -> Self:
        """A base, after a look at its header, table of contents and footer. Keeps up to *cache_bytes* of what is read.

        Raises:
            CorruptError: they do not check.
            VersionError: it has another format.
            StoreError: it cannot be read, or needs something that this installation does not have.
        """
        path = directory.path_of(name)
        with explained(path, "opened"):
            file = directory.open_to_read(name)
        try:
            with explained(path, "read"):
                size = file.size()
            start = memoryview(_pread(path, file, min(HEADER_BYTES, size), 0))
            header, checksum = unpack_base_header(path, start)
            table = _read_table(path, file, size, start, header, checksum)
            return cls(path, file, Proof(checksum, header.store_id), header, table, cache_bytes)
        except BaseException:
            file.close()
            raise

    @property
    def checksum(self) -> Checksum:
        """What the file is digested with."""
        return self.proof.checksum

    @property
    def table(self) -> Table:
        """The table of contents."""
        return self._table

    def head(self) -> Head:
        """The state as far as it does not grow with the rows."""
        return self._table.head

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        with explained(self.path, "read"):
            return self._file.size()

    def __len__(self) -> int:
        """How many rows there are."""
        return self._table.rows

    # --- rows -----------------------------------------------------------------------------------------------------

    # spec: paged.find
    def find(self, section: int, key: bytes) -> int | None:
        """The number of a row."""
        hashed = hash_of(self.checksum, section, key)
        for number in self.bucket(bucket_of(hashed, self._table.buckets)).candidates(hashed):
            page, index = self._place(number)
            if page.head.section == section and bytes(page.head.key(index)) == key:
                return number
        return None

    def has(self, number: int) -> bool:
        """Whether there is such a row."""
        page = self.page(number // PAGE_ROWS)
        return page is not None and page.head.index(number % PAGE_ROWS) >= 0

    def row(self, number: int) -> Row:
        """A row without its content. There must be one."""
        page, index = self._place(number)
        return page.head.row(index)

    def content(self, number: int) -> Content:
        """A row's content. There must be such a row."""
        page, index = self._place(number)
        start, end = page.head.content_bounds[index : index + 2]
        content = self.part(page, page.values, start, end)
        cut = page.head.value_bytes(index)
        return Content(content[:cut], content[cut:])

    def dependents(self, number: int) -> Sequence[int]:
        """The rows that have this one among their dependencies, each once, ascending. There must be such a row."""
        page, index = self._place(number)
        if not page.dependents.size:
            return ()
        counts = self.counts(page)
        start = 4 * (len(counts) + sum(counts[:index]))
        return unpack_numbers("I", memoryview(self.part(page, page.dependents, start, start + 4 * counts[index])))

    def rows_of(self, section: int) -> Iterator[int]:
        """All rows of a section, ascending."""
        if self._sections is None:  # once: a store may have more sections than a look at all pages should be done for
            self._sections = self._table.sections()
        for number in self._sections.get(section, ()):
            yield from self.rows_in(number)

    def rows_in(self, number: int) -> Sequence[int]:
        """The rows of a page, ascending."""
        page = self.page(number)
        return [] if page is None else [number * PAGE_ROWS + local for local in page.head.locals]

    def prefetch(self, numbers: Iterable[int]) -> None:
        """Have the pages of these rows at hand, as far as half of what may be kept holds them."""
        left = self._cache.limit // 2
        for number in sorted({number // PAGE_ROWS for number in numbers}):
            page = self.page(number)
            left -= page.cost if page is not None else 0
            if left <= 0:
                break

    def close(self) -> None:
        """Let go of the file; closing again does nothing."""
        with explained(self.path, "closed"):
            self._file.close()
        self._cache.clear()

    # --- pages and buckets ----------------------------------------------------------------------------------------

    def page(self, number: int) -> Page | None:
        """A page, or None if it has no rows."""
        kept = self._cache.get((HEAD, number, 0))
        if kept is not None:
            assert isinstance(kept, Page)
            return kept
        entry = self._table.page(number)
        if entry is None:
            return None
        page = self._unpacked(number, entry)
        self._cache.put((HEAD, number, 0), page, page.cost)
        return page

    def streams(self, number: int, entry: PageEntry) -> tuple[Stream, Stream, Stream]:
        """The blocks of a page: those of its head, of dependents, and of contents."""
        size = entry.blocks * LISTED_BYTES
        room = entry.end - entry.start - size
        if room < 0:
            raise CorruptError(self.path, entry.start, f"the list of the blocks of page {number} is longer than it")
        data = self.read(entry.start, size)
        if self.proof.of_list(number, data) != entry.digest:
            raise CorruptError(self.path, entry.start, f"the list of the blocks of page {number} does not check")
        blocks = unpack_list(self.path, entry.start, memoryview(data), room)
        heads = Stream([block for block in blocks if block.kind == HEAD], entry.start + size)
        dependents = Stream([block for block in blocks if block.kind == DEPENDENTS], heads.end)
        return heads, dependents, Stream([block for block in blocks if block.kind == VALUES], dependents.end)

    def part(self, page: Page, stream: Stream, start: int, end: int) -> bytes:
        """The bytes of a stream from *start* to *end*; no more blocks are read than have them."""
        if start == end:
            return b""
        if end > stream.size:
            raise CorruptError(self.path, stream.offsets[0], f"a row of page {page.number} claims more than is there")
        first = bisect_right(stream.bounds, start) - 1
        pieces: list[bytes] = []
        at = first
        while stream.bounds[at] < end:
            pieces.append(self._kept_block(page.number, stream, at, kept=end - start <= BLOCK_BYTES))
            at += 1
        whole = b"".join(pieces) if len(pieces) > 1 else pieces[0]
        before = stream.bounds[first]
        return whole[start - before : end - before]

    def counts(self, page: Page) -> Sequence[int]:
        """How many dependents each row of the page has; there must be a stream of them."""
        return unpack_numbers("I", memoryview(self.part(page, page.dependents, 0, 4 * page.entry.rows)))

    def block(self, number: int, stream: Stream, at: int) -> bytes:
        """One block of a page, raw, after a look at its digest."""
        offset, block = stream.offsets[at], stream.blocks[at]
        return unpack_block(self.path, offset, self.proof, number, block, self.read(offset, block.stored_bytes))

    def bucket(self, number: int) -> Bucket:
        """A bucket of the index."""
        key = (0, number, 0)
        kept = self._cache.get(key)
        if kept is None:
            start, end, digest = self._table.bucket(number)
            data = self.read(start, end - start)
            if self.proof.of_bucket(number, self._table.buckets, data) != digest:
                raise CorruptError(self.path, start, f"bucket {number} of the index does not check")
            kept = Bucket.unpack(self.path, start, data)
            self._cache.put(key, kept, kept.size + 500)
        assert isinstance(kept, Bucket)
        return kept

    def read(self, offset: int, count: int) -> bytes:
        """Bytes of the file as they stand there."""
        return _pread(self.path, self._file, count, offset)

    # spec: paged.verify
    def verify(self, progress: Progress | None = None) -> None:
        """Read all that is there, and compare it with its digests. *progress* hears of pages and buckets.

        Raises:
            CorruptError: something does not check; the message says what.
        """
        table, rows, entries = self._table, 0, 0
        total = table.pages + table.buckets
        for number in range(table.pages):
            entry = table.page(number)
            if entry is not None:
                rows += entry.rows
                self._verify_page(self._unpacked(number, entry))
            if progress is not None:
                progress(number + 1, total)
        for number in range(table.buckets):
            entries += len(self.bucket(number).rows)
            if progress is not None:
                progress(table.pages + number + 1, total)
        if not rows == entries == table.rows:
            raise CorruptError(self.path, 0, f"has {rows} rows, {entries} in its index, and claims {table.rows}")

    def _verify_page(self, page: Page) -> None:
        for stream in (page.dependents, page.values):
            for at in range(len(stream.blocks)):
                self.block(page.number, stream, at)
        if page.dependents.size:
            counts = self.counts(page)
            if 4 * (len(counts) + sum(counts)) != page.dependents.size:
                raise CorruptError(
                    self.path, page.dependents.offsets[0], f"dependents of page {page.number} are missing"
                )

    def _unpacked(self, number: int, entry: PageEntry) -> Page:
        streams = heads, _, values = self.streams(number, entry)
        data = b"".join([self.block(number, heads, at) for at in range(len(heads.blocks))])
        head = unpack_head(self.path, heads.offsets[0], entry.section, entry.rows, data)
        if head.content_bounds[-1] != values.size:
            raise CorruptError(self.path, heads.offsets[0], f"the contents of page {number} are not as long as it says")
        self.decoded += 1
        return Page(number, entry, streams, head)

    def _kept_block(self, number: int, stream: Stream, at: int, *, kept: bool) -> bytes:
        key = (stream.blocks[at].kind, number, at)
        data = self._cache.get(key)
        if data is None:
            data = self.block(number, stream, at)
            if kept:
                self._cache.put(key, data, len(data) + 200)
        assert isinstance(data, bytes)
        return data

    def _place(self, number: int) -> tuple[Page, int]:
        page = self.page(number // PAGE_ROWS)
        index = -1 if page is None else page.head.index(number % PAGE_ROWS)
        if page is None or index < 0:
            raise CorruptError(self.path, 0, f"row {number} is not there")
        return page, index


def _read_table(path: str, file: File, size: int, start: memoryview, header: BaseHeader, checksum: Checksum) -> Table:
    end = memoryview(_pread(path, file, min(FOOTER_BYTES, size), max(0, size - FOOTER_BYTES)))
    footer = unpack_footer(path, end, size)
    contents = memoryview(_pread(path, file, footer.length, footer.offset))
    if contents_digest(start, contents, footer, checksum) != footer.digest:
        raise CorruptError(path, size - FOOTER_BYTES, "the checksum of the table of contents differs")
    return Table(path, footer.offset, contents, header)


def _pread(path: str, file: File, count: int, offset: int) -> bytes:
    """Exactly these bytes, however few the system gives at a time."""
    with explained(path, "read"):
        data = file.pread(count, offset)
        while len(data) < count:
            more = file.pread(count - len(data), offset + len(data))
            if not more:
                raise CorruptError(path, offset + len(data), "ends where more should be")
            data += more
    return data
