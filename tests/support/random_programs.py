"""Random programs over a few inputs, the queries that run them, and what they give without any memo.

A program is a tuple of definitions; definition number i calls only definitions below i. The same expressions are
evaluated by the queries (through a view) and by the oracle (over a plain dict), so an answer can be compared with a
computation from scratch.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import strategies as st

import incr

CELLS = range(4)


@incr.input
class Cell:
    number: int = incr.key()
    value: int


@incr.input(durability=incr.Durability.HIGH)
class Config:
    value: int


@incr.interned
class Name:
    value: int


class Boom(Exception):
    pass


Expression = tuple[Any, ...]
#: (whether it is an async query, its expression)
Definition = tuple[bool, Expression]
Program = tuple[Definition, ...]


def expressions(below: int) -> st.SearchStrategy[Expression]:
    """Expressions that call definitions with a number under *below*."""
    cell = st.sampled_from(CELLS)
    leaves = [
        st.tuples(st.just("cell"), cell),
        st.tuples(st.just("get"), cell),
        st.tuples(st.just("present"), cell),
        st.just(("keys",)),
        st.just(("config",)),
        st.tuples(st.just("const"), st.integers(0, 3)),
    ]
    if below:
        called = st.integers(0, below - 1)
        leaves += [st.tuples(st.just("call"), called)] * 3
        leaves += [st.tuples(st.just("try"), called)]
    return st.recursive(
        st.one_of(leaves),
        lambda inner: st.one_of(
            st.tuples(st.just("add"), inner, inner),
            st.tuples(st.just("if"), inner, inner, inner),
            st.tuples(st.just("boom"), inner),
            st.tuples(st.just("half"), inner),
            st.tuples(st.just("name"), inner),
        ),
        max_leaves=5,
    )


@st.composite
def programs(draw: st.DrawFn, size: int = 8, *, tasks: bool = True) -> Program:
    """A program of up to *size* definitions; the later ones are async queries if *tasks*."""
    count = draw(st.integers(2, size))
    awaited = draw(st.integers(1, count)) if tasks else count
    return tuple((number >= awaited, draw(expressions(number))) for number in range(count))


def random_expression(chance: random.Random, below: int, depth: int = 0) -> Expression:
    """An expression that calls definitions with a number under *below*, without hypothesis."""
    leaves: list[Expression] = [("cell", chance.randrange(4)), ("get", chance.randrange(4))]
    leaves += [("present", chance.randrange(4)), ("keys",), ("config",), ("const", chance.randrange(3))]
    if chance.random() < 0.1:
        leaves.append(("clock",))
    if below:
        leaves += [("call", chance.randrange(below)) for _ in range(6)] + [("try", chance.randrange(below))]
    if depth > 2 or chance.random() < 0.3:
        return chance.choice(leaves)

    def inner() -> Expression:
        return random_expression(chance, below, depth + 1)

    return chance.choice(
        [
            ("add", inner(), inner()),
            ("add", inner(), inner()),
            ("if", inner(), inner(), inner()),
            ("boom", inner()),
            ("half", inner()),
            ("name", inner()),
        ]
    )


async def evaluate(view: Any, expression: Expression, call: Callable[[int], Awaitable[int]]) -> int:
    """The value of an expression read through *view*; raises `Boom` or `MissingInputError`."""
    match expression:
        case ("cell", number):
            return int(view[Cell, number].value)
        case ("get", number):
            found = view.get(Cell, number)
            return -1 if found is None else int(found.value)
        case ("present", number):
            return int((Cell, number) in view)
        case ("keys",):
            return sum((place + 1) * key for place, key in enumerate(view.keys(Cell)))
        case ("config",):
            return int(view[Config].value)
        case ("clock",):
            return int(view.untracked("clock") or 0)
        case ("const", value):
            return int(value)
        case ("argument",):
            return int(view.argument)
        case ("reach", number):
            return int(view.reach(number))
        case ("call", number):
            return await call(number)
        case ("try", number):
            try:
                return await call(number)
            except (Boom, incr.MissingInputError):
                return 7
        case ("add", left, right):
            return await evaluate(view, left, call) + await evaluate(view, right, call)
        case ("if", condition, then, otherwise):
            branch = then if await evaluate(view, condition, call) % 2 else otherwise
            return await evaluate(view, branch, call)
        case ("boom", inner):
            value = await evaluate(view, inner, call)
            if value % 3 == 2:
                raise Boom(value)
            return value
        case ("half", inner):
            return await evaluate(view, inner, call) // 2
        case ("name", inner):
            return int(view.intern(Name(await evaluate(view, inner, call))).value)
        case _:
            raise AssertionError(expression)


def finish(coroutine: Any) -> Any:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waited")


class Scratch:
    """A view over a plain dict: no memo, no graph."""

    def __init__(self, inputs: dict[Any, Any]) -> None:
        self.inputs = inputs

    def __getitem__(self, slot: Any) -> Any:
        key = slot if isinstance(slot, tuple) else (slot, ())
        if key not in self.inputs:
            raise incr.MissingInputError(*key)
        return self.inputs[key]

    def get(self, record: Any, key: Any) -> Any:
        return self.inputs.get((record, key))

    def __contains__(self, slot: Any) -> bool:
        return slot in self.inputs

    def keys(self, record: Any) -> list[Any]:
        return sorted(key for kind, key in self.inputs if kind is record)

    def intern(self, value: Any) -> Any:
        return value

    def untracked(self, reason: str) -> None:
        pass


#: ("value", it) or ("error", type, arguments).
Outcome = tuple[Any, ...]


def outcome_of(function: Callable[[], int]) -> Outcome:
    """What a call gives, as something that can be compared."""
    try:
        return ("value", function())
    except (Boom, incr.MissingInputError) as error:
        return ("error", type(error), error.args)


def from_scratch(program: Program, inputs: dict[Any, Any], number: int) -> Outcome:
    """What definition *number* gives over these inputs."""

    async def call(inner: int) -> int:
        return await evaluate(Scratch(inputs), program[inner][1], call)

    return outcome_of(lambda: finish(call(number)))
