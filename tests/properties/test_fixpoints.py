"""Random systems of equations that refer to each other, asked by many tasks in random order, with edits between.

Every answer has to be that of the least solution, found without incr; where the equations are not monotone, that of a
fresh database whose first call it is. A failure names its seed; INCR_SEED=<seed> runs that one alone.
"""

from __future__ import annotations

import os
from random import Random
from typing import Any

import pytest
from hypothesis import settings

import incr
from equations import Equation, Other, ask, random_steps, random_system, solution
from hand_loop import Cancelled, HandLoop, Task
from tasks import no_trace

BLOCK = 50
BLOCKS = settings.default.max_examples // 4  # type: ignore[union-attr]  # tests/conftest.py loads a profile

Equations = dict[int, Equation]


class Machine:
    """One program, its database and the steps that were taken."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.loop = HandLoop()
        self.system = random_system(self.random, self.loop)
        self.db = incr.Database()
        self.db.set(Other(0))
        self.now: Equations = {number: self.equation(number) for number in range(len(self.system.kinds))}
        self.write_all(self.db, self.now)
        self.history = {self.db.revision: dict(self.now)}
        self.answers: dict[tuple[int, int], Any] = {}
        self.asked: list[Task] = []
        self.snapshots: list[incr.Snapshot] = []
        self.steps = [f"{self.system.kinds} plain={self.system.plain} {self.now}"]

    def equation(self, number: int) -> Equation:
        return Equation(number, self.random.choice([0, 0, 1, 2, 4, 8]), random_steps(self.random, self.system, number))

    def write_all(self, db: incr.Database, equations: Equations) -> None:
        with db.batch() as batch:
            for equation in equations.values():
                batch.set(equation)

    def run(self) -> None:
        moves = [self.go_on, self.ask, self.write, self.cancel, self.snapshot]
        weights = [30, 5, self.random.choice([0.5, 2]), self.random.choice([0, 1]), 0.5]
        for _ in range(self.random.randint(10, 60)):
            self.random.choices(moves, weights)[0]()
            self.db.check_invariant()
        self.go_to_the_end()
        for task in self.asked:
            self.answered(task)
        for view in self.snapshots:
            view.close()
        no_trace(self.db)
        self.ask_all()
        self.nothing_runs_without_need()

    def go_on(self) -> bool:
        ready = self.loop.ready()
        if ready:
            task = self.random.choice(ready)
            self.steps.append(f"step {task}")
            self.loop.step(task)
        return bool(ready)

    def go_to_the_end(self) -> None:
        while self.go_on():
            pass
        assert not self.loop.tasks, f"these wait for ever: {self.loop.tasks}"

    def ask(self) -> None:
        view = self.random.choice([self.db, self.db, *self.snapshots])
        self.asked.append(self.start(view, self.random.randrange(len(self.now))))

    def start(self, view: incr.View, number: int) -> Task:
        task = self.loop.spawn(self.answer(view, number), f"{len(self.asked)}: {number} of {view!r}")
        self.steps.append(f"start {task}")
        return task

    async def answer(self, view: incr.View, number: int) -> Any:
        revision = view.revision
        return revision, number, await ask(view, self.system, number)

    def write(self) -> None:
        number = self.random.randrange(len(self.now))
        self.now[number] = self.equation(number)
        self.steps.append(f"write {self.now[number]}")
        self.history[self.db.set(self.now[number])] = dict(self.now)

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
            revision, number, outcome = task.value
            assert outcome == self.right_answer(revision, number), f"{number} at {revision}"
        elif not isinstance(task.error, Cancelled):
            raise task.error

    def right_answer(self, revision: int, number: int) -> Any:
        if (revision, number) not in self.answers:
            equations = self.history[revision]
            if self.system.wild:
                self.answers[revision, number] = self.alone(equations, number)
            else:
                for other, value in solution(self.system, equations).items():
                    self.answers[revision, other] = value
        return self.answers[revision, number]

    def alone(self, equations: Equations, number: int) -> Any:
        """What the call gives as the first one of a fresh database."""
        db = incr.Database()
        self.write_all(db, equations)
        ran, self.system.ran = self.system.ran, []
        task = self.loop.spawn(ask(db, self.system, number), "alone")
        while not task.ended.done():
            self.loop.step(self.loop.ready()[-1])
        self.system.ran = ran
        if task.error is not None:
            raise task.error
        return task.value

    def ask_all(self) -> None:
        for number in self.random.sample(range(len(self.now)), len(self.now)):
            task = self.start(self.db, number)
            self.go_to_the_end()
            self.answered(task)
            self.db.check_invariant()

    def nothing_runs_without_need(self) -> None:
        self.system.ran.clear()
        self.db.set(Other(1))
        self.history[self.db.revision] = dict(self.now)
        self.ask_all()
        assert self.system.ran == []


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


@pytest.mark.spec("cycle.fallback", "cycle.fixpoint", "cycle.component", "memo.consistency")
@pytest.mark.parametrize("block", range(1 if "INCR_SEED" in os.environ else BLOCKS))
def test_equations_are_solved_whoever_asks_first(block: int) -> None:
    if "INCR_SEED" in os.environ:
        interleave(int(os.environ["INCR_SEED"]))
        return
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        interleave(seed)
