"""`incr.latest`: a block about the newest inputs, which ends when they are not."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio

import incr

pytestmark = pytest.mark.anyio


@incr.input
class Text:
    name: str = incr.key()
    text: str


@pytest.fixture
def filled(db: incr.Database) -> incr.Database:
    db.set(Text("a", text="x"))
    return db


def left_behind(db: incr.Database) -> tuple[Any, ...]:
    graph = db._graph
    return (graph.watchers, graph.pins, graph.at.users)


NOTHING: tuple[Any, ...] = ((), [], 0)


@pytest.mark.spec("latest.superseded")
async def test_a_block_that_ends_before_a_change_is_not_disturbed(filled: incr.Database) -> None:
    async with incr.latest(filled) as view:
        await anyio.lowlevel.checkpoint()
        assert view[Text, "a"].text == "x"
    filled.set(Text("a", text="y"))
    await anyio.lowlevel.checkpoint()
    with pytest.raises(incr.FinishedFrameError):
        view[Text, "a"]
    assert left_behind(filled) == NOTHING


@pytest.mark.spec("latest.superseded")
async def test_a_write_by_another_task_ends_the_block(filled: incr.Database) -> None:
    began, ended = anyio.Event(), anyio.Event()

    async def write() -> None:
        await began.wait()
        filled.set(Text("a", text="y"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        with pytest.raises(incr.SupersededError, match=r"revision 2\) while .* was about revision 1"):
            async with incr.latest(filled) as view:
                assert view.revision == 1
                began.set()
                await ended.wait()
    await anyio.lowlevel.checkpoint()
    assert left_behind(filled) == NOTHING


@pytest.mark.spec("latest.superseded")
async def test_a_write_by_another_thread_ends_the_block(filled: incr.Database) -> None:
    never = anyio.Event()
    with pytest.raises(incr.SupersededError):
        async with incr.latest(filled):
            thread = threading.Thread(target=filled.set, args=(Text("a", text="y"),))
            thread.start()
            await never.wait()
    thread.join()
    assert left_behind(filled) == NOTHING


@pytest.mark.spec("latest.superseded")
async def test_a_write_in_the_block_itself_counts_at_the_next_wait(filled: incr.Database) -> None:
    reached = []
    with pytest.raises(incr.SupersededError):
        async with incr.latest(filled) as view:
            filled.set(Text("a", text="y"))
            reached.append(view[Text, "a"].text)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            reached.append("too far")
    assert reached == ["x"]
    await anyio.lowlevel.checkpoint()
    assert left_behind(filled) == NOTHING


@pytest.mark.spec("latest.superseded")
async def test_a_block_without_a_wait_comes_to_its_end(filled: incr.Database) -> None:
    async with incr.latest(filled):
        filled.set(Text("a", text="y"))
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
    assert left_behind(filled) == NOTHING


@pytest.mark.spec("latest.superseded")
async def test_an_equal_record_is_no_change(filled: incr.Database) -> None:
    async with incr.latest(filled) as view:
        filled.set(Text("a", text="x"))
        filled.remove(Text, "missing")
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        assert view[Text, "a"].text == "x"


@pytest.mark.spec("latest.superseded")
async def test_an_error_of_the_block_is_raised_as_it_is(filled: incr.Database) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with incr.latest(filled):
            filled.set(Text("a", text="y"))
            raise ValueError("mine")
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
    assert left_behind(filled) == NOTHING


@pytest.mark.spec("latest.cancel")
async def test_a_cancellation_from_outside_stays_what_it_is(filled: incr.Database) -> None:
    with anyio.CancelScope() as scope:
        async with incr.latest(filled):
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert left_behind(filled) == NOTHING


@pytest.mark.spec("latest.cancel")
async def test_blocks_may_be_nested(filled: incr.Database) -> None:
    seen = []
    with pytest.raises(incr.SupersededError, match="about revision 1"):
        async with incr.latest(filled):
            try:
                async with incr.latest(filled):
                    filled.set(Text("a", text="y"))
                    for _ in range(5):
                        await anyio.lowlevel.checkpoint()
            finally:
                seen.append("left")
            seen.append("went on")
            await anyio.lowlevel.checkpoint()
    assert seen == ["left"]
    assert left_behind(filled) == NOTHING


@pytest.mark.spec("latest.cancel")
async def test_begun_again_it_is_about_the_new_inputs(filled: incr.Database) -> None:
    texts = []
    for number in range(3):
        try:
            async with incr.latest(filled) as view:
                if number < 2:
                    filled.set(Text("a", text=str(number)))
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
                texts.append(view[Text, "a"].text)
        except incr.SupersededError:
            texts.append("superseded")
    assert texts == ["superseded", "superseded", "1"]
    assert left_behind(filled) == NOTHING


@pytest.mark.spec("latest.superseded")
async def test_a_block_is_entered_once(filled: incr.Database) -> None:
    block = incr.latest(filled)
    async with block:
        with pytest.raises(RuntimeError, match="entered already"):
            await block.__aenter__()


@pytest.mark.spec("latest.superseded")
def test_without_a_loop_it_says_so(filled: incr.Database) -> None:
    entering = incr.latest(filled).__aenter__()
    with pytest.raises(RuntimeError, match="needs trio or asyncio"):
        entering.send(None)


@pytest.mark.spec("latest.superseded")
def test_a_loop_that_is_gone_disturbs_no_write(filled: incr.Database) -> None:
    async def enter() -> None:
        await incr.latest(filled).__aenter__()

    asyncio.run(enter())
    filled.set(Text("a", text="y"))
    assert filled[Text, "a"].text == "y"


@pytest.mark.spec("latest.cancel")
def test_a_timeout_around_a_block_is_a_timeout(filled: incr.Database) -> None:
    async def wait() -> None:
        with trio.fail_at(trio.current_time()):
            async with incr.latest(filled):
                await trio.sleep_forever()

    with pytest.raises(trio.TooSlowError):
        trio.run(wait)

    async def await_() -> None:
        async with asyncio.timeout(0), incr.latest(filled):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(await_())
    assert left_behind(filled) == NOTHING
