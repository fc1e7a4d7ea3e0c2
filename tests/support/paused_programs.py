"""Random programs whose bodies pause, call in parallel, fail and catch, and what they give without any memo.

A program is a list of definitions, each a list of steps; a definition calls only those below it. One interpreter runs
the steps against a reader: the queries give it one that reads through their `db`, the oracle one that reads a plain
dict and calls without memos.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Protocol

import incr
from hand_loop import Cancelled

__all__ = ["CELLS", "RARES", "Cell", "Inputs", "Program", "Rare", "ask", "call", "from_scratch", "random_program"]

CELLS = range(4)
RARES = range(2)


@incr.input
class Cell:
    number: int = incr.key()
    value: int


@incr.input(durability=incr.Durability.HIGH)
class Rare:
    number: int = incr.key()
    value: int


@incr.interned
class Name:
    value: int


class Boom(Exception):
    pass


Step = tuple[Any, ...]
#: (record class, key) -> value: what is set at one revision.
Inputs = dict[tuple[type[Any], int], int]
Outcome = tuple[str, Any]


class Child(Protocol):
    """How a task ended."""

    value: Any
    error: BaseException | None


class Loop(Protocol):
    """What bodies ask of the loop that they run on."""

    async def pause(self) -> None:
        """Let others go on."""
        ...

    async def gather(self, *coroutines: Coroutine[Any, Any, Any]) -> Sequence[Child]:
        """Run them as children of the calling task."""
        ...

    def in_threads(self, functions: list[Callable[[], Any]]) -> Sequence[Child]:
        """Call each in a thread of its own; asked by programs with threads only."""
        ...


@dataclass(eq=False)
class Definition:
    """The body of one query."""

    awaited: bool
    modulo: int  # small, so that different inputs often give the same value
    steps: list[Step]


@dataclass(eq=False)
class Program:
    """Definitions, the loop that their tasks run on, and what is running and has run."""

    definitions: list[Definition]
    loop: Loop
    db: incr.Database
    running: set[tuple[int, int]] = field(default_factory=set)
    ran: list[tuple[int, int]] = field(default_factory=list)
    #: Called where a body begins and where it ends; may raise.
    hazard: Callable[[], None] = lambda: None


# --- making one -------------------------------------------------------------------------------------------------------


def random_program(random: Random, loop: Loop, db: incr.Database, size: int, *, threads: bool = False) -> Program:
    """A program of *size* definitions, some of which call others in *threads*."""
    definitions: list[Definition] = []
    for number in range(size):
        awaited = random.random() < 0.7
        # A plain body cannot await, so it calls plain ones only.
        below = [low for low in range(number) if awaited or not definitions[low].awaited]
        steps = [_random_step(random, below, awaited) for _ in range(random.randint(1, 5))]
        plain = [low for low in below if not definitions[low].awaited]
        if threads and plain and random.random() < 0.3:
            steps.append(("threads", tuple(random.choices(plain, k=random.randint(1, 3)))))
        definitions.append(Definition(awaited, random.choice([2, 3, 1000]), steps))
    return Program(definitions, loop, db)


def _random_step(random: Random, below: list[int], awaited: bool) -> Step:
    kinds = ["cell", "get", "present", "keys", "rare", "boom", "half", "outer", "name", "revision", "if"]
    weights = [3, 3, 1, 1, 2, 1, 1, 1, 1, 0.2, 2]
    if below:
        kinds += ["call", "try"]
        weights += [10, 3]
    if awaited:
        kinds += ["pause"]
        weights += [6]
    if awaited and below:
        kinds += ["group"]
        weights += [3]
    kind = random.choices(kinds, weights)[0]
    match kind:
        case "cell" | "get" | "present" | "outer":
            return kind, random.choice(CELLS)
        case "rare":
            return kind, random.choice(RARES)
        case "call" | "try":
            return kind, random.choice(below)
        case "group":
            return kind, tuple(random.choices(below, k=random.randint(2, 3)))
        case "if":
            return kind, _random_step(random, below, awaited), _random_step(random, below, awaited)
        case _:
            return (kind,)


# --- running one ------------------------------------------------------------------------------------------------------


@incr.query
def plain(db: incr.View, program: Program, number: int) -> int:
    """A definition that never waits."""
    coroutine = _body(Live(db, program), program, number)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: int = stop.value
        return value
    raise AssertionError("a plain body waits")


@incr.query
async def awaited(db: incr.View, program: Program, number: int) -> int:
    """A definition that may wait."""
    return await _body(Live(db, program), program, number)


async def call(db: incr.View, program: Program, number: int) -> int:
    """Call a definition in its colour."""
    if program.definitions[number].awaited:
        return await awaited(db, program, number)
    return plain(db, program, number)


async def ask(db: incr.View, program: Program, number: int) -> Outcome:
    """The outcome of a call: ("value", it) or ("error", its type and arguments)."""
    try:
        return "value", await call(db, program, number)
    except Exception as error:
        return "error", (type(error), error.args)


async def _body(live: Live, program: Program, number: int) -> int:
    running = (number, live.revision())
    assert running not in program.running, f"call {number} runs twice at once at revision {running[1]}"
    program.running.add(running)
    try:
        program.hazard()
        value = await _interpret(program.definitions[number], live)
        program.hazard()
    except Exception:
        program.ran.append(running)
        raise
    else:
        program.ran.append(running)
        return value
    finally:
        program.running.discard(running)


@dataclass(eq=False)
class Live:
    """Reads through a running query's `db`."""

    db: incr.View
    program: Program

    def read(self, record: type[Any], key: int) -> int:
        value: int = self.db[record, key].value
        return value

    def get(self, record: type[Any], key: int) -> int | None:
        found = self.db.get(record, key)
        return None if found is None else found.value

    def outer(self, key: int) -> int | None:
        """Through the database itself, not the frame."""
        found = self.program.db.get(Cell, key)
        return None if found is None else found.value

    def present(self, key: int) -> bool:
        return (Cell, key) in self.db

    def keys(self) -> list[int]:
        return list(self.db.keys(Cell))

    def name(self, value: int) -> int:
        name = self.db.intern(Name(value))
        assert name is self.db.intern(Name(value))
        return name.value

    def revision(self) -> int:
        return self.db.revision

    def untracked(self) -> int:
        self.db.untracked("the revision")
        return self.db.revision

    async def call(self, number: int) -> int:
        return await call(self.db, self.program, number)

    async def pause(self) -> None:
        await self.program.loop.pause()

    async def group(self, numbers: tuple[int, ...]) -> list[int | None]:
        children = await self.program.loop.gather(*(self.call(number) for number in numbers))
        return [_value_of(child) for child in children]

    def threads(self, numbers: tuple[int, ...]) -> list[int | None]:
        calls = [partial(plain, self.db, self.program, number) for number in numbers]
        children = self.program.loop.in_threads(calls)
        for child in children:
            if isinstance(child.error, Cancelled):
                raise child.error
        return [_value_of(child) for child in children]


def _value_of(child: Child) -> int | None:
    if child.error is None:
        value: int = child.value
        return value
    assert not isinstance(child.error, Cancelled | AssertionError), child.error
    return None


# --- the oracle -------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Scratch:
    """Reads one revision's inputs."""

    inputs: Inputs
    at: int
    program: Program

    def read(self, record: type[Any], key: int) -> int:
        if (record, key) not in self.inputs:
            raise incr.MissingInputError(record, key)
        return self.inputs[record, key]

    def get(self, record: type[Any], key: int) -> int | None:
        return self.inputs.get((record, key))

    def outer(self, key: int) -> int | None:
        return self.inputs.get((Cell, key))

    def present(self, key: int) -> bool:
        return (Cell, key) in self.inputs

    def keys(self) -> list[int]:
        return sorted(key for record, key in self.inputs if record is Cell)

    def name(self, value: int) -> int:
        return value

    def revision(self) -> int:
        return self.at

    untracked = revision

    async def call(self, number: int) -> int:
        return await _interpret(self.program.definitions[number], self)

    async def pause(self) -> None:
        pass

    async def group(self, numbers: tuple[int, ...]) -> list[int | None]:
        values: list[int | None] = []
        for number in numbers:
            try:
                values.append(await self.call(number))
            except Exception:
                values.append(None)
        return values

    def threads(self, numbers: tuple[int, ...]) -> list[int | None]:
        values: list[int | None] = []
        for number in numbers:
            outcome = from_scratch(self.program, self.inputs, self.at, number)
            values.append(outcome[1] if outcome[0] == "value" else None)
        return values


def from_scratch(program: Program, inputs: Inputs, revision: int, number: int) -> Outcome:
    """What `ask` gives on a database without memos that holds *inputs*."""
    try:
        Scratch(inputs, revision, program).call(number).send(None)
    except StopIteration as stop:
        return "value", stop.value
    except Exception as error:
        return "error", (type(error), error.args)
    raise AssertionError("the oracle waits")


# --- the interpreter --------------------------------------------------------------------------------------------------


async def _interpret(definition: Definition, reader: Live | Scratch) -> int:
    total = 0
    for step in definition.steps:
        total = await _do(step, total, reader)
    return total % definition.modulo


async def _do(step: Step, total: int, reader: Live | Scratch) -> int:
    match step:
        case ("cell", key):
            return total + reader.read(Cell, key)
        case ("rare", key):
            return total + _or(reader.get(Rare, key), 11)
        case ("get", key):
            return total + _or(reader.get(Cell, key), 7)
        case ("outer", key):
            return total * 2 + _or(reader.outer(key), 5)
        case ("present", key):
            return total * 2 + reader.present(key)
        case ("keys",):
            return total + sum(reader.keys())
        case ("name",):
            return total + reader.name(total % 3)
        case ("revision",):
            return total + reader.untracked()
        case ("half",):
            return total // 2
        case ("boom",):
            if total % 3 == 2:
                raise Boom(total)
            return total
        case ("if", then, otherwise):
            return await _do(then if total % 2 else otherwise, total, reader)
        case ("call", number):
            return total * 3 + await reader.call(number)
        case ("try", number):
            try:
                return total + await reader.call(number)
            except (Boom, incr.MissingInputError) as error:
                return total + len(error.args)
        case ("group", numbers):
            return total + sum(_or(value, 13) for value in await reader.group(numbers))
        case ("threads", numbers):
            return total + sum(_or(value, 17) for value in reader.threads(numbers))
        case ("pause",):
            await reader.pause()
            return total
    raise AssertionError(step)


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
