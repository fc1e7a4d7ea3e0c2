"""The disk as the store sees it: a name has what it had or the whole new file, and an error says what to do."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import pytest

from incr._errors import CorruptError, LimitExceededError, StoreBrokenError, StoreError
from incr.store.base import Draft, read_base, write_base
from incr.store.layout import Header
from incr.store.whole import Files, Temporary, WholeFiles, split_path

SECTIONS = [Draft(3, "name", b"", 1, {0: [b"12345"]})]


def write(path: Path, revision: int = 1) -> None:
    directory, name = split_path(path)
    write_base(directory, name, Header(revision), SECTIONS)


def read(path: Path, max_bytes: int | None = None) -> bytes | None:
    directory, name = split_path(path)
    found = directory.read(name, max_bytes)
    return None if found is None else found.content


@pytest.mark.spec("save.atomic")
def test_a_file_is_for_its_owner_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "parents" / "cache"
    write(path)
    write(path, 2)
    assert os.listdir(path.parent) == ["cache"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_base("cache", path.read_bytes()).header.revision == 2


@pytest.mark.spec("load.missing")
def test_only_no_such_file_means_none(tmp_path: Path) -> None:
    assert read(tmp_path / "cache") is None
    assert read(tmp_path / "no" / "parent" / "cache") is None
    (tmp_path / "file").write_bytes(b"")
    assert read(tmp_path / "file") == b""
    with pytest.raises(StoreError, match="a part of the path is a file") as caught:
        read(tmp_path / "file" / "cache")
    assert caught.value.path == str(tmp_path / "file" / "cache")


def test_what_is_not_a_regular_file_is_its_own_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="not a regular file"):
        read(tmp_path / "pipe")
    with pytest.raises(StoreError, match="give the path of a file") as caught:
        read(tmp_path)
    assert not isinstance(caught.value, CorruptError)
    (tmp_path / "directory").mkdir()
    with pytest.raises(StoreError, match="give the path of a file"):
        write(tmp_path / "directory")
    assert sorted(os.listdir(tmp_path)) == ["directory", "pipe"]


@pytest.mark.parametrize("path", ["", "/", ".", "cache/", "a/..", "a\0b"])
def test_what_cannot_be_a_file_is_refused_by_its_name(path: str) -> None:
    with pytest.raises(StoreError, match="give"):
        split_path(path)


def test_paths_may_be_bytes_and_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    directory, name = split_path(b"cache")
    write_base(directory, name, Header(1), SECTIONS)
    assert (tmp_path / "cache").exists()
    assert directory.path_of(name) == "cache"


def test_a_file_larger_than_allowed_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    write(path)
    size = path.stat().st_size
    assert read(path, size) == path.read_bytes()
    with pytest.raises(LimitExceededError, match=f"{size} bytes, max_bytes allows {size - 1}"):
        read(path, size - 1)


def test_too_many_open_files_is_its_own_error(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "cache"
    write(path)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
        with pytest.raises(OSError, match="Too many open files"):
            held.extend(os.open(tmp_path, os.O_RDONLY) for _ in range(65))
        with pytest.raises(StoreError, match=r"close files.*then try again") as caught:
            read(path)
        with pytest.raises(StoreError, match=r"close files.*then try again"):
            write(path, 2)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert isinstance(caught.value.__cause__, OSError)
    assert read_base("cache", path.read_bytes()).header.revision == 1


@pytest.mark.spec("save.atomic")
def test_a_disk_that_fills_up_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "cache"
    write(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with pytest.raises(StoreError, match="File too large; raise the limit"):
            write(path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == ["cache"]
    assert read_base("cache", path.read_bytes()).header.revision == 1


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="file/parent: cannot be written to"):
        write(tmp_path / "file" / "parent" / "cache")


def test_a_symbolic_link_is_read_through_and_replaced(tmp_path: Path) -> None:
    write(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    assert read(tmp_path / "link") == (tmp_path / "real").read_bytes()
    write(tmp_path / "link", 2)
    assert not (tmp_path / "link").is_symlink()
    assert read_base("real", (tmp_path / "real").read_bytes()).header.revision == 1


def test_a_file_that_was_replaced_meanwhile_is_neither_moved_nor_removed(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    write(path)
    directory, name = split_path(path)
    found = directory.read(name, None)
    assert found is not None
    write(path, 2)
    directory.move_aside(name, found.identity, "aside")
    directory.remove(name, found.identity)
    assert os.listdir(tmp_path) == ["cache"]
    found = directory.read(name, None)
    assert found is not None
    directory.move_aside(name, found.identity, "aside")
    assert os.listdir(tmp_path) == ["aside"]
    found = directory.read("aside", None)
    assert found is not None
    directory.remove("aside", found.identity)
    assert os.listdir(tmp_path) == []
    with pytest.raises(StoreError, match="cannot be removed"):
        directory.remove("aside", found.identity)


class Failing:
    """A directory whose calls go to a real one, but call number *at* fails, or what is read back is altered."""

    def __init__(self, real: Files, at: int) -> None:
        self.real = real
        self.at = at
        self.calls: list[str] = []

    def step(self, call: str) -> None:
        self.calls.append(call)
        if len(self.calls) == self.at:
            raise StoreError(call, "failed on purpose")

    def path_of(self, name: str) -> str:
        return self.real.path_of(name)

    def create(self) -> Temporary:
        self.step("create")
        return FailingTemporary(self, self.real.create())


class FailingTemporary:
    def __init__(self, owner: Failing, real: Temporary) -> None:
        self.owner = owner
        self.real = real

    def write(self, chunks: Iterable[bytes]) -> int:
        self.owner.step("write")
        return self.real.write(chunks)

    def sync(self) -> None:
        self.owner.step("sync")
        self.real.sync()

    def read(self, offset: int, count: int) -> bytes:
        self.owner.step("read")
        found = self.real.read(offset, count)
        return found[:-1] + b"?" if len(self.owner.calls) == -self.owner.at else found

    def publish(self, name: str) -> None:
        self.owner.step("publish")
        self.real.publish(name)

    def __enter__(self) -> Self:
        self.real.__enter__()
        return self

    def __exit__(self, *exit_arguments: object) -> None:
        self.real.__exit__(*exit_arguments)  # type: ignore[arg-type]  # handed on as they came


@pytest.mark.spec("save.atomic")
@pytest.mark.parametrize("at", range(1, 8))
def test_a_failure_at_any_step_leaves_the_old_file(tmp_path: Path, at: int) -> None:
    path = tmp_path / "cache"
    write(path)
    before = path.read_bytes()
    failing = Failing(WholeFiles(str(tmp_path)), at)
    if at <= 6:
        with pytest.raises(StoreError, match="on purpose"):
            write_base(failing, "cache", Header(2), SECTIONS)  # type: ignore[arg-type]  # it only writes
        assert path.read_bytes() == before
    else:
        write_base(failing, "cache", Header(2), SECTIONS)  # type: ignore[arg-type]
        assert failing.calls == ["create", "write", "sync", "read", "read", "publish"]
        assert read_base("cache", path.read_bytes()).header.revision == 2
    assert os.listdir(tmp_path) == ["cache"]


@pytest.mark.spec("save.atomic")
@pytest.mark.parametrize("at", [-4, -5])
def test_what_reads_back_differently_is_not_published(tmp_path: Path, at: int) -> None:
    path = tmp_path / "cache"
    write(path)
    with pytest.raises(StoreBrokenError, match="reads back differently"):
        write_base(Failing(WholeFiles(str(tmp_path)), at), "cache", Header(2), SECTIONS)  # type: ignore[arg-type]
    assert read_base("cache", path.read_bytes()).header.revision == 1
    assert os.listdir(tmp_path) == ["cache"]


def test_an_interrupt_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"first"
        raise KeyboardInterrupt

    directory, name = split_path(tmp_path / "cache")
    with pytest.raises(KeyboardInterrupt):
        write_base(directory, name, Header(1), [SECTIONS[0]._replace(streams={0: pieces()})])
    assert os.listdir(tmp_path) == []


@pytest.mark.spec("save.atomic")
@pytest.mark.skipif(os.name != "posix", reason="a directory cannot be synced there")
def test_content_is_on_the_disk_before_its_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def noted(name: str) -> None:
        real = getattr(os, name)

        def call(*arguments: object, **options: object) -> object:
            on = arguments[0]
            what = "directory" if type(on) is int and stat.S_ISDIR(os.fstat(on).st_mode) else "file"
            done.append(f"{name} {what}")
            return real(*arguments, **options)

        monkeypatch.setattr(os, name, call)

    for name in ("write", "fsync", "replace"):
        noted(name)
    write(tmp_path / "cache")
    assert done == ["write file", "fsync file", "replace file", "fsync directory"]


@pytest.mark.spec("save.atomic")
def test_names_are_not_synced_where_no_directory_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, _ = split_path(tmp_path / "cache")
    opened: list[str] = []
    monkeypatch.setattr(os, "open", lambda path, *_: opened.append(path))
    monkeypatch.setattr(os, "name", "nt")
    directory.sync()
    assert opened == []


@pytest.mark.parametrize("piece", [1, 3, 100])
def test_a_file_is_read_whole_however_little_comes_at_a_time(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cache"
    write(path)
    content = path.read_bytes()
    real = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, count: real(descriptor, min(count, piece)))
    assert read(path) == content
    # Somebody makes it shorter meanwhile: what is there is what is read.
    sizes = iter([piece, 0])
    monkeypatch.setattr(os, "read", lambda descriptor, _: real(descriptor, next(sizes)))
    assert read(path) == content[:piece]


@pytest.mark.parametrize("sizes", [[], [1 << 20], [1 << 19, 1 << 19], [1 << 20, 5], [3, (1 << 20) + 1, 7]])
def test_what_is_written_in_pieces_is_what_was_given(sizes: list[int], tmp_path: Path) -> None:
    directory, name = split_path(tmp_path / "cache")
    chunks = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    with directory.create() as temporary:
        assert temporary.write(chunks) == sum(sizes)
        temporary.publish(name)
    assert (tmp_path / name).read_bytes() == b"".join(chunks)
