"""The bytes of one file of the log: a header, then frames; see docs/format.md, which has the same tables.

    segment header · frame · frame · …          frame = frame header · payload · link

Law: all numbers are unsigned and little-endian; nothing is padded or aligned. A frame's header has a checksum of its
own, so that its length is trusted before it is used; it covers the segment's salt and the place. A frame's link is a
checksum over the link before it and all of the frame, so no frame checks that is altered, moved, repeated, or stands
behind another one than when it was written.

Keeps: log.segment, log.chain, log.bounded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple, final

from incr._errors import CorruptError, StoreError
from incr.store.checksum import DIGEST_BYTES, Buffer, Checksum
from incr.store.layout import PROLOGUE_BYTES, pack_prologue, unpack_prologue

__all__ = [
    "ENTRIES",
    "ENTRY_BYTES",
    "FRAME_BYTES",
    "FRAME_HEADER_BYTES",
    "FRAME_MAGIC",
    "LONGEST_PAYLOAD",
    "NO_LINK",
    "SALT_BYTES",
    "SEAL",
    "SEGMENT_HEADER_BYTES",
    "Chain",
    "FrameHeader",
    "SegmentHeader",
    "join_entries",
    "pack_segment_header",
    "segment_name",
    "segment_number",
    "split_entries",
    "unpack_segment_header",
]

_MAGIC: Final = b"\x89ilog\r\n\x1a"
#: Begins each frame, so that the frames behind a damaged one can be found.
FRAME_MAGIC: Final = b"\xf1rm\x1a"
#: Kinds of frames: entries, all of them or none; or the mark that everything before it is on the disk.
ENTRIES: Final = 1
SEAL: Final = 2
#: The longest payload that is written, and the longest one that is read.
LONGEST_PAYLOAD: Final = 1 << 28
SALT_BYTES: Final = 16
#: The link before a log's first frame.
NO_LINK: Final = bytes(DIGEST_BYTES)

# store id 16, epoch 8, number 8, first id 8, flags 8, salt 16, link before 8; then the digest of all before it.
_IDENTITY: Final = Struct("<16sQQQQ16s8s")
SEGMENT_HEADER_BYTES: Final = PROLOGUE_BYTES + _IDENTITY.size + DIGEST_BYTES

# magic 4, kind 4, payload bytes 4, entries 4, first id 8, synced through 8; then the digest of place and these.
_FRAME: Final = Struct("<4sIIIQQ")
FRAME_HEADER_BYTES: Final = _FRAME.size + DIGEST_BYTES
#: A frame is so much longer than its payload.
FRAME_BYTES: Final = FRAME_HEADER_BYTES + DIGEST_BYTES
# number 8 of the segment, offset 8 of the frame: digested with the salt before the frame's header.
_PLACE: Final = Struct("<QQ")
_LENGTH: Final = Struct("<I")
#: A frame of one entry is so much longer than the entry.
ENTRY_BYTES: Final = FRAME_BYTES + _LENGTH.size
_NAME: Final = re.compile(r"log-([0-9a-f]{16})\.incr")


class SegmentHeader(NamedTuple):
    """Which part of which log a file is."""

    store_id: bytes
    #: Raised whenever something acknowledged was given up, so that the files of before are told from those of after.
    epoch: int
    #: The same as in the file's name.
    number: int
    #: The id of the first entry in it.
    first_id: int
    #: Random: what an earlier file has left on the disk never checks in this one.
    salt: bytes
    #: The link of the last frame in the segment before.
    link: bytes


class FrameHeader(NamedTuple):
    """What is known of a frame without its payload."""

    kind: int
    payload_bytes: int
    entries: int
    #: The id of the first entry in it; the others follow without gaps.
    first_id: int
    #: The newest entry that was known to be on the disk when this was written.
    synced_through: int


def segment_name(number: int) -> str:
    """The file's name."""
    return f"log-{number:016x}.incr"


def segment_number(name: str) -> int | None:
    """The number in the name of a segment; None for other files."""
    match = _NAME.fullmatch(name)
    return int(match[1], 16) if match else None


def pack_segment_header(header: SegmentHeader, checksum: Checksum) -> bytes:
    """The first 96 bytes of a file."""
    identity = _IDENTITY.pack(
        header.store_id, header.epoch, header.number, header.first_id, 0, header.salt, header.link
    )
    start = pack_prologue(_MAGIC, checksum) + identity
    return start + checksum.digest(b"", start)


# spec: log.segment
def unpack_segment_header(path: str, number: int, data: memoryview) -> tuple[SegmentHeader, Chain]:
    """The header of segment *number*, and what its frames are to be checked with.

    Raises:
        CorruptError: not a segment, not this one, or damaged.
        VersionError: healthy, and written by another release.
        StoreError: healthy, but it needs something that this installation does not have.
    """
    if len(data) < SEGMENT_HEADER_BYTES:
        raise CorruptError(path, len(data), f"ends within its header; {SEGMENT_HEADER_BYTES} bytes are the least")
    checksum = unpack_prologue(path, data, _MAGIC)
    end = SEGMENT_HEADER_BYTES - DIGEST_BYTES
    digest = bytes(data[end:SEGMENT_HEADER_BYTES])
    if checksum.digest(b"", data[:end]) != digest:
        raise CorruptError(path, end, "the header's checksum differs")
    store_id, epoch, found, first_id, flags, salt, link = _IDENTITY.unpack_from(data, PROLOGUE_BYTES)
    if flags:
        raise StoreError(path, f"uses features that this release does not know (flags {flags:#x})")
    if found != number:
        raise CorruptError(path, PROLOGUE_BYTES, f"is segment {found} by its content; somebody has renamed it")
    header = SegmentHeader(store_id, epoch, found, first_id, salt, link)
    return header, Chain(checksum, header, digest)


@final
class Chain:
    """Makes and checks the frames of one segment, each with the link of the one before it."""

    __slots__ = ("_checksum", "_header", "first_link")

    def __init__(self, checksum: Checksum, header: SegmentHeader, digest: bytes) -> None:
        self._checksum = checksum
        self._header = header
        #: What the first frame is linked to: the header, and through it the segment before.
        self.first_link = digest

    def pack(self, offset: int, frame: FrameHeader) -> bytes:
        """The header of a frame at *offset*."""
        kind, payload_bytes, entries, first_id, synced_through = frame
        fixed = _FRAME.pack(FRAME_MAGIC, kind, payload_bytes, entries, first_id, synced_through)
        return fixed + self._header_digest(offset, fixed)

    # spec: log.bounded
    def unpack(self, offset: int, data: memoryview) -> FrameHeader | None:
        """The header of the frame at *offset*, or None if it does not check there."""
        fixed = data[offset : offset + _FRAME.size]
        digest = bytes(data[offset + _FRAME.size : offset + FRAME_HEADER_BYTES])
        if len(digest) < DIGEST_BYTES or self._header_digest(offset, fixed) != digest:
            return None
        _, kind, payload_bytes, entries, first_id, synced_through = _FRAME.unpack(fixed)
        return FrameHeader(kind, payload_bytes, entries, first_id, synced_through)

    # spec: log.chain
    def link(self, before: bytes, packed_header: Buffer, payload: Buffer) -> bytes:
        """What ends a frame, and begins the one behind it."""
        return self._checksum.digest(self._header.salt + before + packed_header, payload)

    def _header_digest(self, offset: int, fixed: Buffer) -> bytes:
        return self._checksum.digest(self._header.salt + _PLACE.pack(self._header.number, offset), fixed)


def join_entries(entries: Sequence[bytes]) -> bytes:
    """The payload of a frame with these entries."""
    return b"".join([part for entry in entries for part in (_LENGTH.pack(len(entry)), entry)])


# spec: log.bounded
def split_entries(payload: memoryview, count: int) -> list[memoryview] | None:
    """The entries of a payload, or None if it does not hold exactly *count* of them."""
    entries: list[memoryview] = []
    at = 0
    while at + _LENGTH.size <= len(payload):
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(payload, at)[0]
        entries.append(payload[start:at])
    return entries if at == len(payload) and len(entries) == count else None
