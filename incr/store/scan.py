"""Reading one segment: its whole frames in order, and why there are no more.

Law: what is given out was written, whole and in this order. Where a frame does not check, what stands behind it is
still looked through for what it says about how far the log was known to be on the disk: that decides between a torn
tail and damage.

Keeps: log.verdict, log.chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, final

from incr._errors import CorruptError
from incr.store.checksum import DIGEST_BYTES
from incr.store.segment import (
    ENTRIES,
    FRAME_HEADER_BYTES,
    FRAME_MAGIC,
    NO_LINK,
    SEAL,
    SEGMENT_HEADER_BYTES,
    FrameHeader,
    split_entries,
    unpack_segment_header,
)

__all__ = ["Frame", "Position", "Scan", "blank"]

_ZEROS: Final = bytes(1 << 16)


class Frame(NamedTuple):
    """A whole frame."""

    first_id: int
    entries: list[memoryview]


class Position(NamedTuple):
    """A place between two frames."""

    #: In bytes from the file's start.
    offset: int
    #: The link of the frame before it.
    link: bytes
    #: The id of the next entry.
    next_id: int


@final
class Scan:
    """The frames of a segment, from the first one on.

    Raises:
        CorruptError: the segment's header does not check.
    """

    __slots__ = (
        "_computed",
        "_content",
        "_covered",
        "_data",
        "at",
        "chain",
        "header",
        "horizon",
        "path",
        "reason",
        "sealed",
    )

    def __init__(self, path: str, number: int, content: bytes, covered: int) -> None:
        self.path = path
        self._content = content
        self._data = memoryview(content)
        #: Entries up to this one do not matter: something else has them.
        self._covered = covered
        #: The chain is for whoever goes on writing at the end.
        self.header, self.chain = unpack_segment_header(path, number, self._data)
        #: Where the whole frames end that were given out so far.
        self.at = Position(SEGMENT_HEADER_BYTES, self.chain.first_link, self.header.first_id)
        #: What the link of the last frame should be that had another one.
        self._computed = NO_LINK
        #: The newest entry that some frame says was on the disk.
        self.horizon = self.header.first_id - 1
        #: Whether the last frame is a seal.
        self.sealed = False
        #: Why there are no more frames; None at the end of the file, or where only zeros follow.
        self.reason: str | None = None

    def frames(self) -> Iterator[Frame]:
        """Each frame with entries, until there are no more that check and matter."""
        while self.at.offset < len(self._data):
            found = self._frame()
            if isinstance(found, str):
                if self._skip():
                    continue
                self._look_behind()
                if self.at.next_id <= self.horizon or not blank(self._data[self.at.offset :]):
                    self.reason = found
                return
            if found.entries:
                yield found

    def finish(self) -> Position:
        """Go through the rest; where it ends."""
        for _ in self.frames():
            pass
        return self.at

    # spec: log.verdict
    def torn(self) -> bool:
        """Whether what does not check was never known to be on the disk."""
        return self.at.next_id > self.horizon

    def damage(self) -> CorruptError:
        """The error that says where and why the frames end."""
        reason = self.reason or "ends where more was written"
        return CorruptError(self.path, self.at.offset, f"{reason}; entry {self.at.next_id} was expected here")

    def _frame(self) -> Frame | str:
        offset, link, next_id = self.at
        header = self.chain.unpack(offset, self._data)
        if header is None:
            return "the checksum of a frame's header differs"
        start = offset + FRAME_HEADER_BYTES
        payload = self._data[start : start + header.payload_bytes]
        end = start + header.payload_bytes + DIGEST_BYTES
        if end > len(self._data):
            return "ends within a frame"
        new_link = bytes(self._data[end - DIGEST_BYTES : end])
        computed = self.chain.link(link, self._data[offset:start], payload)
        if computed != new_link:
            self._computed = computed
            return "a frame's checksum differs"
        entries = split_entries(payload, header.entries)
        if entries is None or header.kind not in (ENTRIES, SEAL) or (header.kind == SEAL) != (not entries):
            return "a frame's content is not what its header says"
        if header.first_id != next_id:
            return f"holds entry {header.first_id} next"
        self.at = Position(end, new_link, next_id + header.entries)
        self.horizon = max(self.horizon, header.synced_through)
        self.sealed = header.kind == SEAL
        return Frame(next_id, entries)

    # spec: log.covered
    def _skip(self) -> bool:
        """Go on behind what does not check if only entries are lost by it that do not matter."""
        for offset, header in self._headers_behind():
            # Ids never go back; one that does is made up, and would bring back what stands before it.
            if header.first_id > self._covered + 1 or header.first_id < self.at.next_id:
                return False
            stored = bytes(self._data[offset - DIGEST_BYTES : offset])
            # If it is only the link before this frame that is damaged, the frame itself says what it was.
            before = self._computed if self._is_linked(offset, header, self._computed) else stored
            self.at = Position(offset, before, header.first_id)
            return True
        return False

    def _is_linked(self, offset: int, header: FrameHeader, before: bytes) -> bool:
        start = offset + FRAME_HEADER_BYTES
        end = start + header.payload_bytes
        link = self.chain.link(before, self._data[offset:start], self._data[start:end])
        return link == bytes(self._data[end : end + DIGEST_BYTES])

    def _look_behind(self) -> None:
        for _, header in self._headers_behind():
            self.horizon = max(self.horizon, header.synced_through)

    def _headers_behind(self) -> Iterator[tuple[int, FrameHeader]]:
        offset = self.at.offset
        while (offset := self._content.find(FRAME_MAGIC, offset + 1)) >= 0:
            header = self.chain.unpack(offset, self._data)
            if header is not None:
                yield offset, header


def blank(data: memoryview) -> bool:
    """Whether there are only zeros: room that was never written to."""
    size = len(_ZEROS)
    return all(bytes(data[at : at + size]) == _ZEROS[: len(data) - at] for at in range(0, len(data), size))
