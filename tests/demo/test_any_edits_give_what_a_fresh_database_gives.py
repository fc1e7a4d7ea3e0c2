"""Whatever is edited in whatever order, the answers are those of a database that was given the last texts only."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

import incr
from incr.demo.inputs import Source
from incr.demo.queries import report, summary

MakeDatabase = Callable[..., incr.Database]

PATHS = ["a.py", "b.py", "p/__init__.py", "p/a.py", "p/b.py", "q/c.py"]
LINES = [
    "import a, b",
    "import p.a",
    "from p import a, x",
    "from . import b, y",
    "from .a import x",
    "from ..b import y",
    "from b import *",
    "from .b import *",
    "from nowhere import *",
    "import q.c as z",
    "x = 1",
    "def y(a, b=x): return z",
    "class z(x): y = a",
    "def f():\n    import b\n    return q",
    "globals()['x'] = 1",
    "__all__ = ['x', 'f']",
    "def (",
]


def some_text(choose: random.Random) -> str:
    return "\n".join(choose.choices(LINES[:-2] if choose.random() < 0.9 else LINES, k=choose.randint(0, 6)))


@pytest.mark.spec("memo.consistency")
@pytest.mark.parametrize("seed", range(12))
def test_random_edits(seed: int, database: MakeDatabase) -> None:
    choose = random.Random(seed)
    texts = {path: some_text(choose) for path in choose.sample(PATHS, 4)}
    db = database(texts)
    for _ in range(25):
        path = choose.choice(PATHS)
        if path in texts and choose.random() < 0.3:
            del texts[path]
            db.remove(Source, path)
        else:
            texts[path] = some_text(choose)
            db.set(Source(path, text=texts[path]))
        fresh = database(texts)
        assert summary(db) == summary(fresh), f"seed {seed}: {texts}"
        assert [report(db, path) for path in texts] == [report(fresh, path) for path in texts], f"seed {seed}: {texts}"
    db.check_invariant()
