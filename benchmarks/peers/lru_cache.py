"""`functools.cache`, that is `lru_cache(maxsize=None)`: the floor. It knows no dependencies; a change forgets all."""

from __future__ import annotations

import pickle
import platform
from collections.abc import Callable
from functools import cache

import shapes
from programs import Hit, Persistent, Program

VERSION = platform.python_version()
RECURSION = (RecursionError,)


def hit_inside() -> Hit:
    @cache
    def length(path: str) -> int:
        return len(path)

    length("a.py")
    return Hit("length(path)", {"length": length, "path": "a.py"})


def hit_outside() -> Hit:
    return hit_inside()


def trivial(count: int) -> Program:
    @cache
    def same(index: int) -> int:
        return index

    def run() -> int:
        for index in range(count):
            same(index)
        return count

    return Program(run, run)


def reading(count: int) -> Program:
    sources = {index: shapes.text(index, 0) for index in range(count)}

    @cache
    def length(index: int) -> int:
        return len(sources[index])

    def run() -> int:
        for index in range(count):
            length(index)
        return count

    return Program(run, run)


def chain(count: int) -> Program:
    start = [0]

    @cache
    def node(index: int) -> int:
        return node(index - 1) + 1 if index else start[0]

    def change(step: int) -> None:
        start[0] = step + 1
        node.cache_clear()

    return Program(lambda: node(count), lambda: node(count), {"change": change})


def fan(count: int) -> Program:
    numbers = list(range(count))

    @cache
    def child(index: int) -> int:
        return numbers[index] + 1

    @cache
    def root() -> int:
        return sum([child(index) for index in range(count)])

    def change(step: int) -> None:
        numbers[shapes.edited(step, count)] += 1
        child.cache_clear()
        root.cache_clear()

    return Program(root, root, {"change": change})


def layers(width: int) -> Program:
    numbers = list(range(width))

    @cache
    def node(layer: int, index: int) -> int:
        if layer == 0:
            return sum([numbers[i] for i in shapes.below(index, width)]) % shapes.MODULUS
        return sum([node(layer - 1, i) for i in shapes.below(index, width)]) % shapes.MODULUS

    @cache
    def root() -> int:
        return sum([node(shapes.LAYERS - 1, index) for index in range(width)])

    def change(step: int) -> None:
        numbers[shapes.edited(step, width)] += 1
        node.cache_clear()
        root.cache_clear()

    return Program(root, root, {"change": change})


def keystroke(count: int) -> Program:
    names = shapes.paths(count)
    imports = shapes.imports(count)
    sources = {name: shapes.text(index, 0) for index, name in enumerate(names)}

    @cache
    def parse(path: str) -> str:
        return sources[path].strip()

    @cache
    def signature(path: str) -> str:
        return shapes.signature_of(parse(path))

    @cache
    def resolve(path: str) -> int:
        return parse(path).index("|") + sum([len(signature(name)) for name in imports[path]])

    @cache
    def check(path: str) -> int:
        seen = parse(path).index("|") + resolve(path)
        return seen + sum([len(signature(name)) for name in imports[path][:4]])

    @cache
    def root() -> int:
        return sum([check(name) for name in names])

    def forget() -> None:
        for cached in (parse, signature, resolve, check, root):
            cached.cache_clear()

    def body(step: int) -> None:
        index = shapes.edited(step, count)
        sources[names[index]] = shapes.text(index, step + 1)
        forget()

    return Program(root, root, {"body": body})


def memos(count: int) -> Persistent:
    """The floor of saving: a pickled dictionary of keys to (value, changed_at, verified_at, dependencies)."""
    names = shapes.paths(count // shapes.CALLS_PER_INPUT)
    sources = {name: shapes.text(index, 0) for index, name in enumerate(names)}
    memos: dict[tuple[str, int], tuple[str, int, int, tuple[str, ...]]] = {}
    ran = 0

    def fill() -> int:
        nonlocal ran
        for name in names:
            for index in range(shapes.CALLS_PER_INPUT):
                memos[name, index] = (shapes.part_of(sources[name], index), 1, 1, (name,))
                ran += 1
        return len(memos)

    def save(path: str) -> None:
        with open(path, "wb") as file:
            pickle.dump((sources, memos), file, protocol=5)

    def load(path: str) -> Callable[[], object]:
        with open(path, "rb") as file:
            _, loaded = pickle.load(file)
        return lambda: sum([len(loaded[name, i][0]) for name in names for i in range(shapes.CALLS_PER_INPUT)])

    return Persistent(fill, save, load, lambda: ran)
