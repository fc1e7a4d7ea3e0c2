"""Writing to the newest segment: one frame after another, by one caller at a time.

Law: a frame is written whole or taken back. Nothing is said to be on the disk that was not synced. A new segment is
begun when everything in the old one is on the disk, and is written to when its header and its name are. After a failed
sync nothing is known about the disk any more: the log is broken from then on.

Keeps: log.append, log.rotate, log.room, log.synced, log.broken, log.seal, log.prune.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, final

from incr._errors import LimitExceededError, StoreBrokenError, StoreError
from incr.store.checksum import preferred_checksum
from incr.store.directory import Directory, File, explained, write_whole
from incr.store.repair import Found
from incr.store.scan import Position
from incr.store.segment import (
    ENTRIES,
    FRAME_BYTES,
    LONGEST_PAYLOAD,
    NO_LINK,
    SALT_BYTES,
    SEAL,
    SEGMENT_HEADER_BYTES,
    Chain,
    FrameHeader,
    SegmentHeader,
    join_entries,
    pack_segment_header,
    segment_name,
    unpack_segment_header,
)
from incr.store.segments import Part, SegmentRange, ranges

__all__ = ["SEGMENT_BYTES", "Appender", "Identity", "Limits"]

#: A segment that would become longer than this is followed by a new one.
SEGMENT_BYTES: Final = 1 << 24
_STORE_ID_BYTES: Final = 16
_ADVICE: Final = "a database is written anew by its heal(); or open it again: what is on the disk is looked at then"


class Identity(NamedTuple):
    """Which log, and how often something acknowledged was given up in it, counted from 1."""

    store_id: bytes
    epoch: int


class Limits(NamedTuple):
    """Sizes in bytes."""

    segment_bytes: int = SEGMENT_BYTES
    #: How much room is made in advance at a time, so that a sync need not write down a new length; 0: none.
    preallocate: int = 0


@final
class Appender:
    """The end of a log. Not for several threads at once."""

    __slots__ = (
        "_at",
        "_chain",
        "_covered",
        "_directory",
        "_file",
        "_limits",
        "_parts",
        "_random",
        "_room",
        "_sealed",
        "_why_broken",
        "identity",
        "path",
        "synced_through",
    )

    def __init__(
        self,
        directory: Directory,
        found: Found,
        covered: int = 0,
        limits: Limits | None = None,
        random: Callable[[int], bytes] = os.urandom,
        identity: Identity | None = None,
    ) -> None:
        self._directory = directory
        self._covered = covered
        self._limits = limits or Limits()
        self._random = random
        self._parts = list(found.parts)
        self._file: File | None = None
        self._chain: Chain | None = None
        #: Up to where in the file room was made; what lies there and was not written is zeros.
        self._room = 0
        self._why_broken: StoreBrokenError | None = None
        newest = found.parts[-1].header if found.parts else None
        if identity is None:
            identity = Identity(random(_STORE_ID_BYTES), 1)
            if newest is not None:
                identity = Identity(newest.store_id, newest.epoch + found.rolled_back)
        #: What its segments will name.
        self.identity = identity
        #: The newest segment, for messages.
        self.path = directory.path_of(segment_name(newest.number)) if newest else directory.path_of("")
        self._sealed = True
        self._at = Position(0, NO_LINK, covered + 1)
        if found.tail is not None:
            self._at, self._sealed = found.tail.at, found.tail.sealed
            if self._at.next_id <= covered:
                # Ids that something else has are not given a second time: the rest of them is left out.
                self._at = Position(0, NO_LINK, covered + 1)
            elif not found.rolled_back:
                self._chain = found.tail.chain
                with explained(self.path, "opened"):
                    self._file = directory.open(segment_name(found.tail.header.number))
        #: The newest entry that is known to be on the disk.
        self.synced_through = self._at.next_id - 1

    @property
    def next_id(self) -> int:
        """The id that the next entry gets."""
        return self._at.next_id

    @property
    def first_id(self) -> int:
        """The id of the oldest entry that is there, or would be."""
        return self._parts[0].header.first_id if self._parts else self._at.next_id

    @property
    def parts(self) -> list[Part]:
        """The segments as they are now."""
        return list(self._parts)

    @property
    def is_broken(self) -> bool:
        """Whether `require` would raise."""
        return self._why_broken is not None

    def ranges(self) -> list[SegmentRange]:
        """What each segment holds."""
        if self._parts and self._file is not None:
            self._parts[-1] = self._parts[-1]._replace(size=self._at.offset)
        return ranges(self._directory, self._parts, self._at.next_id - 1)

    def require(self) -> None:
        """Go on only if nothing has gone wrong.

        Raises:
            StoreBrokenError: an earlier sync failed, or what had failed could not be taken back.
        """
        if self._why_broken is not None:
            raise StoreBrokenError(self.path, self._why_broken.message) from self._why_broken

    # spec: log.append
    def write(self, entries: Sequence[bytes]) -> range:
        """Append entries as one frame; their ids. They are visible then, and on the disk after the next `sync`.

        Raises:
            LimitExceededError: they are too long; nothing was written.
            StoreError: they could not be written; nothing of them is left, and it may be tried again.
            StoreBrokenError: nor could what was written of them be taken back.
        """
        self.require()
        payload = join_entries(entries)
        if len(payload) > LONGEST_PAYLOAD:
            raise LimitExceededError(
                f"{self.path}: {len(entries)} entries have {len(payload)} bytes; {LONGEST_PAYLOAD} is the most that is "
                "written at once"
            )
        first = self._at.next_id
        self._put(ENTRIES, payload, len(entries))
        self._sealed = False
        return range(first, first + len(entries))

    # spec: log.synced
    def sync(self) -> None:
        """Have everything that was written on the disk.

        Raises:
            StoreBrokenError: it is not known what of it is there.
        """
        self.require()
        if self._file is not None and self.synced_through < self._at.next_id - 1:
            through = self._at.next_id - 1
            self._or_break(self._file.sync_data, "synced")
            self.synced_through = through

    # spec: log.rotate
    def rotate(self) -> None:
        """Let the next entry begin a new segment; everything before it is on the disk then.

        Raises:
            StoreError: no new segment could be begun; the old one goes on.
            StoreBrokenError: it is not known what is on the disk.
        """
        self.require()
        if self._file is not None and self._at.offset > SEGMENT_HEADER_BYTES:
            self._rotate()

    def begin(self) -> None:
        """Have a segment to go on in, on the disk, also if nothing is written to it."""
        self.require()
        if self._file is None:
            self._rotate()

    # spec: log.seal
    def close(self) -> None:
        """Sync, mark the end as one that nothing is missing behind, and let go of the file.

        Raises:
            StoreError: the mark could not be written; everything else is on the disk.
            StoreBrokenError: it is not known what of it is there.
        """
        try:
            if self._why_broken is None and self._file is not None and not self._sealed:
                self.sync()
                self._cut_room()
                self._put(SEAL, b"", 0)
                self._sealed = True
                self._or_break(self._file.sync, "synced")
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Close the file as it is."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()

    # spec: log.prune
    def prune(self, through: int) -> int:
        """Remove whole segments of which all entries are at most *through*, the oldest first; how many went.

        The newest segment stays: the ids go on from it.

        Raises:
            StoreError: a segment could not be removed; those before it are.
        """
        self.require()
        removed = 0
        while len(self._parts) > 1 and self._parts[1].header.first_id - 1 <= through:
            name = segment_name(self._parts[0].number)
            with explained(self._directory.path_of(name), "removed"), suppress(FileNotFoundError):
                self._directory.unlink(name)
            del self._parts[0]
            # Before the next one: a gap between segments would look like damage.
            self._or_break(self._directory.sync, "synced")
            removed += 1
        return removed

    def break_down(self, why: str) -> StoreBrokenError:
        """Refuse everything from now on."""
        self._why_broken = StoreBrokenError(self.path, f"{why}; {_ADVICE}")
        return self._why_broken

    def _put(self, kind: int, payload: bytes, entries: int) -> None:
        if self._file is None or (kind == ENTRIES and self._is_full(FRAME_BYTES + len(payload))):
            self._rotate()
        assert self._file is not None
        assert self._chain is not None
        offset, link, next_id = self._at
        header = self._chain.pack(offset, FrameHeader(kind, len(payload), entries, next_id, self.synced_through))
        new_link = self._chain.link(link, header, payload)
        frame = b"".join((header, payload, new_link))
        if kind == ENTRIES and self._limits.preallocate and offset + len(frame) > self._room:
            self._make_room(self._file, offset + len(frame))
        try:
            with explained(self.path, "written"):
                write_whole(self._file, frame, offset)
        except StoreError as error:
            self._take_back(self._file, offset, error)
            raise
        # One assignment: an interrupt finds all of it done or none.
        self._at = Position(offset + len(frame), new_link, next_id + entries)

    # spec: log.append
    def _take_back(self, file: File, offset: int, error: StoreError) -> None:
        self._room = offset
        try:
            file.truncate(offset)
        except OSError as second:
            raise self.break_down(f"{error.message}; nor could what was written be taken back ({second})") from error

    # spec: log.room
    def _make_room(self, file: File, end: int) -> None:
        """Make room for what ends at *end*, and for more, but for no more than the segment may get."""
        step = self._limits.preallocate
        room = max(end, min(end + step - end % step, self._limits.segment_bytes))
        self._room = sys.maxsize  # where it cannot be made it is not tried again in this segment
        with suppress(OSError):  # it is an optimisation: the write says if there is none
            file.allocate(room)
            self._room = room

    def _is_full(self, more: int) -> bool:
        return self._at.offset > SEGMENT_HEADER_BYTES and self._at.offset + more > self._limits.segment_bytes

    # spec: log.rotate
    def _rotate(self) -> None:
        """Begin a new segment."""
        if self._file is not None:
            self._cut_room()
            self.sync()
            self._parts[-1] = self._parts[-1]._replace(size=self._at.offset)
        number = self._parts[-1].number + 1 if self._parts else 1
        path = self._directory.path_of(segment_name(number))
        header = SegmentHeader(*self.identity, number, self._at.next_id, self._random(SALT_BYTES), self._at.link)
        packed = pack_segment_header(header, preferred_checksum())
        with explained(path, "created"):
            file = self._create(segment_name(number), packed)
        self.let_go()
        self.path = path
        self._file = file
        _, self._chain = unpack_segment_header(path, number, memoryview(packed))
        self._at = Position(len(packed), self._chain.first_link, self._at.next_id)
        self._room = 0
        self._parts.append(Part(number, header, len(packed)))
        self._or_break(file.sync, "synced")
        self._or_break(self._directory.sync, "synced")

    def _create(self, name: str, packed: bytes) -> File:
        try:
            file = self._directory.create(name)
        except FileExistsError:  # left by an attempt that failed, and could not be removed then
            self._directory.unlink(name)
            file = self._directory.create(name)
        try:
            write_whole(file, packed, 0)
        except OSError:
            file.close()
            with suppress(OSError):
                self._directory.unlink(name)
            raise
        return file

    # spec: log.room
    def _cut_room(self) -> None:
        """Give back what was not used."""
        assert self._file is not None
        if self._room > self._at.offset:
            with explained(self.path, "shortened"):
                self._file.truncate(self._at.offset)
            self._room = self._at.offset

    # spec: log.broken
    def _or_break(self, call: Callable[[], None], action: str) -> None:
        """A sync; if it fails, the system may have dropped what it could not write, and a second one would lie."""
        try:
            call()
        except OSError as error:
            raise self.break_down(f"could not be {action} ({error.strerror or error})") from error
