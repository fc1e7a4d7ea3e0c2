"""What is at a place and is no store of this program: an error of its own, that says where, what and what to do.

The store, or whatever it is, stays as it was.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import incr
from incr.testing import FakeDirectory

KEY = bytes(range(32))


@incr.input
class Page:
    name: str = incr.key()
    text: str


@incr.query
def length(db: incr.View, name: str) -> int:
    return len(db[Page, name].text)


def fill(place: Any, text: str = "abc", **options: Any) -> None:
    with incr.open(place, **options) as db:
        db.set(Page("a", text=text))
        assert length(db, "a") == len(text)
        db.checkpoint()
        db.set(Page("b", text=text))
        assert length(db, "b") == len(text)
        db.commit()


def content(place: Path) -> dict[str, bytes]:
    """All files below a folder, but those of locks, whose text says who had them, and what SQLite reads with."""
    besides = ("LOCK", "-lock", "-shm", "-wal")
    files = [file for file in place.rglob("*") if file.is_file() and not file.name.endswith(besides)]
    return {str(file.relative_to(place)): file.read_bytes() for file in files}


class Case(NamedTuple):
    #: Makes what is there; the place is *home*.
    prepare: Callable[[Path], object]
    options: dict[str, Any]
    error: type[incr.StoreError]
    said: str


def foreign_files(home: Path) -> None:
    home.mkdir(0o700)
    (home / "letter.txt").write_text("dear")


def newer_store(home: Path) -> None:
    fill(home)
    (home / "FORMAT").write_bytes(b"incr-store 2\n")


def newer_sqlite(home: Path) -> None:
    fill(home, backend="sqlite")
    with closing(sqlite3.connect(home)) as connection:
        connection.execute("PRAGMA user_version = 2")


def whole_file(home: Path) -> None:
    db = incr.Database()
    db.set(Page("a", text="abc"))
    db.save(home)


def a_base_of_another(home: Path) -> None:
    fill(home)
    other = home.with_name("other")
    fill(other)
    (base,) = other.glob("base-*")
    shutil.copy(base, home)


def a_segment_of_another(home: Path) -> None:
    fill(home)
    other = home.with_name("other")
    fill(other)
    shutil.copy(max(other.glob("log-*")), home)


SQLITE = {"backend": "sqlite"}
CASES = {
    "a file": Case(
        lambda home: home.write_text("x"), {}, incr.StoreError, "state: is not a directory; .* another path"
    ),
    "a file of db.save": Case(whole_file, {}, incr.StoreError, "state: is not a directory; .* another path"),
    "below a file": Case(
        lambda home: home.write_text("x"),
        {"below": "file"},
        incr.StoreError,
        r"state/file/?: .*Not a directory; a part",
    ),
    "a file of SQLite": Case(lambda home: fill(home, **SQLITE), {}, incr.StoreError, "state: is not a directory"),
    "a directory for SQLite": Case(
        fill, SQLITE, incr.StoreError, "state: cannot be opened: Is a directory; give .* file"
    ),
    "foreign files": Case(foreign_files, {}, incr.StoreError, r"state/: is not a store.*'letter\.txt'; give the path"),
    "nothing to read": Case(
        lambda home: None, {"mode": "ro"}, incr.StoreError, "state/: .*nothing is there; open it with mode='rw'"
    ),
    "no parent to read": Case(
        lambda home: None, {"mode": "ro", "below": "a"}, incr.StoreError, "state/a/: .*nothing is there; open it with"
    ),
    "no parent": Case(
        lambda home: None,
        {"below": "a", "mode": "rw"},
        incr.StoreError,
        "state/a: .*there is no directory .*state; make it, or",
    ),
    "no parent for SQLite": Case(
        lambda home: None,
        {"below": "a", "mode": "rw", **SQLITE},
        incr.StoreError,
        "state/a: .*there is no directory .*state; make that first",
    ),
    "an empty directory to read": Case(
        lambda home: home.mkdir(0o700), {"mode": "ro"}, incr.StoreError, "state/: .*nothing is there; open it with"
    ),
    "no file to read": Case(
        lambda home: None, {"mode": "ro", **SQLITE}, incr.StoreError, "state: cannot be opened: No such file .*make it"
    ),
    "a newer store": Case(newer_store, {}, incr.VersionError, "FORMAT: has format 2, .*use the release that wrote it"),
    "a newer file": Case(newer_sqlite, SQLITE, incr.VersionError, "state: has format 2, .*use the release that wrote"),
    "another base": Case(
        a_base_of_another, {}, incr.CorruptError, r"base-.*: is of another store than the log beside it; find out which"
    ),
    "another segment": Case(
        a_segment_of_another,
        {},
        incr.CorruptError,
        r"base-.*: is of another store than the log beside it; find out which",
    ),
    "another key": Case(
        lambda home: fill(home, key=KEY),
        {"key": bytes(32)},
        incr.StoreError,
        "FORMAT: is encrypted with another key; give",
    ),
    "no key": Case(lambda home: fill(home, key=KEY), {}, incr.StoreError, "FORMAT: is encrypted; open it with the key"),
    "a key too many": Case(fill, {"key": KEY}, incr.StoreError, "FORMAT: is not encrypted; open it without a key"),
}


@pytest.mark.spec("open.directory", "store.place", "store.format", "store.identity", "sqlite.file", "crypto.key")
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_what_is_there_stays_as_it_was(tmp_path: Path, case: Case) -> None:
    home = tmp_path / "state"
    case.prepare(home)
    before = content(tmp_path)
    options = dict(case.options)
    place = home / options.pop("below", "")
    modes: list[Any] = [options.pop("mode")] if "mode" in options else ["rw", "ro"]
    for mode in modes:
        for _ in range(2):  # the first attempt has let go of the lock
            with pytest.raises(case.error, match=case.said) as caught, incr.open(place, mode=mode, **options):
                pass
            assert isinstance(caught.value, case.error)
            assert caught.value.path.startswith(str(home))
            assert content(tmp_path) == before


#: What a system says where nothing may be written, or nothing can be.
REFUSALS = {
    errno.EACCES: "Permission denied; give this user the right",
    errno.EPERM: "Operation not permitted; give this user the right",
    errno.EROFS: "Read-only file system; give a path on a file system that can be written",
    errno.ENOSPC: "No space left on device; make room on the disk, then try again",
    errno.EDQUOT: "; make room in the quota, then try again",
    errno.EIO: "Input/output error; the disk reports an error",
}


def kept(disk: FakeDirectory) -> dict[str, bytes]:
    return {name: data for name, data in disk.files().items() if name != "LOCK"}


@pytest.mark.spec("open.directory", "commit.failed", "store.checkpoint")
@pytest.mark.parametrize("number", REFUSALS, ids=[errno.errorcode[number] for number in REFUSALS])
def test_what_the_system_refuses(number: int) -> None:
    disk = FakeDirectory()
    fill(disk)
    before = kept(disk)
    said = f"^fake:[^:]+: cannot be [a-z]+: .*{REFUSALS[number]}"

    def refuse() -> None:
        for call in ("create", "open", "pwrite", "rename"):
            disk.fail(call, number, times=None)

    refuse()
    with pytest.raises(incr.StoreError, match=said), incr.open(disk):
        pass
    with incr.open(disk, mode="ro") as db:  # reading is another thing
        assert (length(db, "a"), length(db, "b")) == (3, 3)
    assert kept(disk) == before
    disk.heal()
    with incr.open(disk) as db:
        db.set(Page("c", text="later"))
        opened = kept(disk)
        refuse()
        for attempt in (db.commit, db.checkpoint):
            with pytest.raises(incr.StoreError, match=said) as caught:
                attempt()
            assert not isinstance(caught.value, incr.StoreBrokenError)
            assert kept(disk) == opened
        # The database goes on, and has it when there is room again.
        assert length(db, "c") == 5
        disk.heal()
        db.commit()
        disk.fail("create", number, times=None)
        with pytest.raises(incr.StoreError, match=said):
            db.checkpoint()
        disk.heal()
    with incr.open(disk) as db:
        assert [length(db, name) for name in "abc"] == [3, 3, 5]


@pytest.mark.spec("open.directory", "log.lock")
@pytest.mark.parametrize("backend", ["file", "sqlite"])
def test_who_has_it_is_named(tmp_path: Path, backend: Any) -> None:
    home = tmp_path / "state"
    with incr.open(home, backend=backend) as db:
        db.set(Page("a", text="abc"))
        db.commit()
        said = f"is held by process {os.getpid()} on .* since .*; close it there, or wait"
        with pytest.raises(incr.StoreLockedError, match=said), incr.open(home, backend=backend):
            pass
        program = f"import incr\nincr.open({str(home)!r}, backend={backend!r}).__enter__()"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert f"is held by process {os.getpid()} on" in done.stderr
        db.set(Page("b", text="abc"))
        db.commit()
    with incr.open(home, backend=backend) as db:
        assert list(db.keys(Page)) == ["a", "b"]


@pytest.mark.spec("open.directory", "crypto.key")
def test_without_its_package_nothing_is_encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "state"
    fill(home, key=KEY)
    before = content(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    for place in (home, tmp_path / "new"):
        with (
            pytest.raises(incr.StoreError, match=rf"{place.name}/: .*install incr-runtime\[crypto\]"),
            incr.open(place, key=KEY),
        ):
            pass
    assert content(tmp_path) == before
    assert not (tmp_path / "new").exists()
