"""Writing a paged base: the old base and an overlay become the next one.

Law: the name either keeps what it had or has the whole new base, whenever the power goes; a failed write leaves nothing
behind. What is copied is compared with its digests on the way: damage is never carried on. Memory and work are in
proportion to what has changed, but for the copying itself.

Keeps: paged.write, paged.copy.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple, final

from incr._errors import CorruptError, StoreBrokenError, StoreError
from incr.store.block import Listed, Proof, Zstd, pack_list
from incr.store.changes import Changes
from incr.store.checksum import Buffer, preferred_checksum
from incr.store.contents import BUCKET_ENTRY, PAGE_ENTRY, BaseHeader, pack_base_header, pack_table
from incr.store.directory import Directory, File, explained, write_whole
from incr.store.index import bucket_shift, buckets_for, pack_bucket
from incr.store.layout import pack_footer
from incr.store.overlay import Overlay
from incr.store.paged import PagedBase
from incr.store.rewrite import NewPage, Pages, Piece, copied
from incr.store.rows import Head, Progress

__all__ = ["TEMPORARY", "write_base"]

#: How the names begin of files that are not finished; whoever has the directory for himself may remove what is left.
TEMPORARY: Final = "tmp-"
#: Bytes are gathered to about this many before they are handed on, and copied in pieces of at most as many.
_PIECE_BYTES: Final = 1 << 20


# spec: paged.write
def write_base(
    directory: Directory,
    name: str,
    header: BaseHeader,
    head: Head,
    old: PagedBase | None,
    overlay: Overlay,
    *,
    compress: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write what *old* has with what *overlay* changes as a base of this name; returns its size in bytes.

    The store id, the generation, the revision and the last delta are the header's; of *head*, sections, classes and
    the next page are used. *progress* hears of pages and buckets. Neither *old* nor *overlay* may change meanwhile.

    Raises:
        CorruptError: something in *old* is damaged; nothing was written.
        StoreError: it could not be written; nothing has changed.
    """
    path = directory.path_of(name)
    checksum = preferred_checksum() if old is None else old.checksum
    zstd = Zstd(path) if compress else None
    with _temporary(directory, name) as file:
        out = _Out(path, file)
        try:
            start = pack_base_header(header, checksum)
            out.write(start)
            made = _Maker(path, out, Proof(checksum, header.store_id), old, overlay, zstd, progress)
            made.write_pages()
            made.write_buckets()
            if len(made.pages) > head.next_page * PAGE_ENTRY.size:
                raise StoreError(path, f"was to get rows of a page when page {head.next_page} was not given out yet")
            table = pack_table(head, made.rows, bytes(made.pages), bytes(made.buckets))
        except (OverflowError, struct.error) as error:
            raise StoreError(path, f"was to get a number or a length that has no place in it: {error}") from error
        end = table + pack_footer(start, table, out.offset, checksum)
        out.write(end)
        out.flush()
        with explained(path, "written"):
            file.sync()
        with explained(path, "read back"):
            if (_read(file, 0, len(start)), _read(file, out.offset - len(end), len(end))) != (start, end):
                raise StoreBrokenError(path, "what was written reads back differently; check the disk")
    return out.offset


@contextmanager
def _temporary(directory: Directory, name: str) -> Generator[File]:
    """A new file that gets *name* once all is done, and goes away if that fails."""
    path = directory.path_of(name)
    temporary = f"{TEMPORARY}{os.getpid()}-{os.urandom(8).hex()}.incr"
    with explained(path, "written"):
        file = directory.create(temporary)
    try:
        try:
            yield file
        finally:
            with explained(path, "closed"):
                file.close()
        with explained(path, "written"):
            directory.rename(temporary, name)
    except BaseException:
        # That failure is what the caller has to hear of, not one of tidying up.
        with suppress(OSError):
            directory.unlink(temporary)
        raise
    with explained(path, "written"):
        directory.sync()


@final
class _Out:
    """Bytes on their way to the file."""

    __slots__ = ("_file", "_held", "_path", "_size", "offset")

    def __init__(self, path: str, file: File) -> None:
        self._path = path
        self._file = file
        self._held: list[bytes] = []
        self._size = 0
        #: Where the next byte goes.
        self.offset = 0

    def write(self, data: bytes) -> None:
        self._held.append(data)
        self._size += len(data)
        self.offset += len(data)
        if self._size >= _PIECE_BYTES:
            self.flush()

    def flush(self) -> None:
        with explained(self._path, "written"):
            write_whole(self._file, b"".join(self._held), self.offset - self._size)
        self._held, self._size = [], 0


class _Run(NamedTuple):
    """Blocks that lie behind one another in the old base."""

    offset: int
    blocks: Sequence[Listed]


@final
class _Maker:
    """The parts of the next base between its header and its table of contents."""

    __slots__ = (
        "_changes",
        "_is_same_store",
        "_maker",
        "_old",
        "_out",
        "_path",
        "_progress",
        "_proof",
        "buckets",
        "pages",
        "rows",
    )

    def __init__(
        self,
        path: str,
        out: _Out,
        proof: Proof,
        old: PagedBase | None,
        overlay: Overlay,
        zstd: Zstd | None,
        progress: Progress | None,
    ) -> None:
        self._path = path
        self._out = out
        self._proof = proof
        self._old = old
        self._is_same_store = old is None or old.proof.store_id == proof.store_id
        self._progress = progress
        self._changes = Changes(old, overlay, proof.checksum)
        self._maker = Pages(path, old, overlay, proof, zstd)
        self.rows = (0 if old is None else len(old)) + len(self._changes.added) - len(self._changes.dropped)
        #: The entries of the table of contents.
        self.pages = bytearray()
        self.buckets = bytearray()

    def write_pages(self) -> None:
        """All pages, in order."""
        old, changes = self._old, self._changes
        count = max([0 if old is None else old.table.pages, *(page + 1 for page in changes.pages)])
        for number in range(count):
            change = changes.pages.get(number)
            if change is None:
                self._copy_page(number)
            else:
                page = None if old is None else old.page(number)
                self._write_page(number, self._maker.rewritten(number, page, change))
            self._tell(number + 1, count + self._bucket_count)

    # spec: paged.copy
    def _copy_page(self, number: int) -> None:
        entry = None if self._old is None else self._old.table.page(number)
        if entry is None or self._old is None:
            self._write_page(number, None)
            return
        pieces = [piece for stream in self._old.streams(number, entry) for piece in copied(stream)]
        self._write_page(number, NewPage(entry.section, entry.rows, pieces))

    def _write_page(self, number: int, page: NewPage | None) -> None:
        if page is None:
            self.pages += PAGE_ENTRY.pack(self._out.offset, bytes(8), 0, 0, 0)
            return
        pieces = page.pieces if self._is_same_store else [self._own(number, piece) for piece in page.pieces]
        listed = pack_list([piece.block for piece in pieces])
        self._out.write(listed)
        self._write_pieces(number, pieces)
        digest = self._proof.of_list(number, listed)
        self.pages += PAGE_ENTRY.pack(self._out.offset, digest, page.section, len(page.pieces), page.rows)

    # spec: paged.copy
    def _own(self, number: int, piece: Piece) -> Piece:
        """A block of another store as one of this: its bytes are the same, its digest is not."""
        block, content = piece
        if isinstance(content, bytes):
            return piece
        assert self._old is not None
        data = self._old.read(content, block.stored_bytes)
        self._check(self._old.proof, number, block, data, content)
        # The bytes are read again when they are copied: a page may have more of them than there is memory.
        return Piece(block._replace(digest=self._proof.of_block(number, block, data)), content)

    def _check(self, proof: Proof, number: int, block: Listed, data: Buffer, offset: int) -> None:
        assert self._old is not None
        if proof.of_block(number, block, data) != block.digest:
            raise CorruptError(self._old.path, offset, f"a block of page {number} does not check ({block.part})")

    def _write_pieces(self, number: int, pieces: Sequence[Piece]) -> None:
        offset, waiting, size = 0, list[Listed](), 0
        for block, content in pieces:
            if waiting and (content != offset + size or size + block.stored_bytes > _PIECE_BYTES):
                self._copy_run(number, _Run(offset, waiting), size)
                waiting, size = [], 0
            if isinstance(content, bytes):
                self._out.write(content)
                continue
            if not waiting:
                offset = content
            waiting.append(block)
            size += block.stored_bytes
        if waiting:
            self._copy_run(number, _Run(offset, waiting), size)

    def _copy_run(self, number: int, run: _Run, size: int) -> None:
        assert self._old is not None
        data = self._old.read(run.offset, size)
        view, at = memoryview(data), 0
        for block in run.blocks:
            end = at + block.stored_bytes
            self._check(self._proof, number, block, view[at:end], run.offset + at)
            at = end
        self._out.write(data)

    # --- index ----------------------------------------------------------------------------------------------------

    @property
    def _bucket_count(self) -> int:
        return buckets_for(self.rows, 0 if self._old is None else self._old.table.buckets)

    def write_buckets(self) -> None:
        """All buckets, in order."""
        count = self._bucket_count
        pages = len(self.pages) // PAGE_ENTRY.size
        shift = bucket_shift(count)
        added: dict[int, list[int]] = {}
        for entry in self._changes.added:
            added.setdefault(entry >> shift, []).append(entry)
        dropped = self._changes.dropped
        touched = {entry >> shift for entry in dropped}
        same = self._old is not None and self._old.table.buckets == count
        for number in range(count):
            if same and number not in added and number not in touched:
                data, digest = self._copied_bucket(number)
            else:
                kept = [entry for entry in self._old_entries(number, count) if entry not in dropped]
                data = pack_bucket([*kept, *added.get(number, ())])
                digest = self._proof.of_bucket(number, count, data)
            self._out.write(data)
            self.buckets += BUCKET_ENTRY.pack(self._out.offset, digest)
            self._tell(pages + number + 1, pages + count)

    def _copied_bucket(self, number: int) -> tuple[bytes, bytes]:
        assert self._old is not None
        start, end, digest = self._old.table.bucket(number)
        data = self._old.read(start, end - start)
        count = self._old.table.buckets
        if self._old.proof.of_bucket(number, count, data) != digest:
            raise CorruptError(self._old.path, start, f"bucket {number} of the index does not check")
        return data, digest if self._is_same_store else self._proof.of_bucket(number, count, data)

    def _old_entries(self, number: int, count: int) -> Iterator[int]:
        """What the old base has of a bucket, if there were *count* of them."""
        if self._old is None:
            return
        buckets, shift = self._old.table.buckets, bucket_shift(count)
        first = number * buckets // count
        for bucket in range(first, max(first + 1, (number + 1) * buckets // count)):
            for entry in self._old.bucket(bucket).entries():
                if entry >> shift == number:
                    yield entry

    def _tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total)


def _read(file: File, offset: int, count: int) -> bytes:
    """Up to *count* bytes, however few the system gives at a time."""
    data = file.pread(count, offset)
    while len(data) < count and (more := file.pread(count - len(data), offset + len(data))):
        data += more
    return data
