"""A compiler for sums, with diagnostics on the side: what is pushed where, and what an edit collects again.

Run it with ``python examples/diagnostics.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import incr
from incr.testing import Recorder


@dataclass(frozen=True)
class Diagnostic:
    module: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.text}"


@incr.input
class Module:
    name: str = incr.key()
    text: str


diagnostics = incr.Accumulator[Diagnostic]("diagnostics")

Assignments = tuple[tuple[int, str, tuple[str, ...]], ...]


@incr.query
def parse(db: incr.View, module: str) -> Assignments:
    """Lines like ``total = price + tax``: line number, name, and the terms of the sum."""
    found: list[tuple[int, str, tuple[str, ...]]] = []
    for number, line in enumerate(db[Module, module].text.splitlines(), 1):
        name, equals, terms = line.partition("=")
        if equals and name.strip().isidentifier():
            found.append((number, name.strip(), tuple(term.strip() for term in terms.split("+"))))
        elif line.strip():
            diagnostics.push(db, Diagnostic(module, number, "a line is `name = term + term`"))
    return tuple(found)


@incr.query
def value(db: incr.View, module: str, name: str) -> int:
    """What a name stands for; a term is a number, a name, or ``module.name``."""
    for line, assigned, terms in parse(db, module):
        if assigned == name:
            return sum(term_value(db, module, line, term) for term in terms)
    return 0


def term_value(db: incr.View, module: str, line: int, term: str) -> int:
    if term.isdigit():
        return int(term)
    home, dot, name = term.rpartition(".")
    home = home if dot else module
    if (Module, home) not in db or name not in (assigned for _, assigned, _ in parse(db, home)):
        diagnostics.push(db, Diagnostic(module, line, f"{term} is not defined"))
        return 0
    return value(db, home, name)


@incr.query
def program(db: incr.View) -> int:
    """The value of ``main.result``."""
    return value(db, "main", "result")


def main() -> None:
    db = incr.Database()
    with db.batch() as batch:
        batch.set(Module("main", text="result = shop.total + shop.total + discount"))
        batch.set(Module("shop", text="price = 40\ntax 2\ntotal = price + tax"))
    show(db, "first")
    db.set(Module("shop", text="price = 40\ntax = 2\ntotal = price + tax"))
    show(db, "after `tax` was mended")
    db.set(Module("main", text="result = shop.total + shop.total + rebate"))
    show(db, "after `discount` was given another name")


def show(db: incr.Database, title: str) -> None:
    with Recorder(db) as recorder:
        result, found = program(db), diagnostics.of(db, program)
    print(f"{title}: {result}, {len(recorder.take())} calls ran")
    for diagnostic in found:
        print(f"  {diagnostic}")


if __name__ == "__main__":
    main()
