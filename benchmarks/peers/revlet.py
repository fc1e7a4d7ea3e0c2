# It ships no types.
# mypy: disable-error-code="untyped-decorator,no-any-return"
"""revlet: a database of input handles and `@tracked` functions; queries without a handle argument are bound once."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import shapes
from programs import Hit, Program
from revlet import Database, tracked

VERSION = version("revlet")
RECURSION = (RecursionError,)


def _length(db: Any) -> Callable[[str], int]:
    source = db.input("text")

    @tracked
    def length(path: str) -> int:
        return len(source.value)

    return length


def hit_inside() -> Hit:
    db = Database()
    length = _length(db)
    pending: list[Callable[[], None]] = []

    @tracked
    def outer(turn: int) -> int:
        length("a.py")
        pending.pop()()
        return turn

    bound = db.bind(outer)
    turns = iter(range(1_000_000))

    def within(run: Callable[[], None]) -> None:
        pending.append(run)
        bound(next(turns))

    return Hit("length(path)", {"length": length, "path": "a.py"}, within)


def hit_outside() -> Hit:
    db = Database()
    length = db.bind(_length(db))
    length("a.py")
    return Hit("length(path)", {"length": length, "path": "a.py"})


def trivial(count: int) -> Program:
    db = Database()

    @tracked
    def same(index: int) -> int:
        return index

    bound = db.bind(same)

    def run() -> int:
        for index in range(count):
            bound(index)
        return count

    return Program(run, run)


def reading(count: int) -> Program:
    db = Database()
    sources = [db.input(shapes.text(index, 0)) for index in range(count)]

    @tracked
    def length(index: int) -> int:
        return len(sources[index].value)

    bound = db.bind(length)

    def run() -> int:
        for index in range(count):
            bound(index)
        return count

    return Program(run, run)


def chain(count: int) -> Program:
    db = Database()
    start = db.input(0)

    @tracked
    def node(index: int) -> int:
        return node(index - 1) + 1 if index else start.value

    bound = db.bind(node)

    def change(step: int) -> None:
        start.value = step + 1

    return Program(lambda: bound(count), lambda: bound(count), {"change": change})


def fan(count: int) -> Program:
    db = Database()
    numbers = [db.input(index) for index in range(count)]

    @tracked
    def child(index: int) -> int:
        return numbers[index].value + 1

    @tracked
    def root() -> int:
        return sum([child(index) for index in range(count)])

    bound = db.bind(root)

    def change(step: int) -> None:
        numbers[shapes.edited(step, count)].value += 1

    return Program(bound, bound, {"change": change})


def layers(width: int) -> Program:
    db = Database()
    numbers = [db.input(index) for index in range(width)]

    @tracked
    def node(layer: int, index: int) -> int:
        if layer == 0:
            return sum([numbers[i].value for i in shapes.below(index, width)]) % shapes.MODULUS
        return sum([node(layer - 1, i) for i in shapes.below(index, width)]) % shapes.MODULUS

    @tracked
    def root() -> int:
        return sum([node(shapes.LAYERS - 1, index) for index in range(width)])

    bound = db.bind(root)

    def change(step: int) -> None:
        numbers[shapes.edited(step, width)].value += 1

    return Program(bound, bound, {"change": change})


def keystroke(count: int) -> Program:
    db = Database()
    names = shapes.paths(count)
    imports = shapes.imports(count)
    sources = {name: db.input(shapes.text(index, 0)) for index, name in enumerate(names)}
    other = db.input(0)

    @tracked
    def parse(path: str) -> str:
        return sources[path].value.strip()

    @tracked
    def signature(path: str) -> str:
        return shapes.signature_of(parse(path))

    @tracked
    def resolve(path: str) -> int:
        return parse(path).index("|") + sum([len(signature(name)) for name in imports[path]])

    @tracked
    def check(path: str) -> int:
        seen = parse(path).index("|") + resolve(path)
        return seen + sum([len(signature(name)) for name in imports[path][:4]])

    @tracked
    def root() -> int:
        return sum([check(name) for name in names])

    @tracked
    def elsewhere() -> int:
        return other.value

    ask = db.bind(root)

    def cold() -> int:
        db.bind(elsewhere)()
        return ask()

    def body(step: int) -> None:
        index = shapes.edited(step, count)
        sources[names[index]].value = shapes.text(index, step + 1)

    def unrelated(step: int) -> None:
        other.value = step + 1

    return Program(cold, ask, {"body": body, "unrelated": unrelated})
