"""A question of your own on top of somebody else's queries: which files does a change of one file reach?

Run it with ``python examples/ask_more.py FOLDER FILE``, for example ``ask_more.py src shop/prices.py``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

import incr
from incr.demo.inputs import Source
from incr.demo.queries import loads
from incr.demo.reading import read_tree


@incr.query
def importers(db: incr.View, path: str) -> tuple[str, ...]:
    """The files that load this one. It reads the imports of every file, and runs again only if some of them change."""
    return tuple(other for other in db.keys(Source) if path in loads(db, other))


@incr.query
def reached(db: incr.View, path: str) -> tuple[str, ...]:
    """The files that load this one, directly or through others."""
    found = {path}
    waiting = [path]
    while waiting:  # a walk, because files may import each other in a circle
        new = set(importers(db, waiting.pop())) - found
        found |= new
        waiting += new
    return tuple(sorted(found - {path}))


async def main(folder: Path, path: str) -> None:
    db = incr.Database()
    await read_tree(db, folder)
    print(f"a change of {path} reaches {len(reached(db, path))} files:", *reached(db, path))

    before = db.statistics().executed
    db.set(Source(path, text=db[Source, path].text + "\n# a remark\n"))
    reached(db, path)
    print(f"after a remark in it, {db.statistics().executed - before} query runs:")
    print(db.explain(reached, path))


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]).resolve(), sys.argv[2])
