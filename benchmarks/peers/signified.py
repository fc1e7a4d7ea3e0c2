# It ships no types.
# mypy: disable-error-code="untyped-decorator,no-any-return"
"""signified: signals and computed values over a compiled graph. Nodes are made first and held, not called by key."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import shapes
from programs import Hit, Program
from signified import Computed, Signal

VERSION = version("signified")
RECURSION = (RecursionError,)


def hit_inside() -> Hit:
    source = Signal("text")
    length = Computed(lambda: len(source.value))
    turn = Signal(0)
    pending: list[Callable[[], None]] = []

    def outer() -> int:
        seen = turn.value + length.value
        if pending:
            pending.pop()()
        return seen

    computed = Computed(outer)
    turns = iter(range(1, 1_000_000))

    def within(run: Callable[[], None]) -> None:
        pending.append(run)
        turn.value = next(turns)
        computed.value  # noqa: B018 - reading it runs it

    return Hit("length.value", {"length": length}, within)


def hit_outside() -> Hit:
    source = Signal("text")
    length = Computed(lambda: len(source.value))
    length.value  # noqa: B018 - reading it runs it
    return Hit("length.value", {"length": length})


def trivial(count: int) -> Program:
    made: list[Any] = []

    def run() -> int:
        for index in range(count):
            same = Computed(lambda index=index: index)
            made.append(same)
            same.value  # noqa: B018 - reading it runs it
        return count

    return Program(run, run)


def reading(count: int) -> Program:
    sources = [Signal(shapes.text(index, 0)) for index in range(count)]
    made: list[Any] = []

    def run() -> int:
        for source in sources:
            length = Computed(lambda source=source: len(source.value))
            made.append(length)
            length.value  # noqa: B018 - reading it runs it
        return count

    return Program(run, run)


def chain(count: int) -> Program:
    start = Signal(0)
    nodes: list[Any] = []

    def cold() -> Any:
        nodes.append(Computed(lambda: start.value))
        for _ in range(count):
            nodes.append(Computed(lambda below=nodes[-1]: below.value + 1))
        return nodes[-1].value

    def change(step: int) -> None:
        start.value = step + 1

    return Program(cold, lambda: nodes[-1].value, {"change": change})


def fan(count: int) -> Program:
    numbers = [Signal(index) for index in range(count)]
    roots: list[Any] = []

    def cold() -> Any:
        children = [Computed(lambda number=number: number.value + 1) for number in numbers]
        roots.append(Computed(lambda: sum([child.value for child in children])))
        return roots[0].value

    def change(step: int) -> None:
        numbers[shapes.edited(step, count)].value += 1

    return Program(cold, lambda: roots[0].value, {"change": change})


def layers(width: int) -> Program:
    numbers = [Signal(index) for index in range(width)]
    roots: list[Any] = []

    def node(below: list[Any]) -> Any:
        return Computed(lambda: sum([one.value for one in below]) % shapes.MODULUS)

    def cold() -> Any:
        last: list[Any] = numbers
        for _ in range(shapes.LAYERS):
            last = [node([last[i] for i in shapes.below(index, width)]) for index in range(width)]
        roots.append(Computed(lambda: sum([one.value for one in last])))
        return roots[0].value

    def change(step: int) -> None:
        numbers[shapes.edited(step, width)].value += 1

    return Program(cold, lambda: roots[0].value, {"change": change})


class Module:
    """The four values of one file."""

    def __init__(self, source: Any, names: tuple[str, ...], modules: dict[str, Module]) -> None:
        self.source, self.names, self.modules = source, names, modules
        self.parse = Computed(lambda: source.value.strip())
        self.signature = Computed(lambda: shapes.signature_of(self.parse.value))
        self.resolve = Computed(self._resolve)
        self.check = Computed(self._check)

    def _resolve(self) -> int:
        return self.parse.value.index("|") + sum([len(self.modules[name].signature.value) for name in self.names])

    def _check(self) -> int:
        seen = self.parse.value.index("|") + self.resolve.value
        return seen + sum([len(self.modules[name].signature.value) for name in self.names[:4]])


def keystroke(count: int) -> Program:
    names = shapes.paths(count)
    imports = shapes.imports(count)
    sources = {name: Signal(shapes.text(index, 0)) for index, name in enumerate(names)}
    other = Signal(0)
    modules: dict[str, Module] = {}
    roots: list[Any] = []

    def cold() -> Any:
        for name in names:
            modules[name] = Module(sources[name], imports[name], modules)
        roots.append(Computed(lambda: sum([modules[name].check.value for name in names])))
        roots.append(Computed(lambda: other.value))
        roots[1].value  # noqa: B018 - reading it runs it
        return roots[0].value

    def body(step: int) -> None:
        index = shapes.edited(step, count)
        sources[names[index]].value = shapes.text(index, step + 1)

    def unrelated(step: int) -> None:
        other.value = step + 1

    return Program(cold, lambda: roots[0].value, {"body": body, "unrelated": unrelated})
