"""How each workload is timed; the only module that reads a clock.

Law: no engine is named here. Hits are timed by `timeit` statements with local names, garbage collection off, each
beside an `lru_cache` hit of the same process; everything else as one call between two clock reads with garbage
collection on, as in a user's program, after a collection.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import threading
import timeit
from collections.abc import Awaitable, Callable
from functools import cache
from itertools import repeat
from time import perf_counter
from types import ModuleType
from typing import Any

from programs import AsyncHit, AsyncProgram, Hit, Program

HITS = 100_000
HIT_SAMPLES = 9
#: Of cheap edits there are more, up to a number or seconds: the first ones after a collection find cold caches.
MOST_EDITS = 100
EDITING = 0.5
Figures = dict[str, list[float]]


class Outcome:
    """What one worker has found out: seconds per figure, notes, and the answers that all systems must agree on."""

    def __init__(self) -> None:
        self.figures: Figures = {}
        self.notes: list[str] = []
        self.answers: dict[str, object] = {}

    def add(self, figure: str, seconds: float) -> None:
        """One more sample of *figure*."""
        self.figures.setdefault(figure, []).append(seconds)


def _locals(names: dict[str, object]) -> str:
    return ";".join(f"{name}=_names[{name!r}]" for name in names)


def _timer(statement: str, names: dict[str, object]) -> timeit.Timer:
    return timeit.Timer(statement, _locals(names) or "pass", globals={"_names": names})


@cache
def _floor(path: str) -> int:
    return len(path)


def _lru_cache_hit() -> float:
    return _timer("cached(path)", {"cached": _floor, "path": "a.py"}).timeit(HITS) / HITS


def hit(make: Callable[[], Hit], outcome: Outcome, figure: str) -> None:
    """Seconds of a hit, and as a multiple of the `lru_cache` hits before and after it."""
    program = make()

    def sample() -> None:
        before = _lru_cache_hit()
        seconds = _timer(program.statement, program.names).timeit(HITS) / HITS
        floor = (before + _lru_cache_hit()) / 2
        outcome.add(figure, seconds)
        outcome.add(f"{figure} / lru_cache", seconds / floor)
        outcome.add("lru_cache beside it", floor)

    def samples() -> None:
        _timer(program.statement, program.names).timeit(HITS // 10)
        for _ in range(HIT_SAMPLES):
            sample()

    program.within(samples)


def _async_loop(statement: str, names: dict[str, object]) -> Callable[[int], Awaitable[float]]:
    """An `async def` that runs *statement* n times and returns the seconds; built as `timeit` builds its loops."""
    source = (
        f"async def loop(n):\n {_locals(names)}\n start = clock()\n for _ in repeat(None, n):\n  {statement}\n"
        " return clock() - start\n"
    )
    scope: dict[str, Any] = {"_names": names, "clock": perf_counter, "repeat": repeat}
    exec(source, scope)
    loop: Callable[[int], Awaitable[float]] = scope["loop"]
    return loop


async def hit_awaited(program: AsyncHit, outcome: Outcome, figure: str) -> None:
    """The same as `hit` for an awaited hit."""

    async def samples() -> None:
        loop = _async_loop(program.statement, program.names)
        await loop(HITS // 10)
        gc.disable()
        for _ in range(HIT_SAMPLES):
            before = _lru_cache_hit()
            seconds = await loop(HITS) / HITS
            floor = (before + _lru_cache_hit()) / 2
            outcome.add(figure, seconds)
            outcome.add(f"{figure} / lru_cache", seconds / floor)
        gc.enable()

    await program.within(samples)


def program(make: Callable[[int], Program], size: int, outcome: Outcome, edits: int, per: int = 1) -> None:
    """Cold, then each kind of edit at least *edits* times, each followed by asking the root; seconds divided by *per*.

    A small program of the same kind goes before it: what is measured is not the first run of the code.
    """
    small = make(warm_up(size))
    small.cold()
    for edit in small.edits.values():
        edit(0)
        small.ask()
    prepared = make(size)
    gc.collect()
    start = perf_counter()
    answer = prepared.cold()
    outcome.add("cold", (perf_counter() - start) / per)
    outcome.answers["cold"] = answer
    for name, edit in prepared.edits.items():
        edit(0)
        answer = prepared.ask()
        gc.collect()
        began = perf_counter()
        step = 0
        while step < edits or (edits and step < MOST_EDITS and perf_counter() - began < EDITING):
            step += 1
            start = perf_counter()
            edit(step)
            answer = prepared.ask()
            outcome.add(name, (perf_counter() - start) / per)
            if step == edits:
                outcome.answers[f"{name} {edits}"] = answer


def warm_up(size: int) -> int:
    """The size of the program that goes before one of *size*."""
    return max(20, size // 50)


async def program_async(
    make: Callable[[int], AsyncProgram], size: int, outcome: Outcome, edits: int, per: int = 1
) -> None:
    """The same as `program` for an awaited root; its figures carry the word `async`."""
    small = make(warm_up(size))
    await small.cold()
    for edit in small.edits.values():
        edit(0)
        await small.ask()
    prepared = make(size)
    gc.collect()
    start = perf_counter()
    await prepared.cold()
    outcome.add("cold, async", (perf_counter() - start) / per)
    for name, edit in prepared.edits.items():
        for step in range(edits + 1):
            start = perf_counter()
            edit(step)
            await prepared.ask()
            if step:
                outcome.add(f"{name}, async", (perf_counter() - start) / per)


def with_room(system: ModuleType, outcome: Outcome, measure: Callable[[Outcome], None]) -> None:
    """Run *measure* under the default recursion limit; if that is not enough, under a raised one in a big stack."""
    attempt = Outcome()
    try:
        measure(attempt)
    except system.RECURSION:
        attempt = Outcome()
        attempt.notes.append("recursion limit raised, 512 MiB of stack")
        _in_big_stack(lambda: measure(attempt))
    outcome.figures.update(attempt.figures)
    outcome.answers.update(attempt.answers)
    outcome.notes.extend(attempt.notes)


def _in_big_stack(measure: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            measure()
        except BaseException as error:
            failures.append(error)

    sys.setrecursionlimit(1_000_000)
    threading.stack_size(512 * 1024 * 1024)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def persistence(system: ModuleType, outcome: Outcome, count: int) -> None:
    """Save all memos, save again with nothing changed, load into a fresh program, read them all there."""
    prepared = system.memos(count)
    prepared.fill()
    folder = tempfile.TemporaryDirectory()
    path = os.path.join(folder.name, "state")
    for figure in ("save", "second save"):
        gc.collect()
        start = perf_counter()
        prepared.save(path)
        outcome.add(figure, perf_counter() - start)
    outcome.notes.append(f"{sum(os.path.getsize(e.path) for e in os.scandir(folder.name)) / 1e6:.1f} MB")
    load, ran = prepared.load, prepared.ran
    del prepared  # as in a new process: what was saved is not in memory beside what is loaded
    before = ran()
    gc.collect()
    start = perf_counter()
    read = load(path)
    outcome.add("load", perf_counter() - start)
    start = perf_counter()
    outcome.answers["read"] = read()
    outcome.add("read all after it", perf_counter() - start)
    outcome.notes.append(f"{ran() - before} bodies ran after the load")
    folder.cleanup()
