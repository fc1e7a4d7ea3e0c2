# It ships no types.
# mypy: disable-error-code="untyped-decorator,no-any-return"
"""The large program of `store.py` in query-cascade, which reads everything when it begins.

Usage: python benchmarks/store_peer.py build|load FOLDER GROUPS, in an environment with query-cascade; `store.py` does
that. ``load`` prints the seconds of `Engine.load`, those until one input was changed and the root asked, and megabytes.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, Final

from cascade import Engine

#: As in store.py.
GROUP: Final = 100
CALLS: Final = 100


def program(groups: int) -> tuple[Any, Any, Any]:
    """An engine, its input, and its root."""
    engine = Engine(max_entries=100_000_000)

    @engine.input
    def source(path: int) -> int:
        return path

    @engine.query
    def leaf(path: int, number: int) -> int:
        return source(path) + number

    @engine.query
    def file(path: int) -> int:
        return sum([leaf(path, number) for number in range(CALLS - 1)])

    @engine.query
    def group(number: int) -> int:
        return sum([file(path) for path in range(number * GROUP, (number + 1) * GROUP)])

    @engine.query
    def root() -> int:
        return sum([group(number) for number in range(groups)])

    return engine, source, root


def resident() -> float:
    """MB of memory."""
    with open("/proc/self/statm", encoding="ascii") as status:
        return int(status.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(act: str, folder: Path, groups: int) -> None:
    """Build a file, or begin with it."""
    path = os.fspath(folder / "cascade.sqlite")
    engine, source, root = program(groups)
    if act == "build":
        with engine.transaction():
            for number in range(groups * GROUP):
                source.set(number, value=number)
        root()
        engine.save(path)
        return
    before = time.perf_counter()
    engine.load(path)
    loaded = time.perf_counter()
    source.set(7, value=700)
    root()
    print(loaded - before, time.perf_counter() - before, resident(), 0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
