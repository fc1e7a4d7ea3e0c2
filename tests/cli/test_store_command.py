"""`incr store` as a person and as a script use it: what it says, what it leaves, what it exits with."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from incr.cli import main, places
from incr.cli import store as module
from incr.cli.options import UsageError
from incr.cli.output import Plain
from incr.cli.places import replace_folder
from incr.cli.store_text import row_lines
from incr.maintenance import Problem, compare, copy
from incr.store import MemoryStore
from incr.store.file_store import FileStore
from incr.store.rows import Content, Delta
from incr.store.sqlite_store import SqliteStore
from kept_program import keep

Opening = Callable[[Path], Any]
OPEN: dict[str, Opening] = {"file": FileStore.open, "sqlite": SqliteStore.open}
OTHER = {"file": "sqlite", "sqlite": "file"}


@pytest.fixture(params=list(OPEN))
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(tmp_path: Path, backend: str) -> Path:
    path = tmp_path / "kept" / "state"
    path.parent.mkdir(exist_ok=True)
    store = OPEN[backend](path)
    keep(store)
    store.close()
    return path


def run(*arguments: object) -> int:
    return main(["store", *map(str, arguments)])


def document(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> dict[str, Any]:
    assert run(*arguments, "--json") == status
    said = capsys.readouterr()
    assert said.err == ""
    found: dict[str, Any] = json.loads(said.out)
    return found


def content(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return {str(file): file.read_bytes() for file in files if file.is_file() and file.name != "LOCK"}


def damage(place: Path, backend: str, text: bytes = b"odd") -> None:
    """Change a byte of what only one row has; in a log, one that no longer counts as its end."""
    for path in [place] if backend == "sqlite" else sorted(place.glob("*.incr")):
        data = path.read_bytes()
        if text in data:
            path.write_bytes(data.replace(text, text[:-1] + b"!"))
            return
    raise AssertionError("nothing to be damaged")


# --- looking ------------------------------------------------------------------------------------------------------


@pytest.mark.spec("cli.store.stat", "cli.store.json")
def test_stat_says_how_much_there_is(place: Path, backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(place)
    assert run("stat", place) == 0
    said = capsys.readouterr().out
    assert f"{backend} store of " in said
    assert "20 rows after 1 commit\n" in said
    assert "query app:pair: 3 rows, " in said
    assert "2 good, 1 suspect, 1 of them have to run" in said
    assert "1 without a value" in said
    found = document(capsys, "stat", place)
    assert found["path"] == str(place)
    assert (found["backend"], found["revision"], found["commits"], found["rows"]) == (backend, 2, 1, 20)
    assert found["bytes_on_disk"] >= max(map(len, before.values()))
    assert found["can"]["lazy"]
    assert [one["rows"] for one in found["sections"] if one["section"] == "app:pair"] == [3]
    assert content(place) == before


@pytest.mark.spec("cli.store.verify", "cli.store.status")
def test_verify_finds_damage_and_says_so_by_its_status(
    place: Path, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("verify", place, "--deep") == 0
    assert "nothing is wrong" in capsys.readouterr().out
    assert document(capsys, "verify", place) == {"path": str(place), "problems": []}
    store = OPEN[backend](place)
    store.checkpoint()
    store.close()
    damage(place, backend)
    before = content(place)
    assert run("verify", place, "--deep") == 1
    said = capsys.readouterr().out
    assert "nothing is wrong" not in said
    found = document(capsys, "verify", place, "--deep", status=1)
    assert found["problems"]
    assert content(place) == before


@pytest.mark.spec("cli.store.dump")
def test_dump_and_export_have_each_row(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("dump", place, "--section", "pair", "--prefix", '["user", 1]', "--values") == 0
    said = capsys.readouterr().out.splitlines()
    assert 'query app:pair ["user", 1]: good, changed at 1, 2 dependencies, ' in said[0]
    assert said[1:] == ["    = 1.5", '    pushed [["Diagnostics", 0, "odd"]]']
    assert run("dump", place, "--section", "pair", "--prefix", '["user:1"]') == 0
    assert ": has to run, " in capsys.readouterr().out
    assert run("dump", place, "--section", "Diagnostics") == 0
    assert ": suspect, " in capsys.readouterr().out
    assert run("dump", place, "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 20
    assert run("export", place) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["row"] for line in lines[1:]] == [row["row"] for row in rows]
    target = tmp_path / "export.jsonl"
    assert document(capsys, "export", place, "--to", target)["to"] == str(target)
    assert target.read_text().splitlines() == lines
    assert run("export", place, "--to", target) == 2
    assert "is there already" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.jsonl", "kept"]


# --- making -------------------------------------------------------------------------------------------------------


@pytest.mark.spec("cli.store.migrate")
def test_migrate_makes_the_same_store_of_the_other_backend(
    place: Path, backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(place)
    target = tmp_path / "new" / "state"
    target.parent.mkdir()
    found = document(capsys, "migrate", place, target)
    assert found == {"path": str(place), "target": str(target), "backend": OTHER[backend], "rows": 20}
    assert run("migrate", target, tmp_path / "same", "--backend", OTHER[backend]) == 0
    assert "20 rows were copied" in capsys.readouterr().out
    memory = MemoryStore().open()
    keep(memory)
    for path in (target, tmp_path / "same"):
        store = OPEN[OTHER[backend]](path)
        compare(memory, store)
        store.close()
    assert [name for name in os.listdir(target.parent) if "incomplete" in name] == []
    assert run("migrate", place, target) == 2
    assert content(place) == before


@pytest.mark.spec("cli.store.migrate", "cli.store.status")
def test_what_cannot_be_finished_leaves_nothing(
    place: Path, backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = OPEN[backend](place)
    store.checkpoint()
    store.close()
    damage(place, backend)
    target = tmp_path / "new" / "state"
    target.parent.mkdir()
    assert run("migrate", place, target) == 1
    assert "incr store: " in capsys.readouterr().err
    assert list(target.parent.iterdir()) == []


@pytest.mark.spec("cli.store.repair")
def test_repair_takes_what_can_be_read_to_a_new_store(
    place: Path, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    new = place.with_name("state.salvaged")
    assert run("repair", place, "--salvage") == 0
    assert "20 rows were taken over" in capsys.readouterr().out
    memory = MemoryStore().open()
    keep(memory)
    store = OPEN[backend](new)
    compare(memory, store)
    store.checkpoint()
    store.close()
    damage(new, backend)
    before = content(new)
    other = place.with_name("other")
    found = document(capsys, "repair", new, "--salvage", "--to", other, status=1)
    assert found["lost"] or found["went_back"]
    assert found["to"] == str(other)
    assert run("verify", other, "--deep") == 0
    capsys.readouterr()
    assert run("repair", new, "--salvage", "--to", place.with_name("third")) == 1
    assert "lost: " in (said := capsys.readouterr().out) or "without it: " in said
    assert content(new) == before
    assert (
        sorted(path.name for path in place.parent.iterdir() if "copy" in path.name or "incomplete" in path.name) == []
    )
    assert run("repair", place) == 2
    assert "needs --salvage" in capsys.readouterr().err


@pytest.mark.spec("cli.store.compact")
def test_compact_gives_room_back(place: Path, backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = OPEN[backend](place)
    number = store.find(5, store.row(5 * 256).key)
    for size in (3_000_000, 1):
        rows = {number: (store.row(number), Content(bytes(size), b""))}
        store.append(Delta(2, (), None, 11, rows, (), (), ()))
        store.checkpoint()
    expected = MemoryStore().open()
    copy(store, expected)
    store.close()
    found = document(capsys, "compact", place)
    assert found["after"] < found["before"] / 2
    assert run("compact", place) == 0
    assert "bytes, and has" in capsys.readouterr().out
    store = OPEN[backend](place)
    compare(expected, store)
    store.close()
    assert sorted(os.listdir(place.parent)) == (["state"] if backend == "file" else ["state", "state-lock"])


@pytest.mark.spec("cli.store.compact")
def test_a_folder_that_has_changed_or_was_left_is_not_replaced(tmp_path: Path) -> None:
    one, new = tmp_path / "one", tmp_path / "new"
    one.mkdir()
    new.mkdir()
    with pytest.raises(Exception, match="was written to meanwhile"):
        replace_folder(one, new, lambda: False)
    (tmp_path / "one.before").mkdir()
    with pytest.raises(UsageError, match="cut short"):
        replace_folder(one, new, lambda: True)
    assert one.is_dir()


# --- what goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.spec("cli.store.status")
def test_each_kind_of_trouble_has_its_status(
    place: Path, backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("stat", tmp_path / "missing") == 2
    assert "there is nothing at" in capsys.readouterr().err
    assert run("dump", place, "--section", "missing") == 3
    assert "no section 'missing'" in capsys.readouterr().err
    (tmp_path / "text").write_text("no database" * 100)
    assert run("stat", tmp_path / "text") == 1
    assert "not a database" in capsys.readouterr().err
    assert run("verify", tmp_path / "text") == 1
    assert "not a database" in capsys.readouterr().out
    (tmp_path / "folder").mkdir()
    assert run("stat", tmp_path / "folder") == 3
    store = OPEN[backend](place)
    assert run("stat", place) == 0  # reading is possible meanwhile
    assert run("compact", place) == 3
    assert "is held by process" in capsys.readouterr().err
    store.close()
    for wrong in (["stat"], ["dump", place, "--prefix", "text"], ["dump", place, "--prefix", "[[1]]"], []):
        with pytest.raises(SystemExit) as ended:
            run(*wrong)
        assert ended.value.code == 2


@pytest.mark.spec("cli.store.status")
def test_where_nothing_can_be_made_it_says_so(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing" / "new"
    assert run("export", place, "--to", missing) == 3
    said = capsys.readouterr().err
    assert "missing/new.incomplete-" in said
    assert "No such file or directory; it, or a part of its path, is not there; make it" in said

    # A medium that cannot be written to, where nothing can be removed either.
    def refuse(path: object, *more: object, **options: object) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    for name in ("copytree", "copyfile"):
        monkeypatch.setattr(places.shutil, name, refuse)
    monkeypatch.setattr(places.os, "unlink", refuse)
    assert run("repair", place, "--salvage") == 3
    said = capsys.readouterr().err
    assert "Read-only file system; give a path on a file system that can be written" in said
    assert "above" not in said


@pytest.mark.spec("cli.store.status")
def test_an_interrupt_and_a_closed_pipe_end_it_quietly(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*values: object, **options: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(places.SqliteStore, "open", interrupted)
        patch.setattr(places.FileStore, "open", interrupted)
        assert run("stat", place) == 130
    command = [sys.executable, "-m", "incr", "store", "export", str(place)]
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb", closefd=True) as closed:
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, check=False, env=os.environ)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.spec("cli.store.verify")
def test_long_lists_are_cut_for_people_only(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [Problem("s", number, "odd") for number in range(60)] + [Problem("", None, "all of it")]
    monkeypatch.setattr(module, "verify", lambda store, deep, progress: iter(found))
    assert run("verify", place) == 1
    said = capsys.readouterr().out
    assert "s row 49: odd" in said
    assert "s row 50" not in said
    assert "and 11 more; --json lists them all" in said
    assert len(document(capsys, "verify", place, status=1)["problems"]) == 61
    row = {
        "row": 1, "kind": "query", "section": "s", "key": "x" * 500, "good": True, "valid_from": 1, "changed_at": 1,
        "dependencies": [], "value_bytes": 1, "pushes_bytes": 0,
    }  # fmt: skip
    (line,) = row_lines(row)
    assert len(line) < 300


@pytest.mark.spec("cli.store.stat")
def test_progress_is_shown_where_it_takes_long(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int, int]] = []

    class Watching(Plain):
        def progress(self, label: str) -> Any:
            return nullcontext(lambda done, total: told.append((label, done, total)))

    monkeypatch.setattr(module, "choose_output", Watching)
    for action in ("stat", "verify", "compact"):
        assert run(action, place) == 0
    assert {"counting", "verifying"} <= {label for label, _, _ in told}


@pytest.mark.spec("cli.store.repair")
def test_a_store_of_which_nothing_is_left_is_not_passed_off_as_empty(
    place: Path, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in [place] if backend == "sqlite" else sorted(place.glob("*.incr")):
        path.write_bytes(b"damaged" + path.read_bytes()[7:])
    assert run("repair", place, "--salvage") == 1
    said = capsys.readouterr()
    if backend == "sqlite":
        assert "not a database" in said.err
    else:
        assert f"without it: {place}/log-" in said.out
        assert "0 rows were taken over" in said.out
