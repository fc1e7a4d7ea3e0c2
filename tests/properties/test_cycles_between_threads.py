"""Random graphs of plain calls, with loops that come and go, asked by threads in random order.

Whoever reaches a loop gets a `CycleError` over a loop that is really there, everybody else the value, and nobody waits
for ever. A failure names its seed; INCR_SEED=<seed> runs that one alone.
"""

from __future__ import annotations

import os
from functools import partial
from random import Random

import pytest
from hypothesis import settings

import incr
from loops_of_calls import CATCHING, NAMES, Edges, Graph, check
from stepped_threads import Stepper
from tasks import no_trace

BLOCK = 20
BLOCKS = settings.default.max_examples // 10  # type: ignore[union-attr]  # tests/conftest.py loads a profile


@incr.query
def walk(db: incr.View, stepper: Stepper, name: str) -> int:
    """One more than the sum over the calls: 'a', 'c', 'e' make them one after the other, 'b', 'd', 'f' in threads."""
    calls = db[Edges, name].calls
    if name in CATCHING:
        return 1 + sum([_or_zero(db, stepper, callee) for callee in calls])
    if name in NAMES[::2]:
        return 1 + sum([walk(db, stepper, callee) for callee in calls])
    workers = stepper.in_threads([partial(walk, db, stepper, callee) for callee in calls])
    for worker in workers:
        if worker.error is not None:
            raise worker.error
    total: int = sum(worker.value for worker in workers)
    return 1 + total


def _or_zero(db: incr.View, stepper: Stepper, name: str) -> int:
    try:
        return walk(db, stepper, name)
    except incr.CycleError:
        return 0


class Threads:
    """A graph of calls, threads that ask, and one that writes."""

    def __init__(self, random: Random, stepper: Stepper) -> None:
        self.stepper = stepper
        self.db = incr.Database()
        self.names = NAMES[: random.randint(2, len(NAMES))]
        self.graph: Graph = {}
        with self.db.batch() as batch:
            for name in self.names + CATCHING:
                self.graph[name] = self.calls(random, name)
                batch.set(Edges(name, self.graph[name]))
        self.history = {1: dict(self.graph)}
        self.answers: list[tuple[int, int, str, int | incr.CycleError]] = []

    def calls(self, random: Random, name: str) -> str:
        below = self.names + (CATCHING[: CATCHING.index(name)] if name in CATCHING else "")
        return "".join(random.choices(below, k=random.choice([0, 1, 1, 2, 3])))

    def ask(self, random: Random, count: int) -> None:
        for _ in range(count):
            name = random.choice(self.names + CATCHING)
            with self.db.snapshot() as snapshot:
                view = random.choice([self.db, snapshot])
                first = self.db._graph.newest if view is self.db else int(view.revision)
                outcome: int | incr.CycleError
                try:
                    outcome = walk(view, self.stepper, name)
                except incr.CycleError as error:
                    outcome = error
                last = self.db._graph.newest if view is self.db else first
            self.answers.append((first, last, name, outcome))

    def write(self, random: Random, count: int) -> None:
        """The only thread that writes."""
        for _ in range(count):
            name = random.choice(self.names + CATCHING)
            self.graph[name] = calls = self.calls(random, name)
            self.history[int(self.db.set(Edges(name, calls)))] = dict(self.graph)

    def check(self) -> None:
        for first, last, name, outcome in self.answers:
            wrong: list[AssertionError] = []
            for revision in range(first, last + 1):
                try:
                    check(self.history[revision], name, outcome)
                    break
                except AssertionError as error:
                    wrong.append(error)
            else:
                raise wrong[0]
        self.answers.clear()
        no_trace(self.db)


def in_order(seed: int) -> None:
    random = Random(seed)
    stepper = Stepper(random, random.choice([0.02, 0.1, 0.4]))
    try:
        with stepper.installed():
            threads = Threads(random, stepper)
            for number in range(random.randint(2, 4)):
                own = Random(random.random())
                stepper.spawn(partial(threads.ask, own, random.randint(1, 5)), f"thread {number}")
            stepper.spawn(partial(threads.write, Random(random.random()), random.choice([0, 0, 2, 5])), "writer")
            stepper.run()
            threads.check()
            stepper.spawn(partial(threads.ask, random, 10), "last")
            stepper.run()
            threads.check()
    except BaseException as error:
        error.add_note(f"run this one again with INCR_SEED={seed}")
        raise


@pytest.mark.spec("thread.cycle", "cycle.path", "cycle.entry", "thread.wait")
@pytest.mark.parametrize("block", range(1 if "INCR_SEED" in os.environ else BLOCKS))
def test_any_order_of_threads_that_reach_loops(block: int) -> None:
    if "INCR_SEED" in os.environ:
        in_order(int(os.environ["INCR_SEED"]))
        return
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        in_order(seed)
