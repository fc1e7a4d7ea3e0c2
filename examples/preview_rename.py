"""A refactoring preview: which problems would a rename leave over, before any file is touched?

Run it with ``python examples/preview_rename.py FOLDER OLD NEW FILE...``, for example
``preview_rename.py src price cost shop.py``: the name is replaced in the given files of the folder, in a fork, and the
new problems of the whole tree are listed. Without files it is replaced in all of them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import trio

import incr
from incr.demo.inputs import Source
from incr.demo.queries import report
from incr.demo.reading import read_tree


@incr.query
def problems(db: incr.View) -> frozenset[str]:
    """The problems of every file, as lines of text."""
    return frozenset(
        f"{path}: {problem.kind}: {problem.text}" for path in db.keys(Source) for problem in report(db, path).problems
    )


async def main(folder: Path, old: str, new: str, chosen: list[str]) -> None:
    db = incr.Database()
    await read_tree(db, folder)
    before = problems(db)
    print(f"{len(before)} problems before")
    with db.snapshot() as view, view.fork() as preview:
        with preview.batch() as batch:
            for path in chosen or list(preview.keys(Source)):
                text = re.sub(rf"\b{re.escape(old)}\b", new, preview[Source, path].text)
                batch.set(Source(path, text=text))
        for problem in sorted(problems(preview) - before):
            print(f"would be new: {problem}")
        executed = preview.statistics().executed
    print(f"{executed} calls ran for the preview, {db.statistics().executed} before it; no file was touched")


if __name__ == "__main__":
    folder, old, new, *chosen = sys.argv[1:]
    trio.run(main, Path(folder).resolve(), old, new, chosen)
