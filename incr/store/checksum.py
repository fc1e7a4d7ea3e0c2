"""The digests that guard a file's bytes: xxh3-64 where it can be had, else BLAKE2b cut to 8 bytes.

Law: a digest also covers *where* its bytes belong, so that a block that is whole but in the wrong place does not check.
The header's byte says which of the two a file was written with.

Keeps: base.checksum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

__all__ = ["BLAKE2B", "DIGEST_BYTES", "XXH3", "Buffer", "Checksum", "checksum_of_kind", "preferred_checksum"]

Buffer: TypeAlias = bytes | bytearray | memoryview

XXH3: Final = 1
BLAKE2B: Final = 2
DIGEST_BYTES: Final = 8
#: To put so many bytes behind others is faster than to digest them one after the other.
_SHORT: Final = 1_000


class Checksum(NamedTuple):
    """One way to digest bytes."""

    kind: int
    #: (place, content) -> 8 bytes.
    digest: Callable[[bytes, Buffer], bytes]


def preferred_checksum() -> Checksum:
    """The fastest one of this installation."""
    return checksum_of_kind(XXH3) or _blake2b()


def checksum_of_kind(kind: int) -> Checksum | None:
    """The checksum that a header names, or None where this installation does not have it."""
    if kind == XXH3:
        return _xxh3()
    return _blake2b() if kind == BLAKE2B else None


def _xxh3() -> Checksum | None:
    try:
        from xxhash import xxh3_64, xxh3_64_digest
    except ImportError:
        return None

    def digest(place: bytes, content: Buffer) -> bytes:
        if len(content) <= _SHORT:
            return xxh3_64_digest(place + content)
        state = xxh3_64(place)
        state.update(content)
        return state.digest()

    return Checksum(XXH3, digest)


def _blake2b() -> Checksum:
    from hashlib import blake2b

    def digest(place: bytes, content: Buffer) -> bytes:
        state = blake2b(place, digest_size=DIGEST_BYTES)
        state.update(content)
        return state.digest()

    return Checksum(BLAKE2B, digest)
