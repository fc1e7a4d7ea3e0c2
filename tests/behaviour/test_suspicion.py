"""A write suspects what it can reach, at the next read; HIGH inputs do so by table."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import incr
from incr.testing import Recorder

HIGH, MEDIUM, LOW = incr.Durability.HIGH, incr.Durability.MEDIUM, incr.Durability.LOW


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.input(durability=HIGH)
class Library:
    name: str = incr.key()
    text: str


@incr.input(durability=HIGH)
class Settings:
    strict: bool


@incr.query
def text(db: incr.View, path: str) -> str:
    return db[Source, path].text


@incr.query
def length(db: incr.View, path: str) -> int:
    return len(text(db, path))


@incr.query
def library(db: incr.View, name: str) -> str:
    return db[Library, name].text


def decisions(db: incr.Database, *calls: tuple[Any, ...]) -> list[str]:
    return [db.explain(query, *args).decision for query, *args in calls]


def suspected(db: incr.Database, write: Callable[[], object]) -> set[str]:
    """The calls that become suspect by a write, at the read after it."""
    events = list[incr.Event]()
    with db.subscribe(events.append):
        write()
        assert not any(isinstance(event, incr.QuerySuspected) for event in events)
        db.revision  # noqa: B018 - looking is what pushes the suspicion
        list(db.keys(Source))
        db.get(Source, "nobody")
        # Told with the next thing that happens; a read of a new call is one.
        db.set(Source("the next thing", str(db.revision)))
    return {f"{event.query}{event.key}" for event in events if isinstance(event, incr.QuerySuspected)}


@pytest.mark.spec("suspect.push")
def test_a_write_suspects_what_read_it_and_nothing_else(db: incr.Database) -> None:
    for path in "ab":
        db.set(Source(path, path))
        length(db, path)
    assert suspected(db, lambda: db.set(Source("a", "aa"))) == {"text('a',)", "length('a',)"}
    assert decisions(db, (text, "a"), (length, "a"), (text, "b"), (length, "b")) == [
        "suspect",
        "suspect",
        "executed",
        "executed",
    ]
    db.check_invariant()


@pytest.mark.spec("suspect.push")
def test_suspect_is_not_changed(db: incr.Database, ran: Recorder) -> None:
    db.set(Source("a", "xy"))
    assert length(db, "a") == 2
    db.set(Source("a", "yx"))
    assert decisions(db, (length, "a")) == ["suspect"]
    assert int(db.explain(length, "a").changed_at) == 1
    ran.take()
    assert length(db, "a") == 2
    assert int(db.explain(length, "a").changed_at) == 1


@pytest.mark.spec("suspect.deferred")
def test_many_writes_are_one_suspicion(db: incr.Database) -> None:
    db.set(Source("a", "x"))
    length(db, "a")
    events = list[incr.Event]()
    with db.subscribe(events.append):
        for number in range(50):
            db.set(Source("a", str(number)))
        assert length(db, "a") == 2
    assert [event for event in events if isinstance(event, incr.QuerySuspected)] == [
        incr.QuerySuspected("text", ("a",)),
        incr.QuerySuspected("length", ("a",)),
    ]


@pytest.mark.spec("suspect.deferred")
def test_what_is_suspect_already_is_not_walked_again(db: incr.Database) -> None:
    db.set(Source("a", "x"))
    length(db, "a")
    assert suspected(db, lambda: db.set(Source("a", "y")))
    assert suspected(db, lambda: db.set(Source("a", "z"))) == set()
    assert length(db, "a") == 1
    assert suspected(db, lambda: db.set(Source("a", "y"))) == {"text('a',)", "length('a',)"}


@pytest.mark.spec("suspect.deferred", "history.snapshot", "memo.aba")
def test_a_memo_ends_at_the_write_not_at_the_walk(db: incr.Database) -> None:
    db.set(Source("a", "x"))
    assert length(db, "a") == 1
    db.set(Source("a", "xy"))
    db.set(Source("b", "unrelated"))
    with db.snapshot() as view:  # the first look after both writes
        db.set(Source("a", "xyz"))
        assert length(view, "a") == 2
        assert length(db, "a") == 3
        assert length(view, "a") == 2


@pytest.mark.spec("suspect.push")
@pytest.mark.parametrize("count", [1, 2, 8, 9, 40])
def test_any_number_of_dependents_and_dependencies(db: incr.Database, ran: Recorder, count: int) -> None:
    paths = [str(number) for number in range(count)]

    @incr.query
    def reader(db: incr.View, number: int) -> int:
        return number + sum(len(db[Source, path].text) for path in paths)

    for path in paths:
        db.set(Source(path, "x"))
    for number in range(count):
        assert reader(db, number) == number + count
    ran.take()
    for path in paths:
        db.set(Source(path, "yy"))
    for number in range(count):
        assert reader(db, number) == number + 2 * count
    assert len(ran.take()) == count
    db.check_invariant()


@pytest.mark.spec("high.bits", "declare.durability")
def test_a_high_write_suspects_all_readers_of_its_table(db: incr.Database, ran: Recorder) -> None:
    db.set(Source("a", "x"))
    db.set(Library("os", "path"))
    db.set(Library("re", "match"))
    assert (length(db, "a"), library(db, "os"), library(db, "re")) == (1, "path", "match")
    ran.take()
    found = suspected(db, lambda: db.set(Library("os", "environ")))
    assert found == {"library('os',)", "library('re',)"}
    assert library(db, "re") == "match"
    assert ran.take() == []
    assert library(db, "os") == "environ"
    assert ran.take() == ["library('os')"]
    db.check_invariant()


@pytest.mark.spec("high.bits")
def test_a_high_input_reaches_through_calls(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def checked(db: incr.View) -> str:
        return library(db, "os") + ("!" if db[Settings].strict else "")

    @incr.query
    def report(db: incr.View) -> str:
        return f"<{checked(db)}>"

    db.set(Settings(False))
    db.set(Library("os", "path"))
    assert report(db) == "<path>"
    db.set(Settings(True))
    assert report(db) == "<path!>"
    ran.take()
    db.set(Library("os", "environ"))
    assert report(db) == "<environ!>"
    assert ran.take() == ["library('os')", "checked()", "report()"]
    db.set(Library("re", "match"))
    assert report(db) == "<environ!>"
    assert ran.take() == []


@pytest.mark.spec("high.bits", "memo.backdate", "memo.dynamic")
def test_bits_that_grow_below_a_backdated_call_reach_its_dependents(db: incr.Database, ran: Recorder) -> None:
    """The trap: the call in the middle gives the same, but has read a HIGH input that its dependents do not know."""

    @incr.query
    def low(db: incr.View) -> str:
        found = text(db, "a")
        return library(db, "os") if found == "use the library" else found

    @incr.query
    def middle(db: incr.View) -> str:
        return low(db)

    @incr.query
    def top(db: incr.View) -> str:
        return middle(db)

    with db.batch() as batch:
        batch.set(Source("a", "same"))
        batch.set(Library("os", "same"))
    assert top(db) == "same"
    db.set(Source("a", "use the library"))
    assert top(db) == "same"
    assert "top()" not in ran.take()[4:]
    db.check_invariant()
    db.set(Library("os", "different"))
    assert top(db) == "different"
    assert ran.take() == ["library('os')", "low()", "middle()", "top()"]


@pytest.mark.spec("high.bits", "memo.dynamic")
def test_a_high_input_that_is_not_read_any_more(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def sometimes(db: incr.View) -> str:
        return db[Library, "os"].text if text(db, "a") == "library" else "none"

    db.set(Library("os", "path"))
    db.set(Source("a", "library"))
    assert sometimes(db) == "path"
    db.set(Source("a", "no library"))
    assert sometimes(db) == "none"
    ran.take()
    db.set(Library("os", "environ"))
    assert sometimes(db) == "none"
    assert ran.take() == []


@pytest.mark.spec("high.bits", "declare.durability", "write.set")
@pytest.mark.parametrize("first", incr.Durability)
@pytest.mark.parametrize("second", incr.Durability)
def test_a_record_may_change_its_durability(
    db: incr.Database, ran: Recorder, first: incr.Durability, second: incr.Durability
) -> None:
    db.set(Source("a", "x"), durability=first)
    assert length(db, "a") == 1
    db.set(Source("a", "xy"), durability=second)
    assert length(db, "a") == 2
    db.set(Source("a", "xyz"), durability=second)

    @incr.query
    def another(db: incr.View) -> str:
        return db[Source, "a"].text

    assert (length(db, "a"), another(db)) == (3, "xyz")
    db.check_invariant()
    db.set(Source("a", "wxyz"), durability=first)
    assert (length(db, "a"), another(db)) == (4, "wxyz")
    db.set(Source("a", "v"))
    assert (length(db, "a"), another(db)) == (1, "v")
    ran.take()
    db.remove(Source, "a")
    assert (db.get(Source, "a"), ran.take()) == (None, [])
    db.set(Source("a", "u"), durability=second)
    assert (length(db, "a"), another(db)) == (1, "u")
    db.check_invariant()


@pytest.mark.spec("high.bits", "read.presence", "read.keys")
def test_presence_and_keys_of_high_inputs(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def has_os(db: incr.View) -> bool:
        return (Library, "os") in db

    @incr.query
    def names(db: incr.View) -> tuple[str, ...]:
        return tuple(db.keys(Library))

    assert (has_os(db), names(db)) == (False, ())
    db.set(Library("os", "path"))
    assert (has_os(db), names(db)) == (True, ("os",))
    ran.take()
    db.set(Library("os", "environ"))
    assert (has_os(db), names(db)) == (True, ("os",))
    assert ran.take() == []
    db.remove(Library, "os")
    assert (has_os(db), names(db)) == (False, ())
    db.check_invariant()


@pytest.mark.spec("high.bits", "read.presence", "read.keys")
def test_presence_and_keys_where_single_records_are_high(db: incr.Database) -> None:
    @incr.query
    def seen(db: incr.View) -> tuple[bool, tuple[str, ...], str | None]:
        found = db.get(Source, "a")
        return (Source, "a") in db, tuple(db.keys(Source)), None if found is None else found.text

    assert seen(db) == (False, (), None)
    db.set(Source("a", "x"), durability=HIGH)
    assert seen(db) == (True, ("a",), "x")
    db.set(Source("b", "x"), durability=HIGH)
    assert seen(db) == (True, ("a", "b"), "x")
    db.remove(Source, "a")
    assert seen(db) == (False, ("b",), None)
    db.set(Source("a", "y"), durability=LOW)
    assert seen(db) == (True, ("a", "b"), "y")
    db.check_invariant()


@pytest.mark.spec("high.bits", "memo.consistency", "declare.durability")
@pytest.mark.parametrize("seed", range(40))
def test_durabilities_at_random_never_change_an_answer(seed: int) -> None:
    chance = random.Random(seed)
    paths = "abcd"

    @incr.query
    def step(db: incr.View, path: str, depth: int) -> str:
        found = db.get(Source, path)
        if found is None:
            return "-"
        if not depth or not found.text:
            return found.text
        below = step(db, found.text[0], depth - 1)
        extra = db[Library, "x"].text if "d" in found.text else ""
        return (below + extra)[:2]  # short, so that much is backdated

    db, plain = incr.Database(), incr.Database()
    for database in (db, plain):
        database.set(Library("x", "d"))
    for _ in range(60):
        record: Any = Source(chance.choice(paths), "".join(chance.choices(paths, k=chance.randrange(3))))
        match chance.randrange(6):
            case 0:
                db.remove(Source, record.path)
                plain.remove(Source, record.path)
            case 1:
                record = Library("x", chance.choice(paths))
                db.set(record)
                plain.set(record, durability=LOW)
            case _:
                db.set(record, durability=chance.choice([None, *incr.Durability]))
                plain.set(record)
        for _ in range(chance.randrange(3)):
            call = (chance.choice(paths), chance.randrange(5))
            fresh = incr.Database()
            for kind in (Source, Library):
                for key in plain.keys(kind):
                    fresh.set(plain[kind, key])
            assert step(db, *call) == step(plain, *call) == step(fresh, *call)
            db.check_invariant()


@pytest.mark.spec("memo.minimal", "memo.backdate", "high.bits")
@pytest.mark.parametrize("many", [False, True], ids=["by the bit", "by more suspects than are listed"])
def test_a_change_that_was_looked_at_already_runs_nothing_again(db: incr.Database, ran: Recorder, many: bool) -> None:
    """All dependencies are looked at; one changed after the call's own value did, but not since it was verified."""
    paths = [f"other {number}" for number in range(12)]

    @incr.query
    def kind(db: incr.View) -> str:
        return library(db, "os").lower()

    @incr.query
    def top(db: incr.View) -> tuple[int, ...]:
        return (len(text(db, "a")), len(kind(db)), *(length(db, path) for path in paths))

    with db.batch() as batch:
        batch.set(Source("a", "x"))
        batch.set(Library("os", "path"))
        for path in paths:
            batch.set(Source(path, "x"))
    assert top(db)[:3] == (1, 4, 1)
    db.set(Source("a", "y"))
    assert top(db)[:3] == (1, 4, 1)
    assert ran.take_backdated() == ["top()"]
    for texts in ("PATH", "Path"):
        ran.take()
        with db.batch() as batch:
            if many:
                for path in paths:
                    batch.set(Source(path, texts[:1]))
            else:
                batch.set(Library("os", texts))
        assert top(db)[:3] == (1, 4, 1)
        assert "top()" not in ran.take()


@pytest.mark.spec("memo.minimal", "memo.backdate", "history.snapshot")
def test_a_change_that_was_looked_at_already_runs_nothing_again_as_of_a_snapshot(
    db: incr.Database, ran: Recorder
) -> None:
    @incr.query
    def stripped(db: incr.View) -> str:
        return db[Source, "a"].text.strip()

    @incr.query
    def size(db: incr.View) -> int:
        return len(stripped(db))

    for number, found in enumerate("xy"):
        db.set(Source("a", found))
        assert size(db) == 1
        assert ran.take_backdated() == ["size()"] * number
    db.set(Source("a", " y"))
    assert stripped(db) == "y"  # the call above it is not asked for in this revision
    with db.snapshot() as view:
        db.set(Source("a", "z"))
        assert stripped(db) == "z"
        ran.take()
        assert size(view) == 1
        assert ran.take() == []
        assert size(db) == 1
