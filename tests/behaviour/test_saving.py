"""Saving writes one revision, whole or not at all, and says what it left out."""

from __future__ import annotations

import filecmp
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import incr
from incr._persist._jobs import prepare_load, prepare_save, save
from incr._persist._save import SaveJob
from incr.store.base import read_base
from stored_program import Program, ingredients, load, make, ran

PROGRAM = make()


@pytest.fixture
def program() -> Program:
    return PROGRAM


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def db(program: Program) -> incr.Database:
    db = incr.Database()
    program.fill(db, a="one two", b="two three four")
    assert program.total(db) == 5
    return db


@pytest.mark.spec("save.atomic")
def test_the_same_state_gives_the_same_bytes(program: Program, path: Path, db: incr.Database) -> None:
    db.save(path)
    first = path.read_bytes()
    db.save(path)
    assert path.read_bytes() == first
    other = incr.Database()
    program.fill(other, a="one two", b="two three four")
    assert program.total(other) == 5
    other.save(path)
    assert path.read_bytes() == first
    load(program, path).save(path)
    assert path.read_bytes() == first
    touched = load(program, path)
    assert program.total(touched) == 5
    assert program.words(touched, "a")
    touched.save(path)
    assert path.read_bytes() == first


def test_what_nobody_would_miss_is_not_in_the_file(program: Program, path: Path) -> None:
    """Files do not grow with every key that was ever asked for, nor with calls that never came to an end."""
    db = incr.Database()
    program.fill(db, a="one")
    for number in range(50):
        db.set(program.source(f"b{number}", ""))
        db.remove(program.source, f"b{number}")
        assert db.get(program.source, f"c{number}") is None
        assert (program.source, f"d{number}") not in db

    @incr.query
    def interrupted(db: incr.View) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted(db)
    db.save(path)
    sections = read_base("cache", path.read_bytes()).sections
    assert [(section.name.rpartition(".")[2], section.rows) for section in sections] == [
        ("", 0),
        ("Settings", 1),
        ("Source", 1),
    ]


@pytest.mark.spec("save.atomic")
def test_missing_folders_are_made(program: Program, tmp_path: Path, db: incr.Database) -> None:
    db.save(tmp_path / "some" / "folder" / "cache")
    assert os.listdir(tmp_path / "some" / "folder") == ["cache"]
    (tmp_path / "file").touch()
    with pytest.raises(incr.StoreError, match="cannot be written to: Not a directory; a part of the path is a file"):
        db.save(tmp_path / "file" / "folder" / "cache")


@pytest.mark.spec("save.atomic")
def test_what_is_saved_is_the_revision_at_the_call(program: Program, path: Path, db: incr.Database) -> None:
    """Writes and calls between the parts of a save are not in the file, neither in part nor whole."""
    db.save(path)
    before = path.read_bytes()
    job = prepare_save(db._graph, path)
    db.set(program.source("a", "changed meanwhile"))
    assert program.total(db) == 5
    assert program.words(db, "a")
    path.unlink()
    job.write()
    assert path.read_bytes() == before
    job.finish()
    db.save(path)
    later = load(program, path)
    with ran(later) as calls:
        assert program.total(later) == 5
        assert [word.name for word in program.words(later, "a")] == ["changed", "meanwhile"]
    assert calls == []


@pytest.mark.spec("save.unchanged")
def test_what_was_encoded_belongs_to_the_value_that_was_saved(program: Program, path: Path, db: incr.Database) -> None:
    job = prepare_save(db._graph, path)
    db.set(program.source("a", "changed meanwhile"))
    assert program.words(db, "a") == (program.symbol("changed"), program.symbol("meanwhile"))
    job.write()
    job.finish()
    db.save(path)
    later = load(program, path)
    with ran(later) as calls:
        assert later[program.source, "a"].text == "changed meanwhile"
        assert program.words(later, "a") == (program.symbol("changed"), program.symbol("meanwhile"))
    assert calls == []


@pytest.mark.spec("save.atomic")
def test_a_save_while_another_thread_computes_is_one_revision(program: Program, tmp_path: Path) -> None:
    """Every file that is written while inputs move is a state that there was: both texts are always the same."""

    @incr.query
    def alike(db: incr.View) -> bool:
        return bool(db[program.source, "a"].text == db[program.source, "b"].text)

    db = incr.Database()
    program.fill(db, a="0", b="0")
    jobs: list[SaveJob] = []
    for number in range(20):
        with db.batch() as batch:
            batch.set(program.source("a", f"{number}"))
            batch.set(program.source("b", f"{number}"))
        assert program.total(db) == 2
        assert alike(db)
        job = prepare_save(db._graph, tmp_path / f"{number}")
        jobs.append(job)
        thread = threading.Thread(target=job.write)
        thread.start()
        with db.batch() as batch:
            batch.set(program.source("a", f"{number} and"))
            batch.set(program.source("b", f"{number} and"))
        assert program.total(db) == 4
        thread.join()
        job.finish()
    for number in range(20):
        later = load([*program.ingredients(), *ingredients(alike)], tmp_path / f"{number}")
        assert later[program.source, "a"].text == later[program.source, "b"].text == f"{number}"
        with ran(later) as calls:
            assert alike(later)
            assert program.total(later) == 2
        assert calls == []


@pytest.mark.spec("save.unchanged")
def test_what_was_encoded_once_is_not_encoded_again(path: Path) -> None:
    encoded: list[str] = []

    class Box:
        def __init__(self, text: str) -> None:
            self.text = text

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Box) and self.text == other.text

        def __hash__(self) -> int:
            return hash(self.text)

    def encode(box: Box) -> str:
        encoded.append(box.text)
        return box.text

    incr.register_codec(Box, encode=encode, decode=Box)

    @incr.input
    class Text:
        name: str = incr.key()
        text: str

    @incr.query
    def box(db: incr.View, name: str) -> Box:
        return Box(db[Text, name].text)

    declared = ingredients(Text, box)
    db = incr.Database()
    db.set(Text("a", "one"))
    db.set(Text("b", "two"))
    assert box(db, "a") != box(db, "b")

    def saved(db: incr.Database) -> list[str]:
        encoded.clear()
        db.save(path)
        return list(encoded)

    assert saved(db) == ["one", "two"]
    assert saved(db) == []
    db.set(Text("b", "three"))
    assert saved(db) == []  # nobody has asked for it
    assert box(db, "b") == Box("three")
    assert saved(db) == ["three"]
    later = load(declared, path)
    assert saved(later) == []
    assert box(later, "a") == Box("one")
    assert saved(later) == []
    assert box(load(declared, path), "a") == Box("one")


@pytest.mark.spec("save.unchanged")
def test_two_saves_at_once_do_not_mix_what_they_know(path: Path, tmp_path: Path) -> None:
    """Each of two saves numbers the classes that it meets; bytes with one's must not get into the other's file."""
    program = make()

    @incr.query
    def record(db: incr.View, which: str) -> object:
        return program.source(which, "text") if which == "a" else program.settings(least=7)

    declared = [*program.ingredients(), *ingredients(record)]
    db = incr.Database()
    first_job = prepare_save(db._graph, tmp_path / "nothing")
    assert record(db, "a") == program.source("a", "text")
    one = prepare_save(db._graph, tmp_path / "one")
    assert record(db, "b") == program.settings(least=7)
    two = prepare_save(db._graph, tmp_path / "two")
    for job in (two, one, first_job):
        job.write()
    for job in (first_job, one, two):
        job.finish()
    db.save(path)
    for file in (path, tmp_path / "two"):
        later = load(declared, file)
        with ran(later) as calls:
            assert record(later, "a") == program.source("a", "text")
            assert record(later, "b") == program.settings(least=7)
        assert calls == []


def test_a_load_meanwhile_makes_a_save_forget_what_it_learned(program: Program, path: Path, db: incr.Database) -> None:
    job = prepare_save(db._graph, path)
    job.write()
    load_job = prepare_load(db._graph, path, declared=program.ingredients())
    load_job.read()
    assert load_job.finish()
    kept = db._graph.stored
    job.finish()
    assert db._graph.stored is kept
    assert program.total(db) == 5


# --- values that cannot be stored ---------------------------------------------------------------------------------


class Unstorable:
    """Something that no codec knows."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unstorable) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


def events_of(db: incr.Database, path: Path) -> list[incr.Event]:
    found: list[incr.Event] = []
    with db.subscribe(found.append):
        db.save(path)
    return found


@pytest.mark.spec("save.unencodable")
def test_a_value_that_cannot_be_stored_is_left_out_and_said(path: Path) -> None:
    @incr.input
    class Text:
        text: str

    @incr.query
    def opaque(db: incr.View) -> list[object]:
        return [1, Unstorable(db[Text].text)]

    @incr.query
    def size(db: incr.View) -> int:
        return len(opaque(db))

    declared = ingredients(Text, opaque, size)
    db = incr.Database()
    db.set(Text("x"))
    assert size(db) == 2
    (event,) = events_of(db, path)
    assert isinstance(event, incr.ValueNotStored)
    assert (event.query, event.key) == ("opaque", ())
    assert "Unstorable at [1] cannot be stored" in event.reason
    assert save(db._graph, path) == (event,)
    later = load(declared, path)
    with ran(later) as calls:
        assert size(later) == 2
        assert calls == []
        assert opaque(later)[0] == 1
        assert size(later) == 2
    assert calls == ["opaque()"]
    with ran(later) as calls:
        later.set(Text("y"))
        assert size(later) == 2
    assert calls == ["opaque()", "size()"]


@pytest.mark.spec("save.unencodable")
def test_a_call_that_no_file_can_name_is_left_out_with_what_used_it(path: Path) -> None:
    @incr.query
    def name(db: incr.View, thing: object) -> str:
        return type(thing).__name__

    @incr.query
    def both(db: incr.View) -> str:
        return name(db, Unstorable("x")) + name(db, 3)

    @incr.query
    def three(db: incr.View) -> str:
        return name(db, 3)

    declared = ingredients(name, both, three)
    db = incr.Database()
    assert (both(db), three(db)) == ("Unstorableint", "int")
    assert [(type(event).__name__, event.query) for event in events_of(db, path)] == [("ValueNotStored", "name")]  # type: ignore[attr-defined]
    later = load(declared, path)
    with ran(later) as calls:
        assert three(later) == "int"
        assert calls == []
        assert both(later) == "Unstorableint"
    assert [call.partition("(")[0] for call in calls] == ["name", "both"]


@pytest.mark.spec("save.unencodable")
def test_an_input_that_cannot_be_stored_is_refused(path: Path) -> None:
    @incr.input
    class Thing:
        name: str = incr.key()
        thing: object

    db = incr.Database()
    db.set(Thing("a", 1))
    db.save(path)
    before = path.read_bytes()
    db.set(Thing("b", [Unstorable()]))
    with pytest.raises(incr.EncodeError, match=r"Thing: a .*Unstorable at .thing\[0\] cannot be stored"):
        db.save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["cache"]
    db.remove(Thing, "b")
    db.save(path)


@pytest.mark.spec("save.unencodable")
def test_an_interned_value_that_cannot_be_stored_is_refused(path: Path) -> None:
    @incr.interned
    class Name:
        thing: object

    db = incr.Database()
    db.intern(Name(Unstorable()))
    with pytest.raises(incr.EncodeError):
        db.save(path)
    assert not path.exists()


def test_two_queries_of_one_name_cannot_be_told_apart_in_a_file(path: Path) -> None:
    def query(answer: int) -> Any:
        @incr.query
        def same(db: incr.View) -> int:
            return answer

        return same

    one, other = query(1), query(2)
    db = incr.Database()
    assert (one(db), other(db)) == (1, 2)
    with pytest.raises(incr.StoreError, match=r"two query ingredients .* give one of them another name"):
        db.save(path)


# --- limits -------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(program: Program) -> incr.Database:
    db = incr.Database()
    program.fill(db, **{f"s{number}": "word " * number for number in range(30)})
    assert program.total(db) == 435
    return db


@pytest.mark.spec("save.limits")
def test_large_values_are_left_out_first(program: Program, path: Path, many: incr.Database) -> None:
    many.save(path)
    size = path.stat().st_size
    many.save(path, max_bytes=size)
    assert path.stat().st_size == size
    many.save(path, max_bytes=size - 1)
    assert path.stat().st_size < size
    later = load(program, path)
    with ran(later) as calls:
        assert program.total(later) == 435
        assert calls == []
        for number in range(30):
            assert len(program.words(later, f"s{number}")) == number
    assert calls == ["words('s29')"]


def fits(db: incr.Database, path: Path, limit: int) -> bool:
    try:
        db.save(path, max_bytes=limit)
    except incr.LimitExceededError:
        return False
    return True


@pytest.mark.spec("save.limits")
def test_every_size_between_all_and_nothing_is_kept_to(program: Program, path: Path, many: incr.Database) -> None:
    many.save(path)
    sizes = [path.stat().st_size]
    warm: list[int] = []
    while fits(many, path, sizes[-1] - 1):
        sizes.append(path.stat().st_size)
        assert sizes[-1] < sizes[-2]
        later = load(program, path)
        assert [later[program.source, f"s{number}"].text.count("word") for number in range(30)] == list(range(30))
        with ran(later) as calls:
            assert program.total(later) == 435
        warm.append(len(calls))
        later.set(program.source("s3", "x"))
        assert program.total(later) == 433
    assert warm == sorted(warm)
    assert (warm[0], warm[-1]) == (0, 61)
    with pytest.raises(incr.LimitExceededError, match="inputs and interned values alone"):
        many.save(path, max_bytes=sizes[-1] - 1)
    assert path.stat().st_size == sizes[-1]


@pytest.mark.spec("save.limits")
def test_a_large_record_loses_its_value_and_then_itself(program: Program, path: Path, many: incr.Database) -> None:
    many.save(path, max_record_bytes=100)
    later = load(program, path)
    with ran(later) as calls:
        for number in range(30):
            program.words(later, f"s{number}")
        assert calls != []
        assert calls == [f"words('s{number}')" for number in range(30 - len(calls), 30)]
        calls.clear()
        assert program.total(later) == 435
    assert calls == ["total()"]  # it has 63 dependencies, which are 100 bytes and more alone


@pytest.mark.spec("save.limits")
def test_a_section_with_too_many_records_loses_what_was_not_looked_at_for_longest(
    program: Program, path: Path, many: incr.Database
) -> None:
    many.set(program.source("s7", "touched"))
    assert program.count(many, "s7") == 1
    assert program.count(many, "s8") == 8
    many.save(path, max_records_per_section=1)
    later = load(program, path)
    with ran(later) as calls:
        assert program.count(later, "s7") == 1
        assert calls == []
        assert program.total(later) == 429
    assert len(calls) == 29 * 2 + 1
    many.save(path, max_records_per_section=0)
    later = load(program, path)
    with ran(later) as calls:
        assert program.total(later) == 429
    assert len(calls) == 61


@pytest.mark.spec("save.limits", "load.unknown")
def test_memos_that_this_program_cannot_use_go_first(program: Program, path: Path, many: incr.Database) -> None:
    many.save(path)
    size = path.stat().st_size
    known = [ingredient for ingredient in program.ingredients() if ingredient.name != "total"]
    other = load(known, path)
    other.save(path, max_bytes=size - 1)
    later = load(program, path)
    with ran(later) as calls:
        assert program.total(later) == 435
    assert calls == ["total()"]


# --- without holding up an event loop -----------------------------------------------------------------------------


@incr.input
class Awaited:
    name: str = incr.key()


@pytest.mark.anyio
async def test_the_awaited_twins_do_the_same(path: Path) -> None:
    db = incr.Database()
    db.set(Awaited("a"))
    await db.asave(path)
    db.save(path.with_name("other"))
    assert filecmp.cmp(path, path.with_name("other"), shallow=False)
    later = incr.Database()
    assert await later.aload(path) is True
    assert later[Awaited, "a"] == Awaited("a")
    assert await later.aload(path.parent / "missing") is False
    with pytest.raises(incr.StoreError):
        await later.asave(path.parent)
