"""Callbacks are told what happened, in order, after it is done."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from typing import Any

import pytest

import incr


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.input
class Cell:
    sheet: str = incr.key()
    row: int = incr.key()


@incr.query
def words(db: incr.View, path: str) -> tuple[str, ...]:
    return tuple(db[Source, path].text.split())


@incr.query
def count(db: incr.View, path: str, scale: int = 1) -> int:
    return scale * len(words(db, path))


R = incr.Revision


@pytest.mark.spec("event.order")
def test_all_kinds_in_the_order_of_what_happened(db: incr.Database) -> None:
    events = list[incr.Event]()
    subscription = db.subscribe(events.append)
    db.set(Source("a", "x y"))
    assert count(db, "a") == 2
    assert count(db, "a") == 2
    db.set(Source("a", "x  y"))
    assert count(db, "a") == 2
    db.remove(Source, "a")
    db.set(Cell("s", 1))
    subscription.close()
    db.set(Source("a", "not told"))
    assert events == [
        incr.InputSet(Source, "a", R(1)),
        incr.RevisionAdvanced(R(1)),
        incr.QueryExecuted("words", ("a",)),
        incr.QueryExecuted("count", ("a", 1)),
        incr.InputSet(Source, "a", R(2)),
        incr.RevisionAdvanced(R(2)),
        incr.QuerySuspected("words", ("a",)),
        incr.QuerySuspected("count", ("a", 1)),
        incr.QueryExecuted("words", ("a",)),
        incr.QueryBackdated("words", ("a",)),
        incr.QueryVerified("count", ("a", 1)),
        incr.InputRemoved(Source, "a", R(3)),
        incr.RevisionAdvanced(R(3)),
        incr.InputSet(Cell, ("s", 1), R(4)),
        incr.RevisionAdvanced(R(4)),
    ]


@pytest.mark.spec("event.order")
def test_an_event_is_told_after_the_change(db: incr.Database) -> None:
    seen = list[Any]()

    def look(event: incr.Event) -> None:
        match event:
            case incr.InputSet(record, key, revision):
                seen.append((db[record, key].text, db.revision == revision))
            case incr.QueryExecuted("words", (path,)):
                assert isinstance(path, str)
                seen.append(words(db, path))
            case _:
                pass

    with db.subscribe(look):
        db.set(Source("a", "x"))
        words(db, "a")
    assert seen == [("x", True), ("x",)]


@pytest.mark.spec("event.order")
def test_subscribers_are_told_in_the_order_of_subscribing(db: incr.Database) -> None:
    told = list[str]()
    first = db.subscribe(lambda event: told.append("first"))
    with db.subscribe(lambda event: told.append("second")):
        db.set(Source("a", "x"))
    assert told == ["first", "second"] * 2
    first.close()
    first.close()
    db.set(Source("a", "y"))
    assert len(told) == 4


@pytest.mark.spec("event.order")
def test_the_same_callback_twice_is_two_subscriptions(db: incr.Database) -> None:
    told = list[incr.Event]()
    one = db.subscribe(told.append)
    two = db.subscribe(told.append)
    db.set(Source("a", "x"))
    assert len(told) == 4
    one.close()
    db.set(Source("a", "y"))
    assert len(told) == 6
    two.close()


@pytest.mark.spec("event.order")
def test_a_callback_that_raises_is_logged_and_not_told_again(
    db: incr.Database, caplog: pytest.LogCaptureFixture
) -> None:
    told = list[incr.Event]()

    def failing(event: incr.Event) -> None:
        raise ValueError("the callback's own")

    db.subscribe(failing)
    db.subscribe(told.append)
    with caplog.at_level(logging.ERROR, logger="incr"):
        assert db.set(Source("a", "x")) == 1
        assert db.set(Source("a", "y")) == 2
    assert [record.name for record in caplog.records] == ["incr"]
    assert "a subscriber failed on InputSet(" in caplog.text
    assert "the callback's own" in caplog.text
    assert len(told) == 4
    assert db[Source, "a"].text == "y"


@pytest.mark.spec("event.order", "frame.outer")
def test_what_a_callback_reads_belongs_to_no_query(db: incr.Database) -> None:
    def read(event: incr.Event) -> None:
        if isinstance(event, incr.QueryExecuted) and event.query == "words":
            db.get(Source, "b")

    @incr.query
    def outer(db: incr.View) -> int:
        return len(words(db, "a"))

    with db.subscribe(read):
        db.set(Source("a", "x"))
        assert outer(db) == 1
        db.set(Source("b", "unrelated"))
        assert db.explain(outer).decision == "executed"
    assert db.statistics().queries["outer"].edges == 1


@pytest.mark.spec("event.order", "write.in-query")
def test_a_callback_may_write_and_its_events_come_after_those_that_wait(db: incr.Database) -> None:
    told = list[incr.Event]()

    def derive(event: incr.Event) -> None:
        if isinstance(event, incr.InputSet) and event.key == "a":
            db.set(Source("derived", "from a"))

    db.subscribe(derive)
    db.subscribe(told.append)
    db.set(Source("a", "x"))
    assert told == [
        incr.InputSet(Source, "a", R(1)),
        incr.RevisionAdvanced(R(1)),
        incr.InputSet(Source, "derived", R(2)),
        incr.RevisionAdvanced(R(2)),
    ]
    assert db.revision == 2


@pytest.mark.spec("event.order", "write.in-query")
def test_a_callback_may_write_while_a_query_runs(db: incr.Database) -> None:
    """It is no part of the query, and the query goes on seeing its own revision."""

    def write(event: incr.Event) -> None:
        if event == incr.QueryExecuted("words", ("a",)):
            db.set(Source("b", "written by the callback"))

    @incr.query
    def outer(db: incr.View) -> str:
        words(db, "a")
        return db[Source, "b"].text

    db.set(Source("a", "x"))
    db.set(Source("b", "before"))
    with db.subscribe(write):
        assert outer(db) == "before"
        assert db[Source, "b"].text == "written by the callback"
        assert outer(db) == "written by the callback"
    db.check_invariant()


@pytest.mark.spec("event.order")
def test_a_callback_may_run_queries(db: incr.Database) -> None:
    told = list[incr.Event]()

    def warm(event: incr.Event) -> None:
        if isinstance(event, incr.RevisionAdvanced):
            count(db, "a")

    db.subscribe(warm)
    db.subscribe(told.append)
    db.set(Source("a", "x"))
    assert told[-2:] == [incr.QueryExecuted("words", ("a",)), incr.QueryExecuted("count", ("a", 1))]
    del told[:]
    assert count(db, "a") == 1
    assert told == []


@pytest.mark.spec("event.order")
def test_a_callback_may_end_its_own_and_others_subscriptions(db: incr.Database) -> None:
    told = list[str]()
    subscriptions = list[incr.Subscription]()

    def once(event: incr.Event) -> None:
        told.append("once")
        for subscription in subscriptions:
            subscription.close()

    subscriptions.append(db.subscribe(once))
    subscriptions.append(db.subscribe(lambda event: told.append("other")))
    db.set(Source("a", "x"))
    db.set(Source("a", "y"))
    assert told.count("once") == 1


@pytest.mark.spec("event.order")
def test_a_subscription_hears_nothing_from_before_it(db: incr.Database) -> None:
    db.set(Source("a", "x"))
    words(db, "a")
    told = list[incr.Event]()
    db.subscribe(told.append)
    assert words(db, "a") == ("x",)
    assert told == []


@pytest.mark.spec("event.order")
def test_events_are_immutable_values(db: incr.Database) -> None:
    event: Any = incr.QueryExecuted("words", ("a",))
    assert event == incr.QueryExecuted("words", ("a",))
    assert event != incr.QueryVerified("words", ("a",))
    assert event != incr.QueryExecuted("words", ("b",))
    assert event != "words"
    assert len({event, incr.QueryExecuted("words", ("a",)), incr.RevisionAdvanced(R(1))}) == 2
    assert repr(event) == "QueryExecuted('words', ('a',))"
    assert repr(incr.InputSet(Source, "a", R(1))).endswith("Source'>, 'a', Revision(1))")
    with pytest.raises(AttributeError, match="QueryExecuted is immutable: 'query' cannot be set"):
        event.query = "other"
    with pytest.raises(AttributeError, match="QueryExecuted is immutable: 'query' cannot be deleted"):
        del event.query
    match event:
        case incr.QueryExecuted(query, key):
            found: tuple[str, tuple[Hashable, ...]] = (query, key)
            assert found == ("words", ("a",))
        case _:
            raise AssertionError(event)
    assert incr.ValueNotStored("words", ("a",), "why").__match_args__ == ("query", "key", "reason")
    assert incr.EventsDropped(3).count == 3
