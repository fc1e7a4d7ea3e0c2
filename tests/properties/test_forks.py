"""Any program, any edits of a database, of its forks and of theirs: each answers for its own inputs, and runs no body
that its origin has run for it.

A failure names its seed; INCR_SEED=<seed> runs that family alone.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from hypothesis import settings

import incr
from random_programs import Cell, Config, Program, evaluate, finish, from_scratch, outcome_of, random_expression

#: What a body read: a slot, a presence, the keys or a call, and what that was.
Reads = list[tuple[tuple[Any, ...], Any]]

_program: list[Program] = [()]
_runs: list[tuple[Any, int, Reads]] = []


class _Noting:
    """A view that notes what is read through it."""

    def __init__(self, db: Any, reads: Reads) -> None:
        self._db = db
        self._reads = reads

    def __getitem__(self, slot: Any) -> Any:
        key = slot if isinstance(slot, tuple) else (slot, ())
        self._reads.append((("slot", *key), self._db.get(*key) if key[1] != () else self._db.get(key[0])))
        return self._db[slot]

    def get(self, record: Any, key: Any) -> Any:
        found = self._db.get(record, key)
        self._reads.append((("slot", record, key), found))
        return found

    def __contains__(self, slot: Any) -> bool:
        present = slot in self._db
        self._reads.append((("present", *slot), present))
        return present

    def keys(self, record: Any) -> list[Any]:
        keys = list(self._db.keys(record))
        self._reads.append((("keys", record), keys))
        return keys

    def intern(self, value: Any) -> Any:
        return self._db.intern(value)

    def untracked(self, reason: str) -> None:
        self._reads.append((("untracked",), None))
        self._db.untracked(reason)


@incr.query
def call(db: incr.View, number: int) -> int:
    reads: Reads = []
    _runs.append((db._graph, number, reads))

    async def inner(below: int) -> int:
        outcome = outcome_of(lambda: call(db, below))
        reads.append((("call", below), outcome))
        return call(db, below)

    return int(finish(evaluate(_Noting(db, reads), _program[0][number][1], inner)))


def seen(inputs: dict[Any, Any], read: tuple[Any, ...]) -> Any:
    """What a body would read there, from scratch."""
    match read:
        case ("slot", record, key):
            return inputs.get((record, key))
        case ("present", record, key):
            return (record, key) in inputs
        case ("keys", record):
            return sorted(key for kind, key in inputs if kind is record)
        case ("call", number):
            return from_scratch(_program[0], inputs, number)
        case _:
            raise AssertionError(read)


class _State:
    """A database or a fork: its inputs at each revision, and what its calls have read."""

    def __init__(self, db: incr.Database, inputs: dict[Any, Any], memos: dict[int, tuple[int, Reads]]) -> None:
        self.db = db
        self.history = {int(db.revision): dict(inputs)}
        #: Call -> the revision from which it is known what it read, and that.
        self.memos = dict(memos)
        self.snapshots: list[tuple[incr.Snapshot, dict[Any, Any]]] = []

    @property
    def inputs(self) -> dict[Any, Any]:
        return self.history[int(self.db.revision)]

    def write(self, changes: dict[Any, Any], durability: incr.Durability | None) -> None:
        inputs = dict(self.inputs)
        with self.db.batch() as batch:
            for (record, key), value in changes.items():
                if value is None:
                    batch.remove(record, *((key,) if key != () else ()))
                    inputs.pop((record, key), None)
                else:
                    batch.set(value, durability=durability)
                    inputs[record, key] = value
        self.history[int(self.db.revision)] = inputs

    def moved(self, number: int) -> bool:
        """Whether something that the call read was another one at some revision since."""
        if number not in self.memos:
            return True
        since, reads = self.memos[number]
        for revision, inputs in self.history.items():
            for read, value in reads:
                if revision >= since and (read == ("untracked",) and revision > since):
                    return True
                if revision >= since and read != ("untracked",) and seen(inputs, read) != value:
                    return True
        return False


class Family:
    """A database, its forks, and theirs, in random order of everything."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        self.program: Program = tuple((False, random_expression(chance, number)) for number in range(7))
        _program[0] = self.program
        _runs.clear()
        self.states = [_State(incr.Database(), {}, {})]
        self.shared = 0

    def step(self) -> None:
        chance = self.chance
        state = chance.choice(self.states)
        action = chance.choices(
            [self.write, self.read, self.snapshot, self.read_snapshot, self.fork, self.close], [8, 12, 2, 3, 3, 1]
        )[0]
        action(state)
        chance.choice(self.states).db.check_invariant()

    def write(self, state: _State) -> None:
        chance = self.chance
        changes: dict[Any, Any] = {}
        durability = None
        if chance.random() < 0.2:
            changes[Config, ()] = None if chance.random() < 0.1 else Config(chance.randrange(3))
            durability = chance.choice([None, *incr.Durability])
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            number = chance.randrange(4)
            value = None if chance.random() < 0.3 else Cell(number, chance.randrange(3))
            changes[Cell, number] = value
        state.write(changes, durability)

    def read(self, state: _State) -> None:
        number = self.chance.randrange(len(self.program))
        _runs.clear()
        self.compare(state.db, state.inputs, number)
        for graph, ran, reads in _runs:
            assert graph is state.db._graph, "a body ran in another database"
            assert state.moved(ran), f"call({ran}) ran for nothing: {state.memos.get(ran)}"
            state.memos[ran] = (int(state.db.revision), list(reads))

    def compare(self, view: incr.View, inputs: dict[Any, Any], number: int) -> None:
        assert outcome_of(lambda: call(view, number)) == from_scratch(self.program, inputs, number), (
            f"call({number}) of {view!r}"
        )

    def snapshot(self, state: _State) -> None:
        if len(state.snapshots) < 3:
            state.snapshots.append((state.db.snapshot(), state.inputs))

    def read_snapshot(self, state: _State) -> None:
        if state.snapshots:
            view, inputs = self.chance.choice(state.snapshots)
            _runs.clear()
            self.compare(view, inputs, self.chance.randrange(len(self.program)))
            for _, ran, _ in _runs:  # it may have become the memo, or not
                state.memos.pop(ran, None)

    def fork(self, state: _State) -> None:
        if len(self.states) > 4:
            return
        view, inputs = self.chance.choice([*state.snapshots, (state.db.snapshot(), state.inputs)])
        memos: dict[int, tuple[int, Reads]] = {}
        for number, (since, reads) in state.memos.items():
            if since <= view.revision and self.known(state.db, view, number):
                memos[number] = (int(view.revision), reads)
                self.shared += 1
        self.states.append(_State(view.fork(), inputs, memos))

    @staticmethod
    def known(db: incr.Database, view: incr.Snapshot, number: int) -> bool:
        """Whether there is a memo for the view's revision."""
        node = db._graph.known(call.__incr__, number)  # type: ignore[attr-defined]  # a query carries its ingredient
        found = None if node is None else db._graph.find(node, view.revision)
        return found is not None and getattr(found, "dependencies", None) is not None

    def close(self, state: _State) -> None:
        for view, _ in state.snapshots:
            view.close()
        state.snapshots.clear()
        if state is not self.states[0]:
            self.states.remove(state)
            state.db.close()

    def end(self) -> None:
        """Everything is closed: the database keeps nothing on account of anybody."""
        for state in [*self.states[1:], self.states[0]]:
            self.close(state)
        graph = self.states[0].db._graph
        self.states[0].db.check_invariant()
        assert graph.kin is None
        assert not graph.pins
        assert not graph.at.users


#: Families per test, and tests: 120 families in the usual profile, 10,000 in the deep one.
BLOCK = 20
BLOCKS = settings.default.max_examples // 10  # type: ignore[union-attr]  # tests/conftest.py loads a profile


def run(seed: int) -> int:
    """One family; returns how many memos its forks could share."""
    family = Family(seed)
    try:
        for _ in range(60):
            family.step()
        family.end()
    except BaseException as error:
        error.add_note(f"INCR_SEED={seed}")
        raise
    return family.shared


@pytest.mark.spec("fork.view", "fork.isolated", "fork.shared", "fork.closed", "memo.consistency")
@pytest.mark.parametrize("block", range(BLOCKS))
def test_each_answers_for_its_own_inputs_and_runs_nothing_in_vain(block: int) -> None:
    if "INCR_SEED" in os.environ:
        run(int(os.environ["INCR_SEED"]))
        return
    seeds = range(block * BLOCK, (block + 1) * BLOCK)
    print(f"seeds {seeds}")
    assert sum(map(run, seeds)) > 3 * BLOCK
