"""The blocks of a paged base: 64 KiB each at most, and lists of them; see docs/format-base.md.

Law: a block's digest covers the store, the place in it that the block belongs to, and its lengths. It does not cover
where in the file it is, or in which generation: a block in which nothing has changed goes into the next base as it is.
Whether this block is the one that this base means, and not an older one for the same place, is known from the list
that has its digest, and of that list from the one above it.

Keeps: paged.checksum, paged.bounded, paged.zstd.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from struct import Struct
from typing import Final, NamedTuple, final

from incr._errors import CorruptError, StoreError
from incr.store.checksum import Buffer, Checksum
from incr.store.layout import BLOCK_BYTES, RAW

__all__ = [
    "BUCKET",
    "DEPENDENTS",
    "HEAD",
    "LISTED_BYTES",
    "LONGEST_STREAM",
    "VALUES",
    "ZSTD",
    "Listed",
    "Proof",
    "Zstd",
    "pack_list",
    "raw_block",
    "unpack_block",
    "unpack_list",
]

#: Kinds of blocks: a page's list of its blocks, its rows, what depends on them, their contents; a bucket of the index.
LIST: Final = 0
HEAD: Final = 1
DEPENDENTS: Final = 2
VALUES: Final = 3
BUCKET: Final = 4
#: A block's codec byte: one zstd frame.
ZSTD: Final = 1
#: Of compression: the fastest one.
_LEVEL: Final = 1
#: What has a length of 4 bytes is shorter than this.
LONGEST_STREAM: Final = 1 << 32

# kind 1, codec 1, part 4, raw bytes 4, stored bytes 4, digest 8.
_LISTED: Final = Struct("<BBIII8s")
LISTED_BYTES: Final = _LISTED.size
# kind 1, codec 1, number 4 of the page or bucket, part 4, raw bytes 4, stored bytes 4: digested behind the store id.
_PLACE: Final = Struct("<BBIIII")


class Listed(NamedTuple):
    """What a page's list says about one block."""

    kind: int
    codec: int
    #: Of a head or of dependents: its number, from 0. Of values: the first row's number in the page * 65536, plus the
    #: block's number, from 0, among those that the row's content is cut into.
    part: int
    raw_bytes: int
    stored_bytes: int
    digest: bytes


@final
class Proof:
    """How the blocks of one store are digested."""

    __slots__ = ("_digest", "checksum", "store_id")

    def __init__(self, checksum: Checksum, store_id: bytes) -> None:
        self.checksum = checksum
        self._digest = checksum.digest
        self.store_id = store_id

    # spec: paged.checksum
    def of_block(self, number: int, block: Listed, stored: Buffer) -> bytes:
        """The digest that a block of this page has to have."""
        kind, codec, part, raw, size, _ = block
        return self._digest(self.store_id + _PLACE.pack(kind, codec, number, part, raw, size), stored)

    def of_list(self, page: int, stored: Buffer) -> bytes:
        """The digest of a page's list of blocks."""
        return self._digest(self.store_id + _PLACE.pack(LIST, RAW, page, 0, len(stored), len(stored)), stored)

    def of_bucket(self, bucket: int, buckets: int, stored: Buffer) -> bytes:
        """The digest of one bucket of so many."""
        size = len(stored)
        return self._digest(self.store_id + _PLACE.pack(BUCKET, RAW, bucket, buckets, size, size), stored)


def raw_block(proof: Proof, page: int, kind: int, part: int, content: Buffer) -> Listed:
    """What the list says about a block that is stored as it is."""
    block = Listed(kind, RAW, part, len(content), len(content), b"")
    return block._replace(digest=proof.of_block(page, block, content))


def pack_list(blocks: Sequence[Listed]) -> bytes:
    """A page's list of its blocks."""
    return b"".join([_LISTED.pack(*block) for block in blocks])


# spec: paged.bounded
def unpack_list(path: str, offset: int, data: memoryview, room: int) -> list[Listed]:
    """The blocks of a page, which take *room* bytes behind the list; *offset* is the list's, for messages."""
    blocks = [Listed(*fields) for fields in _LISTED.iter_unpack(data)]
    if sum([block.stored_bytes for block in blocks]) != room:
        raise CorruptError(path, offset, "the blocks of a page are longer or shorter than their place")
    if any(not before < after for before, after in pairwise([(block.kind, block.part) for block in blocks])):
        raise CorruptError(path, offset, "the blocks of a page are out of order")
    for kind, codec, _, raw, stored, _ in blocks:
        if not (HEAD <= kind <= VALUES and 0 < stored <= raw <= BLOCK_BYTES):
            raise CorruptError(path, offset, "a page lists a block that cannot be")
        if codec == RAW and stored != raw:
            raise CorruptError(path, offset, "a block that is stored as it is has two lengths")
    return blocks


# spec: paged.checksum
def unpack_block(path: str, offset: int, proof: Proof, page: int, block: Listed, stored: bytes) -> bytes:
    """A block's raw bytes, if it is the one that was listed; *offset* is for messages.

    Raises:
        CorruptError: it is not.
        StoreError: it is compressed in a way that this installation cannot read.
    """
    if proof.of_block(page, block, stored) != block.digest:
        raise CorruptError(path, offset, f"a block of page {page} does not check (kind {block.kind}, {block.part})")
    if block.codec == RAW:
        return stored
    if block.codec != ZSTD:
        raise StoreError(path, f"is compressed in a way that this release does not know (codec {block.codec})")
    raw = Zstd(path).decompress(stored, block.raw_bytes)
    if raw is None:
        raise CorruptError(path, offset, f"a block of page {page} does not decompress to {block.raw_bytes} bytes")
    return raw


@final
class Zstd:
    """Compression of single blocks, where the package is there. Not to be shared between threads."""

    __slots__ = ("_compressor", "_package")

    def __init__(self, path: str) -> None:
        """*path* is for the message.

        Raises:
            StoreError: the package is missing.
        """
        try:
            import zstandard
        except ImportError as error:
            raise StoreError(
                path, "needs zstd compression; install the package zstandard (incr-runtime[zstd])"
            ) from error
        self._package = zstandard
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)

    # spec: paged.zstd
    def compress(self, raw: Buffer) -> bytes | None:
        """The block as one frame that states its length, or None if that is not shorter."""
        stored = self._compressor.compress(raw)
        return stored if len(stored) < len(raw) else None

    # spec: paged.bounded
    def decompress(self, stored: bytes, raw_bytes: int) -> bytes | None:
        """The block again, or None if it is not such a frame.

        What the frame states is asked first: the package allocates that, whatever it is told as the most.
        """
        try:
            if self._package.frame_content_size(stored) != raw_bytes:
                return None
            raw = self._package.ZstdDecompressor().decompress(stored, allow_extra_data=False)
        except self._package.ZstdError:
            return None
        return raw if len(raw) == raw_bytes else None
