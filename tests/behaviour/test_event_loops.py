"""What incr asks of an event loop: nothing before somebody has to wait, and then whichever one is running."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
from collections.abc import Coroutine
from typing import Any

import pytest
import trio
import trio.testing

import incr
from hand_loop import HandLoop, pause


@incr.input
class Text:
    name: str = incr.key()
    text: str


@incr.query
async def length(db: incr.View, name: str) -> int:
    return len(db[Text, name].text)


@incr.query
async def double(db: incr.View, name: str) -> int:
    return 2 * await length(db, name)


def database(**texts: str) -> incr.Database:
    db = incr.Database()
    for name, text in texts.items():
        db.set(Text(name, text))
    return db


def by_hand(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that does not wait, without any loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("it waits")


# --- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.spec("loop.checkpoint", "call.hit")
@pytest.mark.trio
async def test_on_trio_a_hit_has_no_checkpoint_and_a_run_has() -> None:
    db = database(a="one")
    with trio.testing.assert_checkpoints():
        await length(db, "a")
    with trio.testing.assert_no_checkpoints():
        assert await length(db, "a") == 3
    with trio.testing.assert_checkpoints():
        await double(db, "a")
    with trio.testing.assert_no_checkpoints():
        assert await double(db, "a") == 6
    db.set(Text("a", "three"))
    with trio.testing.assert_checkpoints():
        assert await double(db, "a") == 10
    db.set(Text("a", "seven"))
    with trio.testing.assert_checkpoints():  # length runs, double is verified
        assert await double(db, "a") == 10
    db.set(Text("b", "unrelated"))
    with trio.testing.assert_no_checkpoints():
        assert await double(db, "a") == 10
    with db.snapshot() as view, trio.testing.assert_no_checkpoints():
        assert await double(view, "a") == 10


@pytest.mark.spec("loop.checkpoint")
@pytest.mark.trio
async def test_on_trio_a_memoised_error_has_no_checkpoint() -> None:
    db = database()
    with trio.testing.assert_checkpoints(), pytest.raises(incr.MissingInputError):
        await length(db, "a")
    with trio.testing.assert_no_checkpoints(), pytest.raises(incr.MissingInputError):
        await length(db, "a")


@pytest.mark.spec("loop.checkpoint")
@pytest.mark.trio
async def test_on_trio_a_hit_inside_a_query_has_no_checkpoint() -> None:
    db = database(a="one")

    @incr.query
    async def around(db: incr.View) -> int:
        with trio.testing.assert_no_checkpoints():
            return await length(db, "a")

    await length(db, "a")
    assert await around(db) == 3


@pytest.mark.spec("loop.checkpoint", "call.hit")
def test_on_asyncio_a_hit_does_not_yield_and_a_run_yields_once() -> None:
    db = database(a="one")

    def turns(coroutine: Coroutine[Any, Any, Any]) -> int:
        loop = HandLoop()
        task = loop.spawn(coroutine, "counted")
        count = 0
        while not task.ended.done():
            loop.step(task)
            count += 1
        assert task.error is None
        return count - 1

    assert turns(length(db, "a")) == 1
    assert turns(length(db, "a")) == 0
    assert turns(double(db, "a")) == 1
    assert turns(double(db, "a")) == 0
    db.set(Text("a", "three"))
    assert turns(double(db, "a")) == 2
    db.set(Text("a", "seven"))
    assert turns(double(db, "a")) == 1
    db.set(Text("b", "unrelated"))
    assert turns(double(db, "a")) == 0


# --- both loops, and none ---------------------------------------------------------------------------------------------


@pytest.mark.spec("loop.both")
def test_one_database_is_used_under_one_loop_after_the_other() -> None:
    db = database(a="one")
    assert trio.run(double, db, "a") == 6
    assert asyncio.run(double(db, "a")) == 6
    assert db.statistics().executed == 2
    db.set(Text("a", "three"))
    assert asyncio.run(double(db, "a")) == 10
    assert trio.run(double, db, "a") == 10
    assert by_hand(double(db, "a")) == 10
    assert db.statistics().executed == 4
    db.check_invariant()


@pytest.mark.spec("loop.both", "flight.single")
def test_asyncio_inside_of_which_trio_has_run_waits_on_asyncio() -> None:
    db = database(a="one")
    trio.run(double, db, "a")
    db.set(Text("a", "three"))

    async def main() -> list[int]:
        return await asyncio.gather(*(double(db, "a") for _ in range(5)))

    assert asyncio.run(main()) == [10] * 5
    assert db.statistics().queries["length"].executed == 2


@pytest.mark.spec("loop.free", "loop.both")
def test_without_a_loop_a_call_runs_as_long_as_nobody_has_to_wait() -> None:
    db = database(a="one")
    assert by_hand(double(db, "a")) == 6
    db.set(Text("a", "three"))
    assert by_hand(double(db, "a")) == 10
    with db.snapshot() as view:
        db.set(Text("a", "x"))
        assert by_hand(double(view, "a")) == 10
        assert by_hand(double(db, "a")) == 2
    db.check_invariant()


@pytest.mark.spec("loop.free", "flight.cancel")
def test_without_a_loop_waiting_is_a_clear_error_that_leaves_the_flight_alone() -> None:
    db = database(a="one")

    @incr.query
    async def slow(db: incr.View) -> int:
        await pause()
        return len(db[Text, "a"].text)

    # Two tasks have a context each; in one context the second call would be made by the first one.
    leader, follower = slow(db), slow(db)
    context = contextvars.copy_context()
    context.run(leader.send, None)
    with pytest.raises(RuntimeError, match="neither trio nor asyncio is running"):
        contextvars.copy_context().run(follower.send, None)
    db.check_invariant()
    with pytest.raises(StopIteration) as stop:
        context.run(leader.send, None)
    assert stop.value.value == 3
    assert by_hand(slow(db)) == 3
    assert not db._graph.at.users


@pytest.mark.spec("error.interrupt", "flight.cancel")
def test_a_coroutine_that_is_closed_leaves_no_trace() -> None:
    db = database(a="one")
    ended = list[str]()

    @incr.query
    async def slow(db: incr.View) -> int:
        try:
            await pause()
        finally:
            ended.append("closed")
        return 1

    # A loop that is closed, and the garbage collector, do so outside of the task's context.
    coroutine = slow(db)
    contextvars.copy_context().run(coroutine.send, None)
    coroutine.close()
    assert ended == ["closed"]
    db.check_invariant()
    assert not db._graph.at.users
    assert db.statistics().memos == 0
    assert db.statistics().queries["slow"].cancelled == 1


@pytest.mark.spec("loop.free", "flight.cancel")
def test_a_coroutine_that_is_never_awaited_has_done_nothing() -> None:
    db = database(a="one")
    coroutine = double(db, "a")
    coroutine.close()
    assert db.statistics().executed == 0
    assert not db._graph.at.users


SCRIPT = """
import sys
import incr

@incr.input
class Text:
    name: str = incr.key()
    text: str

@incr.query
def length(db: incr.View, name: str) -> int:
    return len(db[Text, name].text)

@incr.query
def double(db: incr.View, name: str) -> int:
    return 2 * length(db, name)

@incr.query
async def awaited(db: incr.View, name: str) -> int:
    return 3 * double(db, name)

db = incr.Database()
db.set(Text("a", "one"))
assert double(db, "a") == 6
db.set(Text("a", "four"))
assert double(db, "a") == 8
with db.snapshot() as view:
    assert double(view, "a") == 8
db.explain(double, "a"), db.statistics()
try:
    awaited(db, "a").send(None)
except StopIteration as stop:
    assert stop.value == 24
loops = [name for name in sys.modules if name.partition(".")[0] in ("trio", "asyncio", "anyio", "networkx", "rich")]
assert not loops, loops
"""


@pytest.mark.spec("loop.free")
def test_neither_the_import_nor_sync_queries_import_a_loop() -> None:
    subprocess.run([sys.executable, "-P", "-W", "error", "-c", SCRIPT], check=True)


# --- colours ----------------------------------------------------------------------------------------------------------


@pytest.mark.spec("call.colour")
def test_a_sync_query_that_calls_an_async_one_is_told_at_the_call() -> None:
    db = database(a="one")
    places = list[str]()

    @incr.query
    def plain(view: incr.View, way: str) -> Any:
        places.append("before")
        found = length(view if way == "frame" else db, "a")
        places.append("after")
        return found

    for way in ("frame", "outer"):
        del places[:]
        with pytest.raises(TypeError) as caught:
            plain(db, way)
        assert f"plain({way!r})" in str(caught.value)
        assert "length('a')" in str(caught.value)
        assert "async def" in str(caught.value)
        assert places == ["before"]
    db.check_invariant()


@pytest.mark.spec("call.colour")
@pytest.mark.trio
async def test_a_sync_query_inside_an_async_one_has_its_own_colour() -> None:
    db = database(a="one")
    outside = database(a="seven")

    @incr.query
    def plain(db: incr.View) -> int:
        return length(db, "a")  # type: ignore[return-value]  # the mistake that this is about

    @incr.query
    async def mixed(db: incr.View) -> str:
        try:
            plain(db)
        except TypeError as error:
            return f"{await length(db, 'a')} {await length(outside, 'a')} {type(error).__name__}"
        return "no error"

    assert await mixed(db) == "3 5 TypeError"
