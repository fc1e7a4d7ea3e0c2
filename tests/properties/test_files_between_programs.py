"""A file goes from program to program, each of which declares, changes and asks for something else: no answer is old.

After each load every query that the program declares, and at the end every query there is, must give what a new
database gives that is filled with the same inputs.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import incr
from stored_program import Program, load, make

#: Versions of the program: the same names, other code in two of its queries. The last one gives other answers.
VERSIONS = [make(), make(words_version=1), make(count_version=10, persist_words=False)]
NAMES = ["a", "b", "c", "extra"]
QUERIES = ["words", "count", "total", "ratio"]


class World:
    """What the inputs are, whoever has set them."""

    def __init__(self, choose: random.Random) -> None:
        self.choose = choose
        self.least = 1
        self.texts: dict[str, str] = {}

    def change(self, program: Program, db: incr.Database, settings: bool) -> None:
        """Set or remove something, or everything to what it was."""
        name = self.choose.choice(NAMES)
        kind = self.choose.random()
        if kind < 0.2 and settings:
            self.least = self.choose.randint(1, 4)
            db.set(program.settings(self.least))
        elif kind < 0.4:
            self.texts.pop(name, None)
            db.remove(program.source, name)
        else:
            words = self.choose.choices(["x", "yy", "zzzz", " "], k=self.choose.randint(0, 3))
            self.texts[name] = " ".join(words)
            db.set(program.source(name, self.texts[name]))

    def ask(self, program: Program, db: incr.Database, query: str) -> Any:
        """One answer, or the error that it is."""
        name = self.choose.choice(NAMES)
        arguments = {"total": (), "ratio": (name, self.choose.choice([0.5, 2.0]))}.get(query, (name,))
        return outcome(getattr(program, query), db, *arguments), (query, arguments)

    def fresh(self, program: Program) -> incr.Database:
        """A database that knows the inputs and nothing else."""
        db = incr.Database()
        db.set(program.settings(self.least))
        for name, text in self.texts.items():
            db.set(program.source(name, text))
        return db


def outcome(query: Any, db: incr.Database, *arguments: Any) -> Any:
    try:
        answer = query(db, *arguments)
    except incr.MissingInputError as error:
        return str(error)
    return tuple(part.name for part in answer) if isinstance(answer, tuple) else answer


def declared(choose: random.Random, program: Program) -> tuple[list[Any], set[str]]:
    """Some of the ingredients (an input only if all that reads it is left out), and their names."""
    left_out = set(QUERIES[choose.randint(0, 4) :]) | {name for name in QUERIES if choose.random() < 0.2}
    settings = {"Settings"} if {"count", "total", "ratio"} <= left_out and choose.random() < 0.5 else set[str]()
    symbol = {"Symbol"} if "words" in left_out and choose.random() < 0.5 else set[str]()
    ingredients = [one for one in program.ingredients() if one.name not in left_out | settings | symbol]
    return ingredients, {one.name for one in ingredients}


@pytest.mark.spec("load.unknown", "load.code", "memo.consistency")
def test_no_answer_is_old(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    for seed in range(100):
        choose = random.Random(seed)
        world = World(choose)
        world.fresh(VERSIONS[0]).save(path)
        for _ in range(choose.randint(2, 5)):
            program = choose.choice(VERSIONS)
            ingredients, names = declared(choose, program)
            db = load(ingredients, path)
            for _ in range(choose.randint(0, 6)):
                if choose.random() < 0.5:
                    world.change(program, db, "Settings" in names)
                # Whoever asks for a query declares what it reads: only those are asked for of which all is declared.
                elif able := [name for at, name in enumerate(QUERIES) if {"Settings", *QUERIES[: at + 1]} <= names]:
                    answer, question = world.ask(program, db, choose.choice(able))
                    query, arguments = question
                    wanted = outcome(getattr(program, query), world.fresh(program), *arguments)
                    assert answer == wanted, f"seed {seed}: {question}"
            limits = {"max_records_per_section": choose.choice([0, 1, 2])} if choose.random() < 0.2 else {}
            db.check_invariant()
            db.save(path, **limits)
        program = choose.choice(VERSIONS)
        db, fresh = load(program, path), world.fresh(program)
        for again in range(2):
            for name in NAMES:
                for query, arguments in (("ratio", (name, 2.0)), ("count", (name,)), ("words", (name,)), ("total", ())):
                    answer = outcome(getattr(program, query), db, *arguments)
                    wanted = outcome(getattr(program, query), fresh, *arguments)
                    assert answer == wanted, f"seed {seed}, time {again}: {query}{arguments}"
            db.check_invariant()
            for _ in range(2):
                world.change(program, db, settings=True)
            fresh = world.fresh(program)
