"""A small program whose state is saved and loaded, in variants that stand for other versions of its code.

`make` gives a program of its own each time, under the same names, as another process would have it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import incr
from incr._persist._jobs import load as load_graph

__all__ = ["Program", "ingredients", "load", "make", "ran"]


class Program(NamedTuple):
    """One version of the program. Everything counts the words of texts, one way or another."""

    source: Any
    settings: Any
    symbol: Any
    words: Any
    count: Any
    total: Any
    ratio: Any
    outside: Any

    def ingredients(self) -> list[Any]:
        """What a process that has this program declares."""
        return ingredients(*self)

    def fill(self, db: incr.Database, **texts: str) -> None:
        """Set the sources and, if they are not there, the settings."""
        with db.batch() as batch:
            if self.settings not in db:
                batch.set(self.settings(least=1))
            for path, text in texts.items():
                batch.set(self.source(path, text))


def ingredients(*declared: Any) -> list[Any]:
    """What stands behind declared classes and queries."""
    return [one.__incr__ for one in declared]


def make(*, count_version: int = 0, words_version: int = 0, persist_words: bool = True) -> Program:
    """The program; another version of a query stands for another code of it. `count` adds its version to the result."""

    @incr.input
    class Source:
        path: str = incr.key()
        text: str

    @incr.input(durability=incr.Durability.HIGH)
    class Settings:
        least: int

    @incr.interned
    class Symbol:
        name: str

    @incr.query(version=words_version, persist=persist_words)
    def words(db: incr.View, path: str) -> tuple[Symbol, ...]:
        return tuple(db.intern(Symbol(word)) for word in db[Source, path].text.split())

    @incr.query(version=count_version)
    def count(db: incr.View, path: str) -> int:
        least = db[Settings].least
        return count_version + sum(len(word.name) >= least for word in words(db, path))

    @incr.query
    def total(db: incr.View) -> int:
        return sum(count(db, path) for path in db.keys(Source)) + ((Source, "extra") in db)

    @incr.query
    def ratio(db: incr.View, path: str, divisor: float) -> float:
        return count(db, path) / divisor

    @incr.query
    def outside(db: incr.View) -> str:
        db.untracked("for the sake of it")
        return "outside"

    return Program(Source, Settings, Symbol, words, count, total, ratio, outside)


def load(
    program: Program | Iterable[Any], path: Path, db: incr.Database | None = None, **options: Any
) -> incr.Database:
    """A database of a process that declares this program and nothing else, with the file's state."""
    declared = program.ingredients() if isinstance(program, Program) else list(program)
    db = incr.Database() if db is None else db
    assert load_graph(db._graph, path, declared=declared, **options)
    db.check_invariant()
    return db


class ran:  # noqa: N801 - it reads like a word of the test's sentence
    """Within its block: the calls whose bodies run, in order, as text."""

    def __init__(self, db: incr.Database) -> None:
        self._db = db
        self.calls: list[str] = []

    def __enter__(self) -> list[str]:
        def note(event: incr.Event) -> None:
            if type(event) is incr.QueryExecuted:
                self.calls.append(f"{event.query}({', '.join(map(repr, event.key))})")

        self._subscription = self._db.subscribe(note)
        return self.calls

    def __exit__(self, *exit_arguments: object) -> None:
        self._subscription.close()
        self._db.check_invariant()
