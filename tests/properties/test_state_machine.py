"""Any program, any history of what can be done to a database: answers equal a computation from scratch, and nothing
runs in vain.

Calls may be left standing in the middle of their bodies while inputs are written, and be cancelled there; things may
happen in several threads at once, which change at moments that are drawn. As long as each step was over before the next
one began, what ran is compared with a model too.
"""

from __future__ import annotations

import os
import tempfile
from asyncio import events
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import incr
from hand_loop import Cancelled, HandLoop, Task, pause
from pull_reference import CONFIG, Reference
from random_programs import (
    CELLS,
    Boom,
    Cell,
    Config,
    Outcome,
    Program,
    evaluate,
    finish,
    from_scratch,
    outcome_of,
    programs,
)
from stepped_threads import Stepper
from tasks import no_trace

#: The program of the example that is running: constant for the life of its databases.
_program: list[Program] = [()]
_ran: list[int] = []
_steps = [0]


async def _body(db: incr.View, number: int) -> int:
    _ran.append(number)

    async def call(inner: int) -> int:
        if not _program[0][inner][0]:
            return plain(db, inner)
        if events._get_running_loop() is not None:  # it is stepped by hand
            await pause()
        return await awaited(db, inner)

    return await evaluate(db, _program[0][number][1], call)


@incr.query
def plain(db: incr.View, number: int) -> int:
    return int(finish(_body(db, number)))


@incr.query
async def awaited(db: incr.View, number: int) -> int:
    return await _body(db, number)


def ask(view: incr.View, number: int) -> Outcome:
    """The engine's answer."""
    if _program[0][number][0]:
        return outcome_of(lambda: finish(awaited(view, number)))
    return outcome_of(lambda: plain(view, number))


async def answer(view: incr.View, number: int) -> Outcome:
    """The engine's answer to a task."""
    try:
        return ("value", await awaited(view, number))
    except (Boom, incr.MissingInputError) as error:
        return ("error", type(error), error.args)


values = st.one_of(st.none(), st.integers(0, 4))
cells = st.sampled_from(CELLS)
#: One of so many, counted round: cheaper than a strategy that is made for each step.
draws = st.integers(0, 15)
seeds = st.integers(0, 1_000)


def plain_one(draw: int) -> int:
    """A definition that is no task's: the first one always is one."""
    numbers = [number for number, (awaited, _) in enumerate(_program[0]) if not awaited]
    return numbers[draw % len(numbers)]


class Machine(RuleBasedStateMachine):
    """One database against the oracle (answers) and the reference (what runs)."""

    def __init__(self) -> None:
        super().__init__()
        self.random = Random(0)
        self.stepper = Stepper(self.random, 0.1)
        self.locks = self.stepper.installed()
        self.locks.__enter__()
        self.loop = HandLoop()
        self.db = incr.Database()
        self.snapshots: list[tuple[incr.Snapshot, dict[Any, Any]]] = []
        self.forks: list[tuple[incr.Database, dict[Any, Any]]] = []
        #: Tasks that have not ended, each with what its answer has to be.
        self.tasks: list[tuple[Task, Outcome]] = []
        #: Whether the model knows what has to run.
        self.exact = True

    @initialize(program=programs(), room=st.sampled_from([None, None, None, 1, 100]))
    def start(self, program: Program, room: int | None) -> None:
        """Where there is hardly any room for values, they are dropped all the time, and only answers are compared."""
        self.room = room
        self.exact = room is None
        self.db = incr.Database(max_memory=room)
        _program[0] = program
        self.reference = Reference(program)
        self.reference.ran = []

    @rule(number=cells, value=values)
    def set_or_remove(self, number: int, value: int | None) -> None:
        before = self.db.revision
        if value is None:
            self.db.remove(Cell, number)
        else:
            self.db.set(Cell(number, value))
        self.reference.write({(Cell, number): None if value is None else Cell(number, value)})
        assert (self.db.revision > before) == (self.reference.revision > before)

    @rule(value=st.integers(0, 3), durability=st.sampled_from(incr.Durability))
    def configure(self, value: int, durability: incr.Durability) -> None:
        self.db.set(Config(value), durability=durability)
        self.reference.write({CONFIG: Config(value)})

    @rule(number=cells, value=st.integers(0, 4))
    def set_as_high(self, number: int, value: int) -> None:
        self.db.set(Cell(number, value), durability=incr.Durability.HIGH)
        self.reference.write({(Cell, number): Cell(number, value)})

    @rule(writes=st.lists(st.tuples(cells, values), max_size=5), fails=st.booleans())
    def batch(self, writes: list[tuple[int, int | None]], fails: bool) -> None:
        changes: dict[Any, Any] = {}
        try:
            with self.db.batch() as batch:
                for number, value in writes:
                    changes[Cell, number] = None if value is None else Cell(number, value)
                    if value is None:
                        batch.remove(Cell, number)
                    else:
                        batch.set(Cell(number, value))
                if fails:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            return
        self.reference.write(changes)

    # --- reading ------------------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.tasks)
    @rule(draw=draws)
    def read(self, draw: int) -> None:
        """At the newest revision."""
        number = draw % len(_program[0])
        _ran.clear()
        answer = ask(self.db, number)
        assert answer == from_scratch(_program[0], self.reference.inputs, number)
        self.reference.ran.clear()
        assert self.reference.ask(number) == answer
        if self.exact:
            assert _ran == self.reference.ran
        assert self.db.revision == self.reference.revision

    @precondition(lambda self: not self.tasks)
    @rule(draw=draws, other=draws)
    def read_twice(self, draw: int, other: int) -> None:
        self.read(draw)
        number = other % len(_program[0])
        ask(self.db, number)
        _ran.clear()
        ask(self.db, number)
        assert not _ran or self.room is not None
        self.reference.ask(number)

    @precondition(lambda self: len(self.snapshots) < 4)
    @rule()
    def take_snapshot(self) -> None:
        self.snapshots.append((self.db.snapshot(), dict(self.reference.inputs)))

    @precondition(lambda self: self.snapshots and not self.tasks)
    @rule(which=draws, draw=draws)
    def read_snapshot(self, which: int, draw: int) -> None:
        snapshot, inputs = self.snapshots[which % len(self.snapshots)]
        # What runs for an older revision may serve the newest one too: from here on only answers are compared.
        self.exact = False
        self.read_again(snapshot, inputs, draw)

    @precondition(lambda self: self.snapshots)
    @rule(which=draws)
    def close_snapshot(self, which: int) -> None:
        self.snapshots.pop(which % len(self.snapshots))[0].close()

    def read_again(self, view: incr.View, inputs: dict[Any, Any], draw: int) -> None:
        number = draw % len(_program[0])
        assert ask(view, number) == from_scratch(_program[0], inputs, number)
        _ran.clear()
        assert ask(view, number) == from_scratch(_program[0], inputs, number)
        assert not _ran or self.room is not None

    # --- forks --------------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.forks) < 3)
    @rule(which=draws)
    def fork(self, which: int) -> None:
        """Of an open snapshot, or of one that is closed at once; what a fork runs is no affair of the database."""
        snapshots = [*self.snapshots, (self.db.snapshot(), self.reference.inputs)]
        snapshot, inputs = snapshots[which % len(snapshots)]
        self.forks.append((snapshot.fork(), dict(inputs)))
        snapshots[-1][0].close()

    @precondition(lambda self: self.forks)
    @rule(which=draws, number=cells, value=values)
    def write_fork(self, which: int, number: int, value: int | None) -> None:
        fork, inputs = self.forks[which % len(self.forks)]
        self.writing(fork, number, value)()
        self.write_down(inputs, number, value)

    @precondition(lambda self: self.forks and not self.tasks)
    @rule(which=draws, draw=draws)
    def read_fork(self, which: int, draw: int) -> None:
        self.read_again(*self.forks[which % len(self.forks)], draw)

    @precondition(lambda self: self.forks)
    @rule(which=draws)
    def close_fork(self, which: int) -> None:
        self.forks.pop(which % len(self.forks))[0].close()

    @staticmethod
    def writing(db: incr.Database, number: int, value: int | None) -> Callable[[], Any]:
        return partial(db.remove, Cell, number) if value is None else partial(db.set, Cell(number, value))

    @staticmethod
    def write_down(inputs: dict[Any, Any], number: int, value: int | None) -> None:
        if value is None:
            inputs.pop((Cell, number), None)
        else:
            inputs[Cell, number] = Cell(number, value)

    # --- calls that stand in the middle of their bodies ---------------------------------------------------------------

    @precondition(lambda self: len(self.tasks) < 4 and _program[0][-1][0])
    @rule(which=draws, draw=draws)
    def begin_call(self, which: int, draw: int) -> None:
        numbers = [number for number, (awaited, _) in enumerate(_program[0]) if awaited]
        number = numbers[draw % len(numbers)]
        views = [(self.db, self.reference.inputs), *self.snapshots, *self.forks]
        view, inputs = views[which % len(views)]
        self.exact = False
        task = self.loop.spawn(answer(view, number), f"call {number}")
        self.loop.step(task)  # from here on it is bound
        self.tasks.append((task, from_scratch(_program[0], inputs, number)))
        self.see_who_has_ended()

    @precondition(lambda self: self.tasks)
    @rule(which=draws)
    def go_on(self, which: int) -> None:
        ready = self.loop.ready()
        assert ready, "all tasks wait for each other"
        self.loop.step(ready[which % len(ready)])
        self.see_who_has_ended()

    @precondition(lambda self: self.tasks)
    @rule(which=draws)
    def cancel(self, which: int) -> None:
        self.tasks[which % len(self.tasks)][0].cancel()

    @precondition(lambda self: self.tasks)
    @rule()
    def go_on_to_the_end(self) -> None:
        while self.tasks:
            self.go_on(0)

    @precondition(lambda self: self.tasks)
    @rule(draw=draws)
    def read_meanwhile(self, draw: int) -> None:
        number = plain_one(draw)
        assert ask(self.db, number) == from_scratch(_program[0], self.reference.inputs, number)

    def see_who_has_ended(self) -> None:
        for task, right in [entry for entry in self.tasks if entry[0].ended.done()]:
            self.tasks.remove((task, right))
            if task.error is None:
                assert task.value == right
            elif not isinstance(task.error, Cancelled):
                raise task.error

    # --- threads ------------------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.tasks)
    @rule(some=st.lists(draws, min_size=2, max_size=3), seed=seeds)
    def read_in_threads(self, some: list[int], seed: int) -> None:
        """Two or three calls at once: each right, and together they run what they would have run one by one."""
        numbers = [plain_one(draw) for draw in some]
        _ran.clear()
        answers = self.at_once(seed, [partial(ask, self.db, number) for number in numbers])
        self.reference.ran.clear()
        for number, outcome in zip(numbers, answers, strict=True):
            assert outcome == from_scratch(_program[0], self.reference.inputs, number)
            assert self.reference.ask(number) == outcome
        if self.exact:
            assert sorted(_ran) == sorted(self.reference.ran)

    @rule(some=st.tuples(draws, draws, draws), seed=seeds, number=cells, value=values)
    def read_and_write_in_threads(self, some: tuple[int, ...], seed: int, number: int, value: int | None) -> None:
        """A write and reads at once: these are from before it or from after it, those of a snapshot from before."""
        self.exact = False
        asked = [plain_one(draw) for draw in some]
        before = dict(self.reference.inputs)
        with self.db.snapshot() as snapshot:
            views = [self.db, self.db, snapshot]
            reads = [partial(ask, view, call) for view, call in zip(views, asked, strict=True)]
            answers = self.at_once(seed, [self.writing(self.db, number, value), *reads])[1:]
        self.reference.write({(Cell, number): None if value is None else Cell(number, value)})
        for place, (call, outcome) in enumerate(zip(asked, answers, strict=True)):
            right = [from_scratch(_program[0], inputs, call) for inputs in (before, self.reference.inputs)]
            assert outcome in (right if place < 2 else right[:1])

    @precondition(lambda self: self.forks)
    @rule(which=draws, some=st.tuples(draws, draws), seed=seeds, number=cells, value=values)
    def use_a_fork_in_threads(
        self, which: int, some: tuple[int, ...], seed: int, number: int, value: int | None
    ) -> None:
        """A fork is written and read, and the database is read and written, all at once."""
        self.exact = False
        fork, inputs = self.forks[which % len(self.forks)]
        asked = [plain_one(draw) for draw in some]
        before = dict(inputs), dict(self.reference.inputs)
        writes = [self.writing(fork, number, value), self.writing(self.db, number, value)]
        reads = [partial(ask, view, call) for view, call in zip((fork, self.db), asked, strict=True)]
        answers = self.at_once(seed, [*writes, *reads])[2:]
        self.write_down(inputs, number, value)
        self.reference.write({(Cell, number): None if value is None else Cell(number, value)})
        after = inputs, self.reference.inputs
        for call, outcome, *states in zip(asked, answers, before, after, strict=True):
            assert outcome in [from_scratch(_program[0], state, call) for state in states]

    def at_once(self, seed: int, functions: list[Callable[[], Any]]) -> list[Any]:
        self.random.seed(seed)
        workers = [self.stepper.spawn(function, str(place)) for place, function in enumerate(functions)]
        self.stepper.run()
        return [worker.value for worker in workers]

    # --- files --------------------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.snapshots and not self.forks and not self.tasks)
    @rule()
    def save_and_load(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "state")
            self.db.save(path)
            self.db = incr.Database(max_memory=self.room)
            assert self.db.load(path)
        assert self.db.revision >= self.reference.revision
        self.reference.reloaded(int(self.db.revision))

    @invariant()
    def whole(self) -> None:
        _steps[0] += 1
        for db in [self.db, *(fork for fork, _ in self.forks)]:
            db.check_invariant()

    def teardown(self) -> None:
        try:
            if self.tasks:
                self.go_on_to_the_end()
            for view, _ in [*self.snapshots, *self.forks]:
                view.close()
            self.db.set(Cell(0, 77))  # closed forks are taken out at the next write
            assert self.db._graph.kin is None
            no_trace(self.db)
            assert not self.db.statistics().pinned
        finally:
            self.loop.close()
            self.locks.__exit__(None, None, None)


@pytest.fixture(scope="module", autouse=True)
def _count() -> Iterator[None]:
    """Say how much was tried."""
    yield
    print(f"{_steps[0]} steps")


TestMachine = pytest.mark.spec("memo.consistency", "memo.minimal", "memo.aba", "history.snapshot")(Machine.TestCase)
pytest.mark.spec("memory.evicted", "history.publish", "flight.cancel", "thread.single", "thread.write")(TestMachine)
