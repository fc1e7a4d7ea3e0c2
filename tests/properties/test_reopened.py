"""Any program, any edits, closed and opened again at any time: every answer is that of a computation from scratch, and
what runs is what would run in a database that was never closed.

A failure names its seed; INCR_SEED=<seed> runs that one alone.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from hypothesis import settings

import incr
from incr._durable import _opening
from incr.store import MemoryStore
from random_programs import Cell, Config, Program, evaluate, finish, from_scratch, outcome_of, random_expression

_program: list[Program] = [()]
_runs: list[tuple[Any, int]] = []
pushed = incr.Accumulator[int]("reopened pushes")


@incr.query
def call(db: incr.View, number: int) -> int:
    _runs.append((db._graph, number))

    async def inner(below: int) -> int:
        return call(db, below)

    value = int(finish(evaluate(db, _program[0][number][1], inner)))
    if value % 2:
        pushed.push(db, value)
    return value


class _Story:
    """A database in a store, one beside it that is never closed, and what is in them."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.place = MemoryStore()
        self.db = self.opened()
        self.shadow: incr.Database | None = incr.Database()
        self.inputs: dict[Any, Any] = {}
        self.committed: dict[Any, Any] = {}
        self.dirty = False
        self.snapshots: list[tuple[incr.Snapshot, dict[Any, Any]]] = []
        self.write(("config", 1))
        self.clocked = any("clock" in repr(definition) for definition in _program[0])

    def opened(self) -> incr.Database:
        _opening.BUDGET = self.chance.choice([0, 0, 3, 256])
        self.opening = incr.open(self.place)
        return self.opening.__enter__()

    def write(self, *writes: tuple[Any, Any]) -> None:
        for db in (self.db, self.shadow):
            if db is None:
                continue
            with db.batch() as batch:
                for what, value in writes:
                    if what == "config":
                        batch.set(Config(value))
                    elif value is None:
                        batch.remove(Cell, what)
                    else:
                        batch.set(Cell(what, value), durability=self.durability)
        for what, value in writes:
            key = (Config, ()) if what == "config" else (Cell, what)
            if value is None:
                self.inputs.pop(key, None)
            else:
                self.inputs[key] = Config(value) if what == "config" else Cell(what, value)

    @property
    def durability(self) -> incr.Durability | None:
        return None

    def step(self) -> None:
        chance = self.chance
        self.dirty = True
        match chance.randrange(14):
            case 0 | 1 | 2:
                self.write((chance.randrange(4), chance.choice([None, 0, 1, 2, 3])))
            case 3:
                self.write(*[(number, chance.choice([None, 1, 2])) for number in range(3)])
            case 4:
                self.write(("config", chance.randrange(4)))
            case 5 | 6 | 7 | 8:
                self.ask(chance.randrange(len(_program[0])))
            case 9:
                self.snapshots.append((self.db.snapshot(), dict(self.inputs)))
                self.follow()
            case 10:
                self.look_back()
            case 11:
                self.commit()
            case 12:
                self.commit()
                self.reopen()
            case _:
                if chance.random() < 0.5:
                    self.reopen()
                else:
                    self.collect(chance.randrange(len(_program[0])))

    def follow(self) -> None:
        """Let the other database see the newest revision too: what is written and taken back unseen changes nothing."""
        if self.shadow is not None:
            self.shadow.snapshot().close()

    def commit(self) -> None:
        self.follow()
        before = self.place.head().last
        self.db.commit()
        self.committed, self.dirty = dict(self.inputs), False
        self.db.commit()
        assert self.place.head().last <= before + 1  # with nothing new nothing is written

    def reopen(self) -> None:
        for snapshot, _ in self.snapshots:
            snapshot.close()
        self.snapshots = []
        self.opening.__exit__(None, None, None)
        self.db = self.opened()
        if self.dirty:
            self.inputs, self.shadow = dict(self.committed), None  # it knows what is lost

    def ask(self, number: int) -> None:
        _runs.clear()
        assert outcome_of(lambda: call(self.db, number)) == from_scratch(_program[0], self.inputs, number)
        mine = sorted(one for graph, one in _runs if graph is self.db._graph)
        if self.shadow is not None and not self.clocked:
            outcome_of(lambda: call(self.shadow, number))  # type: ignore[arg-type]
            shadow = sorted(one for graph, one in _runs if graph is self.shadow._graph)
            assert set(mine) <= set(shadow) | self.excused(), (mine, shadow)

    def excused(self) -> set[int]:
        """Errors are not stored: they are found out again, and so is what uses them, with nothing to compare with."""
        program = _program[0]
        found: set[int] = set()
        for number, (_, expression) in enumerate(program):
            uses = any(f"('{how}', {one})" in repr(expression) for one in found for how in ("call", "try"))
            if uses or from_scratch(program, self.inputs, number)[0] == "error":
                found.add(number)
        return found

    def collect(self, number: int) -> None:
        fresh = incr.Database()
        for record in self.inputs.values():
            fresh.set(record)
        assert pushed.of(self.db, call, number) == pushed.of(fresh, call, number)
        if self.shadow is not None:
            pushed.of(self.shadow, call, number)

    def look_back(self) -> None:
        if self.snapshots:
            snapshot, inputs = self.chance.choice(self.snapshots)
            self.shadow = None  # it is not asked for what was
            number = self.chance.randrange(len(_program[0]))
            assert outcome_of(lambda: call(snapshot, number)) == from_scratch(_program[0], inputs, number)
            with snapshot.fork() as fork:
                fork.set(Cell(1, 2))
                changed = inputs | {(Cell, 1): Cell(1, 2)}
                assert outcome_of(lambda: call(fork, number)) == from_scratch(_program[0], changed, number)


def _run(seed: int, steps: int) -> None:
    chance = random.Random(seed)
    size = chance.randrange(2, 9)
    _program[0] = tuple((False, random_expression(chance, number)) for number in range(size))
    story = _Story(chance)
    for _ in range(steps):
        story.step()
        story.db.check_invariant()
        if story.shadow is not None:
            story.shadow.check_invariant()


@pytest.mark.spec("lazy.trust", "lazy.suspect", "lazy.code", "commit.atomic", "commit.nothing")
def test_a_database_that_is_opened_again_goes_on_as_if_it_had_never_been_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_opening, "BUDGET", _opening.BUDGET)  # each opening has another one
    named = os.environ.get("INCR_SEED")
    seeds = [int(named)] if named else range(min(settings().max_examples, 3000))
    for seed in seeds:
        try:
            _run(seed, 40)
        except BaseException:
            print(f"INCR_SEED={seed}")
            raise
