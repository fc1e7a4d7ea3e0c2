"""Where the project's files are, for tests that read them, and new interpreters that see the same incr as the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import incr

__all__ = ["PACKAGE", "ROOT", "module_name", "modules", "run_python"]

#: The checkout: documentation and tests.
ROOT = Path(__file__).resolve().parents[2]
#: The package that is tested: the installed one, unless the checkout is on the path.
PACKAGE = Path(incr.__file__).resolve().parent


def module_name(file: Path) -> str:
    """The name that a file of the package is imported by."""
    parts = ("incr", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> dict[str, Path]:
    """The package's modules by name."""
    return {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def run_python(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """What a new interpreter prints; its error output goes into the failure if it fails."""
    path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        check=False,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
