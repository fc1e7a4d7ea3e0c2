"""Random systems of equations over small bit sets, as queries that refer to each other, and their solutions.

One interpreter runs an equation against a reader: the queries give it one that calls other queries, the solver one that
looks into a table. What an equation reads may depend on what it has read before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import incr
from hand_loop import Cancelled, HandLoop, pause

__all__ = ["Equation", "Other", "System", "ask", "random_steps", "random_system", "solution"]

Step = tuple[Any, ...]
Read = Callable[[int], Awaitable[int]]

FULL = 15


@incr.input
class Equation:
    number: int = incr.key()
    own: int
    steps: tuple[Step, ...]


@incr.input
class Other:
    """What no equation reads."""

    value: int


class Boom(Exception):
    pass


@dataclass(eq=False, repr=False)
class System:
    """What kind of query each number is, and the loop that tasks run on. Equations themselves are inputs."""

    kinds: list[str]
    plain: int  # so many, the lowest, are `def` queries
    wild: bool  # the equations need not be monotone
    loop: HandLoop
    ran: list[int] = field(default_factory=list)

    def below(self, number: int) -> list[int]:
        """What an equation may read: every loop has to have a query on it that recovers."""
        reach = range(self.plain if number < self.plain else len(self.kinds))
        return [
            other for other in reach if self.kinds[number] != "none" or self.kinds[other] != "none" or other < number
        ]


def fallback(system: System, number: int) -> int:
    return number * 5 & FULL


def first(system: System, number: int) -> int:
    return number & 1 if system.wild else 0


def largest(previous: int, new: int) -> int:
    return max(previous, new)


def union(previous: int, new: int) -> int:
    return previous | new


OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "fallback": {"on_cycle": fallback},
    "fixpoint": {"cycle_initial": first},
    "union": {"cycle_initial": 0, "cycle_join": union},
    "largest": {"cycle_initial": first, "cycle_join": largest},
}


def _declare(kind: str, options: dict[str, Any]) -> tuple[Any, Any]:
    @incr.query(name=f"sync {kind}", **options)
    def sync(db: incr.View, system: System, number: int) -> int:
        coroutine = _body(db, system, number)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            value: int = stop.value
            return value
        raise AssertionError("a plain body waits")

    @incr.query(name=f"async {kind}", **options)
    async def awaited(db: incr.View, system: System, number: int) -> int:
        return await _body(db, system, number)

    return sync, awaited


QUERIES = {kind: _declare(kind, options) for kind, options in OPTIONS.items()}


async def call(db: incr.View, system: System, number: int) -> int:
    """The equation's call in its colour."""
    sync, awaited = QUERIES[system.kinds[number]]
    value: int = sync(db, system, number) if number < system.plain else await awaited(db, system, number)
    return value


async def ask(db: incr.View, system: System, number: int) -> Any:
    """A value, or an error's type and arguments."""
    try:
        return await call(db, system, number)
    except Exception as error:
        return type(error), error.args


async def _body(db: incr.View, system: System, number: int) -> int:
    system.ran.append(number)

    async def read(other: int) -> int:
        return await call(db, system, other)

    async def together(*others: int) -> list[int]:
        children = await system.loop.gather(*(read(other) for other in others))
        for child in children:
            if child.error is not None:
                assert not isinstance(child.error, Cancelled)
                raise child.error
        return [child.value for child in children]

    equation = db[Equation, number]
    waits = number >= system.plain
    return await interpret(equation, read, together if waits else None, pause if waits else None)


async def interpret(equation: Equation, read: Read, together: Any, wait: Any) -> int:
    """The value of an equation's right-hand side."""
    value = equation.own
    for step in equation.steps:
        if wait is not None:
            await wait()
        match step:
            case "or", a:
                value |= await read(a)
            case "mask", a, bits:
                value |= await read(a) & bits
            case "both", a, b:
                left, right = (await together(a, b)) if together is not None else (await read(a), await read(b))
                value |= left & right
            case "if", a, bits, b:
                if await read(a) & bits:
                    value |= await read(b)
            case "mix", a:
                value = (3 * value + await read(a) + 1) & FULL
            case "odd", a, b:
                value ^= await read(b) if await read(a) % 2 else 1
            case "boom", a, bits:
                if await read(a) & bits == bits:
                    raise Boom(equation.number)
            case _:
                raise AssertionError(step)
    return value


# --- making them ------------------------------------------------------------------------------------------------------


def random_system(random: Random, loop: HandLoop) -> System:
    """Between two and nine equations' kinds."""
    size = random.randint(2, 9)
    wild = random.random() < 0.5
    kinds = [random.choice(["none", "none", "fixpoint", "union", *(["largest"] * 3 if wild else ["fixpoint"])])
             for _ in range(size)]  # fmt: skip
    if random.random() < 0.3:
        kinds = [kind if random.random() < 0.6 else "fallback" for kind in kinds]
    return System(kinds, random.choice([0, size // 2, size]), wild, loop)


def random_steps(random: Random, system: System, number: int) -> tuple[Step, ...]:
    """A right-hand side."""
    below = system.below(number)
    if not below:
        return ()
    steps: list[Step] = []
    kinds = ["or", "or", "mask", "both"]
    if "fallback" not in system.kinds:  # which calls are on a loop must not depend on values, for the solver
        kinds += ["if"]
    if system.wild:
        kinds += ["mix", "mix", "odd", "boom"]
    for _ in range(random.choice([0, 1, 1, 2, 3])):
        a, b = random.choice(below), random.choice(below)
        bits = random.choice([1, 2, 4, 8, 3, 6])
        kind = random.choice(kinds)
        steps.append({"both": (kind, a, b), "odd": (kind, a, b), "if": (kind, a, bits, b), "or": (kind, a),
                      "mix": (kind, a)}.get(kind, (kind, a, bits)))  # fmt: skip
    return tuple(steps)


# --- solving them without incr ----------------------------------------------------------------------------------------


def solution(system: System, equations: dict[int, Equation]) -> dict[int, int]:
    """The least solution of monotone equations; a call on a loop that has a fallback is that."""
    assert not system.wild
    reads = {
        number: {part for step in equation.steps for part in _parts(step)} for number, equation in equations.items()
    }
    values = dict.fromkeys(equations, 0)
    for number in equations:
        if system.kinds[number] == "fallback" and number in _reachable(reads, number):
            values[number] = fallback(system, number)
    fixed = {number for number in equations if values[number] or (
        system.kinds[number] == "fallback" and number in _reachable(reads, number))}  # fmt: skip
    changed = True
    while changed:
        changed = False
        for number, equation in equations.items():
            if number not in fixed:
                value = _now(equation, values)
                changed = changed or value != values[number]
                values[number] = value
    return values


def _parts(step: Step) -> tuple[int, ...]:
    match step:
        case ("or", a) | ("mask", a, _):
            return (a,)
        case ("both", a, b) | ("if", a, _, b):
            return (a, b)
    raise AssertionError(step)


def _reachable(reads: dict[int, set[int]], number: int) -> set[int]:
    found: set[int] = set()
    stack = [number]
    while stack:
        for other in reads[stack.pop()] - found:
            found.add(other)
            stack.append(other)
    return found


def _now(equation: Equation, values: dict[int, int]) -> int:
    async def read(other: int) -> int:
        return values[other]

    try:
        interpret(equation, read, None, None).send(None)
    except StopIteration as stop:
        value: int = stop.value
        return value
    raise AssertionError("the solver waits")
