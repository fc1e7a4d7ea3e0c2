# It ships no types.
# mypy: disable-error-code="untyped-decorator,no-any-return"
"""incr-compute (import name `incr`, compiled): nodes of a runtime are made first and read by handle, not by key."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import shapes
from programs import Hit, Program

import incr

VERSION = version("incr-compute")
RECURSION = (RecursionError,)


def _runtime() -> Any:
    runtime: Any = incr
    return runtime.Runtime()


def hit_inside() -> Hit:
    db = _runtime()
    source = db.create_input("text")
    length = db.create_query(lambda view: len(view.get(source)))
    turn = db.create_input(0)
    names: dict[str, object] = {"length": length}
    pending: list[Callable[[], None]] = []

    def outer(view: Any) -> int:
        seen = view.get(turn) + view.get(length)
        names["view"] = view
        if pending:
            pending.pop()()
        return int(seen)

    computed = db.create_query(outer)
    turns = iter(range(1, 1_000_000))

    def within(run: Callable[[], None]) -> None:
        pending.append(run)
        db.set(turn, next(turns))
        db.get(computed)

    return Hit("view.get(length)", names, within)


def hit_outside() -> Hit:
    db = _runtime()
    source = db.create_input("text")
    length = db.create_query(lambda view: len(view.get(source)))
    db.get(length)
    return Hit("db.get(length)", {"db": db, "length": length})


def trivial(count: int) -> Program:
    db = _runtime()

    def run() -> int:
        for index in range(count):
            db.get(db.create_query(lambda view, index=index: index))
        return count

    return Program(run, run)


def reading(count: int) -> Program:
    db = _runtime()
    sources = [db.create_input(shapes.text(index, 0)) for index in range(count)]

    def run() -> int:
        for source in sources:
            db.get(db.create_query(lambda view, source=source: len(view.get(source))))
        return count

    return Program(run, run)


def chain(count: int) -> Program:
    db = _runtime()
    start = db.create_input(0)
    tops: list[Any] = []

    def cold() -> Any:
        node = db.create_query(lambda view: view.get(start))
        for _ in range(count):
            node = db.create_query(lambda view, below=node: view.get(below) + 1)
        tops.append(node)
        return db.get(node)

    return Program(cold, lambda: db.get(tops[0]), {"change": lambda step: db.set(start, step + 1)})


def fan(count: int) -> Program:
    db = _runtime()
    values = list(range(count))
    numbers = [db.create_input(value) for value in values]
    roots: list[Any] = []

    def cold() -> Any:
        children = [db.create_query(lambda view, number=number: view.get(number) + 1) for number in numbers]
        roots.append(db.create_query(lambda view: sum([view.get(child) for child in children])))
        return db.get(roots[0])

    def change(step: int) -> None:
        index = shapes.edited(step, count)
        values[index] += 1
        db.set(numbers[index], values[index])

    return Program(cold, lambda: db.get(roots[0]), {"change": change})


def layers(width: int) -> Program:
    db = _runtime()
    values = list(range(width))
    numbers = [db.create_input(value) for value in values]
    roots: list[Any] = []

    def node(below: list[Any]) -> Any:
        return db.create_query(lambda view: sum([view.get(one) for one in below]) % shapes.MODULUS)

    def cold() -> Any:
        last = numbers
        for _ in range(shapes.LAYERS):
            last = [node([last[i] for i in shapes.below(index, width)]) for index in range(width)]
        roots.append(db.create_query(lambda view: sum([view.get(one) for one in last])))
        return db.get(roots[0])

    def change(step: int) -> None:
        index = shapes.edited(step, width)
        values[index] += 1
        db.set(numbers[index], values[index])

    return Program(cold, lambda: db.get(roots[0]), {"change": change})


class Module:
    """The four nodes of one file."""

    def __init__(self, db: Any, source: Any, names: tuple[str, ...], modules: dict[str, Module]) -> None:
        self.names, self.modules = names, modules
        self.parse = db.create_query(lambda view: view.get(source).strip())
        self.signature = db.create_query(lambda view: shapes.signature_of(view.get(self.parse)))
        self.resolve = db.create_query(self._resolve)
        self.check = db.create_query(self._check)

    def _resolve(self, view: Any) -> int:
        seen: int = view.get(self.parse).index("|")
        return seen + sum([len(view.get(self.modules[name].signature)) for name in self.names])

    def _check(self, view: Any) -> int:
        seen: int = view.get(self.parse).index("|") + view.get(self.resolve)
        return seen + sum([len(view.get(self.modules[name].signature)) for name in self.names[:4]])


def keystroke(count: int) -> Program:
    db = _runtime()
    names = shapes.paths(count)
    imports = shapes.imports(count)
    sources = {name: db.create_input(shapes.text(index, 0)) for index, name in enumerate(names)}
    other = db.create_input(0)
    modules: dict[str, Module] = {}
    roots: list[Any] = []

    def cold() -> Any:
        for name in names:
            modules[name] = Module(db, sources[name], imports[name], modules)
        roots.append(db.create_query(lambda view: sum([view.get(modules[name].check) for name in names])))
        db.get(db.create_query(lambda view: view.get(other)))
        return db.get(roots[0])

    def body(step: int) -> None:
        index = shapes.edited(step, count)
        db.set(sources[names[index]], shapes.text(index, step + 1))

    return Program(cold, lambda: db.get(roots[0]), {"body": body, "unrelated": lambda step: db.set(other, step + 1)})
