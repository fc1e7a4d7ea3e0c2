"""Type checkers accept the program of the front page, and report each line of the wrong programs."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from project import PACKAGE, ROOT

HERE = Path(__file__).parent


def marked_lines(file: Path) -> list[int]:
    """The lines that are said to be wrong."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [number for number, line in enumerate(lines, 1) if re.search(r"# error: \w", line)]


def run(*arguments: str | Path, **environment: str) -> str:
    """What a type checker prints, whatever it finds."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        capture_output=True,
        check=False,
        cwd=HERE,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy_errors(file: Path, folder: Path) -> dict[int, str]:
    """What mypy reports, by line; tests share what it remembers of other modules."""
    # An installed package is found by itself, and mypy refuses to be led to it.
    path = {} if "site-packages" in PACKAGE.parts else {"MYPYPATH": str(PACKAGE.parent)}
    output = run(
        "mypy",
        "--strict",
        "--config-file=",
        "--no-error-summary",
        f"--cache-dir={folder.parent / 'mypy'}",
        file,
        **path,
    )
    # Errors in incr itself are not looked at here: mypy is run over the package by itself.
    found = re.findall(rf"^(?:.*/)?{re.escape(file.name)}:(\d+): error: (.*)$", output, flags=re.MULTILINE)
    return {int(line): text for line, text in found}


def pyright_errors(file: Path, folder: Path) -> dict[int, str]:
    """What pyright reports, by line; *folder* becomes a project with that file alone."""
    shutil.copy(file, folder)
    (folder / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "extraPaths": [str(PACKAGE.parent)]}), encoding="utf-8"
    )
    output = run("pyright", "--outputjson", "--pythonpath", sys.executable, "--project", folder)
    report = json.loads(output)
    assert report["summary"]["filesAnalyzed"] == 1, output
    return {
        item["range"]["start"]["line"] + 1: f"{item['message']} ({item.get('rule')})"
        for item in report["generalDiagnostics"]
        if item["severity"] == "error"
    }


CHECKERS: list[Callable[[Path, Path], dict[int, str]]] = [mypy_errors]
if importlib.util.find_spec("pyright") is not None:  # it needs node, which a machine with Python only does not have
    CHECKERS.append(pyright_errors)


@pytest.mark.parametrize("errors", CHECKERS)
def test_a_right_program_is_accepted(errors: Callable[[Path, Path], dict[int, str]], tmp_path: Path) -> None:
    assert errors(HERE / "good.py", tmp_path) == {}


@pytest.mark.parametrize("errors", CHECKERS)
def test_the_program_of_the_front_page_is_accepted(
    errors: Callable[[Path, Path], dict[int, str]], tmp_path: Path
) -> None:
    block = (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    program = tmp_path / "front_page.py"
    program.write_text(block, encoding="utf-8")
    folder = tmp_path / "checked"
    folder.mkdir()
    assert errors(program, folder) == {}


@pytest.mark.parametrize("errors", CHECKERS)
def test_each_wrong_line_is_reported(errors: Callable[[Path, Path], dict[int, str]], tmp_path: Path) -> None:
    found = errors(HERE / "bad.py", tmp_path)
    marked = marked_lines(HERE / "bad.py")
    assert {line: text for line, text in found.items() if line not in marked} == {}
    assert [line for line in marked if line not in found] == []
