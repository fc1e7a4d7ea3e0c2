"""Whichever task makes a read, it belongs to the call whose `db` it goes through, and to no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio

import incr
from tasks import Gate, no_trace, until

pytestmark = pytest.mark.anyio


@incr.input
class Text:
    name: str = incr.key()
    text: str


def database(**texts: str) -> incr.Database:
    db = incr.Database()
    with db.batch() as batch:
        for name, text in texts.items():
            batch.set(Text(name, text))
    return db


async def in_trio_nursery(*functions: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with trio.open_nursery() as nursery:
        for function in functions:
            nursery.start_soon(function)


async def in_asyncio_group(*functions: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for function in functions:
            group.create_task(function())


async def in_asyncio_gather(*functions: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*(function() for function in functions))


async def in_anyio_group(*functions: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with anyio.create_task_group() as group:
        for function in functions:
            group.start_soon(function)


CONCURRENTLY = {
    "trio": [in_trio_nursery, in_anyio_group],
    "asyncio": [in_asyncio_group, in_asyncio_gather, in_anyio_group],
}


@pytest.mark.spec("frame.tasks", "loop.both")
async def test_children_of_two_calls_record_for_their_own_call(anyio_backend_name: str) -> None:
    for together in CONCURRENTLY[anyio_backend_name]:
        await two_calls_with_children(together)


async def two_calls_with_children(together: Callable[..., Awaitable[None]]) -> None:
    db = database(a="1", b="2", c="3", d="4")
    ran = list[tuple[str, ...]]()
    turns = {name: Gate() for name in "abcd"}

    @incr.query
    async def pair(db: incr.View, names: tuple[str, ...]) -> int:
        ran.append(names)
        found = list[int]()

        async def read(name: str) -> None:
            await turns[name].wait()
            found.append(int(db[Text, name].text))

        await together(*(lambda name=name: read(name) for name in names))
        return sum(found)

    @incr.query
    async def all_pairs(db: incr.View) -> int:
        found = list[int]()

        async def ask(*names: str) -> None:
            found.append(await pair(db, names))

        await together(lambda: ask("a", "b"), lambda: ask("c", "d"))
        return found[0] * found[1]

    answers = list[int]()

    async def ask_all() -> None:
        answers.append(await all_pairs(db))

    async with anyio.create_task_group() as group:
        group.start_soon(ask_all)
        await until(lambda: all(gate.arrived == 1 for gate in turns.values()))
        for name in "cabd":  # the reads of the two calls are interleaved
            turns[name].open()
            await anyio.lowlevel.checkpoint()
    assert answers == [21]
    no_trace(db)

    for name, expected in (("a", ("a", "b")), ("b", ("a", "b")), ("c", ("c", "d")), ("d", ("c", "d"))):
        del ran[:]
        db.set(Text(name, "9"))
        await all_pairs(db)
        assert ran == [expected]
    assert await all_pairs(db) == 18 * 18


@pytest.mark.spec("frame.tasks", "cycle.tasks")
async def test_the_same_call_twice_in_one_nursery_is_no_cycle() -> None:
    db = database(a="1")

    @incr.query
    async def inner(db: incr.View) -> int:
        return int(db[Text, "a"].text)

    @incr.query
    async def twice(db: incr.View) -> int:
        found = list[int]()

        async def ask() -> None:
            found.append(await inner(db))

        await in_anyio_group(ask, ask)
        return sum(found)

    assert await twice(db) == 2
    assert db.statistics().queries["inner"].executed == 1
    db.set(Text("a", "2"))
    assert await twice(db) == 4
    no_trace(db)


@pytest.mark.spec("frame.outer", "frame.tasks")
async def test_an_outer_handle_in_a_child_task_records_for_the_call_around_it() -> None:
    db = database(a="1", b="2")
    gate, answers = Gate(), list[int]()

    @incr.query
    async def inner(view: incr.View) -> int:
        return int(db[Text, "b"].text)

    @incr.query
    async def outer(view: incr.View) -> int:
        found = list[int]()

        async def read() -> None:
            await gate.wait()
            found.append(int(db[Text, "a"].text) + await inner(db))

        await in_anyio_group(read)
        return found[0]

    async def ask() -> None:
        answers.append(await outer(db))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await until(lambda: gate.arrived == 1)
        db.set(Text("a", "100"))  # not visible to the running call, whatever handle it uses
        gate.open()
    assert answers == [3]
    assert await outer(db) == 102
    db.set(Text("b", "5"))
    assert await outer(db) == 105
    no_trace(db)


@pytest.mark.spec("frame.finished")
async def test_a_task_that_outlives_its_query_cannot_read() -> None:
    db = database(a="1")
    gate, refused, ran = Gate(), list[str](), list[str]()
    messages = set[str]()

    @incr.query
    def plain(db: incr.View) -> int:
        return int(db[Text, "a"].text)

    @incr.query
    async def awaited(db: incr.View) -> int:
        return int(db[Text, "a"].text)

    async with anyio.create_task_group() as group:

        async def straggler(view: incr.View) -> None:
            await gate.wait()
            reads: dict[str, Callable[[], object]] = {
                "slot": lambda: view[Text, "a"],
                "get": lambda: view.get(Text, "a"),
                "presence": lambda: (Text, "a") in view,
                "keys": lambda: list(view.keys(Text)),
                "revision": lambda: view.revision,
                "untracked": lambda: view.untracked("why"),
                "plain": lambda: plain(view),
            }
            for name, read in reads.items():
                try:
                    read()
                except incr.FinishedFrameError as error:
                    refused.append(name)
                    messages.add(str(error))
            try:
                await awaited(view)
            except incr.FinishedFrameError:
                refused.append("awaited")

        @incr.query
        async def starts(db: incr.View, argument: str) -> str:
            ran.append(argument)
            plain(db)
            await awaited(db)
            group.start_soon(straggler, db)
            return argument

        assert await starts(db, "x") == "x"
        await until(lambda: gate.arrived == 1)
        gate.open()
    (message,) = messages
    assert "starts('x')" in message
    assert refused == ["slot", "get", "presence", "keys", "revision", "untracked", "plain", "awaited"]
    no_trace(db)
    db.set(Text("b", "unrelated"))
    assert await starts(db, "x") == "x"
    assert ran == ["x"]


@pytest.mark.spec("frame.finished", "flight.cancel")
async def test_the_frame_of_a_cancelled_call_is_finished_too() -> None:
    db = database(a="1")
    frames = list[incr.View]()

    @incr.query
    async def stuck(db: incr.View) -> None:
        frames.append(db)
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(stuck, db)
        await until(lambda: bool(frames))
        group.cancel_scope.cancel()
    with pytest.raises(incr.FinishedFrameError):
        frames[0][Text, "a"]
    no_trace(db)


@pytest.mark.spec("frame.finished", "frame.outer")
async def test_a_task_that_outlives_its_query_may_read_the_database_itself() -> None:
    db = database(a="1")
    gate, answers = Gate(), list[str]()

    async with anyio.create_task_group() as group:

        async def straggler() -> None:
            await gate.wait()
            answers.append(db[Text, "a"].text)
            db.set(Text("a", "3"))  # it is in no query any more
            answers.append(db[Text, "a"].text)

        @incr.query
        async def starts(view: incr.View) -> int:
            group.start_soon(straggler)
            return 1

        await starts(db)
        await until(lambda: gate.arrived == 1)
        db.set(Text("a", "2"))
        gate.open()
    assert answers == ["2", "3"]
    assert db.statistics().queries["starts"].edges == 0


@pytest.mark.spec("frame.databases", "cycle.tasks")
async def test_two_databases_in_one_query_never_meet() -> None:
    first, second = database(a="1"), database(a="2")
    gate, answers = Gate(), list[int]()

    @incr.query
    async def number(db: incr.View) -> int:
        await gate.wait()
        return int(db[Text, "a"].text)

    @incr.query
    async def both(db: incr.View) -> int:
        mine = int(db[Text, "a"].text)
        other = second if mine == 1 else first
        return mine * 10 + await number(other)

    async def ask() -> None:
        answers.append(await both(first))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await until(lambda: gate.arrived == 1)
        assert second.statistics().edges == 0
        second.set(Text("a", "7"))
        first.set(Text("b", ""))
        gate.open()
    assert answers == [12]
    assert first.statistics().queries.keys() == {"both"}
    assert await both(first) == 12  # no dependency: what the other database has now is not seen
    assert await number(second) == 7
    no_trace(first)
    no_trace(second)
