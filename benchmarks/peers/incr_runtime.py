"""incr itself, as its users write it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version

import shapes
from programs import AsyncHit, AsyncProgram, Hit, Persistent, Program

import incr

VERSION = version("incr-runtime")
RECURSION = (RecursionError,)
LOOP = "trio"

ran = 0


def run(function: Callable[[], Awaitable[object]]) -> object:
    """Its awaited queries run on any loop; trio here."""
    import trio

    return trio.run(function)


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.input
class Number:
    index: int = incr.key()
    value: int


@incr.input
class Other:
    value: int


@incr.query
def length(db: incr.View, path: str) -> int:
    return len(db[Source, path].text)


@incr.query
async def length_async(db: incr.View, path: str) -> int:
    return len(db[Source, path].text)


def _one_source() -> incr.Database:
    db = incr.Database()
    db.set(Source("a.py", "text"))
    return db


def hit_inside() -> Hit:
    db = _one_source()
    names: dict[str, object] = {"length": length, "path": "a.py"}
    pending: list[Callable[[], None]] = []

    @incr.query
    def outer(db: incr.View, turn: int) -> int:
        length(db, "a.py")
        names["db"] = db
        pending.pop()()
        return turn

    turns = iter(range(1_000_000))

    def within(run: Callable[[], None]) -> None:
        pending.append(run)
        outer(db, next(turns))

    return Hit("length(db, path)", names, within)


def hit_outside() -> Hit:
    db = _one_source()
    length(db, "a.py")
    return Hit("length(db, path)", {"length": length, "db": db, "path": "a.py"})


def hit_awaited() -> AsyncHit:
    db = _one_source()
    names: dict[str, object] = {"length": length_async, "path": "a.py"}
    pending: list[Callable[[], Awaitable[None]]] = []

    @incr.query
    async def outer(db: incr.View, turn: int) -> int:
        await length_async(db, "a.py")
        names["db"] = db
        await pending.pop()()
        return turn

    turns = iter(range(1_000_000))

    async def within(run: Callable[[], Awaitable[None]]) -> None:
        pending.append(run)
        await outer(db, next(turns))

    return AsyncHit("await length(db, path)", names, within)


def hit_awaited_outside() -> AsyncHit:
    db = _one_source()

    async def within(run: Callable[[], Awaitable[None]]) -> None:
        await length_async(db, "a.py")
        await run()

    return AsyncHit("await length(db, path)", {"length": length_async, "db": db, "path": "a.py"}, within)


@incr.query
def same(db: incr.View, index: int) -> int:
    return index


@incr.query
async def same_async(db: incr.View, index: int) -> int:
    return index


def trivial(count: int) -> Program:
    db = incr.Database()

    def run() -> int:
        for index in range(count):
            same(db, index)
        return count

    return Program(run, run)


def trivial_async(count: int) -> AsyncProgram:
    db = incr.Database()

    async def run() -> int:
        for index in range(count):
            await same_async(db, index)
        return count

    return AsyncProgram(run, run)


def _numbers(count: int) -> incr.Database:
    db = incr.Database()
    with db.batch() as batch:
        for index in range(count):
            batch.set(Number(index, index))
    return db


def _change(db: incr.Database, count: int) -> Callable[[int], object]:
    def change(step: int) -> None:
        index = shapes.edited(step, count)
        db.set(Number(index, db[Number, index].value + 1))

    return change


@incr.input
class Text:
    index: int = incr.key()
    text: str


@incr.query
def length_of(db: incr.View, index: int) -> int:
    return len(db[Text, index].text)


def reading(count: int) -> Program:
    db = incr.Database()
    with db.batch() as batch:
        for index in range(count):
            batch.set(Text(index, shapes.text(index, 0)))

    def run() -> int:
        for index in range(count):
            length_of(db, index)
        return count

    return Program(run, run)


@incr.query
def node(db: incr.View, index: int) -> int:
    return node(db, index - 1) + 1 if index else db[Other].value


@incr.query
async def node_async(db: incr.View, index: int) -> int:
    return await node_async(db, index - 1) + 1 if index else db[Other].value


def chain(count: int) -> Program:
    db = incr.Database()
    db.set(Other(0))
    return Program(lambda: node(db, count), lambda: node(db, count), {"change": lambda step: db.set(Other(step + 1))})


def chain_async(count: int) -> AsyncProgram:
    db = incr.Database()
    db.set(Other(0))
    return AsyncProgram(
        lambda: node_async(db, count), lambda: node_async(db, count), {"change": lambda step: db.set(Other(step + 1))}
    )


@incr.query
def child(db: incr.View, index: int) -> int:
    return db[Number, index].value + 1


def fan(count: int) -> Program:
    db = _numbers(count)

    @incr.query
    def root(db: incr.View) -> int:
        return sum([child(db, index) for index in range(count)])

    return Program(lambda: root(db), lambda: root(db), {"change": _change(db, count)})


def layers(width: int) -> Program:
    db = _numbers(width)

    @incr.query
    def node(db: incr.View, layer: int, index: int) -> int:
        if layer == 0:
            return sum([db[Number, i].value for i in shapes.below(index, width)]) % shapes.MODULUS
        return sum([node(db, layer - 1, i) for i in shapes.below(index, width)]) % shapes.MODULUS

    @incr.query
    def root(db: incr.View) -> int:
        return sum([node(db, shapes.LAYERS - 1, index) for index in range(width)])

    return Program(lambda: root(db), lambda: root(db), {"change": _change(db, width)})


@incr.query
def parse(db: incr.View, path: str) -> str:
    return db[Source, path].text.strip()


@incr.query
def signature(db: incr.View, path: str) -> str:
    return shapes.signature_of(parse(db, path))


@incr.query
def elsewhere(db: incr.View) -> int:
    return db[Other].value


def keystroke(count: int) -> Program:
    names = shapes.paths(count)
    imports = shapes.imports(count)
    db = incr.Database()
    with db.batch() as batch:
        batch.set(Other(0))
        for index, name in enumerate(names):
            batch.set(Source(name, shapes.text(index, 0)))

    @incr.query
    def resolve(db: incr.View, path: str) -> int:
        return parse(db, path).index("|") + sum([len(signature(db, name)) for name in imports[path]])

    @incr.query
    def check(db: incr.View, path: str) -> int:
        seen = parse(db, path).index("|") + resolve(db, path)
        return seen + sum([len(signature(db, name)) for name in imports[path][:4]])

    @incr.query
    def root(db: incr.View) -> int:
        return sum([check(db, name) for name in names])

    def cold() -> int:
        elsewhere(db)
        return root(db)

    def body(step: int) -> None:
        index = shapes.edited(step, count)
        db.set(Source(names[index], shapes.text(index, step + 1)))

    return Program(cold, lambda: root(db), {"body": body, "unrelated": lambda step: db.set(Other(step + 1))})


@incr.query
def part(db: incr.View, path: str, index: int) -> str:
    global ran
    ran += 1
    return shapes.part_of(db[Source, path].text, index)


def memos(count: int) -> Persistent:
    names = shapes.paths(count // shapes.CALLS_PER_INPUT)
    db = incr.Database()
    with db.batch() as batch:
        for index, name in enumerate(names):
            batch.set(Source(name, shapes.text(index, 0)))

    def read(view: incr.View) -> int:
        return sum([len(part(view, name, index)) for name in names for index in range(shapes.CALLS_PER_INPUT)])

    def load(path: str) -> Callable[[], object]:
        fresh = incr.Database()
        fresh.load(path)
        return lambda: read(fresh)

    return Persistent(lambda: read(db), db.save, load, lambda: ran)
