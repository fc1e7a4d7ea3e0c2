"""The index of a paged base: from section and key to the row, in buckets of hashes; see docs/format-base.md.

Law: a hash only says where to look. What is found in a bucket is a row whose key is compared before it counts.

Keeps: paged.find.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from operator import gt
from struct import Struct
from typing import Final, final

from incr._errors import CorruptError
from incr.store.checksum import Buffer, Checksum
from incr.store.columns import pack_numbers, unpack_numbers

__all__ = ["ENTRY_BYTES", "Bucket", "bucket_of", "bucket_shift", "buckets_for", "entries_of", "hash_of", "pack_bucket"]

#: Hash 8, row 4.
ENTRY_BYTES: Final = 12
#: How many entries a bucket has on average when an index is made, and between which numbers that may come to be.
_USUAL: Final = 256
_FEWEST: Final = 64
_MOST: Final = 512
_HASH_BITS: Final = 64
_ROW_BITS: Final = 32
_ROW_MASK: Final = (1 << _ROW_BITS) - 1
_SECTION: Final = Struct("<I")


# spec: paged.find
def hash_of(checksum: Checksum, section: int, key: bytes) -> int:
    """Where a key is looked for: 64 bits."""
    return int.from_bytes(checksum.digest(_SECTION.pack(section), key), "big")


def entries_of(checksum: Checksum, section: int, rows: Iterable[tuple[int, bytes]]) -> list[int]:
    """The entries of rows of a section with their keys."""
    place, digest, number_of = _SECTION.pack(section), checksum.digest, int.from_bytes
    return [number_of(digest(place, key), "big") << _ROW_BITS | row for row, key in rows]


def buckets_for(rows: int, before: int = 0) -> int:
    """How many buckets an index of so many rows has, a power of two: as many as *before* if these still do."""
    if before and _FEWEST * before <= rows <= _MOST * before:
        return before
    return 1 << (max(0, rows - 1) // _USUAL).bit_length()


def bucket_of(hashed: int, buckets: int) -> int:
    """In which of so many buckets a hash is: its highest bits say it."""
    return hashed * buckets >> _HASH_BITS


@final
class Bucket:
    """The entries of a bucket, sorted by hash."""

    __slots__ = ("hashes", "rows")

    def __init__(self, hashes: Sequence[int], rows: Sequence[int]) -> None:
        self.hashes = hashes
        self.rows = rows

    @classmethod
    def unpack(cls, path: str, offset: int, data: Buffer) -> Bucket:
        """A bucket out of its bytes; *offset* is for messages."""
        view = memoryview(data)
        count, left = divmod(len(view), ENTRY_BYTES)
        hashes = unpack_numbers("Q", view[: 8 * count])
        if left or any(map(gt, hashes, hashes[1:])):
            raise CorruptError(path, offset, "a bucket of the index is cut short or out of order")
        return cls(hashes, unpack_numbers("I", view[8 * count :]))

    @property
    def size(self) -> int:
        """How many bytes it was unpacked from."""
        return ENTRY_BYTES * len(self.hashes)

    def candidates(self, hashed: int) -> Iterator[int]:
        """The rows that have this hash."""
        at = bisect_left(self.hashes, hashed)
        while at < len(self.hashes) and self.hashes[at] == hashed:
            yield self.rows[at]
            at += 1

    def entries(self) -> Iterator[int]:
        """Hashes and rows, each pair as one number: many of these cost less than as many pairs, and sort faster."""
        return (hashed << _ROW_BITS | row for hashed, row in zip(self.hashes, self.rows, strict=True))


def bucket_shift(buckets: int) -> int:
    """By how many bits an entry is shifted to have the number of its bucket; `bucket_of` for many."""
    return _HASH_BITS + _ROW_BITS + 1 - buckets.bit_length()


def pack_bucket(entries: Iterable[int]) -> bytes:
    """A bucket of these entries."""
    ordered = sorted(entries)
    hashes = [entry >> _ROW_BITS for entry in ordered]
    return pack_numbers("Q", hashes) + pack_numbers("I", [entry & _ROW_MASK for entry in ordered])
