"""Snapshots that are read while, and long after, the database has moved on."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import incr
from tasks import Gate, no_trace, until

pytestmark = pytest.mark.anyio


@incr.input
class Text:
    name: str = incr.key()
    text: str


class Counted:
    """A database with one text and a query that says when it ran."""

    def __init__(self) -> None:
        self.db = incr.Database()
        self.db.set(Text("a", "one"))
        self.ran = ran = list[int]()

        @incr.query
        async def shout(db: incr.View, name: str) -> str:
            ran.append(db.revision)
            return db[Text, name].text.upper()

        self.shout = shout


@pytest.mark.spec("history.snapshot")
async def test_an_old_snapshot_is_read_after_a_newer_value_was_computed() -> None:
    one = Counted()
    with one.db.snapshot() as view:
        one.db.set(Text("a", "two"))
        assert await one.shout(one.db, "a") == "TWO"
        assert await one.shout(view, "a") == "ONE"
        assert await one.shout(one.db, "a") == "TWO"
        assert await one.shout(view, "a") == "ONE"
        assert one.ran == [2, 1]
        one.db.check_invariant()
    no_trace(one.db)
    assert await one.shout(one.db, "a") == "TWO"
    assert one.ran == [2, 1]


@pytest.mark.spec("history.snapshot", "history.prune")
async def test_what_was_computed_before_is_kept_for_the_snapshot() -> None:
    one = Counted()
    assert await one.shout(one.db, "a") == "ONE"
    views = list[incr.Snapshot]()
    for text in ("two", "three", "four"):
        views.append(one.db.snapshot())
        one.db.set(Text("a", text))
        await one.shout(one.db, "a")
    assert [await one.shout(view, "a") for view in views] == ["ONE", "TWO", "THREE"]
    assert one.ran == [1, 2, 3, 4]
    for view in views:
        view.close()
        one.db.check_invariant()
    no_trace(one.db)


@pytest.mark.spec("history.snapshot", "history.publish")
async def test_a_late_result_keeps_what_a_snapshot_needs() -> None:
    db = incr.Database()
    db.set(Text("a", "one"))
    gate, ran = Gate(), list[int]()
    waits = [False]

    @incr.query
    async def slow(db: incr.View) -> str:
        ran.append(db.revision)
        read = db[Text, "a"].text
        if waits[0]:
            await gate.wait()
        return read

    assert await slow(db) == "one"
    with db.snapshot() as view:
        db.set(Text("a", "two"))
        waits[0] = True
        async with anyio.create_task_group() as group:
            group.start_soon(slow, db)
            await until(lambda: gate.arrived == 1)
            db.set(Text("b", "unrelated"))
            gate.open()
        assert await slow(view) == "one"
        assert await slow(db) == "two"
    assert ran == [1, 2]
    no_trace(db)


@pytest.mark.spec("history.snapshot", "flight.single")
async def test_snapshot_and_database_share_a_flight_of_their_revision() -> None:
    db = incr.Database()
    db.set(Text("a", "one"))
    gate, answers = Gate(), list[Any]()

    @incr.query
    async def slow(db: incr.View) -> str:
        await gate.wait()
        return db[Text, "a"].text

    async def ask(view: incr.View) -> None:
        answers.append(await slow(view))

    view = db.snapshot()
    async with anyio.create_task_group() as group:
        group.start_soon(ask, db)
        group.start_soon(ask, view)
        await until(lambda: gate.arrived == 1)
        db.set(Text("a", "two"))
        gate.open()
    assert answers == ["one", "one"]
    assert gate.arrived == 1
    view.close()
    no_trace(db)


@pytest.mark.spec("history.snapshot", "history.prune")
async def test_a_snapshot_closed_under_a_running_call_lets_it_end() -> None:
    db = incr.Database()
    db.set(Text("a", "one"))
    gate, answers = Gate(), list[str]()

    @incr.query
    async def slow(db: incr.View) -> str:
        await gate.wait()
        return db[Text, "a"].text

    async def ask(view: incr.View) -> None:
        answers.append(await slow(view))

    async with anyio.create_task_group() as group:
        view = db.snapshot()
        group.start_soon(ask, view)
        await until(lambda: gate.arrived == 1)
        db.set(Text("a", "two"))
        view.close()
        db.check_invariant()
        gate.open()
    assert answers == ["one"]
    with pytest.raises(incr.FinishedFrameError):
        await slow(view)
    no_trace(db)


@pytest.mark.spec("history.snapshot", "flight.cancel")
async def test_a_cancelled_read_of_a_snapshot_pins_nothing() -> None:
    db = incr.Database()
    db.set(Text("a", "one"))
    gate = Gate()

    @incr.query
    async def slow(db: incr.View) -> str:
        await gate.wait()
        return db[Text, "a"].text

    view = db.snapshot()
    db.set(Text("a", "two"))
    async with anyio.create_task_group() as group:
        group.start_soon(slow, view)
        group.start_soon(slow, view)
        await until(lambda: gate.arrived == 1)
        group.cancel_scope.cancel()
    assert db.statistics().pinned == 1
    view.close()
    assert db.statistics().pinned == 0
    no_trace(db)
