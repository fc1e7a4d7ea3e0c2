"""The store in a file of SQLite: whose file it is, what is on the disk when, and what happens to what goes wrong."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import struct
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from incr import CorruptError, IncrError, StoreBrokenError, StoreError, StoreLockedError, VersionError
from incr.store import sqlite_file, sqlite_records
from incr.store.checksum import BLAKE2B
from incr.store.rows import CALLS, GOOD, RECORDS, Content, Delta, Row, SectionInfo
from incr.store.sqlite_records import Records
from incr.store.sqlite_store import SqliteStore
from store_programs import Model, check_alike

SECTIONS = [SectionInfo(0, RECORDS, "input ü", b"", ("path",), 3), SectionInfo(1, CALLS, "call", b"code", (), 259)]


def first() -> Delta:
    """Three records; two calls that read them, the second one the first one, too."""
    rows: dict[int, tuple[Row, Content | None]] = {
        number: (Row(0, b"key %d" % number, 1, 1, GOOD, ()), Content(b"value %d" % number, b"")) for number in range(3)
    }
    rows[257] = (Row(1, b"a", 2, 2, GOOD, (0, 1)), Content(b"x" * 5000, b"pushed"))
    rows[258] = (Row(1, b"b", 2, 2, 0, (257, 0, 2)), Content(b"", b""))
    return Delta(2, SECTIONS, b"classes", 2, rows, [], [], [])


def nothing(revision: int) -> Delta:
    return Delta(revision, [], None, 2, {}, [], [], [])


def model_of(*deltas: Delta) -> Model:
    model = Model()
    for delta in deltas:
        model.revision, model.next_page, model.last = delta.revision, delta.next_page, model.last + 1
        model.classes = model.classes if delta.classes is None else delta.classes
        model.sections |= {section.number: section for section in delta.sections}
        model.rows |= {number: (row, content or Content(b"", b"")) for number, (row, content) in delta.rows.items()}
    return model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def filled(path: Path) -> Path:
    store = SqliteStore.open(path)
    store.append(first())
    store.close()
    return path


@contextmanager
def raw(path: Path) -> Generator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


class Failing:
    """A connection of which statements that begin in some way fail, as SQLite says it."""

    def __init__(self, real: sqlite3.Connection, start: str, code: int) -> None:
        self._real = real
        self._start = start
        self._code = code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if statement.startswith(self._start):
            error = sqlite3.OperationalError("on request")
            error.sqlite_errorcode = self._code
            raise error
        return self._real.execute(statement, *values)


@contextmanager
def failing(store: SqliteStore, start: str, code: int = sqlite3.SQLITE_IOERR) -> Generator[None]:
    real = store._connection
    store._connection = Failing(real, start, code)  # type: ignore[assignment]
    yield
    store._connection = real


# --- the file -----------------------------------------------------------------------------------------------------


@pytest.mark.spec("sqlite.file")
def test_a_file_is_made_and_says_whose_it_is(tmp_path: Path) -> None:
    path = tmp_path / "new folder?" / "100%#.db"
    path.parent.mkdir()
    store = SqliteStore.open(path)
    assert store.path == str(path)
    assert store.head().last == 0
    store.close()
    assert path.stat().st_mode & 0o777 == 0o600
    with raw(path) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (int.from_bytes(b"incr", "big"),)
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    path.with_name("empty").touch()
    SqliteStore.open(path.with_name("empty")).close()
    with pytest.raises(ValueError, match="'rw' or 'ro'"):
        SqliteStore.open(path, mode="w")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="durability"):
        SqliteStore.open(path, durability="none")  # type: ignore[arg-type]


def foreign(path: Path) -> None:
    with raw(path) as connection:
        connection.executescript("CREATE TABLE notes (text); PRAGMA application_id = 7")


def nameless(path: Path) -> None:
    with raw(path) as connection:
        connection.execute("CREATE TABLE notes (text)")


def newer(path: Path) -> None:
    SqliteStore.open(path).close()
    with raw(path) as connection:
        connection.execute("PRAGMA user_version = 2")


def without_a_table(path: Path) -> None:
    SqliteStore.open(path).close()
    with raw(path) as connection:
        connection.execute("DROP TABLE sections")


def headless(path: Path) -> None:
    SqliteStore.open(path).close()
    with raw(path) as connection:
        connection.execute("DELETE FROM head")


@pytest.mark.spec("sqlite.file", "sqlite.errors")
@pytest.mark.parametrize("mode", ["rw", "ro"])
@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (foreign, StoreError, "another program .* 7"),
        (nameless, StoreError, "another program .* 0"),
        (newer, VersionError, "format 2"),
        (without_a_table, CorruptError, "no such table"),
        (headless, CorruptError, "no head"),
        (lambda path: path.write_bytes(b"text " * 1000), CorruptError, "not a database"),
        (lambda path: path.mkdir(), StoreError, "directory"),
        (lambda path: path.symlink_to("other"), StoreError, "links are not followed"),
    ],
)
def test_what_is_not_ours_is_refused_and_left_as_it_is(
    path: Path, mode: Any, make: Callable[[Path], None], error: type[StoreError], said: str
) -> None:
    make(path)
    content = path.read_bytes() if path.is_file() else None
    for _ in range(2):  # the first attempt has let go of the lock
        with pytest.raises(error, match=said) as caught:
            SqliteStore.open(path, mode=mode)
        assert type(caught.value) is error
    assert content is None or path.read_bytes() == content


@pytest.mark.spec("sqlite.readers", "sqlite.file")
def test_what_cannot_be_opened_is_an_error_of_its_own(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="cannot be opened: No such file"):
        SqliteStore.open(path, mode="ro")
    path.touch()
    with pytest.raises(StoreError, match="has no store in it"):
        SqliteStore.open(path, mode="ro")
    # SQLite's own lock, as another program would have it.
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0)
    with raw(path) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreLockedError, match="another program"):
            SqliteStore.open(path)
    with pytest.raises(StoreError, match="a file; give another path"):
        SqliteStore.open(path / "below")
    path.with_name("folder").mkdir()
    os.chmod(path, 0)
    if os.geteuid():
        with pytest.raises(StoreError, match="this user"):
            SqliteStore.open(path)


@pytest.mark.spec("sqlite.file")
def test_a_store_of_another_checksum_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SqliteStore.open(path).close()
    records = Records(str(path), BLAKE2B)
    with raw(path) as connection:
        connection.execute("UPDATE head SET checksum = ?", (BLAKE2B,))
        store_head = SqliteStore.open.__func__  # the class method, without its class
        assert store_head is not None
        from incr.store.rows import Head
        from incr.store.sqlite_change import put_head

        put_head(connection, records, Head(0, (), b"", 0, 0), 0)
    store = SqliteStore.open(path)
    store.append(first())
    check_alike(store, model_of(first()))
    store.close()
    monkeypatch.setattr(sqlite_records, "checksum_of_kind", lambda kind: None)
    with pytest.raises(StoreError, match="install the package xxhash"):
        Records(str(path), BLAKE2B)
    with raw(path) as connection:
        connection.execute("UPDATE head SET checksum = 9")
    with pytest.raises(CorruptError, match="unknown checksum"):
        SqliteStore.open(path)


# --- what is on the disk when -------------------------------------------------------------------------------------


@pytest.mark.spec("sqlite.group", "sqlite.levels")
def test_deltas_at_the_same_time_share_a_commit(path: Path) -> None:
    store = SqliteStore.open(path)
    commits: list[int] = []
    store._connection.set_trace_callback(lambda statement: commits.append(1) if statement == "COMMIT" else None)
    heard: list[IncrError | None] = []
    with store._using:  # the thread cannot commit yet, nor can anybody append
        threads = [threading.Thread(target=store.append, args=(nothing(1), heard.append)) for _ in range(8)]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert store.sync() == store.head().last == 8
    assert heard == [None] * 8
    assert 1 <= len(commits) <= 9
    store.close()


@pytest.mark.spec("sqlite.levels")
@pytest.mark.parametrize("level", ["commit", "interval", "relaxed"])
def test_each_level_says_when_a_delta_is_on_the_disk(path: Path, level: Any) -> None:
    store = SqliteStore.open(path, durability=level)
    assert store.append(first()) == 1
    if level == "relaxed":
        assert not store.durable(1, 0.001)
        assert store.sync() == 1
    assert store.durable(1)
    assert (store.sync(), store.append(nothing(3))) == (1, 2)
    other = path.with_name("copy.db")
    for name in ("", "-wal"):  # what another process sees: committed, and not yet in the file itself
        shutil.copy(f"{path}{name}", f"{other}{name}")
    store.close()
    copy = SqliteStore.open(other)
    check_alike(copy, model_of(first(), nothing(3)))
    copy.close()


@pytest.mark.spec("sqlite.levels")
def test_what_makes_sqlite_sync(path: Path) -> None:
    store = SqliteStore.open(path)
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    store.close()
    store = SqliteStore.open(path, durability="relaxed")
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (1,)
    store.append(first())
    said: list[str] = []
    store._connection.set_trace_callback(lambda statement: said.append(" ".join(statement.split()[:4])))
    assert [store.sync(), store.sync()] == [1, 1]
    store._connection.set_trace_callback(None)
    assert said == [
        "PRAGMA synchronous = FULL",
        "BEGIN IMMEDIATE",
        "UPDATE head SET revision",
        "COMMIT",
        "PRAGMA synchronous = NORMAL",
    ]
    store.close()


@pytest.mark.spec("sqlite.levels")
def test_a_checkpoint_brings_everything_into_the_file(path: Path) -> None:
    store = SqliteStore.open(path, durability="relaxed")
    store.append(first())
    told: list[tuple[int, int]] = []
    store.checkpoint(lambda done, total: told.append((done, total)))
    store.checkpoint()
    assert (told, store.durable(1), os.path.getsize(f"{path}-wal")) == ([(1, 1)], True, 0)
    store.prefetch([0])
    store.close()


@pytest.mark.spec("sqlite.levels")
def test_compacting_gives_room_back(path: Path) -> None:
    store = SqliteStore.open(path)
    store.append(first())
    for size in (2_000_000, 0):
        rows = {257: (Row(1, b"a", 2, 2, GOOD, (0, 1)), Content(bytes(size), b""))}
        store.append(nothing(3)._replace(rows=rows))
    store.checkpoint()
    before = path.stat().st_size
    store.compact()
    assert path.stat().st_size < before / 10
    assert store.content(0) == Content(b"value 0", b"")
    assert not store.wants_checkpoint
    store.close()
    again = SqliteStore.open(path)
    assert (again.head().last, list(again.dependents(0))) == (3, [257, 258])
    again.verify(lambda done, total: None)
    again.close()


@pytest.mark.spec("sqlite.readers")
def test_a_reader_sees_the_store_as_it_was_when_it_was_opened(filled: Path) -> None:
    writer = SqliteStore.open(filled)
    reader = SqliteStore.open(filled, mode="ro")
    writer.append(nothing(3)._replace(suspect=[0], removed=[258]))
    writer.checkpoint()  # as far as the reader lets it
    check_alike(reader, model_of(first()))
    assert (reader.sync(), reader.durable(1)) == (1, True)
    assert (reader.capabilities.durable, reader.capabilities.checkpoints) == (False, False)
    assert (writer.capabilities.durable, writer.capabilities.checkpoints) == (True, True)
    for use in (lambda: reader.append(nothing(4)), reader.checkpoint):
        with pytest.raises(StoreError, match="opened for reading"):
            use()
    reader.close()
    later = SqliteStore.open(filled, mode="ro")
    assert (later.head().revision, later.row(0).flags) == (3, 0)
    copied = filled.with_name("copied.db")
    later.backup(copied)
    later.close()
    writer.close()
    SqliteStore.open(copied).close()


@pytest.mark.spec("sqlite.backup")
def test_a_backup_is_the_store_as_it_is(path: Path) -> None:
    store = SqliteStore.open(path)
    store.append(first())
    store.append(nothing(3), lambda error: None)
    copy = path.with_name("copy.db")
    told: list[tuple[int, int]] = []
    store.backup(copy, lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0
    with pytest.raises(StoreError, match="exists"):
        store.backup(copy)
    with pytest.raises(StoreError, match="cannot be created"):
        store.backup(path.with_name("missing") / "copy.db")
    store.append(nothing(4))
    store.close()
    again = SqliteStore.open(copy)
    check_alike(again, model_of(first(), nothing(3)))
    again.close()


@pytest.mark.spec("sqlite.backup")
def test_a_backup_that_fails_leaves_nothing(filled: Path) -> None:
    store = SqliteStore.open(filled)

    def stop(done: int, total: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        store.backup(filled.with_name("copy.db"), stop)
    assert not filled.with_name("copy.db").exists()
    store.close()


# --- what goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.spec("sqlite.errors")
def test_a_full_disk_fails_one_delta_and_no_other(path: Path) -> None:
    store = SqliteStore.open(path)
    store.append(first())
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages + 3}").fetchall()
    large = nothing(3)._replace(rows={2: (Row(0, b"key 2", 3, 3, GOOD, ()), Content(bytes(100_000), b""))})
    heard: list[IncrError | None] = []
    for _ in range(2):
        with pytest.raises(StoreError, match="make room on the disk"):
            store.append(large)
        with pytest.raises(StoreError, match="make room on the disk"):
            store.append(large, heard.append)
    assert heard == []
    check_alike(store, model_of(first()))
    assert store.append(nothing(3)) == 2
    store.close()
    again = SqliteStore.open(path)
    check_alike(again, model_of(first(), nothing(3)))
    again.close()


@pytest.mark.spec("sqlite.errors")
def test_a_delta_that_cannot_be_written_is_taken_back_alone(path: Path) -> None:
    store = SqliteStore.open(path)
    heard: list[IncrError | None] = []
    with store._using:  # keep the thread from committing
        store._write(store._connection, first())
        store._commits.appended(1, heard.append)
        for wrong, error in (
            (nothing(2**70), struct.error),
            (nothing(3)._replace(verified=[9]), CorruptError),
            (nothing(3)._replace(rows={3: (Row(0, b"key 0", 1, 1, 0, ()), None)}), sqlite3.IntegrityError),
        ):
            with pytest.raises(error):
                store._write(store._connection, wrong)
    with pytest.raises(StoreError, match="64 bits"):
        store.append(nothing(2**70))
    store.sync()
    assert heard == [None]
    check_alike(store, model_of(first()))
    store.close()


@pytest.mark.spec("sqlite.errors")
@pytest.mark.parametrize("start", ["RELEASE", "BEGIN"])
def test_what_sqlite_takes_back_is_told_to_all(path: Path, start: str) -> None:
    """Some errors end the whole transaction."""
    store = SqliteStore.open(path)
    store.append(first())
    heard: list[IncrError | None] = []
    with store._using:
        if start == "RELEASE":
            store._write(store._connection, nothing(3))
            store._commits.appended(2, heard.append)
    with store._using, failing(store, start, sqlite3.SQLITE_FULL):
        with suppress(sqlite3.Error):
            if start == "RELEASE":
                store._connection.execute("ROLLBACK")  # as SQLite does by itself
        with pytest.raises(sqlite3.OperationalError), failing(store, "SAVEPOINT", sqlite3.SQLITE_FULL):
            store._connection._real.execute("SELECT 1")  # type: ignore[attr-defined]
            with failing(store, "BEGIN", sqlite3.SQLITE_FULL):
                store._write(store._connection, nothing(4))
    store.sync()
    assert [str(error).partition("; ")[2] for error in heard] == ["make room on the disk, then try again"] * len(heard)
    assert (len(heard), store.head().last) == (int(start == "RELEASE"), 1)
    assert store.append(nothing(3)) == 2
    store.close()


@pytest.mark.spec("sqlite.errors")
def test_a_commit_that_fails_takes_back_what_was_not_committed(path: Path) -> None:
    store = SqliteStore.open(path)
    store.append(first())
    heard: list[IncrError | None] = []
    with store._using, failing(store, "COMMIT", sqlite3.SQLITE_FULL):
        store._write(store._connection, nothing(3))
        store._commits.appended(2, heard.append)
        with pytest.raises(StoreError, match="make room"):
            store._commit(store._connection, sync=False)
    assert store.sync() == store.head().last == 1
    assert [type(error) for error in heard] == [StoreError]
    assert not store.durable(2)
    # Without anybody to tell but the caller.
    with failing(store, "COMMIT", sqlite3.SQLITE_FULL), pytest.raises(StoreError, match="make room"):
        store.append(nothing(3))
    assert store.append(nothing(3)) == 2
    store.close()


@pytest.mark.spec("sqlite.errors")
@pytest.mark.parametrize("level", ["commit", "interval", "relaxed"])
def test_after_an_error_of_the_disk_nothing_is_promised(path: Path, level: Any) -> None:
    store = SqliteStore.open(path, durability=level)
    store.append(first())
    with failing(store, "COMMIT"), pytest.raises(StoreBrokenError, match="open it again"):
        store.append(nothing(3))
    for use in (
        store.head,
        store.sync,
        lambda: store.row(0),
        lambda: store.durable(2),
        lambda: store.append(nothing(3)),
    ):
        with pytest.raises(StoreBrokenError, match="open it again"):
            use()
    store.close()
    again = SqliteStore.open(path)
    check_alike(again, model_of(first()))
    again.close()


@pytest.mark.spec("sqlite.errors")
def test_what_cannot_even_be_taken_back_breaks_the_store(path: Path) -> None:
    store = SqliteStore.open(path)
    with failing(store, "ROLL"):
        with store._using:
            store._write(store._connection, first())
            store._take_back(KeyboardInterrupt())
        with pytest.raises(StoreBrokenError, match="could not be taken back"):
            store.head()
    store.close()


@pytest.mark.spec("sqlite.errors")
def test_an_interrupt_takes_back_what_was_under_way(path: Path) -> None:
    store = SqliteStore.open(path)
    heard: list[IncrError | None] = []
    with store._using:
        store._write(store._connection, first())
        store._commits.appended(1, heard.append)
        store._take_back(KeyboardInterrupt())
    assert store.sync() == store.head().last == 0
    assert "write it again" in str(heard[0])
    store.close()


@pytest.mark.spec("sqlite.levels", "sqlite.errors")
def test_a_sync_that_another_program_keeps_off_is_tried_again(path: Path) -> None:
    store = SqliteStore.open(path, durability="interval")
    with failing(store, "PRAGMA synchronous = FULL", sqlite3.SQLITE_BUSY):
        store.append(first())
        with pytest.raises(StoreLockedError, match="another program"):
            store.sync()
    assert store.durable(1, 60)
    store.close()


@pytest.mark.spec("sqlite.group")
def test_who_is_told_may_raise_and_holds_nobody_up(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = SqliteStore.open(path)

    def told(error: IncrError | None) -> None:
        assert store.head().last == 1  # no lock is held
        store.rows_of(0)
        raise RuntimeError("the callback's own")

    shown: list[BaseException] = []
    before, sys.excepthook = sys.excepthook, lambda kind, error, traceback: shown.append(error)
    try:
        store.append(first(), told)
        store.sync()
        store.close()
    finally:
        sys.excepthook = before
    assert [str(error) for error in shown] == ["the callback's own"]


@pytest.mark.spec("sqlite.fork")
def test_a_forked_child_does_not_have_the_store(path: Path) -> None:
    store = SqliteStore.open(path)
    store.append(first())
    child = os.fork()
    if not child:
        code = 1
        try:
            for use in (store.head, store.sync, lambda: store.row(0), lambda: store.append(nothing(3))):
                with pytest.raises(StoreBrokenError, match="forked"):
                    use()
            store.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.append(nothing(3)) == 2
    # What the child has seen, again where it is measured.
    store._process -= 1
    with pytest.raises(StoreBrokenError, match="forked"):
        store.head()
    store.close()
    store._process += 1
    assert store.head().last == 2
    store.close()


@pytest.mark.spec("sqlite.errors")
def test_who_has_the_store_is_named(path: Path) -> None:
    store = SqliteStore.open(path)
    with pytest.raises(StoreLockedError, match=f"process {os.getpid()} on .* since"):
        SqliteStore.open(path)
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.append(first())
    with pytest.raises(StoreError, match="is closed"):
        store.durable(1)


# --- damage -------------------------------------------------------------------------------------------------------

#: What is done to a file, which call does not believe it, and what it says.
DAMAGE: list[tuple[str, Callable[[SqliteStore], object], str]] = [
    ("UPDATE rows SET changed_at = 9 WHERE number = 0", lambda store: store.row(0), "checksum of row 0"),
    ("UPDATE rows SET flags = 'text' WHERE number = 0", lambda store: store.row(0), "checksum of row 0"),
    ("UPDATE rows SET dependencies = x'01' WHERE number = 257", lambda store: store.row(257), "checksum of row 257"),
    ("UPDATE rows SET key = x'00' WHERE number = 0", lambda store: store.find(0, b"\0"), "checksum of row 0"),
    ("DELETE FROM rows WHERE number = 0", lambda store: store.row(0), "row 0 is not there"),
    ("DELETE FROM rows WHERE number = 0", lambda store: store.rows_of(0), "list of the rows of section 0"),
    ("DELETE FROM contents WHERE number = 257", lambda store: store.content(257), "what row 257 contains"),
    ("UPDATE contents SET value = 'text' WHERE number = 0", lambda store: store.content(0), "what row 0 contains"),
    ("UPDATE contents SET pushes = x'', value = value || pushes", lambda store: store.content(257), "what row 257"),
    ("DELETE FROM dependents WHERE dependent = 258", lambda store: store.dependents(0), "depends on row 0"),
    ("UPDATE dependents SET dependent = 2 WHERE dependent = 258", lambda store: store.dependents(0), "row 0"),
    ("UPDATE dependents SET dependent = x'02' WHERE dependent = 258", lambda store: store.dependents(0), "row 0"),
    (
        "DELETE FROM dependents WHERE dependent = 258",
        lambda store: store.append(nothing(3)._replace(removed=[258])),
        "has to be changed is not there",
    ),
    (
        "UPDATE rows SET flags = 0 WHERE number = 0",
        lambda store: store.append(nothing(3)._replace(verified=[0])),
        "checksum of row 0",
    ),
]  # fmt: skip


@pytest.mark.spec("sqlite.checked")
@pytest.mark.parametrize(("statement", "ask", "said"), DAMAGE)
def test_what_was_altered_is_not_believed(
    filled: Path, statement: str, ask: Callable[[SqliteStore], object], said: str
) -> None:
    with raw(filled) as connection:
        assert connection.execute(statement).rowcount
    store = SqliteStore.open(filled)
    with pytest.raises(CorruptError, match=said):
        ask(store)
    store.close()


@pytest.mark.spec("sqlite.checked")
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE head SET revision = 9", "checksum of the head"),
        ("UPDATE head SET classes = 9", "checksum of the head"),
        ("DELETE FROM sections WHERE number = 1", "a section is missing"),
        ("UPDATE sections SET rows = 3 WHERE number = 1", "checksum of section 1"),
        ("UPDATE sections SET names = 'x' WHERE number = 1", "checksum of section 1"),
        ("UPDATE sections SET names = x'ff' WHERE number = 1", "checksum of section 1"),
    ],
)
def test_a_head_that_was_altered_is_not_opened(filled: Path, statement: str, said: str) -> None:
    with raw(filled) as connection:
        assert connection.execute(statement).rowcount == 1
    with pytest.raises(CorruptError, match=said):
        SqliteStore.open(filled)


@pytest.mark.spec("sqlite.checked")
def test_an_index_that_lost_a_row_is_found_out(filled: Path) -> None:
    """As a flipped bit in a page of the index would have it."""
    with raw(filled) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'rows_by_key'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    content = bytearray(filled.read_bytes())
    page = content[(root - 1) * size : root * size]
    for old, new in ((b"key 0", b"key ."), (b"key 2", b"key ~")):
        assert page.count(old) == 1
        changed = content.copy()
        changed[(root - 1) * size : root * size] = page.replace(old, new)
        filled.write_bytes(changed)
        store = SqliteStore.open(filled)
        with pytest.raises(CorruptError, match="index of keys does not have row"):
            store.find(0, old)
        with pytest.raises(CorruptError, match="index of keys leads to row"):
            store.find(0, new)
        assert store.find(0, b"never there") is None
        store.close()


def flips(size: int, count: int, seed: int) -> Iterator[tuple[int, int]]:
    chosen = random.Random(seed)
    for _ in range(count):
        yield chosen.randrange(size), chosen.randrange(8)


@pytest.mark.spec("sqlite.checked")
def test_a_flipped_bit_gives_the_right_answers_or_an_error(filled: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    content = filled.read_bytes()
    used = [place for place, byte in enumerate(content) if byte]
    outcomes = {"right": 0, "refused": 0}
    for place, bit in flips(len(used), 400, seed):
        changed = bytearray(content)
        changed[used[place]] ^= 1 << bit
        filled.write_bytes(changed)
        try:
            store = SqliteStore.open(filled)
            try:
                check_alike(store, model_of(first()))
            finally:
                store.close()
            outcomes["right"] += 1
        except StoreError:
            outcomes["refused"] += 1
    print(outcomes)
    assert outcomes["refused"]


@pytest.mark.spec("sqlite.checked")
def test_two_keys_may_have_one_hash(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Records, "hash_of", lambda records, section, key: 7)
    store = SqliteStore.open(path)
    store.append(first())
    check_alike(store, model_of(first()))
    store.close()


@pytest.mark.spec("sqlite.errors")
def test_errors_are_named_after_what_happened(path: Path) -> None:
    with pytest.raises(StoreError, match="whether its directory is there"):
        sqlite_file._connect(str(path), "rw")
    unreadable = UnicodeDecodeError("utf-8", b"\x81", 0, 1, "invalid start byte")
    assert type(sqlite_file.error_of("f", "read", unreadable)) is CorruptError
    assert sqlite_file.error_of("f", "read", unreadable).path == "f"
    mine = KeyError("mine")
    assert sqlite_file.error_of("f", "read", mine) is mine
    closed = sqlite3.ProgrammingError("no code")
    assert "see the cause" in str(sqlite_file.error_of("f", "read", closed))
