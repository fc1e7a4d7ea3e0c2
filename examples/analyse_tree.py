"""The demo's analysis as a library: the problems of the Python files below a folder, kept in a store between two runs.

Run it twice with ``python examples/analyse_tree.py FOLDER STATE``: the second time nothing is computed, and of the
state only that is read which is asked for.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

import incr
from incr.demo.inputs import Source
from incr.demo.queries import report
from incr.demo.reading import read_tree


async def analyse(folder: Path, state: Path) -> None:
    async with incr.open(state) as db:  # a directory; what an earlier run has committed, or nothing
        await read_tree(db, folder)  # async: it waits for the disk, many files at once
        for path in db.keys(Source):
            for problem in report(db, path).problems:  # sync: it computes
                print(f"{path}:{problem.line}: {problem.kind}: {problem.text}")
        print(f"{db.statistics().executed} queries ran")
        await db.acommit()  # the next run begins here


if __name__ == "__main__":
    trio.run(analyse, Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
