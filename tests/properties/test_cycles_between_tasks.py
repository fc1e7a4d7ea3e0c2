"""Random graphs of calls, with loops that come and go, asked by many tasks at once, stepped in random order.

A call that reaches a loop has to end with a `CycleError` over a loop that is really there, every other call with its
value, and nobody may wait for ever. A failure names its seed; INCR_SEED=<seed> runs that one alone.
"""

from __future__ import annotations

import os
from random import Random
from typing import Any

import pytest
from hypothesis import settings

import incr
from hand_loop import Cancelled, HandLoop, Task, pause
from loops_of_calls import CATCHING, NAMES, Edges, Graph, check
from tasks import no_trace

BLOCK = 100
BLOCKS = settings.default.max_examples // 4  # type: ignore[union-attr]  # tests/conftest.py loads a profile


@incr.query
async def walk(db: incr.View, loop: HandLoop, name: str) -> int:
    """One more than the sum over the calls: 'a', 'c', 'e' make them one after the other, the others all at once."""
    calls = db[Edges, name].calls
    await pause()
    if name in CATCHING:
        return 1 + sum([await _or_zero(db, loop, callee) for callee in calls])
    if name in NAMES[::2]:
        return 1 + sum([await walk(db, loop, callee) for callee in calls])
    children = await loop.gather(*(walk(db, loop, callee) for callee in calls))
    for child in children:
        if child.error is not None:
            raise child.error
    total: int = sum(child.value for child in children)
    return 1 + total


async def _or_zero(db: incr.View, loop: HandLoop, name: str) -> int:
    try:
        return await walk(db, loop, name)
    except incr.CycleError:
        return 0


class Machine:
    """A graph of calls under writes, and tasks that ask."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.loop = HandLoop()
        self.db = incr.Database()
        self.names = NAMES[: self.random.randint(2, len(NAMES))]
        self.graph: Graph = {}
        with self.db.batch() as batch:
            for name in self.names + CATCHING:
                self.graph[name] = self.calls(name)
                batch.set(Edges(name, self.graph[name]))
        self.revision = 1
        self.history = {1: dict(self.graph)}
        self.asked: list[Task] = []
        self.snapshots: list[incr.Snapshot] = []
        self.steps = [f"begin {self.graph}"]

    def calls(self, name: str) -> str:
        below = self.names + (CATCHING[: CATCHING.index(name)] if name in CATCHING else "")
        return "".join(self.random.choices(below, k=self.random.choice([0, 1, 1, 2, 3])))

    def run(self) -> None:
        moves = [self.go_on, self.ask, self.write, self.cancel, self.snapshot]
        weights = [20, 5, self.random.choice([0.5, 2]), self.random.choice([0, 1]), 0.5]
        for _ in range(self.random.randint(10, 80)):
            self.random.choices(moves, weights)[0]()
            self.db.check_invariant()
        while self.go_on():
            pass
        assert not self.loop.tasks, f"these wait for ever: {self.loop.tasks}"
        for task in self.asked:
            self.answered(task)
        for view in self.snapshots:
            view.close()
        no_trace(self.db)
        for name in self.names + CATCHING:
            task = self.start(self.db, name)
            while self.go_on():
                pass
            self.answered(task)

    def go_on(self) -> bool:
        ready = self.loop.ready()
        if ready:
            task = self.random.choice(ready)
            self.steps.append(f"step {task}")
            self.loop.step(task)
        return bool(ready)

    def ask(self) -> None:
        view = self.random.choice([self.db, self.db, *self.snapshots])
        self.asked.append(self.start(view, self.random.choice(self.names + CATCHING)))

    def start(self, view: incr.View, name: str) -> Task:
        task = self.loop.spawn(self.answer(view, name), f"{len(self.asked)}: {name} of {view!r}")
        self.steps.append(f"start {task}")
        return task

    async def answer(self, view: incr.View, name: str) -> Any:
        revision = view.revision
        try:
            return revision, name, await walk(view, self.loop, name)
        except incr.CycleError as error:
            return revision, name, error

    def write(self) -> None:
        name = self.random.choice(self.names + CATCHING)
        calls = self.calls(name)
        if calls != self.graph[name]:
            self.graph[name] = calls
            self.revision += 1
            self.history[self.revision] = dict(self.graph)
        self.steps.append(f"write {name}: {calls}")
        assert self.db.set(Edges(name, calls)) == self.revision

    def cancel(self) -> None:
        going = [task for task in self.loop.tasks if not task.ended.done()]
        if going:
            task = self.random.choice(going)
            self.steps.append(f"cancel {task}")
            task.cancel()

    def snapshot(self) -> None:
        self.snapshots.append(self.db.snapshot())

    def answered(self, task: Task) -> None:
        if task.error is None:
            revision, name, outcome = task.value
            check(self.history[revision], name, outcome)
        elif not isinstance(task.error, Cancelled):
            raise task.error


def interleave(seed: int) -> None:
    machine = Machine(seed)
    try:
        machine.run()
    except BaseException as error:
        error.add_note(f"after {len(machine.steps)} steps; run this one again with INCR_SEED={seed}")
        if "INCR_SEED" in os.environ:
            print(f"seed {seed}", *machine.steps, sep="\n")
        raise
    finally:
        machine.loop.close()


@pytest.mark.spec("cycle.tasks", "cycle.path", "cycle.entry", "flight.cancel", "memo.consistency")
@pytest.mark.parametrize("block", range(1 if "INCR_SEED" in os.environ else BLOCKS))
def test_loops_between_tasks_are_found_and_nothing_else_is(block: int) -> None:
    if "INCR_SEED" in os.environ:
        interleave(int(os.environ["INCR_SEED"]))
        return
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        interleave(seed)
