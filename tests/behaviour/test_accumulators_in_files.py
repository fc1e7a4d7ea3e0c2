"""Pushes are saved with the memos that made them, and what cannot be saved is found out again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import incr
from incr._persist._jobs import load as load_graph
from incr.testing import Recorder

pytestmark = pytest.mark.spec("accumulate.persist")


@dataclass(frozen=True)
class Mark:
    text: str


class Program(NamedTuple):
    """One process's declarations; `make` gives them anew, under the same names."""

    source: Any
    marks: Any
    words: Any
    total: Any
    report: Any
    declared: list[Any]

    def load(self, path: Path) -> incr.Database:
        db = incr.Database()
        assert load_graph(db._graph, path, declared=self.declared)
        return db


def make(*, version: int = 0, persist: bool = True, pushed: Any = Mark, named: str = "marks") -> Program:
    @incr.input
    class Source:
        path: str = incr.key()
        text: str

    marks = incr.Accumulator[Mark](named)

    @incr.query(version=version, persist=persist)
    def words(db: incr.View, path: str) -> int:
        found = db[Source, path].text.split()
        for word in found:
            if word.startswith("!"):
                marks.push(db, pushed(word[1:]))
        return len(found)

    @incr.query
    def total(db: incr.View) -> int:
        return sum(words(db, path) for path in db.keys(Source))

    @incr.query
    def report(db: incr.View) -> int:
        return len(marks.of(db, total))

    collections = list(marks._collections)
    declared = [one.__incr__ for one in (Source, words, total, report)] + collections
    return Program(Source, marks, words, total, report, declared)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A file with everything asked."""
    return save(make(), tmp_path / "state.incr")


def save(program: Program, path: Path) -> Path:
    db = incr.Database()
    with db.batch() as batch:
        batch.set(program.source("a", "one !two"))
        batch.set(program.source("b", "!three four"))
    assert [mark.text for mark in program.marks.of(db, program.total)] == ["two", "three"]
    assert program.report(db) == 2
    db.save(path)
    return path


def texts(values: Iterable[Any]) -> list[str]:
    return [value.text for value in values]


def test_after_a_load_nothing_runs_for_pushes(saved: Path) -> None:
    program = make()
    db = program.load(saved)
    with Recorder(db) as ran:
        assert texts(program.marks.of(db, program.total)) == ["two", "three"]
        assert program.marks.of(db, program.words, "a") == (Mark("two"),)
        assert program.report(db) == 2
        assert ran.take() == ["marks.of('words', 'a')"]
    db.check_invariant()


def test_edits_after_a_load_are_followed(saved: Path) -> None:
    program = make()
    db = program.load(saved)
    with Recorder(db) as ran:
        db.set(program.source("b", "!four four"))
        assert program.report(db) == 2
        assert ran.take() == ["words('b')", "marks.of('total')", "report()"]
        assert texts(program.marks.of(db, program.total)) == ["two", "four"]
        assert ran.take() == []
        db.set(program.source("b", "!four  four"))
        assert program.report(db) == 2
        assert ran.take() == ["words('b')"]
    db.check_invariant()


def test_the_same_pushes_after_a_load_are_recognised(saved: Path) -> None:
    program = make()
    db = program.load(saved)
    with Recorder(db) as ran:
        db.set(program.source("b", "!three  four"))
        assert program.report(db) == 2
        assert ran.take() == ["words('b')", "marks.of('total')"]
        assert ran.take_backdated() == ["words('b')", "marks.of('total')"]


def test_what_was_loaded_can_be_saved_again_unread(saved: Path, tmp_path: Path) -> None:
    program = make()
    again = tmp_path / "again.incr"
    program.load(saved).save(again)
    assert again.read_bytes() == saved.read_bytes()
    db = program.load(again)
    assert texts(program.marks.of(db, program.total)) == ["two", "three"]
    db.save(again)
    assert texts(program.marks.of(program.load(again), program.total)) == ["two", "three"]


def test_a_program_without_the_declarations_keeps_them(saved: Path, tmp_path: Path) -> None:
    nobody = Program(None, None, None, None, None, [])
    again = tmp_path / "again.incr"
    nobody.load(saved).save(again)
    assert again.read_bytes() == saved.read_bytes()
    program = make()
    db = program.load(again)
    with Recorder(db) as ran:
        assert program.report(db) == 2
        assert texts(program.marks.of(db, program.total)) == ["two", "three"]
        assert ran.take() == []


def test_other_code_pushes_anew(saved: Path) -> None:
    program = make(version=1)
    db = program.load(saved)
    with Recorder(db) as ran:
        assert texts(program.marks.of(db, program.total)) == ["two", "three"]
        assert ran.take() == ["words('a')", "words('b')", "marks.of('total')"]
        assert program.report(db) == 2
        assert ran.take() == []
    db.check_invariant()


def test_calls_whose_values_are_not_kept_run_for_their_pushes_only_when_these_are_asked_for(tmp_path: Path) -> None:
    path = save(make(persist=False), tmp_path / "state.incr")
    program = make(persist=False)
    db = program.load(path)
    with Recorder(db) as ran:
        assert (program.report(db), program.total(db)) == (2, 4)
        assert ran.take() == []
        assert program.marks.of(db, program.words, "a") == (Mark("two"),)
        assert ran.take() == ["words('a')", "marks.of('words', 'a')"]
        assert program.total(db) == 4
        assert ran.take() == []
        db.set(program.source("b", "five"))
        assert texts(program.marks.of(db, program.total)) == ["two"]
        assert ran.take() == ["words('b')", "total()", "marks.of('total')"]
    db.check_invariant()


def test_pushes_that_cannot_be_encoded_are_reported_and_found_out_again(tmp_path: Path) -> None:
    program = make(pushed=lambda text: open)
    db = incr.Database()
    db.set(program.source("a", "one !two"))
    assert program.marks.of(db, program.total) == (open,)
    with db.subscribe((events := []).append):
        db.save(tmp_path / "state.incr")
    assert [(event.query, event.key) for event in events if type(event) is incr.ValueNotStored] == [("words", ("a",))]
    later = make(pushed=lambda text: open)
    db = later.load(tmp_path / "state.incr")
    with Recorder(db) as ran:
        assert later.total(db) == 2
        assert ran.take() == []
        assert later.marks.of(db, later.total) == (open,)
        assert ran.take() == ["words('a')", "marks.of('total')"]
    db.check_invariant()


def test_pushes_to_an_accumulator_that_is_gone_are_found_out_again(saved: Path) -> None:
    program = make(named="remarks")
    db = program.load(saved)
    with Recorder(db) as ran:
        assert program.total(db) == 4
        assert ran.take() == []
        assert texts(program.marks.of(db, program.total)) == ["two", "three"]
        assert ran.take() == ["words('a')", "words('b')", "remarks.of('total')"]
    db.check_invariant()


@pytest.mark.parametrize("first", [False, True])
def test_of_two_accumulators_of_one_name_neither_is_given_what_a_file_has(saved: Path, first: bool) -> None:
    program, others = make(), list(incr.Accumulator[Mark]("marks")._collections)
    db = incr.Database()
    declared = [*others, *program.declared] if first else [*program.declared, *others]
    assert load_graph(db._graph, saved, declared=declared)
    with Recorder(db) as ran:
        assert program.total(db) == 4
        assert ran.take() == []
        assert texts(program.marks.of(db, program.total)) == ["two", "three"]
        assert ran.take() == ["words('a')", "words('b')", "marks.of('total')"]
        assert program.report(db) == 2
    db.check_invariant()


def test_two_accumulators_of_one_name_cannot_be_saved(tmp_path: Path) -> None:
    first, second = incr.Accumulator[int]("same"), incr.Accumulator[int]("same")

    @incr.query
    def pushing(db: incr.View) -> None:
        first.push(db, 1)
        second.push(db, 2)

    db = incr.Database()
    pushing(db)
    with pytest.raises(incr.StoreError, match="two accumulators of this database are called 'same'"):
        db.save(tmp_path / "state.incr")


def test_limits_leave_pushes_out_with_their_calls(saved: Path, tmp_path: Path) -> None:
    program = make()
    db = program.load(saved)
    small = tmp_path / "small.incr"
    db.save(small, max_bytes=saved.stat().st_size // 2)
    assert small.stat().st_size <= saved.stat().st_size // 2
    loaded = make()
    assert texts(loaded.marks.of(loaded.load(small), loaded.total)) == ["two", "three"]
    db.save(small, max_record_bytes=60)
    assert texts(loaded.marks.of(loaded.load(small), loaded.total)) == ["two", "three"]
