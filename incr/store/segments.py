"""The segments of one directory: which there are, how they follow each other, and what is in them without looking.

Law: segments have consecutive numbers and belong to one log. Each begins with the id behind the last one of the segment
before it, and with its link; where that does not hold, something is missing or is not from here.

Keeps: log.segment, log.ranges, log.verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from incr._errors import CorruptError
from incr.store.directory import Directory, explained, read_whole
from incr.store.scan import Frame, Position, Scan, blank
from incr.store.segment import (
    SEGMENT_HEADER_BYTES,
    SegmentHeader,
    segment_name,
    segment_number,
    unpack_segment_header,
)

__all__ = [
    "Listing",
    "Part",
    "SegmentRange",
    "identity_of_log",
    "is_covered",
    "list_segments",
    "numbers_of",
    "ranges",
    "read_frames",
    "read_segment",
]


class Part(NamedTuple):
    """One segment as its header has it."""

    number: int
    header: SegmentHeader
    size: int


class Listing(NamedTuple):
    """All segments whose headers check, in order."""

    parts: list[Part]
    #: The number of a newest file that was created, but whose header was never on the disk.
    unborn: int | None


class SegmentRange(NamedTuple):
    """What one segment holds."""

    number: int
    path: str
    #: The id of its first entry.
    first: int
    #: The id of its last entry; ``first - 1`` if it has none yet.
    last: int
    #: The size of the file.
    size: int


def numbers_of(directory: Directory) -> list[int]:
    """The numbers of the segments that are there, in order; none if there is no directory."""
    with explained(directory.path_of(""), "listed"):
        try:
            names = directory.names()
        except FileNotFoundError:
            return []
    return sorted(number for name in names if (number := segment_number(name)) is not None)


def read_segment(directory: Directory, number: int) -> bytes:
    """All bytes of a segment."""
    name = segment_name(number)
    with explained(directory.path_of(name), "read"):
        file = directory.open_to_read(name)
        try:
            return read_whole(file)
        finally:
            file.close()


# spec: log.segment
def list_segments(directory: Directory, covered: int) -> Listing:
    """The segments of a directory, after a look at their headers.

    Raises:
        CorruptError: a header does not check, a segment is missing, or one is from another log.
        VersionError: a segment is of another release.
        StoreError: a segment cannot be read.
    """
    parts: list[Part] = []
    numbers = numbers_of(directory)
    for number in numbers:
        try:
            part = _part(directory, number)
        except CorruptError as error:
            # Nothing is written behind a header before that is on the disk; so if nothing is there, nothing is lost.
            if number == numbers[-1] and (parts or number == 1) and _never_written_to(directory, number):
                return Listing(parts, number)
            if is_covered(directory, numbers, number, covered):
                continue
            raise error
        if parts and not _follows(parts[-1], part, covered):
            raise CorruptError(
                directory.path_of(segment_name(number)), 0, f"does not follow {segment_name(parts[-1].number)}"
            )
        parts.append(part)
    return Listing(parts, None)


# spec: log.covered
def is_covered(directory: Directory, numbers: list[int], number: int, covered: int) -> bool:
    """Whether nothing of a segment matters, as a later one begins where what matters does, or before."""
    for later in reversed(numbers[numbers.index(number) + 1 :]):
        with suppress(CorruptError):
            if _part(directory, later).header.first_id <= covered + 1:
                return True
    return False


def identity_of_log(directory: Directory) -> bytes | None:
    """The store id that the newest segment names whose header checks; None if there is none."""
    for number in reversed(numbers_of(directory)):
        with suppress(CorruptError):
            return _part(directory, number).header.store_id
    return None


# spec: log.ranges
def ranges(directory: Directory, parts: list[Part], last: int) -> list[SegmentRange]:
    """What each segment holds; *last* is the id of the last entry of all."""
    ends = [*(part.header.first_id - 1 for part in parts), last][1:]
    return [
        SegmentRange(part.number, directory.path_of(segment_name(part.number)), part.header.first_id, end, part.size)
        for part, end in zip(parts, ends, strict=True)
    ]


# spec: log.verdict
def read_frames(directory: Directory, parts: list[Part], covered: int, after: int) -> Iterator[tuple[Frame, Scan]]:
    """The frames of these segments with entries above *after*, and the scan that each comes from.

    The last segment may end anywhere that is not known to be damaged; its scan says why it ended.

    Raises:
        CorruptError: a segment is damaged or missing.
    """
    position: Position | None = None
    for index, part in enumerate(parts):
        behind = parts[index + 1].header.first_id if index + 1 < len(parts) else None
        if behind is not None and behind <= after + 1:
            continue
        scan = Scan(
            directory.path_of(segment_name(part.number)), part.number, read_segment(directory, part.number), covered
        )
        if position is not None:
            check_connection(scan, position, covered)
        yield from ((frame, scan) for frame in scan.frames() if frame.first_id + len(frame.entries) > after + 1)
        # The segment behind was begun when all of this one was on the disk.
        if scan.reason and (behind is not None or not scan.torn()):
            raise scan.damage()
        position = scan.at


def check_connection(scan: Scan, position: Position, covered: int) -> None:
    """See that a segment goes on where the one before it ends.

    Raises:
        CorruptError: entries are missing between the two.
    """
    first_id = scan.header.first_id
    if (first_id, scan.header.link) != (position.next_id, position.link) and first_id > covered + 1:
        raise CorruptError(scan.path, 0, f"goes on with entry {first_id}; entry {position.next_id} was expected")


def _part(directory: Directory, number: int) -> Part:
    name = segment_name(number)
    path = directory.path_of(name)
    with explained(path, "read"):
        file = directory.open_to_read(name)
        try:
            data = b""
            while len(data) < SEGMENT_HEADER_BYTES:
                piece = file.pread(SEGMENT_HEADER_BYTES - len(data), len(data))
                if not piece:
                    break
                data += piece
            header, _ = unpack_segment_header(path, number, memoryview(data))
            return Part(number, header, file.size())
        finally:
            file.close()


def _follows(before: Part, part: Part, covered: int) -> bool:
    one, other = before.header, part.header
    if one.store_id != other.store_id or other.epoch < one.epoch:
        return False
    return (part.number == before.number + 1 and other.first_id >= one.first_id) or other.first_id <= covered + 1


def _never_written_to(directory: Directory, number: int) -> bool:
    return blank(memoryview(read_segment(directory, number))[SEGMENT_HEADER_BYTES:])
