"""Trees of Python files for the demo's tests: as inputs of a database, or as files on the disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

import incr
from incr.demo.inputs import Source, Tree, this_interpreter

Files = Mapping[str, str]


@pytest.fixture
def database() -> Callable[..., incr.Database]:
    """A database with files as its inputs: ``database({"a.py": "import b"})``."""

    def make(files: Files, package: str = "", starts: tuple[str, ...] = ("",)) -> incr.Database:
        db = incr.Database()
        with db.batch() as batch:
            batch.set(this_interpreter())
            batch.set(Tree(root="/nowhere", package=package, starts=starts))
            for path, text in files.items():
                batch.set(Source(path, text=dedent(text)))
        return db

    return make


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[Files], Path]:
    """Files on the disk below a new folder, whose path is returned."""

    def make(files: Files) -> Path:
        root = tmp_path / "tree"
        root.mkdir(exist_ok=True)
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(dedent(text), encoding="utf-8")
        return root

    return make
