"""Four directories, one behaviour: the real one, one in memory, a fake one that loses and fails, an encrypted one."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from incr import StoreError
from incr.store import Directory, EncryptedDirectory, FileDirectory, MemoryDirectory
from incr.store.directory import explained, read_whole, write_whole
from incr.testing import Crashed, FakeDirectory

Make = Callable[[], Directory]


@pytest.fixture(params=["files", "memory", "fake", "encrypted"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Directory:
    made: dict[str, Make] = {
        "files": lambda: FileDirectory(tmp_path / "new"),
        "memory": MemoryDirectory,
        "fake": FakeDirectory,
        "encrypted": lambda: EncryptedDirectory(FileDirectory(tmp_path / "new"), bytes(32)),
    }
    return made[request.param]()


def content(directory: Directory, name: str) -> bytes:
    file = directory.open_to_read(name)
    try:
        return read_whole(file)
    finally:
        file.close()


@pytest.mark.spec("directory.durable")
def test_files_are_written_read_and_cut(directory: Directory) -> None:
    directory.make()
    directory.make()
    file = directory.create("a")
    write_whole(file, b"12345", 0)
    assert (file.pwrite(memoryview(b"9"), 7), file.size()) == (1, 8)
    assert (file.pread(3, 4), file.pread(5, 8)) == (b"5\0\0", b"")
    file.truncate(2)
    file.truncate(3)
    assert content(directory, "a") == b"12\0"
    file.allocate(5)
    file.allocate(4)
    file.sync_data()
    file.sync()
    directory.sync()
    assert (content(directory, "a"), directory.names()) in [(b"12\0\0\0", ["a"]), (b"12\0", ["a"])]
    file.close()
    file.close()
    with pytest.raises(OSError, match="descriptor"):
        file.size()


@pytest.mark.spec("directory.names")
def test_names_come_and_go(directory: Directory) -> None:
    directory.make()
    directory.create("a").close()
    with pytest.raises(FileExistsError):
        directory.create("a")
    for call in (directory.open, directory.open_to_read, directory.unlink, lambda name: directory.rename(name, "x")):
        with pytest.raises(FileNotFoundError):
            call("missing")
    other = directory.create("b")
    write_whole(other, b"b", 0)
    directory.rename("b", "a")
    assert (directory.names(), content(directory, "a")) == (["a"], b"b")
    directory.unlink("a")
    assert (directory.names(), read_whole(other)) == ([], b"b")
    other.close()
    for name in ("", ".", "..", "a/b", "/a", "a\\b", "a\0", "c:a"):
        for use in (directory.create, directory.open, directory.open_to_read, directory.unlink):
            with pytest.raises(ValueError, match="not a plain file name"):
                use(name)
    assert directory.path_of("name").endswith("name")


@pytest.mark.spec("log.lock")
def test_a_file_is_locked_by_one_opener(directory: Directory) -> None:
    directory.make()
    directory.create("LOCK").close()
    one, two = directory.open("LOCK"), directory.open("LOCK")
    assert [one.lock(), two.lock(), one.lock()] == [True, False, True]
    two.unlock()
    assert not two.lock()
    one.unlock()
    assert two.lock()
    two.close()
    assert one.lock()
    one.close()


@pytest.mark.spec("directory.names")
def test_the_real_one_follows_no_links_and_opens_only_files(tmp_path: Path) -> None:
    directory = FileDirectory(tmp_path)
    (tmp_path / "target").write_bytes(b"")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="symbolic links"):
        directory.open("link")
    with pytest.raises(IsADirectoryError):
        directory.open_to_read("folder")
    with pytest.raises(StoreError, match="not a regular file"):
        directory.open("pipe")
    with pytest.raises(NotADirectoryError):
        FileDirectory(tmp_path / "target" / "below").make()
    directory.create("new").close()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    FileDirectory(tmp_path / "made").make()
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700


@pytest.mark.spec("directory.durable")
@pytest.mark.parametrize("kind", [MemoryDirectory, FakeDirectory])
def test_what_was_not_synced_is_lost(kind: type[MemoryDirectory]) -> None:
    directory = kind({"old": b"old"})
    file = directory.create("new")
    file.pwrite(b"12", 0)
    assert directory.after_power_loss().files() == {"old": b"old"}
    directory.sync()
    assert directory.after_power_loss().files() == {"old": b"old", "new": b""}
    file.sync_data()
    file.pwrite(b"3", 2)
    directory.unlink("old")
    assert directory.after_power_loss().files() == {"old": b"old", "new": b"12"}
    assert directory.files() == {"new": b"123"}


@pytest.mark.spec("testing.disk")
def test_the_fake_one_lists_what_a_crash_may_leave() -> None:
    disk = FakeDirectory({"kept": b"kept"})
    file = disk.create("a")
    file.pwrite(b"12", 0)
    states = list(disk.crash_states())
    assert {"kept": b"kept"} in states
    assert {"kept": b"kept", "a": b""} in states
    assert {"kept": b"kept", "a": b"\0\0"} in states
    assert states[0] == {"kept": b"kept", "a": b"12"}
    assert len(states) == len({tuple(sorted(state.items())) for state in states})
    disk.sync()
    file.sync()
    assert list(disk.crash_states()) == [{"kept": b"kept", "a": b"12"}]
    assert list(disk.crash_states(0)) == [{"kept": b"kept"}]
    disk.create("x").close()
    disk.rename("x", "y")
    assert [sorted(set(state) - {"kept", "a"}) for state in disk.crash_states()] == [["y"], [], ["x"]]
    disk.unlink("y")
    disk.sync()
    before = disk.calls
    file.pwrite(b"A", 0)
    file.pwrite(b"B", 1)
    disk.rename("a", "b")
    disk.unlink("b")
    file.truncate(4)
    file.allocate(5)
    found = {(state.get("a"), state.get("b")) for state in disk.crash_states(samples=40)}
    assert {(b"12", None), (b"A2", None), (None, b"AB"), (None, None), (b"AB\0\0\0", None)} <= found
    assert list(disk.crash_states(before)) == [{"kept": b"kept", "a": b"12"}]


@pytest.mark.spec("testing.disk")
def test_the_fake_one_fails_as_it_is_told() -> None:
    disk = FakeDirectory()
    disk.fail("create", errno.ENOSPC, skip=1, times=2)
    file = disk.create("a")
    for _ in range(2):
        with pytest.raises(OSError, match="No space") as caught:
            disk.create("b")
        assert caught.value.errno == errno.ENOSPC
    disk.create("b")
    disk.shorten("pwrite")
    disk.shorten("pread")
    assert (file.pwrite(b"1234", 0), file.pwrite(b"34", 2), file.pread(4, 0), file.pread(4, 0)) == (
        2,
        2,
        b"12",
        b"1234",
    )
    disk.fail("sync", times=None)
    for _ in range(3):
        with pytest.raises(OSError, match="error"):
            file.sync()
    disk.heal()
    file.sync()
    disk.crash_at(disk.calls + 2)
    file.size()
    for call in (file.size, file.sync, disk.sync, disk.names):
        with pytest.raises(Crashed):
            call()
    assert disk.files() == {"a": b"1234", "b": b""}
    disk.restart()
    assert (file.size(), disk.open("a").lock()) == (4, True)
    assert not disk.open("a").lock()
    disk.restart()
    assert disk.open("a").lock()


def test_an_error_says_what_was_found_and_what_to_do() -> None:
    message = r"^place: cannot be made: No space left on device; make room"
    with pytest.raises(StoreError, match=message), explained("place", "made"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(StoreError, match="cannot be made: odd; see the cause above"), explained("place", "made"):
        raise OSError("odd")


def test_a_write_that_takes_nothing_is_a_full_disk() -> None:
    disk = FakeDirectory()
    disk.shorten("pwrite", times=None)
    with pytest.raises(OSError, match="No space"):
        write_whole(disk.create("a"), b"123", 0)
