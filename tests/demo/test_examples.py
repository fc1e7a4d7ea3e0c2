"""The programs under examples/ run and say what they promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.spec("memo.backdate")
def test_the_quickstart_counts_only_what_changed() -> None:
    out = run("quickstart.py")
    assert out.count("counting a.txt") == 1
    assert out.count("counting b.txt") == 3
    assert out.count("adding up") == 2
    assert "total(): executed" in out


@pytest.mark.spec("demo.again")
def test_the_analysis_as_a_library_runs_nothing_the_second_time(tmp_path: Path) -> None:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "shop.py").write_text("import os\n\ndef price(item):\n    return itm.price\n")
    first = run("analyse_tree.py", folder, tmp_path / "state")
    assert "shop.py:1:" in first
    assert "itm" in first
    second = run("analyse_tree.py", folder, tmp_path / "state")
    assert second.splitlines()[:-1] == first.splitlines()[:-1]
    assert second.endswith("\n0 queries ran\n")
