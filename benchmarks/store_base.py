"""What the base of a store costs: to write, to write again with few changes, to open, to ask.

Usage: python benchmarks/store_base.py [--rows N] [--many N] [--folder PATH], where incr is installed; prints a table.
Law: each figure stands beside what the disk alone takes for the same bytes in the same folder and the same process, or
beside another figure of this process; nothing here decides a test.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from incr.store import FileDirectory
from incr.store.contents import BaseHeader
from incr.store.overlay import Overlay
from incr.store.paged import PagedBase
from incr.store.paged_write import write_base
from incr.store.rows import CALLS, GOOD, PAGE_ROWS, Content, Delta, Head, Row, SectionInfo

STORE_ID = bytes(16)
#: Rows are added to a large base so many at a time: its overlay is in memory.
STEP = 100_000


class Figure(NamedTuple):
    """One line of the table."""

    what: str
    seconds: float
    beside: str
    ratio: float
    #: The most seconds that it should take; 0: none is set.
    wanted: float = 0


def row(number: int) -> tuple[Row, Content]:
    """A call with five dependencies and a value of 100 bytes."""
    near = dict.fromkeys((number - 1, number - 2, number // 2, number // 3, number // 5))
    found = Row(0, b"call %d" % number, 1, 1, GOOD, tuple(other for other in near if 0 <= other < number))
    return found, Content(number.to_bytes(8, "big") * 12 + b"tail", b"")


def overlay_of(numbers: Iterable[int]) -> Overlay:
    """Rows as a log would bring them."""
    overlay = Overlay()
    overlay.apply(Delta(1, [], None, 0, {number: row(number) for number in numbers}, [], [], []))
    return overlay


def write(directory: FileDirectory, name: str, rows: int, old: PagedBase | None, overlay: Overlay) -> int:
    """Write a base that then has so many rows; its size."""
    sections = (SectionInfo(0, CALLS, "calls", b"", ("number",), rows),)
    head = Head(1, sections, b"", -(-rows // PAGE_ROWS), 1)
    return write_base(directory, name, BaseHeader(STORE_ID, 1, 1, 1), head, old, overlay)


def seconds(act: Callable[[], object], times: int = 5) -> float:
    """The median of some runs, each after a collection."""
    taken: list[float] = []
    for _ in range(times):
        gc.collect()
        before = time.perf_counter()
        act()
        taken.append(time.perf_counter() - before)
    return statistics.median(taken)


def bare_write(folder: str, size: int) -> None:
    """As many bytes, written and synced, and nothing else."""
    path = os.path.join(folder, "bare")
    data = bytes(1 << 20)
    with open(path, "wb", buffering=0) as file:
        for start in range(0, size, len(data)):
            file.write(data[: size - start])
        os.fsync(file.fileno())
    os.unlink(path)


def writing(folder: str, rows: int) -> list[Figure]:
    """The first base, and the next ones."""
    directory = FileDirectory(folder)
    overlay = overlay_of(range(rows))
    size = 0

    def first() -> None:
        nonlocal size
        size = write(directory, "base", rows, None, overlay)

    figures: list[Figure] = []
    taken = seconds(first, 3)
    bare = seconds(lambda: bare_write(folder, size))
    figures.append(
        Figure(f"first base of {rows:,} rows, {size / rows:.0f} bytes each", taken, "bare write", taken / bare, 0.6)
    )
    changed = overlay_of(range(max(1, rows // 100)))

    def again() -> None:
        old = PagedBase.open(directory, "base")
        write(directory, "next", rows, old, changed)
        old.close()

    next_taken = seconds(again)
    figures.append(
        Figure("the next base, 99 % of the pages unchanged", next_taken, "first base", next_taken / taken, 0.3)
    )
    changed = Overlay()
    next_taken = seconds(again)
    figures.append(Figure("the next base, nothing changed", next_taken, "bare write", next_taken / bare))
    base = PagedBase.open(directory, "next")
    verified = seconds(base.verify, 3)
    figures.append(Figure("verify", verified, "bare write", verified / bare))
    base.close()
    return figures


def large(folder: str, rows: int) -> PagedBase:
    """A base with many rows."""
    directory = FileDirectory(folder)
    base: PagedBase | None = None
    for start in range(0, rows, STEP):
        stop = min(rows, start + STEP)
        write(directory, "large", stop, base, overlay_of(range(start, stop)))
        base = PagedBase.open(directory, "large")
    assert base is not None
    return base


def asking(folder: str, rows: int, few: int) -> list[Figure]:
    """A base with many rows: opening it, and one row of it."""
    directory = FileDirectory(folder)
    large(folder, rows).close()
    write(directory, "small", few, None, overlay_of(range(few)))
    small_open = seconds(lambda: PagedBase.open(directory, "small").close(), 21)
    opened = seconds(lambda: PagedBase.open(directory, "large").close(), 21)
    figures = [Figure(f"open a base of {rows:,} rows", opened, f"{few:,} rows", opened / small_open, 0.010)]
    dice = random.Random(1)
    cold: list[float] = []
    for _ in range(200):
        base = PagedBase.open(directory, "large")
        number = dice.randrange(rows)
        key = row(number)[0].key
        before = time.perf_counter()
        found = base.find(0, key)
        assert found == number
        answer = base.row(found), base.content(found)
        cold.append(time.perf_counter() - before)
        assert answer == row(number)
        base.close()
    taken = statistics.median(cold)
    figures.append(Figure("find, row and content, nothing read before", taken, "open", taken / opened, 0.000_3))
    base = PagedBase.open(directory, "large")
    again = seconds(lambda: (base.find(0, key), base.row(number), base.content(number)), 21)
    figures.append(Figure("the same again", again, "first time", again / taken))
    base.close()
    return figures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--folder", help="where the files are made; default: the system's temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        figures = writing(folder, arguments.rows)
        figures += asking(folder, arguments.many, max(1, arguments.many // 1_000))
    for figure in figures:
        wanted = f"  (wanted: {figure.wanted * 1e3:g} ms)" if figure.wanted else ""
        print(f"{figure.what:48} {figure.seconds * 1e3:10.3f} ms {figure.ratio:8.2f} x {figure.beside}{wanted}")


if __name__ == "__main__":
    main()
