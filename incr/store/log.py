"""A log of typed entries: what was appended is there again after a crash, in order, or an error says what is damaged.

Law: this is the log of `incr.open` without the database. What an entry means is known to the two functions that the
program gives, and to nobody else here. Entries have ids from 1 on, without gaps and never twice.

Keeps: log.append, log.batch, log.replay, log.best-effort, log.read-only, log.prune, log.ranges, log.rollback.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Literal, Self, TypeVar, final

from incr._errors import CorruptError, StoreError
from incr.store.appender import Appender, Limits
from incr.store.closing import Closing
from incr.store.directory import Directory, explained
from incr.store.files import FileDirectory
from incr.store.layout import FORMAT_NAME
from incr.store.lock import Lock
from incr.store.repair import Cut, recover, roll_back
from incr.store.scan import Scan
from incr.store.segments import SegmentRange, list_segments, ranges, read_frames
from incr.store.writer import Flush, Writer

__all__ = ["Log", "LogReader", "Replay"]

T = TypeVar("T")
Place = str | os.PathLike[str] | Directory


@final
class Replay(Generic[T]):
    """Entries with their ids, in order; an iterator that may be left at any time.

    After its end `stopped` says what kept it from going on: None if nothing is missing.
    """

    __slots__ = ("_entries", "stopped")

    stopped: CorruptError | None

    def __init__(self, entries: Callable[[Replay[T]], Iterator[tuple[int, T]]]) -> None:
        self.stopped = None
        self._entries = entries(self)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[int, T]:
        return next(self._entries)


@final
class Log(Closing, Generic[T]):
    """A log in a directory of its own, opened for appending; one at a time.

    *encode* and *decode* turn an entry into bytes and back. *flush* says when entries are brought to the disk (default:
    `Flush.each()`). *on_corrupt* says what to do about damage to entries that were acknowledged: "error", or "rollback"
    to the entries before it (the rest is kept aside in files named ``torn-…``). A torn tail, which is what a loss of
    power leaves of entries that nobody was promised, is always repaired; `cut` tells of it.

    >>> with Log("changes", encode=str.encode, decode=bytes.decode) as log:
    ...     log.append("first"), list(log.append_batch(["second", "third"])), list(log.replay())
    (1, [2, 3], [(1, 'first'), (2, 'second'), (3, 'third')])

    Raises:
        StoreLockedError: somebody else has it open.
        CorruptError: entries that were acknowledged are damaged.
        VersionError: it was written by another release.
        StoreError: it cannot be read or written, or is the log of a database.
    """

    __slots__ = ("_decode", "_directory", "_encode", "_writer", "cut")

    #: What was cut off at opening; None if nothing was.
    cut: Cut | None

    def __init__(
        self,
        place: Place,
        *,
        encode: Callable[[T], bytes],
        decode: Callable[[bytes], T],
        flush: Flush | None = None,
        on_corrupt: Literal["error", "rollback"] = "error",
        limits: Limits | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        if on_corrupt not in ("error", "rollback"):
            raise ValueError(f"on_corrupt must be 'error' or 'rollback', not {on_corrupt!r}")
        self._encode = encode
        self._decode = decode
        self._directory = directory = _directory(place)
        with explained(directory.path_of(""), "made"):
            directory.make()
            names = directory.names()
        if FORMAT_NAME in names:
            raise StoreError(directory.path_of(""), "is the store of a database; give the log a directory of its own")
        lock = Lock(directory)
        try:
            found = recover(directory, 0) if on_corrupt == "error" else roll_back(directory, 0)
            self.cut = found.cut
            self._writer = Writer(Appender(directory, found, 0, limits, random), lock, flush or Flush.each())
        except BaseException:
            lock.release()
            raise

    @property
    def last_id(self) -> int:
        """The id of the newest entry; 0 if there never was one."""
        return self._writer.next_id - 1

    @property
    def synced_through(self) -> int:
        """The id of the newest entry that is known to be on the disk; 0 if there is none."""
        return self._writer.synced_through

    # spec: log.append
    def append(self, entry: T) -> int:
        """Append one entry; its id.

        Raises:
            LimitExceededError: it is too long.
            StoreError: it could not be written; nothing of it is left, and it may be tried again.
            StoreBrokenError: it is not known whether it is on the disk, and nothing is written any more.
        """
        return self._writer.commit([bytes(self._encode(entry))])[0]

    # spec: log.batch
    def append_batch(self, entries: Iterable[T]) -> range:
        """Append entries of which, after a crash too, all are there or none; their ids.

        Raises:
            as `append`. If an entry cannot be encoded, none is written.
        """
        encoded = [bytes(self._encode(entry)) for entry in entries]
        return self._writer.commit(encoded) if encoded else range(self.last_id + 1, self.last_id + 1)

    def flush(self) -> int:
        """Have everything that was appended before on the disk; the id of the last entry that is.

        Raises:
            StoreBrokenError: it is not known what of it is there.
        """
        return self._writer.flush()

    def durable(self, through: int, timeout: float | None = None) -> bool:
        """Wait until the entries up to *through* are on the disk; False if they are not after *timeout* seconds.

        It only waits: see `flush`. Not in time does not mean never.

        Raises:
            StoreBrokenError: it will never be known.
        """
        return self._writer.durable(through, timeout)

    # spec: log.replay
    def replay(self, after: int = 0) -> Replay[T]:
        """The entries with ids above *after* that are there now.

        Raises:
            CorruptError: while it is iterated over, at the first entry that does not check.
        """
        return Replay(lambda replay: self._strict(after))

    # spec: log.best-effort
    def replay_best_effort(self, after: int = 0) -> Replay[T]:
        """The entries with ids above *after*, up to the first one that does not check; `stopped` tells of that."""
        return Replay(lambda replay: _stopping(replay, self._strict(after)))

    def entry_count(self) -> int:
        """How many entries there are, without looking at them."""
        return self._writer.alone(lambda appender: appender.next_id - appender.first_id)

    # spec: log.ranges
    def segment_ranges(self) -> list[SegmentRange]:
        """What each file holds, without looking at the entries."""
        return self._writer.alone(Appender.ranges)

    # spec: log.prune
    def prune(self, through: int) -> int:
        """Remove the files of which all entries have ids up to *through*, the oldest first; how many went.

        The newest file stays, so ids are never given twice.

        Raises:
            StoreError: a file could not be removed; the log is good.
        """
        return self._writer.alone(lambda appender: appender.prune(through))

    def close(self) -> None:
        """Bring everything to the disk, mark the end, and let the next one open it. Closing again does nothing.

        Raises:
            StoreError: something of that failed.
        """
        self._writer.close()

    def __del__(self) -> None:
        writer = getattr(self, "_writer", None)
        if writer is not None and not writer.is_closed:
            warnings.warn(
                f"{self._directory.path_of('')}: a log was not closed", ResourceWarning, stacklevel=2, source=self
            )

    def _strict(self, after: int) -> Iterator[tuple[int, T]]:
        parts, first, last = self._writer.alone(
            lambda appender: (appender.parts, appender.first_id, appender.next_id - 1)
        )
        at = max(after, first - 1)
        path = self._directory.path_of("")
        for frame, scan in read_frames(self._directory, parts, 0, after) if last > after else ():
            path = scan.path
            for at, entry in _decoded(self._decode, frame.first_id, frame.entries, scan):
                if at > last:
                    return
                if at > after:
                    yield at, entry
        if at < last:
            raise CorruptError(path, 0, f"ends with entry {at}; {last} was written")


@final
class LogReader(Generic[T]):
    """A log opened for reading only: without a lock, beside whoever appends to it, and without any repair.

    Raises:
        CorruptError: the files do not belong together.
        VersionError: it was written by another release.
        StoreError: it cannot be read.
    """

    __slots__ = ("_decode", "_directory")

    def __init__(self, place: Place, *, decode: Callable[[bytes], T]) -> None:
        self._decode = decode
        self._directory = _directory(place)
        list_segments(self._directory, 0)

    # spec: log.read-only
    def replay(self, after: int = 0) -> Replay[T]:
        """The entries with ids above *after* that are there now; a torn tail is the end.

        Raises:
            CorruptError: while it is iterated over, where entries that were acknowledged are damaged.
        """
        return Replay(lambda replay: self._strict(after))

    # spec: log.best-effort
    def replay_best_effort(self, after: int = 0) -> Replay[T]:
        """The entries with ids above *after*, up to the first one that does not check; `stopped` tells of that."""
        return Replay(lambda replay: _stopping(replay, self._strict(after)))

    def entry_count(self) -> int:
        """How many entries there are; only the newest file is looked through."""
        found = self.segment_ranges()
        return found[-1].last - found[0].first + 1 if found else 0

    # spec: log.ranges
    def segment_ranges(self) -> list[SegmentRange]:
        """What each file holds; only the newest one is looked through."""
        parts = list_segments(self._directory, 0).parts
        if not parts:
            return []
        last = parts[-1].header.first_id - 1
        for frame, _ in read_frames(self._directory, parts[-1:], 0, last):
            last = frame.first_id + len(frame.entries) - 1
        return ranges(self._directory, parts, last)

    def _strict(self, after: int) -> Iterator[tuple[int, T]]:
        parts = list_segments(self._directory, 0).parts
        for frame, scan in read_frames(self._directory, parts, 0, after):
            for at, entry in _decoded(self._decode, frame.first_id, frame.entries, scan):
                if at > after:
                    yield at, entry


def _directory(place: Place) -> Directory:
    return FileDirectory(place) if isinstance(place, str | os.PathLike) else place


def _decoded(
    decode: Callable[[bytes], T], first: int, entries: list[memoryview], scan: Scan
) -> Iterator[tuple[int, T]]:
    for at, entry in enumerate(entries, first):
        try:
            yield at, decode(bytes(entry))
        except Exception as error:
            error.add_note(f"{scan.path}: while entry {at} was decoded")
            raise


def _stopping(replay: Replay[T], entries: Iterator[tuple[int, T]]) -> Iterator[tuple[int, T]]:
    try:
        yield from entries
    except CorruptError as error:
        replay.stopped = error
