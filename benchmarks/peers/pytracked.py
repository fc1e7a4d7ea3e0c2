# It ships no types.
# mypy: disable-error-code="untyped-decorator,no-any-return"
"""pytracked: tracked attributes of objects; a write forgets everything that depends on it, there is no early cutoff.

Only attributes with arguments are used. One without arguments is stored under its own name on the instance and hides
its descriptor from the second read on, so that a second reader is never recorded: *layers* then gives stale answers
(pytracked 0.1.2; the comparison of answers found it).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import shapes
from programs import Hit, Program
from pytracked import CircularDependencyError, token, tracked

VERSION = version("pytracked")
# It reports a RecursionError as a cycle.
RECURSION = (RecursionError, CircularDependencyError)


class Source:
    text = token("")

    def __init__(self, text: str) -> None:
        self.text = text


class Number:
    value = token(0)

    def __init__(self, value: int) -> None:
        self.value = value


class Files:
    def __init__(self, sources: dict[str, Source]) -> None:
        self.sources = sources

    @tracked
    def length(self, path: str) -> int:
        return len(self.sources[path].text)


def hit_inside() -> Hit:
    files = Files({"a.py": Source("text")})
    pending: list[Callable[[], None]] = []

    class Outer:
        @tracked
        def value(self, turn: int) -> int:
            length = files.length("a.py")
            pending.pop()()
            return turn + length

    outer = Outer()
    turns = iter(range(1_000_000))

    def within(run: Callable[[], None]) -> None:
        pending.append(run)
        outer.value(next(turns))

    return Hit("files.length(path)", {"files": files, "path": "a.py"}, within)


def hit_outside() -> Hit:
    files = Files({"a.py": Source("text")})
    files.length("a.py")
    return Hit("files.length(path)", {"files": files, "path": "a.py"})


def trivial(count: int) -> Program:
    class Same:
        @tracked
        def value(self, index: int) -> int:
            return index

    same = Same()

    def run() -> int:
        for index in range(count):
            same.value(index)
        return count

    return Program(run, run)


def reading(count: int) -> Program:
    sources = [Source(shapes.text(index, 0)) for index in range(count)]

    class Lengths:
        @tracked
        def length(self, index: int) -> int:
            return len(sources[index].text)

    lengths = Lengths()

    def run() -> int:
        for index in range(count):
            lengths.length(index)
        return count

    return Program(run, run)


def chain(count: int) -> Program:
    start = Number(0)

    class Chain:
        @tracked
        def node(self, index: int) -> int:
            return self.node(index - 1) + 1 if index else start.value

    nodes = Chain()

    def change(step: int) -> None:
        start.value = step + 1

    return Program(lambda: nodes.node(count), lambda: nodes.node(count), {"change": change})


def fan(count: int) -> Program:
    numbers = [Number(index) for index in range(count)]

    class Fan:
        @tracked
        def child(self, index: int) -> int:
            return numbers[index].value + 1

        @tracked
        def root(self, width: int) -> int:
            return sum([self.child(index) for index in range(width)])

    nodes = Fan()

    def change(step: int) -> None:
        numbers[shapes.edited(step, count)].value += 1

    return Program(lambda: nodes.root(count), lambda: nodes.root(count), {"change": change})


def layers(width: int) -> Program:
    numbers = [Number(index) for index in range(width)]

    class Layers:
        @tracked
        def node(self, layer: int, index: int) -> int:
            if layer == 0:
                return sum([numbers[i].value for i in shapes.below(index, width)]) % shapes.MODULUS
            return sum([self.node(layer - 1, i) for i in shapes.below(index, width)]) % shapes.MODULUS

        @tracked
        def root(self, layer: int) -> int:
            return sum([self.node(layer, index) for index in range(width)])

    nodes = Layers()
    last = shapes.LAYERS - 1

    def change(step: int) -> None:
        numbers[shapes.edited(step, width)].value += 1

    return Program(lambda: nodes.root(last), lambda: nodes.root(last), {"change": change})


class Analysis:
    def __init__(self, sources: dict[str, Source], imports: dict[str, tuple[str, ...]]) -> None:
        self.sources, self.imports = sources, imports
        self.other = Number(0)

    @tracked
    def parse(self, path: str) -> str:
        return self.sources[path].text.strip()

    @tracked
    def signature(self, path: str) -> str:
        return shapes.signature_of(self.parse(path))

    @tracked
    def resolve(self, path: str) -> int:
        return self.parse(path).index("|") + sum([len(self.signature(name)) for name in self.imports[path]])

    @tracked
    def check(self, path: str) -> int:
        seen = self.parse(path).index("|") + self.resolve(path)
        return seen + sum([len(self.signature(name)) for name in self.imports[path][:4]])

    @tracked
    def root(self, turn: int) -> int:
        return sum([self.check(name) for name in self.imports])

    @tracked
    def elsewhere(self, turn: int) -> int:
        return self.other.value


def keystroke(count: int) -> Program:
    names = shapes.paths(count)
    sources = {name: Source(shapes.text(index, 0)) for index, name in enumerate(names)}
    analysis = Analysis(sources, shapes.imports(count))

    def cold() -> int:
        analysis.elsewhere(0)
        return analysis.root(0)

    def body(step: int) -> None:
        index = shapes.edited(step, count)
        sources[names[index]].text = shapes.text(index, step + 1)

    def unrelated(step: int) -> None:
        analysis.other.value = step + 1

    return Program(cold, lambda: analysis.root(0), {"body": body, "unrelated": unrelated})
