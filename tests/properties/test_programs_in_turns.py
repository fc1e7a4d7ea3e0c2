"""Programs that use one store in turns: each declares some of the modules only, at the opening or later, and has other
code, other keys or other records than the one before. Whatever they leave behind, every delta is one (see
`strict_store`), and every answer is that of a computation from scratch.

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
from incr.store import MemoryDirectory, MemoryStore
from incr.store.file_store import FileStore
from incr.store.rows import Store
from stored_worlds import database_on
from strict_store import StrictStore

KEYS = range(3)
#: Input -> key -> value.
State = dict[int, dict[int, int]]
#: What a query adds up, over its argument: ("get" | "present" | "keys", input) and ("call", query).
Terms = list[tuple[str, int]]


def left(layout: int) -> Any:
    """One of the inputs; its versions have other keys, or other records."""
    if layout == 0:

        @incr.input
        class Table:
            a: int = incr.key()
            value: int
    elif layout == 1:

        @incr.input
        class Table:
            b: int = incr.key()
            value: int
    else:

        @incr.input
        class Table:
            a: int = incr.key()
            value: int
            more: int = 0

    return Table


def right(layout: int) -> Any:
    """The other one."""
    if layout == 0:

        @incr.input
        class Table:
            a: int = incr.key()
            value: int
    else:

        @incr.input
        class Table:
            b: int = incr.key()
            value: int

    return Table


INPUTS = [[left(layout) for layout in range(3)], [right(layout) for layout in range(2)]]


class Turns:
    """One store, and what is in it."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        self.memory = MemoryStore() if chance.random() < 0.5 else None
        self.directory = MemoryDirectory()
        self.size = chance.randrange(2, 6)
        #: Query -> its versions; each with what its parameter is called.
        self.terms = [[self._terms(number) for _ in range(2)] for number in range(self.size)]
        self.queries = [[self._declared(number, version) for version in range(4)] for number in range(self.size)]
        self.code = {query.__incr__: b"%d" % (version % 2) for all in self.queries for version, query in enumerate(all)}
        #: Input -> its layout and its records, as committed.
        self.committed: list[tuple[int, dict[int, int]]] = [(0, {}), (0, {})]
        #: What the process at work has.
        self.layouts, self.versions = [0, 0], [0] * self.size

    def _terms(self, number: int) -> Terms:
        chance = self.chance
        kinds = ["get", "present", "keys", "call", "call"] if number else ["get", "present", "keys"]
        names = [chance.choice(kinds) for _ in range(chance.randrange(1, 4))]
        return [(name, chance.randrange(number) if name == "call" else chance.randrange(2)) for name in names]

    def _declared(self, number: int, version: int) -> Any:
        def total(db: incr.View, key: int) -> int:
            return sum(self._term(db, term, key) for term in self.terms[number][version % 2])

        if version < 2:

            @incr.query(name=f"in turns {number}")
            def one(db: incr.View, x: int) -> int:
                return total(db, x)

            return one

        @incr.query(name=f"in turns {number}")
        def other(db: incr.View, y: int) -> int:
            return total(db, y)

        return other

    def _term(self, db: incr.View, term: tuple[str, int], key: int) -> int:
        name, number = term
        if name == "call":
            return int(self.queries[number][self.versions[number]](db, (key + 1) % 3)) + 1
        record = INPUTS[number][self.layouts[number]]
        if name == "get":
            found = db.get(record, key)
            return 0 if found is None else int(found.value)
        return int((record, key) in db) if name == "present" else len(list(db.keys(record)))

    def expected(self, inputs: list[dict[int, int]], number: int, key: int) -> int:
        """What the query gives, from scratch."""
        found = 0
        for name, other in self.terms[number][self.versions[number] % 2]:
            match name:
                case "call":
                    found += self.expected(inputs, other, (key + 1) % 3) + 1
                case "get":
                    found += inputs[other].get(key, 0)
                case "present":
                    found += key in inputs[other]
                case _:
                    found += len(inputs[other])
        return found

    # --- processes ------------------------------------------------------------------------------------------------

    def store(self) -> Store:
        below = FileStore.open(self.directory) if self.memory is None else self.memory.open()
        strict: Any = StrictStore(below)
        return strict

    def process(self) -> None:
        chance = self.chance
        others = [chance.randrange(len(layouts)) for layouts in INPUTS]
        self.layouts = [
            chance.choice([layout, other]) for (layout, _), other in zip(self.committed, others, strict=True)
        ]
        self.versions = [chance.choice([version, chance.randrange(4)]) for version in self.versions]
        inputs, queries = self.used()
        early = [INPUTS[number][self.layouts[number]] for number in inputs if chance.random() < 0.6]
        early += [self.queries[number][self.versions[number]] for number in queries if chance.random() < 0.6]
        _opening.BUDGET = chance.choice([0, 3, 256])
        db = database_on(self.store(), [one.__incr__ for one in early], lambda one: self.code.get(one, b"the same"))
        now = [dict(records) for _, records in self.committed]
        for number in inputs:
            if self.layouts[number] != self.committed[number][0]:
                now[number] = {}
        modules = [("input", number) for number in inputs] + [("query", number) for number in queries]
        chance.shuffle(modules)
        for kind, number in modules:  # what is declared late is met now; what it uses may be met behind it
            key = chance.choice(KEYS)
            if kind == "input":
                db.get(INPUTS[number][self.layouts[number]], key)
            else:
                self.queries[number][self.versions[number]](db, key)
        for _ in range(chance.randrange(1, 8)):
            self.step(db, inputs, queries, now)
            db.check_invariant()
        db.close()

    def used(self) -> tuple[list[int], list[int]]:
        """Some modules, and all that they use."""
        chance = self.chance
        inputs = {number for number in range(2) if chance.random() < 0.5}
        queries = {number for number in range(self.size) if chance.random() < 0.4}
        for number in reversed(range(self.size)):
            if number in queries:
                for name, other in self.terms[number][self.versions[number] % 2]:
                    (queries if name == "call" else inputs).add(other)
        return sorted(inputs), sorted(queries)

    def step(self, db: incr.Database, inputs: list[int], queries: list[int], now: list[dict[int, int]]) -> None:
        chance = self.chance
        name = chance.choice(["write", "ask", "ask", "commit"])
        if name == "write" and inputs:
            number, key, value = chance.choice(inputs), chance.choice(KEYS), chance.randrange(3)
            record = INPUTS[number][self.layouts[number]]
            if chance.random() < 0.3:
                db.remove(record, key)
                now[number].pop(key, None)
            else:
                db.set(record(key, value))
                now[number][key] = value
        elif name == "ask" and queries:
            number, key = chance.choice(queries), chance.choice(KEYS)
            assert self.queries[number][self.versions[number]](db, key) == self.expected(now, number, key)
        elif name == "commit":
            db.commit()
            if chance.random() < 0.3:
                db.checkpoint()
            for number in inputs:
                self.committed[number] = self.layouts[number], dict(now[number])


@pytest.mark.spec("load.unknown", "load.late", "load.code", "lazy.code", "lazy.late")
def test_whatever_programs_leave_behind_every_delta_is_one_and_every_answer_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_opening, "BUDGET", _opening.BUDGET)  # each opening has another one
    named = os.environ.get("INCR_SEED")
    for seed in [int(named)] if named else range(settings().max_examples // 2):
        turns = Turns(seed)
        try:
            for _ in range(8):
                turns.process()
        except BaseException:
            print(f"INCR_SEED={seed}")
            raise
