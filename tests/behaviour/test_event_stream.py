"""`db.events()` on either loop: in order, bounded, and honest about what was dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import anyio
import anyio.lowlevel
import pytest

import incr
from tasks import until

pytestmark = pytest.mark.anyio


@incr.input
class Text:
    name: str = incr.key()
    text: str


@incr.query
async def length(db: incr.View, name: str) -> int:
    return len(db[Text, name].text)


def _has(heard: list[incr.Event], count: int) -> bool:
    return len(heard) == count


async def take(stream: AsyncIterator[incr.Event], count: int) -> list[incr.Event]:
    return [await anext(stream) for _ in range(count)]


@pytest.mark.spec("event.stream", "event.order")
async def test_events_come_in_the_order_of_what_happened() -> None:
    db = incr.Database()
    async with db.events() as stream:
        db.set(Text("a", "one"))
        await length(db, "a")
        await length(db, "a")
        db.set(Text("a", "two"))
        await length(db, "a")
        db.remove(Text, "a")
        revision = incr.Revision
        assert await take(stream, 9) == [
            incr.InputSet(Text, "a", revision(1)),
            incr.RevisionAdvanced(revision(1)),
            incr.QueryExecuted("length", ("a",)),
            incr.InputSet(Text, "a", revision(2)),
            incr.RevisionAdvanced(revision(2)),
            incr.QuerySuspected("length", ("a",)),
            incr.QueryExecuted("length", ("a",)),
            incr.QueryBackdated("length", ("a",)),
            incr.InputRemoved(Text, "a", revision(3)),
        ]


@pytest.mark.spec("event.stream")
async def test_a_reader_waits_until_something_happens() -> None:
    db = incr.Database()
    heard = list[incr.Event]()

    async with anyio.create_task_group() as group:

        async def listen() -> None:
            async with db.events() as stream:
                async for event in stream:
                    heard.append(event)

        group.start_soon(listen)
        await until(lambda: db._graph.listeners.any)
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        assert heard == []
        for number in range(3):
            db.set(Text("a", str(number)))
            await until(partial(_has, heard, 2 * (number + 1)))
        group.cancel_scope.cancel()
    assert not db._graph.listeners.any  # the subscription ended with the block
    db.set(Text("a", "later"))
    assert len(heard) == 6


@pytest.mark.spec("event.stream")
async def test_a_slow_reader_is_told_how_many_it_has_missed() -> None:
    db = incr.Database()
    async with db.events(buffer=4) as stream:
        for number in range(10):
            db.set(Text("a", str(number)))
        assert await take(stream, 5) == [
            incr.EventsDropped(16),
            incr.InputSet(Text, "a", incr.Revision(9)),
            incr.RevisionAdvanced(incr.Revision(9)),
            incr.InputSet(Text, "a", incr.Revision(10)),
            incr.RevisionAdvanced(incr.Revision(10)),
        ]
        db.set(Text("b", "x"))
        assert await take(stream, 2) == [
            incr.InputSet(Text, "b", incr.Revision(11)),
            incr.RevisionAdvanced(incr.Revision(11)),
        ]


@pytest.mark.spec("event.stream")
async def test_a_full_buffer_drops_nothing_and_one_more_drops_the_oldest() -> None:
    db = incr.Database()
    async with db.events(buffer=2) as stream:
        db.set(Text("a", "0"))
        assert [type(event) for event in await take(stream, 2)] == [incr.InputSet, incr.RevisionAdvanced]
        db.set(Text("a", "1"))
        db.remove(Text, "a")
        first, *rest = await take(stream, 3)
        assert first == incr.EventsDropped(2)
        assert [type(event) for event in rest] == [incr.InputRemoved, incr.RevisionAdvanced]


@pytest.mark.spec("event.stream")
async def test_two_readers_hear_the_same_and_drop_on_their_own() -> None:
    db = incr.Database()
    async with db.events() as all_of_it, db.events(buffer=1) as last:
        db.set(Text("a", "0"))
        assert len(await take(all_of_it, 2)) == 2
        assert await take(last, 2) == [incr.EventsDropped(1), incr.RevisionAdvanced(incr.Revision(1))]


@pytest.mark.spec("event.stream", "flight.cancel")
async def test_a_cancelled_reader_goes_on_where_it_was() -> None:
    db = incr.Database()
    async with db.events() as stream:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anext(stream)
        db.set(Text("a", "0"))
        assert [type(event) for event in await take(stream, 2)] == [incr.InputSet, incr.RevisionAdvanced]


@pytest.mark.spec("event.stream", "flight.single", "flight.cancel")
async def test_what_tasks_do_is_told_as_it_happens() -> None:
    db = incr.Database()
    db.set(Text("a", "one"))
    gate = anyio.Event()
    heard = list[incr.Event]()

    @incr.query
    async def slow(db: incr.View) -> int:
        await gate.wait()
        return 1

    scope = anyio.CancelScope()

    async def doomed() -> None:
        with scope:
            await slow(db)

    async with anyio.create_task_group() as group:

        async def listen() -> None:
            async with db.events() as stream:
                async for event in stream:
                    heard.append(event)

        group.start_soon(listen)
        await until(lambda: db._graph.listeners.any)
        group.start_soon(doomed)
        await until(lambda: db._graph.at.users > 0)
        group.start_soon(slow, db)
        await until(lambda: incr.FlightJoined("slow", ()) in heard)
        scope.cancel()
        await until(lambda: incr.QueryCancelled("slow", ()) in heard)
        gate.set()
        await until(lambda: incr.QueryExecuted("slow", ()) in heard)
        group.cancel_scope.cancel()
    assert [type(event) for event in heard] == [incr.FlightJoined, incr.QueryCancelled, incr.QueryExecuted]


@pytest.mark.spec("event.stream")
@pytest.mark.parametrize("buffer", [0, -1, True, 1.5, "many"])
async def test_a_buffer_is_a_number_of_events(buffer: object) -> None:
    with pytest.raises(ValueError, match="buffer"):
        incr.Database().events(buffer=buffer)  # type: ignore[arg-type]  # the mistake that this is about
