"""The programs under examples/ run and say what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "src"
    root.mkdir()
    (root / "shop.py").write_text("import os\n\ndef price(item):\n    return itm.price\n")
    (root / "till.py").write_text("import shop\nprint(shop)\n")
    (root / "main.py").write_text("import till\nprint(till)\n")
    return root


def test_each_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == {
        "analyse_tree.py",
        "ask_more.py",
        "change_log.py",
        "diagnostics.py",
        "language_server.py",
        "liveness.py",
        "preview_rename.py",
        "quickstart.py",
    }


@pytest.mark.spec("log.replay", "log.batch")
def test_the_log_goes_on_where_it_was(tmp_path: Path) -> None:
    assert run("change_log.py", tmp_path / "log") == "0 entries: {}\n"
    assert run("change_log.py", tmp_path / "log") == "3 entries: {'ada': 300, 'ben': 200}\n"


@pytest.mark.spec("memo.backdate")
def test_the_quickstart_counts_only_what_changed() -> None:
    out = run("quickstart.py")
    assert out.count("counting a.txt") == 1
    assert out.count("counting b.txt") == 3
    assert out.count("adding up") == 2
    assert "total(): executed" in out


@pytest.mark.spec("cycle.fixpoint", "cycle.component")
def test_liveness_looks_again_only_at_loops_that_changed() -> None:
    first, again, needed, spare = re.split("nothing has changed:|the end needs seen:|the start sets one more:",
                                           run("liveness.py"))  # fmt: skip
    assert "1 start needs n; sets for nobody: seen" in first
    assert "3 body needs i, n, total; sets for nobody: seen" in first
    assert "looking at" not in again
    assert "3 body needs i, n, total" in needed
    assert "2 test needs i, n, seen, total" in needed
    assert spare.count("looking at") == 1
    assert "1 start needs n; sets for nobody: spare" in spare


@pytest.mark.spec("demo.again")
def test_the_analysis_as_a_library_runs_nothing_the_second_time(folder: Path, tmp_path: Path) -> None:
    first = run("analyse_tree.py", folder, tmp_path / "state").splitlines()
    assert first[:-1] == ["shop.py:1: unused import: os", "shop.py:4: undefined name: itm"]
    second = run("analyse_tree.py", folder, tmp_path / "state").splitlines()
    assert second == [*first[:-1], "0 queries ran"]


def test_a_question_on_top_runs_again_only_for_what_changed(folder: Path) -> None:
    out = run("ask_more.py", folder, "shop.py")
    assert "a change of shop.py reaches 2 files: main.py till.py" in out
    assert "after a remark in it, 1 query runs" in out
    assert "reached('shop.py'): verified" in out


@pytest.mark.spec("fork.isolated", "fork.shared")
def test_a_rename_is_previewed_without_touching_a_file(folder: Path) -> None:
    (folder / "bill.py").write_text("from shop import price\n\nprint(price)\n")
    texts = {path: path.read_text() for path in folder.iterdir()}
    out = run("preview_rename.py", folder, "price", "cost", "shop.py")
    assert "2 problems before" in out
    assert out.count("would be new") == 1
    assert "would be new: bill.py: " in out
    assert texts == {path: path.read_text() for path in folder.iterdir()}


@pytest.mark.spec("history.snapshot", "thread.read", "thread.write")
def test_requests_are_answered_for_the_text_that_was_sent_before_them() -> None:
    assert run("language_server.py").splitlines() == [
        "late: revision 7: shop:price till:pay till:price",
        "early: revision 2: shop:price till:pay",
        "doubtful: given up",
        "problems now: price is also in shop",
        "symbols ran 4 times for 7 revisions of two files",
    ]


@pytest.mark.spec("accumulate.incremental")
def test_diagnostics_follow_the_edits() -> None:
    lines = run("diagnostics.py").splitlines()
    assert lines == [
        "first: 80, 7 calls ran",
        "  shop:2: a line is `name = term + term`",
        "  shop:3: tax is not defined",
        "  main:1: discount is not defined",
        "after `tax` was mended: 84, 7 calls ran",
        "  main:1: discount is not defined",
        "after `discount` was given another name: 84, 3 calls ran",
        "  main:1: rebate is not defined",
    ]
