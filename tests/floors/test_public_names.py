"""Public names are listed, documented and cheap to import."""

from __future__ import annotations

import inspect

import pytest

import incr
from project import run_python

#: What costs time or does not come with Python: imported by whoever uses it, not by `import incr`.
HEAVY = ["asyncio", "cbor2", "dataclasses", "inspect", "networkx", "rich", "trio", "watchfiles", "xxhash"]


def test_all_is_sorted_and_complete() -> None:
    assert incr.__all__ == sorted(incr.__all__)
    assert sorted(dir(incr), key=str) == sorted(set(dir(incr)) | set(incr.__all__))
    public = {name for name, value in vars(incr).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert public <= set(incr.__all__)
    assert all(hasattr(incr, name) for name in incr.__all__)


@pytest.mark.parametrize("name", incr.__all__)
def test_each_public_name_is_documented(name: str) -> None:
    value = getattr(incr, name)
    assert inspect.getdoc(value), name
    if not inspect.isclass(value):
        return
    assert "__doc__" in vars(value), f"{name} has only the docstring of its base"
    members = {
        member: found
        for member, found in vars(value).items()
        if not member.startswith("_") and (inspect.isfunction(found) or isinstance(found, property | classmethod))
    }
    assert [f"{name}.{member}" for member, found in members.items() if not inspect.getdoc(found)] == []


@pytest.mark.spec("loop.free")
def test_importing_incr_imports_nothing_heavy() -> None:
    # What is there before is not incr's: a tool that measures the tests may have brought it.
    script = (
        f"import sys; before = set(sys.modules); import incr; print(set({HEAVY}) & set(sys.modules) - before or '')"
    )
    assert run_python("-c", script) == "\n"


@pytest.mark.spec("loop.free")
def test_sync_queries_import_no_loop() -> None:
    script = """
import sys
import incr

@incr.input
class Source:
    path: str = incr.key()
    text: str

@incr.interned
class Word:
    text: str

@incr.query
def words(db: incr.View, path: str) -> tuple[Word, ...]:
    return tuple(db.intern(Word(word)) for word in db[Source, path].text.split())

@incr.query
def count(db: incr.View) -> int:
    return sum(len(words(db, path)) for path in db.keys(Source))

db = incr.Database()
with db.batch() as batch:
    batch.set(Source("a", "x y"))
    batch.set(Source("b", "x"))
assert count(db) == 3
with db.snapshot() as view:
    db.set(Source("b", "z w"))
    assert (count(view), count(db)) == (3, 4)
db.explain(count)
db.statistics()
"""
    script += f"print([name for name in {HEAVY} if name in sys.modules and name not in ['dataclasses', 'inspect']])"
    assert run_python("-c", script) == "[]\n"
