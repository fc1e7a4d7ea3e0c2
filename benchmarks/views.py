"""What snapshots, shared calls, threads, folds and memos cost.

Usage: python benchmarks/views.py [--memos N], where incr and trio are installed; prints a table.
Law: sizes are compared within this one process; nothing here decides a test.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import incr


@incr.input
class Cell:
    number: int = incr.key()
    value: int


@incr.query
def half(db: incr.View, number: int) -> int:
    return number // 2


@incr.query
def read(db: incr.View, number: int) -> int:
    return db[Cell, number].value


@incr.query
def total(db: incr.View, count: int) -> int:
    return sum(read(db, number) for number in range(count))


def database(memos: int) -> incr.Database:
    """A database with so many memos, and ten inputs."""
    db = incr.Database()
    with db.batch() as batch:
        for number in range(10):
            batch.set(Cell(number, value=number))
    for number in range(memos):
        half(db, number)
    total(db, 10)
    return db


def per_call(call: Callable[[], object], number: int = 2000, rounds: int = 15) -> float:
    """Seconds per call, the median over rounds."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(number):
            call()
        found.append((time.perf_counter() - began) / number)
    return statistics.median(found)


def snapshots(memos: int) -> Iterator[tuple[str, str, str]]:
    """Creation and closing, at two sizes; and after a write, with another snapshot open."""
    for size in (10, memos):
        db = database(size)
        kept: list[incr.Snapshot] = []
        made = per_call(lambda db=db, kept=kept: kept.append(db.snapshot()))
        for one in kept:
            one.close()
        yield f"snapshot() at {size:,} memos", f"{made * 1e6:.2f} µs", "≤ 2 µs"
        both = per_call(lambda db=db: db.snapshot().close())
        yield f"snapshot() and close() at {size:,} memos", f"{both * 1e6:.2f} µs", ""
        with db.snapshot():
            turn = iter(range(10**9))

            def edit(db: incr.Database = db, turn: Iterator[int] = turn) -> None:
                db.set(Cell(3, value=next(turn)))
                total(db, 10)

            yield (
                f"a write and the next read at {size:,} memos, a snapshot open",
                f"{per_call(edit, 200) * 1e6:.1f} µs",
                "",
            )


def shared_calls() -> Iterator[tuple[str, str, str]]:
    """64 tasks that ask for the same 1,000 awaited calls."""
    import trio

    ran: list[int] = []

    @incr.query
    async def shared(db: incr.View, number: int) -> int:
        ran.append(number)
        await trio.lowlevel.checkpoint()
        return number

    async def ask(db: incr.Database) -> None:
        for number in range(1000):
            await shared(db, number)

    async def main() -> None:
        db = incr.Database()
        async with trio.open_nursery() as nursery:
            for _ in range(64):
                nursery.start_soon(ask, db)

    began = time.perf_counter()
    trio.run(main)
    seconds = time.perf_counter() - began
    once = "each once" if sorted(ran) == list(range(1000)) else f"{len(ran):,} times"
    yield "64 tasks ask for 1,000 shared calls: runs", once, "each once"
    yield "64 tasks ask for 1,000 shared calls: in all", f"{seconds * 1e3:.0f} ms", ""


def hits_in_threads() -> Iterator[tuple[str, str, str]]:
    """Hits of one thread, and of eight at a time, which share one interpreter lock."""
    db = database(10)

    def hit(times: int) -> None:
        for _ in range(times):
            read(db, 3)

    read(db, 3)
    alone = per_call(lambda: hit(1000), 20) / 1000
    threads = [threading.Thread(target=hit, args=(100_000,)) for _ in range(8)]
    began = time.perf_counter()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    together = (time.perf_counter() - began) / 800_000
    yield "a hit, one thread", f"{alone * 1e9:.0f} ns", ""
    yield "a hit, eight threads at once", f"{together * 1e9:.0f} ns", ""


def flat_memory() -> Iterator[tuple[str, str, str]]:
    """100,000 edits while 50 snapshots come and go."""
    db = database(1000)
    open_ones: list[incr.Snapshot] = []

    def edit(times: int) -> None:
        for number in range(times):
            db.set(Cell(number % 10, value=number))
            total(db, 10)
            open_ones.append(db.snapshot())
            if len(open_ones) == 50:
                open_ones.pop(0).close()

    tracemalloc.start()
    edit(1000)
    before = tracemalloc.get_traced_memory()[0]
    edit(100_000)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    yield "growth over 100,000 edits with 50 snapshots open", f"{(after - before) / 1024:.1f} KiB", "flat"


@incr.query
def flat(db: incr.View) -> int:
    return sum([read(db, number) for number in db.keys(Cell)])


@incr.query
def folded(db: incr.View) -> int:
    return incr.fold(db, read, db.keys(Cell), sum)


def folds() -> Iterator[tuple[str, str, str]]:
    """A sum over 10,000 calls, of which one changes."""
    db = incr.Database()
    with db.batch() as batch:
        for number in range(10_000):
            batch.set(Cell(number, value=number))
    found = {}
    for query in (flat, folded):
        query(db)
        times = []
        for number in range(51):
            db.set(Cell(number * 97, value=-number - (query is folded)))
            began = time.perf_counter()
            query(db)
            times.append(time.perf_counter() - began)
        found[query] = statistics.median(times)
        yield f"a root over 10,000 calls, one changed: {query.__name__}", f"{found[query] * 1e6:.0f} µs", ""
    yield "folded, against flat", f"{found[flat] / found[folded]:.0f} × faster", "≥ 20 × faster"


@incr.query
def one(db: incr.View, number: int) -> int:
    return 1


@incr.query
def five(db: incr.View, number: int) -> int:
    return sum(half(db, number * factor % 5000) for factor in (1, 7, 11, 13, 17))


def memory_of_memos() -> Iterator[tuple[str, str, str]]:
    """Bytes per memo and per edge, at 100,000 memos."""
    numbers = list(range(100_000))

    def measured(query: Callable[[incr.View, int], int]) -> float:
        db = database(5000)
        tracemalloc.start()
        for number in numbers:
            query(db, number)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return taken / len(numbers)

    bare, wired = measured(one), measured(five)
    yield "bytes per memo without edges, at 100,000", f"{bare:.0f}", "≤ 500"
    yield "bytes per edge, at 100,000 memos with 5 each", f"{(wired - bare) / 5:.0f}", "≤ 80"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memos", type=int, default=1_000_000, help="the larger of the two sizes")
    memos: int = parser.parse_args().memos
    print("| figure | measured | target |\n| --- | --: | --: |")
    for part in (snapshots(memos), shared_calls(), hits_in_threads(), folds(), memory_of_memos(), flat_memory()):
        for what, measured, target in part:
            print(f"| {what} | {measured} | {target} |", flush=True)


if __name__ == "__main__":
    main()
