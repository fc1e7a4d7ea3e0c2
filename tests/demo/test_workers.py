"""Several threads over one database: the same answers as one thread's, and a request that keeps its revision."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import incr
from incr.cli import main
from incr.demo.inputs import Source
from incr.demo.measuring import analyse, cost_of
from incr.demo.queries import summary
from incr.demo.workers import analyse_in_threads, answer_while_typing

MakeDatabase = Callable[[Mapping[str, str]], incr.Database]
MakeTree = Callable[[Mapping[str, str]], Path]

FILES = {
    "tool.py": "def used(a):\n    b = a\n    return b\n",
    **{f"user{number}.py": f"from tool import used\nused({number})\n" for number in range(30)},
}


def from_scratch(database: MakeDatabase, db: incr.View) -> Any:
    return analyse(database({path: db[Source, path].text for path in db.keys(Source)}))


@pytest.mark.spec("demo.threads", "thread.single")
@pytest.mark.parametrize("threads", [1, 4])
def test_threads_run_what_one_thread_runs_and_give_the_same(threads: int, database: MakeDatabase) -> None:
    alone, together = database(FILES), database(FILES)
    with cost_of(alone) as once:
        expected = analyse(alone)
    progress: list[tuple[int, int]] = []
    with cost_of(together) as shared:
        assert analyse_in_threads(together, threads, lambda done, total: progress.append((done, total))) == expected
    assert sorted(shared.executed) == sorted(once.executed)
    assert progress == [(done, 31) for done in range(1, 32)]
    with cost_of(together) as again:
        assert analyse_in_threads(together, threads) == expected
    assert again.executed == []


@pytest.mark.spec("demo.threads", "thread.read", "history.snapshot")
def test_a_request_keeps_its_revision_while_the_file_is_edited(database: MakeDatabase) -> None:
    db = database(FILES)
    before = analyse(db)
    revision = db.revision
    request = answer_while_typing(db, "tool.py", 4)
    assert request.edits >= 1
    assert (request.revision, request.newest) == (revision + 1, revision + 1 + request.edits)
    assert request.answer.functions == before.functions + 1
    assert request.after.functions == before.functions + 1 + request.edits
    assert request.after == summary(db) == from_scratch(database, db)
    one = database({**FILES, "tool.py": FILES["tool.py"] + "\ndef typed_1():\n    return 1\n"})
    assert request.answer == analyse(one)


@pytest.mark.spec("demo.threads")
def test_the_command_with_threads(tree: MakeTree, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root, state = tree(FILES), tmp_path / "state.incr"
    assert main(["demo", str(root), "--state", str(state), "--threads", "3"]) == 0
    first, second = capfd.readouterr().out.split("The second run, in a new process")
    assert ", by 3 threads that waited for each other" in first
    assert "A request of all files, answered on a snapshot by 3 threads while tool.py is edited" in second
    assert ": 2 functions\n" in second  # the one that was there, and the one that the request is about
    assert "edits were written before the answer was there" in second


@pytest.mark.spec("demo.threads")
def test_the_document_with_threads(
    tree: MakeTree, database: MakeDatabase, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root, state = tree(FILES), tmp_path / "state.incr"
    assert main(["demo", str(root), "--state", str(state), "--threads", "2", "--json"]) == 0
    found: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert [run["threads"] for run in found["runs"]] == [2, 2]
    request = found["request"]
    assert request["newest"] - request["revision"] == request["edits"] >= 1
    assert request["after"]["functions"] - request["answer"]["functions"] == request["edits"]
    assert found["summary"] == json.loads(json.dumps(asdict(analyse(database(FILES)))))


@pytest.mark.parametrize("threads", ["0", "-1", "many", "257"])
def test_a_wrong_number_of_threads(threads: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["demo", str(tmp_path), f"--threads={threads}"])
    assert exit.value.code == 2
    assert "is not a number of threads from 1 to 256" in capsys.readouterr().err


def test_threads_without_a_file_to_edit(tree: MakeTree, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root, state = tree({"empty.py": ""}), tmp_path / "state.incr"
    assert main(["demo", str(root), "--state", str(state), "--threads", "2", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["request"] is None


@pytest.mark.spec("demo.threads")
def test_a_loaded_state_is_read_by_threads(database: MakeDatabase, tmp_path: Path) -> None:
    db = database(FILES)
    expected = analyse(db)
    db.save(tmp_path / "state.incr")
    loaded = incr.Database()
    assert loaded.load(tmp_path / "state.incr")
    with cost_of(loaded) as cost:
        assert analyse_in_threads(loaded, 4) == expected
    assert cost.executed == []
