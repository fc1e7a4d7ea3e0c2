"""An environment of its own for each system: two of them share the import name `incr`.

Law: environments live in `.benchmarks/` beside this folder, which is never committed; they are made by `venv` and `pip`
from whatever package index pip is set up for. incr itself is installed anew for each run, from a copy of the checkout,
so that what is measured is what a user would get.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path

from workloads import REQUIREMENTS

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".benchmarks"
COPIED = ("pyproject.toml", "README.md", "LICENSE")


def make(system: str, python: str, version: str) -> Path:
    """The interpreter of *system*'s environment, made and filled if need be."""
    folder = FOLDER / f"{system}-{version}"
    interpreter = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
        requirements = REQUIREMENTS[system]
        _install(interpreter, *(_own_requirements() if requirements is None else requirements))
        (folder / "complete").touch()
    if REQUIREMENTS[system] is None:
        _install_checkout(interpreter)
    return interpreter


def _install(interpreter: Path, *arguments: str) -> None:
    if arguments:
        command = [str(interpreter), "-m", "pip", "install", "-q", "--disable-pip-version-check", *arguments]
        subprocess.run(command, check=True)


def _own_requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    requirements: list[str] = project["project"]["dependencies"]
    return requirements


def _install_checkout(interpreter: Path) -> None:
    # A copy: building in place would leave files behind that the next build picks up.
    with tempfile.TemporaryDirectory() as folder:
        for name in COPIED:
            shutil.copy(ROOT / name, folder)
        shutil.copytree(ROOT / "incr", Path(folder) / "incr", ignore=shutil.ignore_patterns("__pycache__"))
        _install(interpreter, "--no-deps", "--force-reinstall", folder)
