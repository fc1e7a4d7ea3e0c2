"""Opening a log that somebody has left, however he did.

Law: what was acknowledged is never cut off silently. A torn tail, which is what a loss of power leaves of entries that
nobody was promised, is cut off, its bytes are kept aside, and the report says so. Damage to what was acknowledged is an
error; by choice, the log is taken back to before it, with all that is behind it kept aside.

Keeps: log.recover, log.verdict, log.rollback.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, NamedTuple

from incr._errors import CorruptError, StoreBrokenError
from incr.store.directory import Directory, explained, write_whole
from incr.store.scan import Scan
from incr.store.segment import SEGMENT_HEADER_BYTES, segment_name
from incr.store.segments import Part, check_connection, is_covered, list_segments, numbers_of, read_segment

__all__ = ["Cut", "Found", "recover", "roll_back"]

_ASIDE: Final = "torn-"
#: How many pieces are kept aside; the oldest go first.
_KEPT_ASIDE: Final = 8


class Cut(NamedTuple):
    """What was cut off when a log was opened."""

    #: The segment that was cut.
    path: str
    #: Where, in bytes from its start.
    offset: int
    #: How many bytes were cut off there, and with the segments behind it.
    size: int
    reason: str
    #: The files that the bytes were kept in; fewer than were cut if there was no room for them.
    kept: tuple[str, ...]


class Found(NamedTuple):
    """A log as it was found, and is now."""

    parts: list[Part]
    #: The last segment, read to its end; None if there is none.
    tail: Scan | None
    cut: Cut | None
    #: Whether the log was taken back, so that what is written now has to be told from what was there.
    rolled_back: bool


# spec: log.recover
def recover(directory: Directory, covered: int) -> Found:
    """The log as it is, after cutting off what was never acknowledged; all that is left is on the disk then.

    Raises:
        CorruptError: what was acknowledged is damaged.
        StoreError: the directory cannot be read or written.
        StoreBrokenError: what was read cannot be brought to the disk.
    """
    parts, unborn = list_segments(directory, covered)
    cut: Cut | None = None
    if unborn is not None:
        cut = _remove_unborn(directory, unborn)
    if not parts:
        return Found([], None, cut, False)
    number = parts[-1].number
    content = read_segment(directory, number)
    tail = Scan(directory.path_of(segment_name(number)), number, content, covered)
    end = tail.finish()
    if tail.reason:
        if unborn is not None or not tail.torn():
            raise tail.damage()
        cut = Cut(tail.path, end.offset, len(content) - end.offset, tail.reason, ())
        cut = cut._replace(kept=_keep(directory, number, end.offset, content[end.offset :]))
    _settle(directory, number, end.offset)
    return Found(parts, tail, cut, False)


# spec: log.rollback
def roll_back(directory: Directory, covered: int) -> Found:
    """The log up to the first entry that does not check, wherever that is; the rest is kept aside.

    Raises:
        VersionError: a segment is of another release.
        StoreError: the directory cannot be read or written.
    """
    numbers = numbers_of(directory)
    damage, good = _first_damage(directory, numbers, covered)
    if damage is None:
        return recover(directory, covered)
    size = 0
    kept: list[str] = []
    # The newest first: whenever this stops, the directory is one that gives the same when it is done again.
    for number in reversed([number for number in numbers if number > (good.header.number if good else 0)]):
        more, paths = _put_aside(directory, number)
        size += more
        kept += paths
    if good is not None:
        content = read_segment(directory, good.header.number)
        size += len(content) - good.at.offset
        kept += _keep(directory, good.header.number, good.at.offset, content[good.at.offset :])
        _settle(directory, good.header.number, good.at.offset)
    found = recover(directory, covered)
    cut = Cut(damage.path, damage.offset, size, damage.message, tuple(kept))
    return found._replace(cut=cut, rolled_back=True)


def _put_aside(directory: Directory, number: int) -> tuple[int, tuple[str, ...]]:
    """Take a whole segment away; how many bytes that were, and where they are kept."""
    name = segment_name(number)
    try:
        content = read_segment(directory, number)
    except CorruptError:  # the directory itself cannot make anything of it
        aside = f"{_ASIDE}{number:016x}-{0:08x}.incr"
        with explained(directory.path_of(name), "put aside"):
            directory.rename(name, aside)
        _sync(directory)
        return 0, (directory.path_of(aside),)
    kept = _keep(directory, number, 0, content)
    _unlink(directory, name)
    return len(content), kept


def _first_damage(directory: Directory, numbers: list[int], covered: int) -> tuple[CorruptError | None, Scan | None]:
    """The first thing that does not check, and the segment that is good up to there, read so far."""
    before: Scan | None = None
    for number in numbers:
        path = directory.path_of(segment_name(number))
        try:
            scan = Scan(path, number, read_segment(directory, number), covered)
            if before is not None:
                _check_order(before, scan, covered)
        except CorruptError as error:
            if is_covered(directory, numbers, number, covered):
                before = None
                continue
            with suppress(CorruptError):
                if list_segments(directory, covered).unborn == number:
                    return None, before
            return error, before
        scan.finish()
        if scan.reason and is_covered(directory, numbers, number, covered):
            before = None
            continue
        if scan.reason and (number != numbers[-1] or not scan.torn()):
            return scan.damage(), scan
        before = scan
    return None, before


def _check_order(before: Scan, scan: Scan, covered: int) -> None:
    one, other = before.header, scan.header
    if one.store_id != other.store_id or other.epoch < one.epoch:
        raise CorruptError(scan.path, 0, f"does not follow {segment_name(one.number)}")
    check_connection(scan, before.at, covered)


def _settle(directory: Directory, number: int, offset: int) -> None:
    """Let a segment end at *offset*, on the disk: nothing is built on what might not be there."""
    name = segment_name(number)
    path = directory.path_of(name)
    with explained(path, "repaired"):
        file = directory.open(name)
        try:
            if file.size() > offset:
                file.truncate(offset)
            with explained(path, "synced", StoreBrokenError):
                file.sync()
        finally:
            file.close()
    _sync(directory)


def _remove_unborn(directory: Directory, number: int) -> Cut | None:
    """Remove a file whose header was never on the disk."""
    name = segment_name(number)
    content = read_segment(directory, number)
    _unlink(directory, name)
    if not any(content[:SEGMENT_HEADER_BYTES]):
        return None
    return Cut(directory.path_of(name), 0, len(content), "was created, and nothing was written to it", ())


def _unlink(directory: Directory, name: str) -> None:
    with explained(directory.path_of(name), "removed"), suppress(FileNotFoundError):
        directory.unlink(name)
    _sync(directory)


def _sync(directory: Directory) -> None:
    with explained(directory.path_of(""), "synced", StoreBrokenError):
        directory.sync()


# spec: log.recover
def _keep(directory: Directory, number: int, offset: int, content: bytes) -> tuple[str, ...]:
    """Put bytes that are about to be cut off into a file of their own. No room for them is no reason not to start."""
    if not content:
        return ()
    name = f"{_ASIDE}{number:016x}-{offset:08x}.incr"
    with suppress(OSError):
        with suppress(FileNotFoundError):
            directory.unlink(name)
        file = directory.create(name)
        try:
            write_whole(file, content, 0)
            file.sync()
        finally:
            file.close()
        for old in sorted(found for found in directory.names() if found.startswith(_ASIDE))[:-_KEPT_ASIDE]:
            directory.unlink(old)
        return (directory.path_of(name),)
    return ()
