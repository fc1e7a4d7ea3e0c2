"""A snapshot is one revision for as long as it is open, and keeps nothing once it is closed."""

from __future__ import annotations

import gc
import random
from typing import Any

import pytest

import incr
from incr.testing import Recorder
from tasks import no_trace


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.query
def text(db: incr.View, path: str) -> str:
    return db[Source, path].text


@incr.query
def length(db: incr.View, path: str) -> int:
    return len(text(db, path))


@incr.query
def summary(db: incr.View) -> str:
    return " ".join(f"{path}{length(db, path)}" for path in db.keys(Source))


@pytest.mark.spec("history.snapshot")
def test_a_snapshot_shows_its_revision_whatever_happens_later(db: incr.Database) -> None:
    db.set(Source("a", "x"))
    with db.snapshot() as view:
        db.set(Source("a", "xx"))
        db.set(Source("b", "y"))
        assert (view.revision, view[Source, "a"].text, (Source, "b") in view) == (1, "x", False)
        assert view.get(Source, "b") is None
        with pytest.raises(incr.MissingInputError):
            view[Source, "b"]
        assert (summary(db), summary(view)) == ("a2 b1", "a1")
        db.remove(Source, "a")
        assert (summary(view), summary(db)) == ("a1", "b1")
        assert view[Source, "a"] == Source("a", "x")
        db.check_invariant()
    no_trace(db)


@pytest.mark.spec("history.snapshot", "call.hit")
def test_a_snapshot_shares_what_is_known(db: incr.Database, ran: Recorder) -> None:
    db.set(Source("a", "x"))
    assert summary(db) == "a1"
    ran.take()
    with db.snapshot() as view:
        assert summary(view) == "a1"
        db.set(Source("b", "y"))
        assert summary(view) == "a1"  # the memo was right for the snapshot's revision and still is
        assert ran.take() == []
        assert summary(db) == "a1 b1"
        assert summary(view) == "a1"
        assert sorted(ran.take()) == ["length('b')", "summary()", "text('b')"]


@pytest.mark.spec("history.snapshot", "memo.minimal")
def test_an_old_snapshot_that_is_read_after_a_newer_value_was_computed(db: incr.Database, ran: Recorder) -> None:
    db.set(Source("a", "x"))
    with db.snapshot() as view:
        db.set(Source("a", "xy"))
        assert length(db, "a") == 2
        ran.take()
        assert length(view, "a") == 1
        assert ran.take() == ["text('a')", "length('a')"]
        for _ in range(2):
            assert (length(view, "a"), length(db, "a")) == (1, 2)
        assert ran.take() == []
    no_trace(db)


@pytest.mark.spec("history.snapshot", "memo.minimal")
def test_what_a_snapshot_computes_is_good_for_the_database_if_nothing_was_written(
    db: incr.Database, ran: Recorder
) -> None:
    db.set(Source("a", "x"))
    with db.snapshot() as view:
        assert length(view, "a") == 1
        assert length(db, "a") == 1
    assert ran.take() == ["text('a')", "length('a')"]


@pytest.mark.spec("history.snapshot", "memo.minimal")
def test_what_was_backdated_since_is_verified_for_a_snapshot(db: incr.Database, ran: Recorder) -> None:
    db.set(Source("a", "xy"))
    assert length(db, "a") == 2
    db.set(Source("b", "unrelated"))
    with db.snapshot() as view:
        db.set(Source("a", "yx"))
        assert length(db, "a") == 2
        ran.take()
        assert (text(view, "a"), length(view, "a")) == ("xy", 2)
        assert ran.take() == []


@pytest.mark.spec("history.snapshot", "history.prune")
def test_many_snapshots_of_one_and_of_several_revisions(db: incr.Database) -> None:
    views = list[incr.Snapshot]()
    for number in range(1, 6):
        db.set(Source("a", "x" * number))
        views += [db.snapshot(), db.snapshot()]
    assert db.statistics().pinned <= 5
    db.set(Source("a", ""))
    assert [length(view, "a") for view in views] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert db.statistics().pinned == 5
    for place in (3, 0, 9, 2, 8, 1):
        views[place].close()
        db.check_invariant()
    assert db.statistics().pinned == 2
    assert [length(views[place], "a") for place in (4, 5, 6, 7)] == [3, 3, 4, 4]
    for view in views:
        view.close()  # closing twice is fine
    assert db.statistics().pinned == 0
    no_trace(db)


@pytest.mark.spec("history.snapshot")
def test_a_closed_snapshot_refuses_reads(db: incr.Database) -> None:
    db.set(Source("a", "x"))
    view: Any = db.snapshot()
    assert repr(view) == "<Snapshot of revision 1>"
    assert length(view, "a") == 1
    view.close()
    assert repr(view) == "<Snapshot of revision 1, closed>"
    for read in (
        lambda: view[Source, "a"],
        lambda: view.get(Source, "a"),
        lambda: (Source, "a") in view,
        lambda: view.keys(Source),
        lambda: view.revision,
        lambda: length(view, "a"),
    ):
        with pytest.raises(incr.FinishedFrameError, match=r"the snapshot of revision 1 is closed; take a new one"):
            read()


@pytest.mark.spec("history.prune")
def test_a_snapshot_that_was_forgotten_pins_nothing(db: incr.Database) -> None:
    db.set(Source("a", "x"))
    view = db.snapshot()
    db.set(Source("a", "y"))
    assert text(view, "a") == "x"
    assert db.statistics().pinned == 1
    del view
    gc.collect()
    assert db.statistics().pinned == 0
    no_trace(db)


@pytest.mark.spec("history.prune")
def test_without_snapshots_there_is_no_history(db: incr.Database) -> None:
    for number in range(5):
        db.set(Source("a", "x" * number))
        assert length(db, "a") == number
        no_trace(db)


@pytest.mark.spec("history.prune")
def test_what_two_snapshots_need_is_kept_until_the_second_is_closed(db: incr.Database, ran: Recorder) -> None:
    db.set(Source("a", "x"))
    first = db.snapshot()
    db.set(Source("b", "unrelated"))
    second = db.snapshot()
    assert length(db, "a") == 1
    db.set(Source("a", "xy"))
    assert length(db, "a") == 2
    ran.take()
    second.close()
    db.check_invariant()
    assert length(first, "a") == 1
    first.close()
    no_trace(db)


@pytest.mark.spec("history.snapshot", "read.presence")
def test_presence_as_of_a_snapshot(db: incr.Database) -> None:
    @incr.query
    def present(db: incr.View, path: str) -> bool:
        return (Source, path) in db

    with db.snapshot() as empty:
        db.set(Source("a", "x"))
        with db.snapshot() as filled:
            db.remove(Source, "a")
            for _ in range(2):
                assert ((Source, "a") in empty, (Source, "a") in filled, (Source, "a") in db) == (False, True, False)
                assert (present(empty, "a"), present(filled, "a"), present(db, "a")) == (False, True, False)
            db.set(Source("a", "y"))
            assert (present(empty, "a"), present(filled, "a"), present(db, "a")) == (False, True, True)
        db.check_invariant()
    no_trace(db)


@pytest.mark.spec("history.snapshot", "high.bits")
def test_high_inputs_as_of_a_snapshot(db: incr.Database) -> None:
    db.set(Source("a", "x"), durability=incr.Durability.HIGH)
    assert length(db, "a") == 1
    with db.snapshot() as view:
        db.set(Source("a", "xy"), durability=incr.Durability.HIGH)
        assert (length(view, "a"), length(db, "a"), length(view, "a")) == (1, 2, 1)
        db.set(Source("a", "xyz"))
        assert (length(view, "a"), length(db, "a"), length(view, "a")) == (1, 3, 1)
    no_trace(db)


@pytest.mark.spec("history.snapshot", "memo.consistency", "history.prune")
@pytest.mark.parametrize("seed", range(30))
def test_snapshots_at_random_answer_like_a_database_of_their_revision(seed: int) -> None:
    chance = random.Random(seed)
    paths = "abc"

    @incr.query
    def follow(db: incr.View, path: str, depth: int) -> str:
        if not depth or (Source, path) not in db:
            return path if depth else ",".join(db.keys(Source))
        found = db[Source, path].text
        try:
            return follow(db, found[0], depth - 1)[:3] + found[1:]
        except IndexError:
            return f"{path} is empty"

    db = incr.Database()
    open_views = list[tuple[incr.Snapshot, incr.Database]]()
    for _ in range(80):
        match chance.randrange(6):
            case 0 | 1:
                db.set(Source(chance.choice(paths), "".join(chance.choices(paths, k=chance.randrange(3)))))
            case 2:
                db.remove(Source, chance.choice(paths))
            case 3 if len(open_views) < 4:
                copy = incr.Database()
                for path in db.keys(Source):
                    copy.set(db[Source, path])
                open_views.append((db.snapshot(), copy))
            case 4 if open_views:
                open_views.pop(chance.randrange(len(open_views)))[0].close()
            case _:
                call = chance.choice(paths), chance.randrange(5)
                if open_views and chance.random() < 0.7:
                    view, copy = chance.choice(open_views)
                    assert follow(view, *call) == follow(copy, *call)
                else:
                    fresh = incr.Database()
                    for path in db.keys(Source):
                        fresh.set(db[Source, path])
                    assert follow(db, *call) == follow(fresh, *call)
        db.check_invariant()
    for view, _ in open_views:
        view.close()
    no_trace(db)
