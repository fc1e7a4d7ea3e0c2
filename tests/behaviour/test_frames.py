"""The `db` of a body: bound to its call, ended with it, and not mixed up with any other handle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import incr
from incr.testing import Recorder


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.interned
class Symbol:
    name: str


@incr.query
def text(db: incr.View, path: str) -> str:
    return db[Source, path].text


READS: list[Callable[[Any], object]] = [
    lambda db: db[Source, "a"],
    lambda db: db.get(Source, "a"),
    lambda db: (Source, "a") in db,
    lambda db: db.keys(Source),
    lambda db: db.intern(Symbol("a")),
    lambda db: db.revision,
    lambda db: db.untracked("the clock"),
    lambda db: text(db, "a"),
    lambda db: text(db, "never asked before"),
]


@pytest.mark.spec("frame.finished")
@pytest.mark.parametrize("read", READS)
def test_a_frame_ends_with_its_call(db: incr.Database, ran: Recorder, read: Callable[[Any], object]) -> None:
    kept = list[incr.View]()

    @incr.query
    def leaking(db: incr.View, number: int) -> int:
        kept.append(db)
        return number

    db.set(Source("a", "x"))
    text(db, "a")
    leaking(db, 1)
    ran.take()
    with pytest.raises(incr.FinishedFrameError) as caught:
        read(kept[0])
    assert str(caught.value) == (
        "the call leaking(1) has ended, but something still reads through its `db` (a task, thread or generator that "
        "outlived it?); read within the call, or read through the database itself"
    )
    assert ran.take() == []

    @incr.query
    def another(db: incr.View) -> None:
        read(kept[0])

    with pytest.raises(incr.FinishedFrameError, match=r"leaking\(1\)"):
        another(db)
    db.set(Source("a", "y"))
    assert leaking(db, 1) == 1
    assert "leaking(1)" not in ran.take()  # nothing was recorded for it
    db.check_invariant()


@pytest.mark.spec("frame.finished")
def test_a_generator_that_outlives_its_call_is_told_so(db: incr.Database) -> None:
    @incr.query
    def lazy(db: incr.View) -> Iterator[str]:
        return (db[Source, path].text for path in ("a", "b"))

    db.set(Source("a", "x"))
    with pytest.raises(incr.FinishedFrameError, match=r"lazy\(\)"):
        list(lazy(db))


@pytest.mark.spec("frame.outer", "memo.consistency")
@pytest.mark.parametrize("inside", [False, True], ids=["at the top", "in a query"])
def test_a_read_through_an_outer_handle_is_recorded(db: incr.Database, ran: Recorder, inside: bool) -> None:
    @incr.query
    def sloppy(view: incr.View) -> Any:
        found = db.get(Source, "a")
        return found, (Source, "b") in db, tuple(db.keys(Source)), text(db, "c")

    @incr.query
    def outer(view: incr.View) -> Any:
        return sloppy(view)

    ask = outer if inside else sloppy
    db.set(Source("c", "z"))
    assert ask(db) == (None, False, ("c",), "z")
    db.set(Source("a", "x"))
    assert ask(db) == (Source("a", "x"), False, ("a", "c"), "z")
    db.set(Source("b", "y"))
    assert ask(db) == (Source("a", "x"), True, ("a", "b", "c"), "z")
    db.set(Source("c", "w"))
    assert ask(db) == (Source("a", "x"), True, ("a", "b", "c"), "w")
    ran.take()
    db.set(Source("b", "y2"))
    assert ask(db)[3] == "w"
    assert ran.take() == []
    db.check_invariant()


@pytest.mark.spec("frame.outer")
def test_a_hit_through_an_outer_handle_is_recorded(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def sloppy(view: incr.View) -> str:
        return text(db, "a") + db[Source, "b"].text

    db.set(Source("a", "x"))
    db.set(Source("b", "y"))
    assert text(db, "a") == "x"
    assert sloppy(db) == "xy"
    ran.take()
    db.set(Source("a", "z"))
    assert sloppy(db) == "zy"
    db.set(Source("b", "w"))
    assert sloppy(db) == "zw"
    assert ran.take() == ["text('a')", "sloppy()", "sloppy()"]


@pytest.mark.spec("frame.outer")
def test_the_frame_of_a_caller_is_the_callers(db: incr.Database, ran: Recorder) -> None:
    """A body that reads through its caller's `db` depends on nothing by that; the caller does."""
    kept = list[incr.View]()

    @incr.query
    def inner(db: incr.View) -> str:
        return kept[-1][Source, "a"].text

    @incr.query
    def outer(db: incr.View) -> str:
        kept.append(db)
        return inner(db) + db[Source, "b"].text

    db.set(Source("a", "x"))
    db.set(Source("b", "y"))
    assert outer(db) == "xy"
    assert db.statistics().queries["outer"].edges == 3
    assert db.statistics().queries["inner"].edges == 0


@pytest.mark.spec("frame.outer", "history.snapshot", "memo.consistency")
def test_a_snapshot_that_a_query_has_captured(db: incr.Database, ran: Recorder) -> None:
    db.set(Source("a", "old"))
    with db.snapshot() as view:

        @incr.query
        def since(db: incr.View) -> tuple[str, str, str]:
            return view[Source, "a"].text, text(view, "a"), db[Source, "a"].text

        assert since(db) == ("old", "old", "old")
        db.set(Source("a", "new"))
        assert since(db) == ("old", "old", "new")
        ran.take()
        db.set(Source("b", "unrelated"))
        assert since(db) == ("old", "old", "new")
        assert "since()" in ran.take()  # what it reads there is not of this revision: looked at again in each one
    with pytest.raises(incr.FinishedFrameError, match=r"the snapshot of revision 1 is closed"):
        db.set(Source("c", "unrelated"))
        since(db)
    db.check_invariant()


@pytest.mark.spec("frame.outer", "history.snapshot")
def test_a_snapshot_that_is_taken_in_a_query_is_of_its_revision(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def taking(view: incr.View) -> str:
        with db.snapshot() as inner:
            assert inner.revision == view.revision
            return inner[Source, "a"].text

    db.set(Source("a", "x"))
    assert taking(db) == "x"
    db.set(Source("b", "unrelated"))
    assert taking(db) == "x"
    assert ran.take() == ["taking()"]
    db.set(Source("a", "y"))
    assert taking(db) == "y"


@pytest.mark.spec("frame.tasks")
def test_reads_of_a_thread_belong_to_the_call_whose_db_they_go_through(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def threaded(db: incr.View) -> str:
        found = list[str]()
        thread = threading.Thread(target=lambda: found.append(db[Source, "a"].text + text(db, "b")))
        thread.start()
        thread.join()
        return found[0]

    db.set(Source("a", "x"))
    db.set(Source("b", "y"))
    assert threaded(db) == "xy"
    db.set(Source("a", "z"))
    assert threaded(db) == "zy"
    db.set(Source("b", "w"))
    assert threaded(db) == "zw"
    ran.take()
    db.set(Source("c", "unrelated"))
    assert threaded(db) == "zw"
    assert ran.take() == []


@pytest.mark.spec("frame.databases", "memo.consistency")
def test_two_databases_in_one_query_never_meet(db: incr.Database, ran: Recorder) -> None:
    other = incr.Database()

    @incr.query
    def both(db: incr.View) -> str:
        return text(db, "a") + text(other, "a") + other[Source, "a"].text

    db.set(Source("a", "x"))
    for number in range(5):
        other.set(Source("a", str(number)))
    assert both(db) == "x44"
    assert (db.revision, other.revision) == (1, 5)
    other.set(Source("a", "not seen"))
    assert both(db) == "x44"  # the other database is nothing that this one can see
    assert ran.take() == ["text('a')", "both()"]
    db.set(Source("a", "y"))
    assert both(db) == "ynot seennot seen"
    assert other.statistics().queries["text"].memos == 1
    assert "both" not in other.statistics().queries
    db.check_invariant()
    other.check_invariant()


@pytest.mark.spec("frame.databases", "cycle.path")
def test_a_call_of_the_same_query_in_another_database_is_no_cycle() -> None:
    one, two = incr.Database(), incr.Database()

    @incr.query
    def hop(db: incr.View) -> str:
        return "end" if db is not one and (Source, "a") in db else hop(two) + "!"

    two.set(Source("a", "x"))
    assert hop(one) == "end!"


@pytest.mark.spec("frame.bound", "event.order", "memo.consistency")
def test_a_write_that_a_subscriber_makes_while_a_query_runs_is_seen_by_the_next_one(db: incr.Database) -> None:
    @incr.query
    def joined(db: incr.View) -> str:
        return text(db, "a") + text(db, "b") + db[Source, "b"].text + str(db.revision)

    db.set(Source("a", "x"))
    db.set(Source("b", "y"))

    def write(event: incr.Event) -> None:
        if event == incr.QueryExecuted("text", ("a",)) and db.revision == 2:
            db.set(Source("b", "z"))

    with db.subscribe(write):
        assert joined(db) == "xyy2"
        assert db.revision == 3
        assert joined(db) == "xzz3"
    db.check_invariant()


@pytest.mark.spec("frame.bound")
def test_a_frame_says_whose_it_is(db: incr.Database) -> None:
    @incr.query
    def named(db: incr.View, number: int) -> str:
        return repr(db)

    assert named(db, 3) == "<Frame of named(3)>"
