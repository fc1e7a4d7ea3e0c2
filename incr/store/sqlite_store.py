"""A store in one file of SQLite: slower than the file store, readable by other tools, and open to readers meanwhile.

Imported by itself: not every Python has SQLite.

Law: an append writes into the open transaction of the one connection, which reads see at once; a thread commits it, and
what was appended meanwhile with the next commit. Every record is checked when it is read.

Keeps: sqlite.file, sqlite.checked, sqlite.group, sqlite.levels, sqlite.readers, sqlite.fork, sqlite.errors.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from os import PathLike, fsdecode
from typing import Any, Final, Literal, Self, final

from incr._errors import CorruptError, IncrError, StoreBrokenError, StoreError
from incr.store.checksum import preferred_checksum
from incr.store.closing import Closing
from incr.store.files import FileDirectory
from incr.store.lock import Lock
from incr.store.place import check_place
from incr.store.rows import Capabilities, Content, Delta, Head, Progress, Row, Told, require_newest
from incr.store.sqlite_change import ROW_COLUMNS, State, apply, put_head
from incr.store.sqlite_commits import LEVELS, Commits, Durability
from incr.store.sqlite_file import (
    BUSY_SECONDS,
    OWN_ERRORS,
    connect_to_read,
    connect_to_write,
    copy_to,
    error_of,
    make_file,
)
from incr.store.sqlite_records import Record, Records, marks_of

__all__ = ["SqliteStore"]

#: Behind the file's name: the file that its writer locks.
_LOCK: Final = "-lock"
_CAPABILITIES: Final = Capabilities(durable=True, lazy=True, checkpoints=True, readers=True, backup=True, checked=False)
_NOTHING: Final = Content(b"", b"")


@final
class SqliteStore(Closing):
    """A store in a file of SQLite; made by `open`."""

    __slots__ = ("_before", "_closed", "_commits", "_connection", "_level", "_lock", "_path", "_process", "_records",
                 "_state", "_using")  # fmt: skip

    def __init__(self, path: str, connection: sqlite3.Connection, lock: Lock | None, level: Durability) -> None:
        self._path = path
        self._connection = connection
        self._lock = lock
        self._level: Durability = level
        self._process = os.getpid()
        self._closed = False
        #: Guards the connection, and `_state` with what the connection has.
        self._using = threading.Lock()
        self._records, self._state = _read_state(connection, path)
        if level != "commit":
            connection.execute("PRAGMA synchronous = NORMAL")
        #: The state as of the last commit.
        self._before = self._state
        self._commits = Commits(level, self._state.head.last, self._commit_quietly)

    # spec: sqlite.file
    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        *,
        mode: Literal["rw", "ro"] = "rw",
        durability: Durability = "commit",
        trust: Collection[str] = (),
        network: Collection[str] = (),
    ) -> Self:
        """Have the store in a file; with mode "rw" it is made if it is not there.

        With mode "ro" it is read as it is now, beside whoever writes. *durability* says when a delta is on the disk:
        "commit", before it is reported; "interval", at most 50 ms later; "relaxed", with `sync`, `checkpoint`, `close`.
        *trust* and *network* allow what is refused otherwise, by the names that the errors give.

        Raises:
            StoreLockedError: somebody else writes to it.
            CorruptError: it is damaged, or not a database.
            VersionError: a newer release has written it.
            StoreError: it is another program's, or cannot be opened.
        """
        if mode not in ("rw", "ro") or durability not in LEVELS:
            raise ValueError(f"mode is 'rw' or 'ro', durability one of {LEVELS}, not {mode!r} and {durability!r}")
        file = fsdecode(path)
        check_place(file, write=mode == "rw", trust=trust, network=network)
        lock = None
        if mode == "rw":
            directory, name = os.path.split(os.path.abspath(file))
            if not os.path.lexists(directory):
                raise StoreError(file, f"cannot be created: there is no directory {directory}; make that first")
            lock = Lock(FileDirectory(directory), name + _LOCK)
        try:
            if lock is None:
                connection = connect_to_read(file)
            else:
                make_file(file)
                connection = connect_to_write(file, preferred_checksum().kind)
            try:
                return cls(file, connection, lock, durability)
            except BaseException as error:
                connection.close()
                raise error_of(file, "opened", error) from error
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    @property
    def capabilities(self) -> Capabilities:
        """What it can do. It is not `checked`: SQLite takes a damaged log for a short one."""
        return _CAPABILITIES if self._lock is not None else _CAPABILITIES._replace(durable=False, checkpoints=False)

    @property
    def path(self) -> str:
        """The file."""
        return self._path

    def head(self) -> Head:
        """The state with all deltas that were appended."""
        self._require()
        return self._state.head

    # --- reading --------------------------------------------------------------------------------------------------

    def find(self, section: int, key: bytes) -> int | None:
        """The number of a row."""
        with self._connected("read") as connection:
            for (number,) in _all(connection, "SELECT number FROM rows WHERE section = ? AND key = ?", section, key):
                row = self._record(connection, number).row
                if (row.section, row.key) != (section, key):
                    raise self._records.damaged(f"the index of keys leads to row {number}, which has another one")
                return int(number)
            # Not there, or the index is damaged: then another one has it.
            hashed = self._records.hash_of(section, key)
            for (number,) in _all(connection, "SELECT number FROM rows WHERE hash = ?", hashed):
                row = self._record(connection, number).row
                if (row.section, row.key) == (section, key):
                    raise self._records.damaged(f"the index of keys does not have row {number}")
            return None

    def row(self, number: int) -> Row:
        """A row without its content."""
        with self._connected("read") as connection:
            return self._record(connection, number).row

    def content(self, number: int) -> Content:
        """A row's content."""
        with self._connected("read") as connection:
            record = self._record(connection, number)
            if not record.content:
                return _NOTHING
            found = _all(connection, "SELECT value, pushes FROM contents WHERE number = ?", number)
            if found and type(found[0][0]) is type(found[0][1]) is bytes:
                content = Content(*found[0])
                if self._records.digest_of(number, content) == record.content:
                    return content
            raise self._records.damaged(f"the checksum of what row {number} contains differs")

    def dependents(self, number: int) -> Sequence[int]:
        """The rows that have this one among their dependencies now, each once."""
        with self._connected("read") as connection:
            record = self._record(connection, number)
            found = _numbers(connection, "SELECT dependent FROM dependents WHERE number = ?", number)
            self._require_whole(found, record.dependents, record.dependent_sum, f"of what depends on row {number}")
            return found

    def rows_of(self, section: int) -> Iterator[int]:
        """All rows of a section, ascending, as of now."""
        with self._connected("read") as connection:
            found = _numbers(connection, "SELECT number FROM rows WHERE section = ?", section)
            there = self._state.sections.get(section)
            rows, row_sum = (there.rows, there.row_sum) if there else (0, 0)
            self._require_whole(found, rows, row_sum, f"of the rows of section {section}")
            return iter(sorted(found))

    def prefetch(self, numbers: Iterable[int]) -> None:
        """Nothing: SQLite keeps pages of its own."""

    def _record(self, connection: sqlite3.Connection, number: int) -> Record:
        found = _all(connection, f"SELECT {ROW_COLUMNS} FROM rows WHERE number = ?", number)
        if not found:
            raise self._records.damaged(f"row {number} is not there")
        return self._records.unpack(found[0])

    # spec: sqlite.checked
    def _require_whole(self, found: list[int], count: int, total: int, what: str) -> None:
        if len(found) != count or set(map(type, found)) - {int} or marks_of(found) != total:
            raise self._records.damaged(f"the list {what} is not whole")

    # --- writing --------------------------------------------------------------------------------------------------

    @property
    def wants_checkpoint(self) -> bool:
        """Never: SQLite makes its own."""
        return False

    # spec: sqlite.group
    def append(self, delta: Delta, told: Told | None = None, *, later: bool = False, behind: int | None = None) -> int:
        """Take a delta; its number. Without *told* it waits for the commit. Nothing is left for later."""
        wait: threading.Event | None = None
        heard: list[IncrError | None] = []
        if told is None:
            wait = threading.Event()
            told = _waiter(wait, heard)
        with self._connected("written", to_write=True) as connection:
            require_newest(self._path, self._state.head, behind)
            self._write(connection, delta)
            number = self._state.head.last
            self._commits.appended(number, told)
        if wait is not None:
            wait.wait()
            if heard[0] is not None:
                raise heard[0]
        return number

    def _write(self, connection: sqlite3.Connection, delta: Delta) -> None:
        try:
            if not connection.in_transaction:
                connection.execute("BEGIN IMMEDIATE")
            connection.execute("SAVEPOINT delta")
            self._state = apply(connection, self._records, self._state, delta)
            connection.execute("RELEASE delta")
        except BaseException as error:
            if not self._without_delta(connection):
                self._take_back(error_of(self._path, "written", error))
            raise

    def _without_delta(self, connection: sqlite3.Connection) -> bool:
        """Take back one delta; False if SQLite has ended the whole transaction, or it was never begun."""
        try:
            connection.execute("ROLLBACK TO delta")
        except sqlite3.Error:
            return False
        return True

    def finish(self, number: int) -> None:
        """Nothing: the store's thread commits."""

    def wake(self) -> None:
        """Nothing: the store's thread is awake."""

    def durable(self, number: int, timeout: float | None = None) -> bool:
        """Wait until the delta is on the disk, if that takes no more than *timeout* seconds; whether it is."""
        self._require()
        done = self._commits.wait(number, timeout)
        if not done:
            self._require()
        return done

    def sync(self) -> int:
        """Have everything on the disk that was appended before; the number of the last delta that is."""
        with self._connected("committed") as connection:
            if self._lock is None:
                return self._state.head.last
            self._commit(connection, sync=True)
            return self._commits.synced

    def checkpoint(self, progress: Progress | None = None) -> None:
        """Bring what is in SQLite's log into the file itself, and let SQLite look at its statistics."""
        with self._connected("written", to_write=True) as connection:
            self._commit(connection, sync=True)
            # Readers may hold a part of the log: it stays then, and nothing is wrong.
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            connection.execute(f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000)}")
            connection.execute("PRAGMA optimize").fetchall()
        if progress is not None:
            progress(1, 1)

    def compact(self) -> None:
        """Let SQLite write the whole file anew, without holes.

        Raises:
            StoreError: it cannot be written, or somebody reads it; it is as it was.
        """
        with self._connected("written", to_write=True) as connection:
            self._commit(connection, sync=True)
            connection.execute("VACUUM")
        self.checkpoint()

    # spec: sqlite.checked
    def verify(self, progress: Progress | None = None) -> None:
        """Have SQLite look at all of the file's pages and indexes. What is in the records is not looked at.

        Raises:
            CorruptError: something is wrong.
        """
        with self._connected("read") as connection:
            found = [text for (text,) in _all(connection, "PRAGMA integrity_check(1)")]
        if found != [b"ok"]:
            raise self._records.damaged(f"SQLite's own check says: {b'; '.join(found).decode(errors='replace')}")
        if progress is not None:
            progress(1, 1)

    # spec: sqlite.backup
    def backup(self, place: str | PathLike[str], progress: Progress | None = None) -> None:
        """Copy the store as it is now to a new file. Readers and writers of this process wait meanwhile.

        Raises:
            StoreError: there is something at *place*, or it cannot be written.
        """
        with self._connected("read") as connection:
            if self._lock is not None:
                self._commit(connection, sync=True)
            copy_to(connection, fsdecode(place), progress)

    def heal(self, progress: Progress | None = None) -> None:
        """Refused where it is broken: open the file anew, SQLite finds out what is there.

        Raises:
            StoreError: it is broken.
        """
        self.head()

    # spec: sqlite.fork
    def close(self) -> None:
        """Have everything on the disk, and let others write. Closing again does nothing.

        Raises:
            StoreError: something of that failed.
        """
        if os.getpid() != self._process or not self._commits.close():
            return
        try:
            with self._using:
                self._closed = True
                try:
                    if self._lock is not None and self._commits.broken is None:
                        self._commit(self._connection, sync=True)
                finally:
                    self._connection.close()
                    if self._lock is not None:
                        self._lock.release()
        finally:
            self._commits.tell()

    # --- one connection -------------------------------------------------------------------------------------------

    @contextmanager
    def _connected(self, action: str, *, to_write: bool = False) -> Generator[sqlite3.Connection]:
        self._require()
        if to_write and self._lock is None:
            raise StoreError(self._path, "was opened for reading; open it with mode='rw' to write")
        try:
            with self._using:
                self._require()
                try:
                    yield self._connection
                except OWN_ERRORS as error:
                    raise error_of(self._path, action, error) from error
        finally:
            self._commits.tell()

    def _require(self) -> None:
        if os.getpid() != self._process:
            raise StoreBrokenError(self._path, "was opened by the process that this one was forked from; open it anew")
        if self._closed:
            raise StoreError(self._path, "is closed; open it again")
        if self._commits.broken is not None:
            raise self._commits.broken

    def _commit_quietly(self, sync: bool) -> None:
        """What the thread does: whoever waits hears what came of it."""
        with suppress(IncrError), self._using:
            self._commit(self._connection, sync)
        self._commits.tell()

    # spec: sqlite.levels
    def _commit(self, connection: sqlite3.Connection, sync: bool) -> None:
        state = self._state
        try:
            if connection.in_transaction:
                connection.execute("COMMIT")
            if sync and self._level != "commit" and self._commits.synced < state.head.last:
                self._write_synced(connection, state)
        except BaseException as error:
            wrong = error_of(self._path, "committed", error)
            self._take_back(wrong)
            raise wrong from error
        self._before = state
        self._commits.committed(state.head.last, sync or self._level == "commit")

    def _write_synced(self, connection: sqlite3.Connection, state: State) -> None:
        """SQLite syncs with a commit that writes something, and everything before it with that."""
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        put_head(connection, self._records, state.head, state.head.last)
        connection.execute("COMMIT")
        connection.execute("PRAGMA synchronous = NORMAL")

    def _take_back(self, error: Any) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as second:
            error = StoreBrokenError(self._path, f"could not be taken back ({second}); open it again")
        self._state = self._before
        if not isinstance(error, IncrError):
            error = StoreError(self._path, f"was not written: {error!r}; write it again")
        self._commits.taken_back(error, broken=isinstance(error, StoreBrokenError))


def _read_state(connection: sqlite3.Connection, path: str) -> tuple[Records, State]:
    found = _all(connection, "SELECT checksum, revision, classes, next_page, last, synced, sections, digest FROM head")
    if len(found) != 1:
        raise CorruptError(path, 0, "has no head, or more than one")
    checksum, revision, classes, next_page, last, synced, count, digest = found[0]
    records = Records(path, checksum)
    columns = "number, kind, names, fingerprint, next_row, pages, reads, code_since, doubt_since, rows, row_sum, digest"
    sections = {
        section.info.number: section
        for section in map(records.unpack_section, _all(connection, f"SELECT {columns} FROM sections ORDER BY number"))
    }
    head = Head(revision, tuple(section.info for section in sections.values()), classes, next_page, last)
    try:
        checks = count == len(sections) and digest == records.head_digest(head, synced)
    except Exception:  # a column of another type, as a flipped bit makes it
        checks = False
    if not checks:
        raise records.damaged("the checksum of the head differs, or a section is missing")
    return records, State(head, sections)


def _all(connection: sqlite3.Connection, question: str, *values: int | bytes) -> list[Any]:
    return connection.execute(question, values).fetchall()


def _numbers(connection: sqlite3.Connection, question: str, value: int) -> list[int]:
    return [number for (number,) in connection.execute(question, (value,))]


def _waiter(done: threading.Event, heard: list[IncrError | None]) -> Told:
    def told(error: IncrError | None) -> None:
        heard.append(error)
        done.set()

    return told
