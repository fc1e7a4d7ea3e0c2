"""Threads on one database, of which one runs at a time and which one is drawn: thousands of orders, each repeatable.

A failure names its seed; INCR_SEED=<seed> runs that order alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from random import Random
from typing import Any, final

import pytest
from hypothesis import settings

import incr
from hand_loop import Cancelled, HandLoop
from paused_programs import Cell
from stepped_threads import Stepper
from thread_stress import Here, Stress

#: Orders per test.
BLOCK = 10
#: 60 examples in the usual profile are 60 orders, the deep one's 5,000 are 5,000.
BLOCKS = settings.default.max_examples // BLOCK  # type: ignore[union-attr]  # tests/conftest.py loads a profile


@final
class SteppedCrew:
    """Threads of a stepper, loops that are stepped by hand."""

    def __init__(self, random: Random) -> None:
        self.stepper = Stepper(random, random.choice([0.01, 0.05, 0.3]))
        self.in_threads = self.stepper.in_threads

    def run(self, functions: Sequence[Callable[[], None]]) -> None:
        for number, function in enumerate(functions):
            self.stepper.spawn(function, f"thread {number}")
        self.stepper.run()

    def on_a_loop(self, random: Random, here: Here, coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
        loop = here.loop = HandLoop()
        tasks = [loop.spawn(coroutine, f"task {number}") for number, coroutine in enumerate(coroutines)]
        here.random = random
        try:
            while True:
                self.stepper.block(lambda: bool(loop.ready()) or not loop.tasks)
                ready = loop.ready()
                if not ready:
                    break
                loop.step(random.choice(ready))
                if random.random() < 0.02:
                    random.choice(tasks).cancel()
        finally:
            here.random = here.loop = None
            loop.close()
        for task in tasks:
            if task.error is not None and not isinstance(task.error, Cancelled):
                raise task.error


def turns(count: int) -> Callable[[], bool]:
    left = iter(range(count))
    return lambda: next(left, None) is not None


def in_order(seed: int) -> tuple[int, list[str]]:
    """Run one order; the number of answers that were compared, and who ran when."""
    random = Random(seed)
    crew = SteppedCrew(random)
    try:
        with crew.stepper.installed():
            stress = Stress(random, crew, size=random.randint(2, 8), files=False)
            readers = [partial(stress.reader, Random(random.random()), turns(random.randint(2, 12))) for _ in range(4)]
            writers = [partial(stress.writer, Random(random.random()), turns(random.randint(2, 8))) for _ in range(2)]
            crew.run([*readers[: random.randint(1, 4)], *writers[: random.randint(0, 2)]])
            crew.run([stress.check])
    except BaseException as error:
        error.add_note(f"run this one again with INCR_SEED={seed}")
        raise
    return stress.claimed, crew.stepper.switches


@pytest.mark.spec("thread.single", "thread.wait", "thread.write", "thread.read", "thread.lock")
@pytest.mark.spec("memo.consistency", "history.snapshot", "history.prune", "flight.handover", "memory.evicted")
@pytest.mark.parametrize("block", range(1 if "INCR_SEED" in os.environ else BLOCKS))
def test_any_order_of_threads_gives_the_answers_of_a_database_without_memos(block: int) -> None:
    if "INCR_SEED" in os.environ:
        in_order(int(os.environ["INCR_SEED"]))
        return
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        in_order(seed)


def test_an_order_repeats() -> None:
    assert in_order(3) == in_order(3)


@pytest.mark.spec("thread.read", "history.publish")
def test_a_late_result_is_not_good_for_a_moment() -> None:
    """Hits take no lock: who looks while the result is published must not find it where it is not right any more."""
    stepper = Stepper(Random(0), 1.0)
    written: list[bool] = []
    inside: list[bool] = []

    @incr.query
    def cell(db: incr.View) -> int:
        return db[Cell, 0].value

    @incr.query
    def late(db: incr.View) -> int:
        value = cell(db)
        if not inside:
            inside.append(True)
            stepper.block(lambda: bool(written))
        return value

    def other() -> int:
        stepper.block(lambda: bool(inside))
        db.set(Cell(0, 2))
        assert int(db.revision) == 2
        written.append(True)
        node = db._graph.tables[vars(late)["__incr__"].index][()]
        stepper.block(lambda: node.hot or first.ended)
        return late(db)

    with stepper.installed():
        db = incr.Database()
        db.set(Cell(0, 1))
        first = stepper.spawn(lambda: late(db), "first")
        second = stepper.spawn(other, "second")
        stepper.run()
    assert (first.value, second.value) == (1, 2)
    db.check_invariant()
