# It ships no types.
# mypy: disable-error-code="untyped-decorator,no-any-return"
"""query-cascade (import name `cascade`): keyed inputs and queries of one engine; `save`/`load` into one SQLite file.

The bound on memos is raised (its default of 10,000 would evict most of each program) and so is nothing else. The bodies
add up lists by `sum([...])`, which it rewrites into incremental pipelines only over its own collections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import shapes
from cascade import Engine
from programs import AsyncHit, AsyncProgram, Hit, Persistent, Program

VERSION = version("query-cascade")
RECURSION = (RecursionError,)
LOOP = "asyncio"


def run(function: Callable[[], Awaitable[object]]) -> object:
    """Its awaited queries need an asyncio loop."""

    async def main() -> object:
        return await function()

    return asyncio.run(main())


def _engine() -> Any:
    return Engine(max_entries=10_000_000)


def _length(engine: Any) -> Any:
    @engine.input
    def source(path: str) -> str:
        return "text"

    @engine.query
    def length(path: str) -> int:
        return len(source(path))

    return length


def hit_inside() -> Hit:
    engine = _engine()
    length = _length(engine)
    pending: list[Callable[[], None]] = []

    @engine.query
    def outer(turn: int) -> int:
        length("a.py")
        pending.pop()()
        return turn

    turns = iter(range(1_000_000))

    def within(run: Callable[[], None]) -> None:
        pending.append(run)
        outer(next(turns))

    return Hit("length(path)", {"length": length, "path": "a.py"}, within)


def hit_outside() -> Hit:
    length = _length(_engine())
    length("a.py")
    return Hit("length(path)", {"length": length, "path": "a.py"})


def hit_awaited() -> AsyncHit:
    engine = _engine()

    @engine.query
    async def length(path: str) -> int:
        return len(path)

    async def within(run: Callable[[], Awaitable[None]]) -> None:
        await length("a.py")
        await run()

    return AsyncHit("await length(path)", {"length": length, "path": "a.py"}, within)


def trivial(count: int) -> Program:
    engine = _engine()

    @engine.query
    def same(index: int) -> int:
        return index

    def run() -> int:
        for index in range(count):
            same(index)
        return count

    return Program(run, run)


def trivial_async(count: int) -> AsyncProgram:
    engine = _engine()

    @engine.query
    async def same(index: int) -> int:
        return index

    async def run() -> int:
        for index in range(count):
            await same(index)
        return count

    return AsyncProgram(run, run)


def reading(count: int) -> Program:
    engine = _engine()

    @engine.input
    def source(index: int) -> str:
        return ""

    with engine.transaction():
        for index in range(count):
            source.set(index, value=shapes.text(index, 0))

    @engine.query
    def length(index: int) -> int:
        return len(source(index))

    def run() -> int:
        for index in range(count):
            length(index)
        return count

    return Program(run, run)


def chain(count: int) -> Program:
    engine = _engine()

    @engine.input
    def start() -> int:
        return 0

    @engine.query
    def node(index: int) -> int:
        return node(index - 1) + 1 if index else start()

    return Program(lambda: node(count), lambda: node(count), {"change": lambda step: start.set(step + 1)})


def chain_async(count: int) -> AsyncProgram:
    engine = _engine()

    @engine.input
    def start() -> int:
        return 0

    @engine.query
    async def node(index: int) -> int:
        return await node(index - 1) + 1 if index else start()

    return AsyncProgram(lambda: node(count), lambda: node(count), {"change": lambda step: start.set(step + 1)})


def fan(count: int) -> Program:
    engine = _engine()

    @engine.input
    def number(index: int) -> int:
        return index

    with engine.transaction():
        for index in range(count):
            number.set(index, value=index)

    @engine.query
    def child(index: int) -> int:
        return number(index) + 1

    @engine.query
    def root() -> int:
        return sum([child(index) for index in range(count)])

    values = list(range(count))

    def change(step: int) -> None:
        index = shapes.edited(step, count)
        values[index] += 1
        number.set(index, value=values[index])

    return Program(root, root, {"change": change})


def layers(width: int) -> Program:
    engine = _engine()

    @engine.input
    def number(index: int) -> int:
        return index

    values = list(range(width))
    with engine.transaction():
        for index in range(width):
            number.set(index, value=index)

    @engine.query
    def node(layer: int, index: int) -> int:
        if layer == 0:
            return sum([number(i) for i in shapes.below(index, width)]) % shapes.MODULUS
        return sum([node(layer - 1, i) for i in shapes.below(index, width)]) % shapes.MODULUS

    @engine.query
    def root() -> int:
        return sum([node(shapes.LAYERS - 1, index) for index in range(width)])

    def change(step: int) -> None:
        index = shapes.edited(step, width)
        values[index] += 1
        number.set(index, value=values[index])

    return Program(root, root, {"change": change})


def keystroke(count: int) -> Program:
    engine = _engine()
    names = shapes.paths(count)
    imports = shapes.imports(count)

    @engine.input
    def source(path: str) -> str:
        return ""

    @engine.input
    def other() -> int:
        return 0

    with engine.transaction():
        for index, name in enumerate(names):
            source.set(name, value=shapes.text(index, 0))

    @engine.query
    def parse(path: str) -> str:
        return source(path).strip()

    @engine.query
    def signature(path: str) -> str:
        return shapes.signature_of(parse(path))

    @engine.query
    def resolve(path: str) -> int:
        return parse(path).index("|") + sum([len(signature(name)) for name in imports[path]])

    @engine.query
    def check(path: str) -> int:
        seen = parse(path).index("|") + resolve(path)
        return seen + sum([len(signature(name)) for name in imports[path][:4]])

    @engine.query
    def root() -> int:
        return sum([check(name) for name in names])

    @engine.query
    def elsewhere() -> int:
        return other()

    def cold() -> int:
        elsewhere()
        return root()

    def body(step: int) -> None:
        index = shapes.edited(step, count)
        source.set(names[index], value=shapes.text(index, step + 1))

    return Program(cold, root, {"body": body, "unrelated": lambda step: other.set(step + 1)})


def memos(count: int) -> Persistent:
    names = shapes.paths(count // shapes.CALLS_PER_INPUT)
    ran = 0

    def program() -> tuple[Any, Any, Callable[[], int]]:
        engine = _engine()

        @engine.input
        def source(path: str) -> str:
            return ""

        @engine.query
        def part(path: str, index: int) -> str:
            nonlocal ran
            ran += 1
            return shapes.part_of(source(path), index)

        def read() -> int:
            return sum([len(part(name, index)) for name in names for index in range(shapes.CALLS_PER_INPUT)])

        return engine, source, read

    engine, source, read = program()
    with engine.transaction():
        for index, name in enumerate(names):
            source.set(name, value=shapes.text(index, 0))

    def load(path: str) -> Callable[[], object]:
        fresh, _, read_again = program()
        fresh.load(path)
        return read_again

    return Persistent(read, engine.save, load, lambda: ran)
