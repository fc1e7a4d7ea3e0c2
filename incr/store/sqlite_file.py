"""The file of a SQLite store: whose it is, how it is opened, and what SQLite's errors are here.

Law: a file is looked at before anything in it is changed: another program's database, or that of a newer release, is
left as it is. An error of SQLite never leaves this package as such.

Keeps: sqlite.file, sqlite.errors, sqlite.readers, sqlite.backup.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import struct
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

from incr._errors import CorruptError, StoreBrokenError, StoreError, StoreLockedError, VersionError
from incr.store.directory import CLOSE_ON_EXEC, NO_FOLLOW, explained, require_regular
from incr.store.files import FileDirectory
from incr.store.rows import Head, Progress
from incr.store.sqlite_change import put_head
from incr.store.sqlite_records import Records

__all__ = [
    "APPLICATION",
    "BUSY_SECONDS",
    "FORMAT",
    "OWN_ERRORS",
    "connect_to_read",
    "connect_to_write",
    "copy_to",
    "error_of",
    "make_file",
]

#: In the file's header: "incr".
APPLICATION: Final = 0x696E6372
#: In the file's header; raised with every change of the tables.
FORMAT: Final = 1
#: So many pages are copied between two calls of a progress function.
_PAGES: Final = 4096
#: How long another program may hold the file while it does something short.
BUSY_SECONDS: Final = 1.0

_TABLES: Final = """
CREATE TABLE head (checksum INTEGER PRIMARY KEY, revision INTEGER, classes BLOB, next_page INTEGER, last INTEGER,
    synced INTEGER, sections INTEGER, digest BLOB);
CREATE TABLE sections (number INTEGER PRIMARY KEY, kind INTEGER, names BLOB, fingerprint BLOB, next_row INTEGER,
    pages INTEGER, reads BLOB, code_since INTEGER, doubt_since INTEGER, rows INTEGER, row_sum INTEGER, digest BLOB);
CREATE TABLE rows (number INTEGER PRIMARY KEY, section INTEGER, key BLOB, hash INTEGER, changed_at INTEGER,
    valid_from INTEGER, flags INTEGER, dependencies BLOB, dependents INTEGER, dependent_sum INTEGER, content BLOB,
    digest BLOB);
CREATE UNIQUE INDEX rows_by_key ON rows (section, key);
CREATE INDEX rows_by_hash ON rows (hash);
CREATE TABLE contents (number INTEGER PRIMARY KEY, value BLOB, pushes BLOB);
CREATE TABLE dependents (number INTEGER, dependent INTEGER, PRIMARY KEY (number, dependent)) WITHOUT ROWID;
"""


def make_file(path: str) -> None:
    """Have an empty file for its owner only, unless there is one; links are not followed.

    Raises:
        StoreError: it cannot be made, or what is there is no file.
    """
    # Never opened if it is there: closing it again would take away the locks that SQLite has on it in this process.
    with explained(path, "created"), suppress(FileExistsError):
        _create(path)
    _require_file(path)


def _create(path: str) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_FOLLOW | CLOSE_ON_EXEC, 0o600))


def _require_file(path: str) -> None:
    with explained(path, "opened"):
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            raise StoreError(path, "is a link; links are not followed: give the path of the file itself")
        require_regular(path, status)


def connect_to_write(path: str, checksum: int) -> sqlite3.Connection:
    """The file, opened for writing, with the tables in it; *checksum* is what a new one will use.

    Raises:
        CorruptError, VersionError, StoreLockedError, StoreError: it is not one of ours, or cannot be opened.
    """
    connection = _connect(path, "rw")
    try:
        if not _is_ours(connection, path):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(
                f"BEGIN IMMEDIATE; {_TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}"
            )
            connection.execute("INSERT INTO head (checksum) VALUES (?)", (checksum,))
            put_head(connection, Records(path, checksum), Head(0, (), b"", 0, 0), 0)
            connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException as error:
        connection.close()
        raise error_of(path, "opened", error) from error
    return connection


# spec: sqlite.readers
def connect_to_read(path: str) -> sqlite3.Connection:
    """The file as it is now, for as long as the connection lasts.

    Raises:
        as `connect_to_write`.
    """
    _require_file(path)
    connection = _connect(path, "ro")
    try:
        if not _is_ours(connection, path):
            raise StoreError(path, "has no store in it; open it for writing once, or give another path")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM head").fetchone()
    except BaseException as error:
        connection.close()
        raise error_of(path, "opened", error) from error
    return connection


def _connect(path: str, mode: str) -> sqlite3.Connection:
    place = quote(os.fsencode(os.path.abspath(path)))
    try:
        connection = sqlite3.connect(
            f"file:{place}?mode={mode}", timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True
        )
    except sqlite3.Error as error:
        raise error_of(path, "opened", error) from error
    # No texts are kept here, and a flipped bit that makes one of something else must not be decoded.
    connection.text_factory = bytes
    return connection


# spec: sqlite.backup
def copy_to(source: sqlite3.Connection, path: str, progress: Progress | None) -> None:
    """Copy a whole database to a new file, and have it on the disk.

    Raises:
        StoreError: there is something at *path*, or it cannot be written; nothing is left of the copy then.
    """
    with explained(path, "created"):
        _create(path)
    try:
        target = _connect(path, "rw")
        try:
            source.backup(target, pages=_PAGES, progress=lambda _, left, total: _tell(progress, total - left, total))
        finally:
            target.close()
        with explained(path, "synced"):
            FileDirectory(os.path.dirname(os.path.abspath(path))).sync()
    except BaseException as error:
        with suppress(OSError):
            os.unlink(path)
        raise error_of(path, "written", error) from error


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


# spec: sqlite.file
def _is_ours(connection: sqlite3.Connection, path: str) -> bool:
    """Whether there is a store in the file; False if there is nothing at all."""
    application, version, tables = (
        connection.execute(question).fetchone()[0]
        for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")
    )
    if not application and not version and not tables:
        return False
    if application != APPLICATION:
        raise StoreError(
            path, f"is a database of another program (its application id is {application}); give another path"
        )
    if version != FORMAT:
        raise VersionError(path, version, FORMAT)
    return True


# --- errors -------------------------------------------------------------------------------------------------------

#: SQLite's primary result codes: what happened, and what to do.
_ADVICE: Final = {
    sqlite3.SQLITE_FULL: "make room on the disk, then try again",
    sqlite3.SQLITE_READONLY: "give this user the right to it, or a path on a file system that can be written",
    sqlite3.SQLITE_PERM: "give this user the right to it",
    sqlite3.SQLITE_CANTOPEN: "see whether its directory is there, and whether this user may write in it",
    sqlite3.SQLITE_TOOBIG: "a value must be smaller than 1 GB; keep the query's values out of files with persist=False",
    sqlite3.SQLITE_NOMEM: "there is not enough memory",
}
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR)
_LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


#: What the module raises beside errors of its own: for numbers that are too large, and for damaged names in the file.
OWN_ERRORS: Final = (sqlite3.Error, OverflowError, UnicodeDecodeError, struct.error)


# spec: sqlite.errors
def error_of(path: str, action: str, error: BaseException) -> Any:
    """What an error of SQLite is called here; any other one is given back as it is."""
    if isinstance(error, OverflowError | struct.error):
        return StoreError(path, f"cannot be {action}: {error}; numbers must fit into 64 bits, values into 1 GB")
    if isinstance(error, UnicodeDecodeError):  # SQLite's message says what it has found in the file
        return CorruptError(path, 0, f"SQLite says something that is no text ({error}); bring back a copy")
    if not isinstance(error, sqlite3.Error):
        return error
    # Extended codes have the primary one in their lowest byte; errors of the module itself have none.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
    if code in _DAMAGED:
        return CorruptError(path, 0, f"SQLite says: {error}; bring back a copy, or salvage what can be read")
    if code in _LOCKED:
        return StoreLockedError(
            path, f"is held by another program that has it open with SQLite ({error}); close it there, or wait"
        )
    if code == sqlite3.SQLITE_IOERR and action == "committed":
        return StoreBrokenError(path, f"could not be {action}: {error}; open it again: what is there is looked at then")
    return StoreError(path, f"cannot be {action}: {error}; {_ADVICE.get(code, 'see the cause above')}")
