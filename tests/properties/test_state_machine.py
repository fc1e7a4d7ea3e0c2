"""Any program, any history of writes and reads: answers equal a computation from scratch, and nothing runs in vain."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import incr
from pull_reference import CONFIG, Reference
from random_programs import CELLS, Cell, Config, Outcome, Program, evaluate, finish, from_scratch, outcome_of, programs

#: The program of the example that is running: constant for the life of its databases.
_program: list[Program] = [()]
_ran: list[int] = []


async def _body(db: incr.View, number: int) -> int:
    _ran.append(number)

    async def call(inner: int) -> int:
        return await awaited(db, inner) if _program[0][inner][0] else plain(db, inner)

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


values = st.one_of(st.none(), st.integers(0, 4))
cells = st.sampled_from(CELLS)


class Machine(RuleBasedStateMachine):
    """One database against the oracle (answers) and the reference (what runs)."""

    def __init__(self) -> None:
        super().__init__()
        self.db = incr.Database()
        self.snapshots: list[tuple[incr.Snapshot, dict[Any, Any]]] = []
        self.exact = True

    @initialize(program=programs())
    def start(self, program: Program) -> None:
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

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """At the newest revision."""
        number = data.draw(st.integers(0, len(_program[0]) - 1))
        _ran.clear()
        answer = ask(self.db, number)
        assert answer == from_scratch(_program[0], self.reference.inputs, number)
        self.reference.ran.clear()
        assert self.reference.ask(number) == answer
        if self.exact:
            assert _ran == self.reference.ran
        assert self.db.revision == self.reference.revision

    @rule(data=st.data())
    def read_twice(self, data: st.DataObject) -> None:
        self.read(data)
        number = data.draw(st.integers(0, len(_program[0]) - 1))
        ask(self.db, number)
        _ran.clear()
        ask(self.db, number)
        assert not _ran
        self.reference.ask(number)

    @precondition(lambda self: len(self.snapshots) < 3)
    @rule()
    def take_snapshot(self) -> None:
        self.snapshots.append((self.db.snapshot(), dict(self.reference.inputs)))

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def read_snapshot(self, data: st.DataObject) -> None:
        snapshot, inputs = data.draw(st.sampled_from(self.snapshots))
        number = data.draw(st.integers(0, len(_program[0]) - 1))
        # What runs for an older revision may serve the newest one too: from here on only answers are compared.
        self.exact = False
        assert ask(snapshot, number) == from_scratch(_program[0], inputs, number)
        _ran.clear()
        assert ask(snapshot, number) == from_scratch(_program[0], inputs, number)
        assert not _ran

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def close_snapshot(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.snapshots) - 1))
        snapshot, _ = self.snapshots.pop(place)
        snapshot.close()

    @precondition(lambda self: not self.snapshots)
    @rule()
    def save_and_load(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "state")
            self.db.save(path)
            self.db = incr.Database()
            assert self.db.load(path)
        assert self.db.revision >= self.reference.revision
        self.reference.reloaded(int(self.db.revision))

    @invariant()
    def whole(self) -> None:
        self.db.check_invariant()

    def teardown(self) -> None:
        for snapshot, _ in self.snapshots:
            snapshot.close()
        self.db.check_invariant()
        assert not self.db.statistics().pinned


TestMachine = pytest.mark.spec("memo.consistency", "memo.minimal", "memo.aba", "history.snapshot")(Machine.TestCase)
