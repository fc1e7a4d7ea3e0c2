"""Code that many people have read: what is said about it has to be true."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

import pytest

import incr
from incr.demo.measuring import analyse, make_edits, most_imported
from incr.demo.queries import loads
from incr.demo.reading import read_tree

STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
SKIPPED = shutil.ignore_patterns("__pycache__", "test", "tests", "idle_test")


@pytest.mark.trio
@pytest.mark.spec("demo.edit")
@pytest.mark.parametrize(
    "name", ["asyncio", "concurrent", "email", "importlib", "json", "logging", "unittest", "wsgiref"]
)
async def test_a_package_of_the_standard_library(name: str, tmp_path: Path) -> None:
    root = tmp_path / name
    shutil.copytree(STANDARD_LIBRARY / name, root, ignore=SKIPPED)
    db = incr.Database()
    change = await read_tree(db, root)
    found = analyse(db)
    assert found.files == change.files == len([*root.rglob("*.py")]) > 1
    assert (found.syntax_errors, found.undefined_names, found.missing_names) == (0, 0, 0)
    assert found.inside > 0
    chosen = most_imported(db)
    assert chosen is not None
    body, signature, comment = make_edits(db, chosen[0])
    assert len(body.cost.executed) < 10
    assert len(signature.cost.executed) < 40
    assert [query for query, _ in comment.cost.executed] == ["parse"]
    assert body.before == body.after
    assert signature.after.parameters == signature.before.parameters + 1


@pytest.mark.trio
@pytest.mark.spec("memo.consistency")
async def test_files_that_go_and_come_back(tmp_path: Path) -> None:
    for name in ("json", "email", "urllib"):
        shutil.copytree(STANDARD_LIBRARY / name, tmp_path / name, ignore=SKIPPED)
    db = incr.Database()
    await read_tree(db, tmp_path)
    whole = analyse(db)

    assert "urllib/parse.py" in loads(db, "urllib/request.py")
    parts = tmp_path / "urllib" / "parse.py"
    text = parts.read_text(encoding="utf-8")
    parts.unlink()
    await read_tree(db, tmp_path)
    fresh = incr.Database()
    await read_tree(fresh, tmp_path)
    assert analyse(db) == analyse(fresh) != whole
    assert "urllib/parse.py" not in loads(db, "urllib/request.py")

    parts.write_text(text, encoding="utf-8")
    await read_tree(db, tmp_path)
    assert analyse(db) == whole
