"""The command `incr demo` as a person runs it: what it says, what it keeps, what it exits with."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import incr
from incr.cli import main
from incr.cli.state import state_folder
from incr.demo.inputs import Source
from incr.demo.queries import summary

MakeTree = Callable[[Mapping[str, str]], Path]

FILES = {
    "tool.py": "def used(a):\n    b = a\n    return b\n",
    "main.py": "import os\nfrom tool import used\nused(1)\n",
    "more.py": "from tool import used, lost\nprint(used, lost, nowhere)\n",
    "bad.py": "def (\n",
}


@pytest.fixture
def root(tree: MakeTree) -> Path:
    return tree(FILES)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "state"


def run(*arguments: object) -> int:
    return main(["demo", *map(str, arguments)])


@pytest.mark.spec("demo.again", "demo.edit")
def test_the_first_run_goes_on_in_a_second_process(root: Path, state: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(root, "--state", state) == 0
    first, second = capfd.readouterr().out.split("The second run, in a new process")
    assert f"A first run, from nothing: {root}" in first
    assert "4 files looked at" in first
    assert f"to {state}" in first
    assert "0 executed, 0 verified" in second
    assert "0 of them read" in second or "4 of them read" in second  # as new as the files are
    assert "Edit of a function body, in memory: used() in tool.py, which 2 files import" in second
    assert "  2 executed" in second
    assert "ran parse('tool.py'): something new\n    ran module('tool.py'): the same as before" in second
    assert "the summary has 2 parameters now, 1 before" in second
    assert "although something changed under" in second
    closing = second.strip().splitlines()
    assert "4 files, 1 of them with syntax errors" in second
    assert closing[-1].strip().startswith("0 executed after the opening, 2 after an edit of a function body, ")
    assert {path.name: path.read_text() for path in root.iterdir()} == FILES


@pytest.mark.spec("demo.again")
def test_a_later_run_executes_what_the_tree_asks_for(
    root: Path, state: Path, tree: MakeTree, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "--state", state, "--no-edits") == 0
    capfd.readouterr()

    assert run(root, "--state", state, "--no-edits") == 0
    again = capfd.readouterr().out
    assert "A run with the state of an earlier one" in again
    assert "The second run" not in again
    assert "0 executed, 0 verified" in again
    assert "Edit" not in again

    tree({"tool.py": FILES["tool.py"] + "lost = 1\n"})
    assert run(root, "--state", state, "--no-edits", "--problems") == 0
    changed = capfd.readouterr().out
    assert "\n  0 executed" not in changed
    assert "committed" in changed
    assert "missing name" not in changed
    assert run(root, "--state", state, "--no-edits") == 0
    assert "0 executed, 0 verified" in capfd.readouterr().out

    assert run(root, "--state", state, "--no-edits", "--fresh") == 0
    assert "A first run, from nothing" in capfd.readouterr().out


def test_problems_are_listed_for_editors(root: Path, state: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(root, "--state", state, "--no-edits", "--problems") == 0
    lines = [line.strip() for line in capfd.readouterr().out.splitlines()]
    assert "main.py:1: unused import: os" in lines
    assert "more.py:1: missing name: tool.lost" in lines
    assert "more.py:2: undefined name: nowhere" in lines
    assert any(line.startswith("bad.py:1: syntax error: ") for line in lines)


@pytest.mark.spec("demo.again", "demo.edit")
def test_one_json_document(root: Path, state: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(root, "--state", state, "--json") == 0
    found: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert found["path"] == str(root)
    cold, again = found["runs"]
    assert (cold["kind"], cold["files"], cold["read"]) == ("cold", 4, 4)
    assert cold["executed"] > 30
    assert (again["kind"], again["executed"], again["verified"]) == ("again", 0, 0)
    assert cold["seconds"]["commit"] > 0
    assert cold["state_bytes"] > 0
    assert again["state_bytes"] > sum(file.stat().st_size for file in state.glob("base-*")) > 1000
    body, signature, comment = found["edits"]
    assert body["executed"] == [["parse", ["tool.py"]], ["module", ["tool.py"]]]
    assert body["backdated"] == [["module", ["tool.py"]]]
    assert "verified" in body["why"]
    assert ["summary", []] in signature["executed"]
    assert comment["executed"] == [["parse", ["tool.py"]]]
    assert found["summary"]["unused_imports"] == 1
    assert found["problems"]["more.py"] == [
        {"line": 1, "kind": "missing name", "text": "tool.lost"},
        {"line": 2, "kind": "undefined name", "text": "nowhere"},
    ]


@pytest.mark.spec("demo.again")
def test_a_damaged_state_is_moved_aside(root: Path, state: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(root, "--state", state, "--no-edits") == 0
    (base,) = state.glob("base-*")
    content = bytearray(base.read_bytes())
    content[-1] ^= 1
    base.write_bytes(content)
    capfd.readouterr()
    assert run(root, "--state", state, "--no-edits") == 0
    said = capfd.readouterr().out
    assert f"the state was moved to {state}.corrupt-1, and this run begins from nothing" in said
    assert "0 executed after the opening" in said  # in the second process
    assert (state.parent / "state.corrupt-1" / base.name).read_bytes() == bytes(content)


@pytest.mark.spec("demo.again")
def test_damage_that_is_found_while_running(root: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, "--state", state, "--no-edits", "--second") == 0
    whole = capsys.readouterr().out.rpartition("Summary")[2].splitlines()
    (base,) = state.glob("base-*")
    content = base.read_bytes()
    begun = late = 0
    for place in range(0, len(content), len(content) // 12):
        shutil.rmtree(state)
        assert run(root, "--state", state, "--no-edits", "--second") == 0
        capsys.readouterr()
        content = base.read_bytes()
        base.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert run(root, "--state", state, "--problems", "--second") == 0
        said = capsys.readouterr().out
        begun += "begins from nothing" in said
        late += "begins from nothing" in said.partition("opened")[2]
        assert said.rpartition("Summary")[2].splitlines()[:-1] == whole[:-1]
    assert begun > 6
    assert late > 0  # some of it is met only by what asks for it


def test_a_state_is_forgotten_only_if_it_is_one(
    root: Path, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "--state", state, "--no-edits", "--second") == 0
    assert run(root, "--state", state, "--no-edits", "--second", "--fresh") == 0
    assert "from nothing" in capsys.readouterr().out.splitlines()[-1]
    assert [path.name for path in state.parent.iterdir()] == ["state"]

    with incr.open(state):  # somebody else has it
        assert run(root, "--state", state, "--fresh") == 1
    assert "is held by" in capsys.readouterr().err
    with incr.open(state, mode="ro") as db:
        assert list(db.keys(Source)) == sorted(FILES)

    assert run(root, "--state", root, "--fresh") == 1
    assert "is not a store of incr" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in root.iterdir()} == FILES
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o700)
    assert run(root, "--state", empty, "--fresh", "--second", "--no-edits") == 0


def test_status_1_for_a_state_that_cannot_be_used(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert run(root, "--state", file) == 1
    assert str(file) in capsys.readouterr().err


def test_status_2_for_wrong_usage(tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "nowhere", "--state", state) == 2
    assert "is not a folder" in capsys.readouterr().err
    assert run(tmp_path, "--state", state) == 2
    assert "there is no Python file" in capsys.readouterr().err
    assert not state.exists()
    for arguments in ([], ["unknown"], ["demo", "--json", "--watch"]):
        with pytest.raises(SystemExit) as exit:
            main(arguments)
        assert exit.value.code == 2


def test_status_2_without_watchfiles(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    assert run(root, "--watch") == 2
    assert "pip install 'incr-runtime[demo]'" in capsys.readouterr().err


class Interrupting(io.StringIO):
    """Somebody presses Ctrl-C as soon as there is something to read."""

    def write(self, text: str) -> int:
        signal.raise_signal(signal.SIGINT)
        return super().write(text)


def test_status_130_for_an_interrupted_run(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Interrupting())
    assert run(root, "--state", state) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not state.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="a process there cannot be sent a Ctrl-C alone")
@pytest.mark.spec("demo.watch")
def test_watching_ends_by_ctrl_c_and_keeps_the_state(root: Path, state: Path) -> None:
    pytest.importorskip("watchfiles", reason="--watch needs it")
    command = [sys.executable, "-m", "incr", "demo", str(root), "--state", str(state), "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        # The heading is printed when the loop is entered.
        while not process.stdout.readline().startswith("Watching"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    with incr.open(state) as db:
        assert summary(db).files == 4
        assert db.statistics().executed == 0


class Terminal(io.StringIO):
    """A terminal that keeps what it shows."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("name", ["rich", "no such package"])
def test_a_terminal_is_shown_the_same_lines(
    name: str, root: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "rich":
        pytest.importorskip("rich", reason="it makes the colours")
        monkeypatch.setenv("TERM", "xterm-256color")
    else:
        monkeypatch.setitem(sys.modules, "rich", None)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    assert run(root, "--state", state, "--second", "--problems") == 0
    raw = terminal.getvalue()
    assert ("\x1b[" in raw) == (name == "rich")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw)
    assert "Edit of a comment, in memory: used() in tool.py" in shown
    assert "more.py:2: undefined name: nowhere" in shown
    assert "4 files, 1 of them with syntax errors" in shown


def test_the_state_is_kept_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, other = state_folder(Path("/a/some tree")), state_folder(Path("/b/some tree"))
    assert one.parent == tmp_path / "incr" / "demo"
    assert one.name.startswith("some_tree-")
    assert one != other
    assert one == state_folder(Path("/a/some tree"))
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if sys.platform != "win32":
        assert state_folder(Path("/")).is_relative_to(tmp_path / "home" / ".cache")
