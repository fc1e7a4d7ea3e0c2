"""Slots, absence, presence and sets of keys: each is a dependency of its own."""

from __future__ import annotations

from typing import Any

import pytest

import incr
from incr.testing import Recorder


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.input
class Settings:
    root: str


@incr.query
def text(db: incr.View, path: str) -> str:
    return db[Source, path].text


@incr.query
def text_or_none(db: incr.View, path: str) -> str | None:
    found = db.get(Source, path)
    return None if found is None else found.text


@incr.query
def present(db: incr.View, path: str) -> bool:
    return (Source, path) in db


@incr.query
def paths(db: incr.View) -> tuple[str, ...]:
    return tuple(db.keys(Source))


@pytest.mark.spec("read.slot", "suspect.push")
def test_a_slot_is_a_dependency_and_nothing_else_is(db: incr.Database, ran: Recorder) -> None:
    db.set(Source("a", "x"))
    assert text(db, "a") == "x"
    assert ran.take() == ["text('a')"]
    db.set(Source("b", "y"))
    db.set(Settings("."))
    db.remove(Source, "b")
    assert text(db, "a") == "x"
    assert ran.take() == ran.take_verified() == []
    db.set(Source("a", "z"))
    assert text(db, "a") == "z"
    assert ran.take() == ["text('a')"]


@pytest.mark.spec("read.slot")
def test_the_record_itself_is_what_is_read(db: incr.Database) -> None:
    record = Source("a", "x")
    db.set(record)
    assert db[Source, "a"] is record
    assert db.get(Source, "a") is record
    assert [record is db[Source, path] for path in db.keys(Source)] == [True]


@pytest.mark.spec("read.missing")
@pytest.mark.parametrize("removed", [False, True], ids=["never set", "removed"])
def test_an_absent_slot_raises_a_key_error_that_carries_it(db: incr.Database, removed: bool) -> None:
    if removed:
        db.set(Source("a", "x"))
        db.remove(Source, "a")
        db.set(Settings("."))
        db.remove(Settings)
    with pytest.raises(incr.MissingInputError) as caught:
        db[Source, "a"]
    assert caught.value.slot == (Source, "a")
    assert isinstance(caught.value, KeyError)
    assert str(caught.value) == (
        "Source has no record with key 'a'; set it first, or ask with `(Source, key) in db` or db.get(Source, key)"
    )
    with pytest.raises(KeyError) as singleton:
        db[Settings]
    assert str(singleton.value) == "Settings was never set, or was removed; set it, or use db.get(Settings)"


@pytest.mark.spec("read.missing", "error.outcome")
def test_absence_is_a_dependency_of_who_read_it(db: incr.Database, ran: Recorder) -> None:
    for _ in range(2):
        with pytest.raises(incr.MissingInputError):
            text(db, "a")
    assert ran.take() == ["text('a')"]
    db.set(Source("b", "y"))
    with pytest.raises(incr.MissingInputError):
        text(db, "a")
    assert ran.take() == []
    db.set(Source("a", "x"))
    assert text(db, "a") == "x"
    assert ran.take() == ["text('a')"]
    db.remove(Source, "a")
    with pytest.raises(incr.MissingInputError):
        text(db, "a")
    assert ran.take() == ["text('a')"]


@pytest.mark.spec("read.get")
def test_get_gives_a_default_and_depends_like_a_read(db: incr.Database, ran: Recorder) -> None:
    assert db.get(Source, "a") is None
    assert db.get(Source, "a", 3) == 3
    assert db.get(Settings) is None
    assert text_or_none(db, "a") is None
    db.set(Source("b", "y"))
    assert text_or_none(db, "a") is None
    assert ran.take() == ["text_or_none('a')"]
    db.set(Source("a", "x"))
    assert text_or_none(db, "a") == "x"
    db.set(Source("a", "y"))
    assert text_or_none(db, "a") == "y"
    assert ran.take() == ["text_or_none('a')"] * 2
    assert db.get(Source, "a", 3) == Source("a", "y")


@pytest.mark.spec("read.get", "read.presence")
def test_none_absence_and_presence_are_three_things(db: incr.Database, ran: Recorder) -> None:
    @incr.input
    class Cell:
        name: str = incr.key()
        value: int | None

    @incr.query
    def state(db: incr.View) -> str:
        if (Cell, "a") not in db:
            return "absent"
        return f"holds {db[Cell, 'a'].value}"

    assert state(db) == "absent"
    db.set(Cell("a", None))
    assert state(db) == "holds None"
    db.set(Cell("a", 0))
    assert state(db) == "holds 0"
    db.remove(Cell, "a")
    assert state(db) == "absent"
    assert ran.take() == ["state()"] * 4


@pytest.mark.spec("read.presence", "suspect.push")
def test_presence_does_not_depend_on_what_is_there(db: incr.Database, ran: Recorder) -> None:
    assert not present(db, "a")
    db.set(Source("a", "x"))
    assert present(db, "a")
    assert ran.take() == ["present('a')"] * 2
    db.set(Source("a", "y"))
    db.set(Source("b", "y"))
    assert present(db, "a")
    assert ran.take() == ran.take_verified() == []
    db.remove(Source, "a")
    assert not present(db, "a")
    assert ran.take() == ["present('a')"]


@pytest.mark.spec("read.keys", "suspect.push")
def test_keys_depend_on_the_set_only(db: incr.Database, ran: Recorder) -> None:
    assert paths(db) == ()
    db.set(Source("b", "x"))
    db.set(Source("a", "x"))
    assert paths(db) == ("a", "b")
    assert ran.take() == ["paths()"] * 2
    db.set(Source("a", "y"))
    db.set(Settings("."))
    assert paths(db) == ("a", "b")
    assert ran.take() == ran.take_verified() == []
    db.remove(Source, "a")
    assert paths(db) == ("b",)
    assert ran.take() == ["paths()"]


@pytest.mark.spec("read.keys")
def test_keys_are_sorted_whichever_was_set_first() -> None:
    @incr.input
    class Row:
        key: Any = incr.key()

    def keys(*values: Any) -> list[Any]:
        db = incr.Database()
        for value in values:
            db.set(Row(value))
        return list(db.keys(Row))

    for values in (
        ["b", "a", "c"],
        [3, 1, -2],
        [b"b", b"a"],
        [("b", 1), ("a", 2), ("a", 10)],
        ["a", 1, None, 2, ("x",), True, 1.5, frozenset({1}), -1, "A"],
    ):
        found = keys(*values)
        assert list(map(repr, found)) == list(map(repr, keys(*reversed(values))))
        assert sorted(map(repr, found)) == sorted(map(repr, values))
    assert keys("b", "a", "c") == ["a", "b", "c"]
    assert keys(10, 9, -1) == [-1, 9, 10]
    assert keys(("a", 10), ("a", 9)) == [("a", 9), ("a", 10)]


@pytest.mark.spec("read.keys", "history.snapshot")
def test_keys_as_of_a_snapshot(db: incr.Database) -> None:
    db.set(Source("b", "x"))
    with db.snapshot() as before:
        db.set(Source("a", "x"))
        with db.snapshot() as after:
            db.remove(Source, "b")
            for _ in range(2):
                assert list(before.keys(Source)) == ["b"]
                assert list(after.keys(Source)) == ["a", "b"]
                assert list(db.keys(Source)) == ["a"]
                assert (paths(before), paths(after), paths(db)) == (("b",), ("a", "b"), ("a",))
        db.check_invariant()


@pytest.mark.spec("read.keys")
def test_keys_can_be_left_unread_while_the_set_changes(db: incr.Database) -> None:
    db.set(Source("a", "x"))
    keys = db.keys(Source)
    db.set(Source("b", "x"))
    assert list(keys) == ["a"]


@pytest.mark.spec("read.revision")
def test_a_view_knows_its_revision(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def revision(db: incr.View) -> int:
        return db.revision

    assert db.revision == 0
    assert isinstance(db.revision, incr.Revision)
    assert repr(db.revision) == "Revision(0)"
    assert revision(db) == 0
    db.set(Source("a", "x"))
    with db.snapshot() as view:
        db.set(Source("a", "y"))
        assert (db.revision, view.revision) == (2, 1)
    assert revision(db) == 0  # it is no dependency
    assert ran.take() == ["revision()"]
    assert repr(db) == "<Database at revision 2>"


@pytest.mark.spec("read.untracked", "memo.backdate")
def test_an_untracked_read_is_asked_once_in_each_revision(db: incr.Database, ran: Recorder) -> None:
    clock = ["morning"]

    @incr.query
    def now(db: incr.View) -> str:
        db.untracked("the clock")
        return clock[0]

    @incr.query
    def greeting(db: incr.View) -> str:
        return f"good {now(db)}"

    assert greeting(db) == "good morning"
    ran.take()
    clock[0] = "evening"
    assert greeting(db) == "good morning"  # within one revision it is a hit
    assert ran.take() == []
    db.set(Settings("unrelated"))
    assert greeting(db) == "good evening"
    assert ran.take() == ["now()", "greeting()"]
    db.set(Settings("unrelated too"))
    assert greeting(db) == "good evening"
    assert ran.take() == ran.take_backdated() == ["now()"]
    assert greeting(db) == "good evening"
    assert ran.take() == []


@pytest.mark.spec("read.untracked")
def test_an_untracked_read_that_is_not_made_any_more_is_forgotten(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def sometimes(db: incr.View) -> str:
        if db[Settings].root == "outside":
            db.untracked("the disk")
        return db[Settings].root

    db.set(Settings("outside"))
    assert sometimes(db) == "outside"
    db.set(Settings("inside"))
    assert sometimes(db) == "inside"
    ran.take()
    db.set(Source("a", "x"))
    assert sometimes(db) == "inside"
    assert ran.take() == ran.take_verified() == []


@pytest.mark.spec("read.untracked")
def test_an_untracked_read_outside_of_queries_does_nothing(db: incr.Database) -> None:
    db.untracked("the disk")
    with db.snapshot() as view:
        view.untracked("the disk")
    assert db.statistics().memos == 0


@pytest.mark.spec("read.untracked", "frame.outer")
def test_an_untracked_read_through_an_outer_handle_counts(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def now(view: incr.View) -> int:
        db.untracked("the clock")
        return 1

    assert now(db) == 1
    db.set(Settings("."))
    assert now(db) == 1
    assert ran.take() == ["now()"] * 2


@pytest.mark.spec("read.presence", "read.keys", "memo.backdate")
def test_presence_and_keys_that_come_back_stop_there(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def both(db: incr.View) -> tuple[bool, tuple[str, ...]]:
        return present(db, "a"), paths(db)

    db.set(Source("a", "x"))
    assert both(db) == (True, ("a",))
    ran.take()
    db.remove(Source, "a")
    db.set(Source("a", "y"))
    assert both(db) == (True, ("a",))
    assert "both()" not in ran.take()
