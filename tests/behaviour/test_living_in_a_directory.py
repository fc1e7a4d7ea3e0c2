"""`incr.open`: a database that lives in a directory."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
import trio

import incr
from incr.store import MemoryStore
from incr.testing import Recorder


@incr.input
class Note:
    name: str = incr.key()
    text: str


_ran: list[str] = []


@incr.query
def size(db: incr.View, name: str) -> int:
    _ran.append(name)
    return len(db[Note, name].text)


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    _ran.clear()


@pytest.mark.spec("open.directory")
def test_what_was_committed_is_there_at_the_next_opening(tmp_path: Path) -> None:
    home = tmp_path / "state"
    with incr.open(home) as db:
        db.set(Note("a", text="abc"))
        assert size(db, "a") == 3
        assert db.commit() == 1
    with incr.open(home) as db:
        assert db[Note, "a"].text == "abc"
        assert size(db, "a") == 3
    assert _ran == ["a"]


@pytest.mark.spec("open.directory")
def test_what_was_not_committed_is_not_there(tmp_path: Path) -> None:
    with incr.open(tmp_path) as db:
        db.set(Note("a", text="abc"))
        db.checkpoint()
        db.set(Note("a", text="later"))
    with incr.open(tmp_path) as db:
        assert db[Note, "a"].text == "abc"


@pytest.mark.spec("open.directory")
@pytest.mark.parametrize("run", [trio.run, lambda main: asyncio.run(main())], ids=["trio", "asyncio"])
def test_the_awaited_twins_do_the_same(tmp_path: Path, run: object) -> None:
    async def write() -> None:
        async with incr.open(tmp_path) as db:
            db.set(Note("a", text="abc"))
            size(db, "a")
            assert await db.acommit() == 1
            assert await db.acheckpoint() == 1

    async def read() -> None:
        async with incr.open(tmp_path) as db:
            assert size(db, "a") == 3

    assert callable(run)
    run(write)
    run(read)
    assert _ran == ["a"]


@pytest.mark.spec("open.directory")
def test_damage_is_an_error_or_a_cold_start_as_the_program_says(tmp_path: Path) -> None:
    with incr.open(tmp_path) as db:
        db.set(Note("a", text="abc"))
        db.commit()
    (log,) = tmp_path.glob("log-*")
    content = bytearray(log.read_bytes())
    content[150] ^= 1
    log.write_bytes(content)
    with pytest.raises(incr.CorruptError), incr.open(tmp_path):
        pass
    assert log.read_bytes() == content
    with incr.open(tmp_path, on_corrupt="quarantine") as db:
        assert (Note, "a") not in db


@pytest.mark.spec("open.directory")
@pytest.mark.spec("load.code")
def test_another_name_for_the_code_runs_everything_again(tmp_path: Path) -> None:
    with incr.open(tmp_path, code="1.0") as db:
        db.set(Note("a", text="abc"))
        size(db, "a")
        db.commit()
    with incr.open(tmp_path, code="1.0") as db:
        size(db, "a")
    assert _ran == ["a"]
    with incr.open(tmp_path, code="1.1") as db:
        size(db, "a")
    assert _ran == ["a", "a"]


@pytest.mark.spec("open.directory")
def test_a_database_in_memory_cannot_be_committed() -> None:
    with pytest.raises(incr.StoreError, match=r"incr\.open\(directory\)"):
        incr.Database().commit()


@pytest.mark.spec("commit.wait", "commit.durable")
def test_one_can_wait_for_the_disk(tmp_path: Path) -> None:
    with incr.open(tmp_path, durability="relaxed") as db:
        revision = db.set(Note("a", text="abc"))
        assert not db.durable(revision, timeout=0)
        db.commit()
        assert not db.durable(revision, timeout=0)
        db.checkpoint()
        assert db.durable(revision)
    with incr.open(tmp_path) as db:
        revision = db.set(Note("a", text="abcd"))
        db.commit()
        assert db.durable(revision, timeout=0)


@pytest.mark.spec("checkpoint.automatic")
def test_a_long_log_is_folded_into_a_base(tmp_path: Path) -> None:
    with incr.open(tmp_path) as db:
        for number in range(3):
            db.set(Note(f"{number}", text=str(number) * 700_000))
            db.commit()
        db._session._checkpoint.join()
        assert list(tmp_path.glob("base-*"))
        db.set(Note("0", text="short"))
        db.commit()
    with incr.open(tmp_path) as db:
        assert [len(db[Note, f"{number}"].text) for number in range(3)] == [5, 700_000, 700_000]


@pytest.mark.spec("open.directory")
def test_others_read_what_was_committed_beside_whoever_writes(tmp_path: Path) -> None:
    with incr.open(tmp_path) as db:
        db.set(Note("a", text="abc"))
        size(db, "a")
        db.commit()
        _ran.clear()
        with incr.open(tmp_path, mode="ro") as reader:
            assert size(reader, "a") == 3
            assert _ran == []
            reader.set(Note("a", text="what if"))
            assert size(reader, "a") == 7
            with pytest.raises(incr.StoreError, match="read"):
                reader.commit()
        with pytest.raises(incr.StoreLockedError, match="is held by"), incr.open(tmp_path):
            pass
        assert size(db, "a") == 3


@pytest.mark.spec("open.directory")
def test_files_can_be_encrypted(tmp_path: Path) -> None:
    key = bytes(range(32))
    with incr.open(tmp_path, key=key) as db:
        db.set(Note("a", text="a secret text"))
        size(db, "a")
        db.commit()
        db.checkpoint()
    assert not any(b"secret" in file.read_bytes() for file in tmp_path.iterdir())
    with incr.open(tmp_path, key=key) as db:
        assert db[Note, "a"].text == "a secret text"
        assert size(db, "a") == 13
    assert _ran == ["a"]
    with pytest.raises(incr.StoreError, match="key"), incr.open(tmp_path, key=bytes(32)):
        pass


@pytest.mark.spec("open.directory")
def test_long_values_can_be_left_out(tmp_path: Path) -> None:
    @incr.query(name="a long value")
    def long(db: incr.View, name: str) -> str:
        return db[Note, name].text * 100

    @incr.query(name="a short one")
    def short(db: incr.View, name: str) -> int:
        return len(long(db, name))

    with incr.open(tmp_path, max_record_bytes=50) as db:
        db.set(Note("a", text="abc"))
        assert short(db, "a") == 300
        db.commit()
    with incr.open(tmp_path) as db, Recorder(db) as ran:
        assert short(db, "a") == 300
        assert ran.take() == []
        assert long(db, "a") == "abc" * 100
        assert ran.take() == ["a long value('a')"]


@pytest.mark.spec("open.directory")
def test_wrong_options_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="backend is 'file' or 'sqlite'"):
        incr.open(tmp_path, backend="tape")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="neither encrypted nor compressed"):
        incr.open(tmp_path / "x", backend="sqlite", compress=True)
    with pytest.raises(ValueError, match="durability must be"), incr.open(tmp_path, durability="later"):  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        pass
    with pytest.raises(TypeError, match="max_record_bytes"), incr.open(tmp_path, max_record_bytes=-1):
        pass
    with incr.open(tmp_path):  # nobody has it
        pass
    for place in (b"state", None, 3):
        with pytest.raises(TypeError, match="a database lives at a path"):
            incr.open(place)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(incr.StoreError, match="is no path"), incr.open(""):
        pass
    memory = MemoryStore()
    for arguments in ({"mode": "ro"}, {"key": bytes(32)}, {"compress": True}):
        with pytest.raises(ValueError, match="a store in memory has one opener"):
            incr.open(memory, **arguments)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="32 random bytes, not a str"), incr.open(tmp_path / "x", key="x" * 32):  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        pass
    assert not (tmp_path / "x").exists()


@pytest.mark.spec("owner.trust", "owner.network")
@pytest.mark.parametrize("backend", ["file", "sqlite"])
def test_what_others_can_write_to_is_trusted_by_name(tmp_path: Path, backend: Literal["file", "sqlite"]) -> None:
    place = tmp_path / "state"
    with incr.open(place, backend=backend) as db:
        db.set(Note("a", text="abc"))
        db.commit()
    place.chmod(0o777)
    for mode in ("rw", "ro"):
        with (
            pytest.raises(incr.StoreError, match=f"{place}: can be written by group:.*trust them by name"),
            incr.open(place, backend=backend, mode=mode),  # pyright: ignore[reportArgumentType]
        ):
            pass
    with pytest.raises(TypeError, match=r"lists of names, like \['everyone'\]"):
        incr.open(place, backend=backend, trust="everyone").__enter__()
    with incr.open(place, backend=backend, trust=["everyone", f"group:{place.group()}"]) as db:
        assert db[Note, "a"].text == "abc"


@pytest.mark.spec("paged.zstd")
def test_compression_needs_its_package_when_a_store_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with incr.open(tmp_path / "state") as db:
        db.set(Note("a", text="abc"))
        db.commit()
    before = {file.name: file.read_bytes() for file in (tmp_path / "state").iterdir()}
    monkeypatch.setitem(sys.modules, "zstandard", None)
    for place in ("state", "new"):
        with (
            pytest.raises(incr.StoreError, match=rf"{place}.*: needs zstd compression; install .*incr-runtime\[zstd\]"),
            incr.open(tmp_path / place, compress=True),
        ):
            pass
    assert not (tmp_path / "new").exists()
    assert {file.name: file.read_bytes() for file in (tmp_path / "state").iterdir()} == before
    with incr.open(tmp_path / "state", compress=True, mode="ro") as db:  # nothing is compressed, nothing will be
        assert db[Note, "a"].text == "abc"


@pytest.mark.spec("store.place")
@pytest.mark.parametrize("backend", ["file", "sqlite"])
def test_the_working_directory_may_change(
    tmp_path: Path, backend: Literal["file", "sqlite"], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with incr.open("state", backend=backend) as db, incr.open("copied") as other:
        db.set(Note("a", text="abc"))
        monkeypatch.chdir("elsewhere")
        db.commit()
        db.checkpoint()
        db.set(Note("b", text="abc"))
        db.commit()
        with pytest.raises(incr.StoreLockedError), incr.open(tmp_path / "state", backend=backend):
            pass
        other.backup("copy")  # a path that is given now means what it means now
    assert sorted(os.listdir(tmp_path / "elsewhere")) == ["copy"]
    monkeypatch.chdir(tmp_path)
    with incr.open("state", backend=backend) as db:
        assert list(db.keys(Note)) == ["a", "b"]


@pytest.mark.spec("open.directory")
def test_who_forgets_the_block_is_told(tmp_path: Path) -> None:
    opened: Any = incr.open(tmp_path)
    with pytest.raises(AttributeError, match=r"has no 'commit'.*`with incr\.open\(\.\.\.\) as db:`"):
        opened.commit()
    assert not hasattr(opened, "revision")
