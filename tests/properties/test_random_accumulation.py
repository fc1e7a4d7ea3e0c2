"""Any program that pushes, any history: what is collected is what a run without any memo would push, each call once."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import incr
from random_programs import CELLS, Boom, Cell, Config, Outcome, Scratch, evaluate, expressions, finish
from random_programs import outcome_of as outcome

#: (whether it is an async query, its steps): ("do", expression), ("push", value) or ("of", definition).
Steps = tuple[tuple[str, Any], ...]
Definition = tuple[bool, Steps]

pushed = incr.Accumulator[tuple[int, int]]("random pushes")
other = incr.Accumulator[int]("other random pushes")

_program: list[tuple[Definition, ...]] = [()]


@st.composite
def programs(draw: st.DrawFn, size: int = 7) -> tuple[Definition, ...]:
    count = draw(st.integers(2, size))
    awaited = draw(st.integers(1, count))
    return tuple((number >= awaited, draw(_steps(number))) for number in range(count))


def _steps(below: int) -> st.SearchStrategy[Steps]:
    step: list[st.SearchStrategy[tuple[str, Any]]] = [
        st.tuples(st.just("do"), expressions(below)),
        st.tuples(st.just("do"), expressions(below)),
        st.tuples(st.just("push"), st.integers(0, 2)),
        st.tuples(st.just("push it"), expressions(below)),
    ]
    if below:
        step.append(st.tuples(st.just("of"), st.integers(0, below - 1)))
    return st.lists(st.one_of(step), min_size=1, max_size=4).map(tuple)


def weight(values: tuple[tuple[int, int], ...]) -> int:
    """A number that tells sequences of pushes apart."""
    return sum((place + 1) * (3 * number + value) for place, (number, value) in enumerate(values)) % 101


async def run(number: int, machine: Any) -> int:
    """What a definition does; *machine* knows how to read, call, push and collect, with the engine or without."""
    total = 0
    for kind, what in _program[0][number][1]:
        match kind:
            case "do":
                total += await evaluate(machine.view, what, machine.call)
            case "push":
                machine.push(number, what)
            case "push it":
                machine.push(number, await evaluate(machine.view, what, machine.call))
            case _:
                total += weight(await machine.of(what))
    return total


class Engine:
    def __init__(self, view: incr.View) -> None:
        self.view = view

    async def call(self, number: int) -> int:
        return await awaited(self.view, number) if _program[0][number][0] else plain(self.view, number)

    def push(self, number: int, value: int) -> None:
        pushed.push(self.view, (number, value))
        other.push(self.view, value)

    async def of(self, number: int) -> tuple[tuple[int, int], ...]:
        if _program[0][number][0]:
            return await pushed.of(self.view, awaited, number)
        return pushed.of(self.view, plain, number)


class FromScratch:
    """A run in which each call runs once; `log` is what is pushed in it."""

    def __init__(self, inputs: dict[Any, Any], known: dict[int, tuple[tuple[int, int], ...]]) -> None:
        self.inputs = inputs
        #: What calls push, for all runs with these inputs: nested collections would take exponential time without it.
        self.known = known
        self.view = Scratch(inputs)
        self.log: list[tuple[int, int]] = []
        self.outcomes: dict[int, Outcome] = {}

    async def call(self, number: int) -> int:
        if number not in self.outcomes:
            try:
                self.outcomes[number] = ("value", await run(number, self))
            except (Boom, incr.MissingInputError) as error:
                self.outcomes[number] = ("error", error)
        kind, found = self.outcomes[number]
        if kind == "error":
            raise found
        return int(found)

    def push(self, number: int, value: int) -> None:
        self.log.append((number, value))

    async def of(self, number: int) -> tuple[tuple[int, int], ...]:
        outcome(lambda: finish(self.call(number)))  # it runs here, like any call that is used
        if number not in self.known:
            self.known[number] = collected(self.inputs, number, self.known)
        return self.known[number]


def collected(
    inputs: dict[Any, Any], number: int, known: dict[int, tuple[tuple[int, int], ...]] | None = None
) -> tuple[tuple[int, int], ...]:
    """What a call and everything that it uses push, from scratch."""
    scratch = FromScratch(inputs, {} if known is None else known)
    outcome(lambda: finish(scratch.call(number)))
    return tuple(scratch.log)


@incr.query
def plain(db: incr.View, number: int) -> int:
    return int(finish(run(number, Engine(db))))


@incr.query
async def awaited(db: incr.View, number: int) -> int:
    return await run(number, Engine(db))


cells = st.sampled_from(CELLS)
values = st.one_of(st.none(), st.integers(0, 4))


class Machine(RuleBasedStateMachine):
    """One database that is written to, asked, frozen, saved and loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.db = incr.Database()
        self.inputs: dict[Any, Any] = {}
        self.snapshots: list[tuple[incr.Snapshot, dict[Any, Any]]] = []
        #: Forks that live on while their origins are written to, and forks of those.
        self.forks: list[tuple[incr.Database, dict[Any, Any]]] = []

    @initialize(program=programs(), settings=st.integers(0, 3))
    def start(self, program: tuple[Definition, ...], settings: int) -> None:
        _program[0] = program
        self.db.set(Config(settings))
        self.inputs[Config, ()] = Config(settings)

    @rule(number=cells, value=values)
    def set_or_remove(self, number: int, value: int | None) -> None:
        if value is None:
            self.db.remove(Cell, number)
            self.inputs.pop((Cell, number), None)
        else:
            self.db.set(Cell(number, value))
            self.inputs[Cell, number] = Cell(number, value)

    @rule(value=st.integers(0, 3))
    def configure(self, value: int) -> None:
        self.db.set(Config(value))
        self.inputs[Config, ()] = Config(value)

    @rule(number=st.integers(0, 20))
    def ask(self, number: int) -> None:
        number %= len(_program[0])
        scratch = FromScratch(self.inputs, {})
        expected = outcome(lambda: finish(scratch.call(number)))
        assert outcome(lambda: finish(Engine(self.db).call(number))) == expected

    @rule(number=st.integers(0, 20))
    def collect(self, number: int) -> None:
        self._collect(self.db, self.inputs, number)

    @rule(number=st.integers(0, 20), place=st.integers(0, 20))
    def collect_as_of(self, number: int, place: int) -> None:
        if self.snapshots:
            self._collect(*self.snapshots[place % len(self.snapshots)], number)

    def _collect(self, view: incr.View, inputs: dict[Any, Any], number: int) -> None:
        number %= len(_program[0])
        found = finish(Engine(view).of(number))
        expected = collected(inputs, number)
        assert found == expected
        query: Any = awaited if _program[0][number][0] else plain
        values: Any = other.of(view, query, number)
        assert (finish(values) if query is awaited else values) == tuple(value for _, value in expected)

    @rule()
    def freeze(self) -> None:
        if len(self.snapshots) < 3:
            self.snapshots.append((self.db.snapshot(), dict(self.inputs)))

    @rule(place=st.integers(0, 20))
    def thaw(self, place: int) -> None:
        if self.snapshots:
            self.snapshots.pop(place % len(self.snapshots))[0].close()

    @rule(place=st.integers(0, 20), number=cells, value=values, asked=st.lists(st.integers(0, 20), max_size=3))
    def fork(self, place: int, number: int, value: int | None, asked: list[int]) -> None:
        if not self.snapshots:
            return
        snapshot, inputs = self.snapshots[place % len(self.snapshots)]
        own = dict(inputs)
        with snapshot.fork() as fork:
            for first in asked[:1]:
                self._collect(fork, own, first)
            if value is None:
                fork.remove(Cell, number)
                own.pop((Cell, number), None)
            else:
                fork.set(Cell(number, value))
                own[Cell, number] = Cell(number, value)
            for other_number in asked:
                self._collect(fork, own, other_number)
            self._collect(snapshot, inputs, place)
            fork.check_invariant()

    @rule(place=st.integers(0, 20), of_fork=st.booleans())
    def keep_fork(self, place: int, of_fork: bool) -> None:
        if len(self.forks) == 3:
            self.forks.pop(0)[0].close()
        elif of_fork and self.forks:
            fork, inputs = self.forks[place % len(self.forks)]
            with fork.snapshot() as snapshot:
                self.forks.append((snapshot.fork(), dict(inputs)))
        elif self.snapshots:
            snapshot, inputs = self.snapshots[place % len(self.snapshots)]
            self.forks.append((snapshot.fork(), dict(inputs)))

    @rule(place=st.integers(0, 20), number=cells, value=values)
    def write_fork(self, place: int, number: int, value: int | None) -> None:
        if self.forks:
            fork, inputs = self.forks[place % len(self.forks)]
            if value is None:
                fork.remove(Cell, number)
                inputs.pop((Cell, number), None)
            else:
                fork.set(Cell(number, value))
                inputs[Cell, number] = Cell(number, value)

    @rule(place=st.integers(0, 20), value=st.integers(0, 3))
    def configure_fork(self, place: int, value: int) -> None:
        if self.forks:
            fork, inputs = self.forks[place % len(self.forks)]
            fork.set(Config(value))
            inputs[Config, ()] = Config(value)

    @rule(number=st.integers(0, 20), place=st.integers(0, 20))
    def collect_in_fork(self, number: int, place: int) -> None:
        if self.forks:
            self._collect(*self.forks[place % len(self.forks)], number)

    @rule()
    def save_and_load(self) -> None:
        while self.forks:
            self.forks.pop()[0].close()
        while self.snapshots:
            self.thaw(0)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "state.incr")
            self.db.save(path)
            self.db = incr.Database()
            assert self.db.load(path)

    @invariant()
    def the_graph_is_whole(self) -> None:
        self.db.check_invariant()
        for fork, _ in self.forks:
            fork.check_invariant()

    def teardown(self) -> None:
        for fork, _ in self.forks:
            fork.close()
        for snapshot, _ in self.snapshots:
            snapshot.close()


TestMachine = pytest.mark.spec(
    "accumulate.order", "accumulate.once", "accumulate.error", "accumulate.dependency", "accumulate.revision",
    "accumulate.persist",
)(Machine.TestCase)  # fmt: skip
