"""Random programs whose code changes between processes, over databases in stores, and what they give from scratch.

A `World` has the definitions as they are now; each is an ingredient, with a version that stands for its code.
Opening names what the process declares; whatever else is asked for is declared later than that.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel

import incr
from incr._database import Database
from incr._durable._session import Session
from incr.store.rows import Store
from random_programs import (
    Cell,
    Config,
    Expression,
    Name,
    Outcome,
    Scratch,
    evaluate,
    finish,
    outcome_of,
    random_expression,
)

__all__ = ["Definition", "Opaque", "World", "database_on", "inputs_of"]

pushed = incr.Accumulator[int]("pushed in worlds")
ARGUMENTS = range(2)


class Opaque:
    """A number that no store can have."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __int__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.number == self.number

    def __hash__(self) -> int:
        return hash(("opaque", self.number))


@incr.query(cycle_initial=lambda number: 0)
def reach(db: incr.View, number: int) -> int:
    """The cells that are reached from one, each of which names the next, as a set of bits."""
    cell = db.get(Cell, number)
    return 1 << number | (0 if cell is None else reach(db, cell.value % 4))


class Definition(NamedTuple):
    """What a definition is in one version of the program."""

    number: int
    expression: Expression
    #: "plain", "tasks": a query that awaits; and what is special about it: "unstored", "opaque", "few", "pushes".
    kind: str
    special: str
    #: What its parameter is called.
    part: str
    version: int


class World:
    """The program as it is now."""

    def __init__(self, chance: random.Random, size: int) -> None:
        self.chance = chance
        self.clock = 0
        #: (number, argument) of what ran since somebody looked.
        self.runs: list[tuple[int, int]] = []
        self.waits = False
        self._version = 0
        self._codes: dict[Any, bytes] = {}
        self.awaited = chance.randrange(1, size + 1) if chance.random() < 0.6 else size
        self.definitions: list[Definition] = []
        self.queries: list[Any] = []
        for number in range(size):
            self.definitions.append(self._random(number))
            self.queries.append(self._declared(self.definitions[number]))

    # --- code -----------------------------------------------------------------------------------------------------

    def _random(self, number: int) -> Definition:
        chance = self.chance
        expression = self._with_more(random_expression(chance, number))
        special = chance.choice(["", "", "", "", "unstored", "opaque", "few", "pushes", "pushes"])
        kind = "tasks" if number >= self.awaited else "plain"
        self._version += 1
        return Definition(number, expression, kind, special, chance.choice("xxxy"), self._version)

    def _with_more(self, expression: Expression) -> Expression:
        extra = self.chance.random()
        if extra < 0.25:
            return ("add", ("argument",), expression)
        if extra < 0.45:
            return ("add", ("reach", self.chance.randrange(4)), expression)
        return expression

    def _declared(self, definition: Definition) -> Any:
        number = definition.number
        options: dict[str, Any] = {"name": f"definition {number}", "version": definition.version}
        options["persist"] = definition.special != "unstored"
        if definition.special == "few":
            options["lru"] = 1
        if definition.kind == "tasks":

            async def body(db: incr.View, x: Any) -> Any:
                if self.waits:
                    await anyio.lowlevel.checkpoint()
                return self._ended(db, definition, x, await self._run(db, definition, x))

            async def other(db: incr.View, y: Any) -> Any:
                return await body(db, y)

        else:

            def body(db: incr.View, x: Any) -> Any:
                return self._ended(db, definition, x, finish(self._run(db, definition, x)))

            def other(db: incr.View, y: Any) -> Any:
                return body(db, y)

        found: Any = incr.query(**options)(body if definition.part == "x" else other)
        self._codes[found.__incr__] = b"%d" % definition.version
        return found

    async def _run(self, db: incr.View, definition: Definition, x: Any) -> int:
        self.runs.append((definition.number, int(x)))

        async def call(number: int) -> int:
            argument = Opaque(1) if definition.special == "opaque" else int(x)
            found = self.queries[number](db, argument)
            return int(await found if number >= self.awaited else found)

        return await evaluate(_Reading(self, db, int(x)), definition.expression, call)

    def _ended(self, db: incr.View, definition: Definition, x: Any, value: int) -> Any:
        if definition.special == "pushes":
            pushed.push(db, value + int(x))
        return Opaque(value) if definition.special == "opaque" else value

    def change(self) -> None:
        """Other code, for some definitions."""
        chance = self.chance
        for number in range(len(self.definitions)):
            if chance.random() < 0.3:
                definition = self._random(number)
                if chance.random() < 0.3:  # other code, and the same results
                    old = self.definitions[number]
                    definition = old._replace(version=definition.version)
                self.definitions[number] = definition
                self.queries[number] = self._declared(definition)

    # --- databases ------------------------------------------------------------------------------------------------

    def opened(self, store: Store, declared: Iterable[int]) -> incr.Database:
        """A database of a process that declares the definitions with these numbers."""
        ingredients = [one.__incr__ for one in (Cell, Config, Name, reach)]
        ingredients += [self.queries[number].__incr__ for number in declared]
        return database_on(store, ingredients, lambda one: self._codes.get(one, b"the same"))

    def ask(self, view: incr.View, number: int, argument: Any) -> Outcome:
        """What a call gives."""
        query = self.queries[number]
        if number < self.awaited:
            return outcome_of(lambda: int(query(view, argument)))

        async def main() -> int:
            return int(await query(view, argument))

        return outcome_of(lambda: anyio.run(main, backend=self.library))

    library = "asyncio"

    def from_scratch(self, inputs: dict[Any, Any], number: int, argument: int) -> Outcome:
        """What it has to give."""
        definitions = self.definitions

        async def value(number: int, argument: int) -> int:
            definition = definitions[number]

            async def call(inner: int) -> int:
                return await value(inner, 1 if definition.special == "opaque" else argument)

            return await evaluate(_Reading(self, Scratch(inputs), argument), definition.expression, call)

        return outcome_of(lambda: finish(value(number, argument)))


def database_on(
    store: Store, ingredients: Iterable[Any], code: Callable[[Any], bytes] = lambda one: b"the same"
) -> incr.Database:
    """A database on a store in a process that declares these, whose code is called what *code* says."""
    db = Database()
    db._session = Session(db._graph, store, ingredients, code)
    db._at, db._code = db._graph.at, None
    return db


class _Reading:
    """A view with what `random_programs` does not know of."""

    def __init__(self, world: World, view: Any, argument: int) -> None:
        self.world, self.view, self.argument = world, view, argument
        self.get, self.keys, self.intern = view.get, view.keys, view.intern

    def __getitem__(self, slot: Any) -> Any:
        return self.view[slot]

    def __contains__(self, slot: Any) -> bool:
        return slot in self.view

    def untracked(self, reason: str) -> int:
        self.view.untracked(reason)
        return self.world.clock

    def reach(self, number: int) -> int:
        if not isinstance(self.view, Scratch):
            return reach(self.view, number)
        found = 0
        while not found >> number & 1:
            found |= 1 << number
            cell = self.view.get(Cell, number)
            number = number if cell is None else cell.value % 4
        return found


def inputs_of(view: incr.View) -> dict[Any, Any]:
    """All inputs that a database has."""
    found: dict[Any, Any] = {(Cell, key): view[Cell, key] for key in view.keys(Cell)}
    config = view.get(Config)
    if config is not None:
        found[Config, ()] = config
    return found
