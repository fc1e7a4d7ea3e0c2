"""Interrupts and the cancellations of asyncio and trio themselves: nothing is remembered, and nobody hangs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import trio
import trio.testing

import incr
from tasks import joined, no_trace, until


@incr.input
class Text:
    name: str = incr.key()
    text: str


def database() -> incr.Database:
    db = incr.Database()
    db.set(Text("a", "one"))
    return db


class Stop(BaseException):
    pass


@pytest.mark.spec("error.interrupt", "flight.cancel")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, Stop, RecursionError, MemoryError])
@pytest.mark.parametrize("before", [False, True], ids=["new", "suspect"])
def test_what_is_no_outcome_is_not_remembered(kind: type[BaseException], before: bool) -> None:
    db = database()
    interrupts = [not before]
    ran = list[int]()

    @incr.query
    async def inner(db: incr.View) -> str:
        ran.append(db.revision)
        text = db[Text, "a"].text
        if interrupts[0]:
            raise kind
        return text

    @incr.query
    async def outer(db: incr.View) -> str:
        return await inner(db) + "!"

    async def ask() -> Any:
        try:
            return await outer(db)
        except kind:
            return "interrupted"

    if before:
        assert trio.run(ask) == "one!"
        db.set(Text("a", "two"))
        interrupts[0] = True
    assert trio.run(ask) == "interrupted"
    no_trace(db)
    assert asyncio.run(ask()) == "interrupted"
    no_trace(db)
    counts = db.statistics().queries
    assert counts["inner"].executed == counts["outer"].executed == int(before)
    assert counts["inner"].cancelled == 2
    interrupts[0] = False
    del ran[:]
    assert trio.run(ask) == ("two!" if before else "one!")
    assert ran == [2 if before else 1]
    no_trace(db)


@pytest.mark.spec("error.interrupt", "flight.handover")
def test_a_leader_that_gets_an_interrupt_is_followed() -> None:
    db = database()
    ran = list[str]()

    async def main() -> None:
        gate = trio.Event()

        @incr.query
        async def slow(db: incr.View) -> str:
            ran.append("run")
            await gate.wait()
            if len(ran) == 1:
                raise KeyboardInterrupt
            return db[Text, "a"].text

        answers = list[str]()

        async def ask() -> None:
            try:
                answers.append(await slow(db))
            except KeyboardInterrupt:
                answers.append("interrupted")

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            gate.set()
        assert sorted(answers) == ["interrupted", "one", "one", "one"]

    trio.run(main)
    assert len(ran) == 2
    no_trace(db)


@pytest.mark.spec("flight.cancel")
def test_an_asyncio_task_cancelled_before_it_has_begun() -> None:
    db = database()
    ran = list[str]()

    @incr.query
    async def slow(db: incr.View) -> str:
        ran.append("run")
        return db[Text, "a"].text

    async def main() -> None:
        task = asyncio.ensure_future(slow(db))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ran == []
        no_trace(db)
        assert await slow(db) == "one"

    asyncio.run(main())
    assert db.statistics().queries["slow"].cancelled == 0


@pytest.mark.spec("flight.handover", "flight.cancel")
def test_an_asyncio_follower_cancelled_in_the_same_turn_as_its_leader() -> None:
    # asyncio delivers both at once: the follower is told to lead and cancelled before it goes on.
    db = database()
    ran = list[str]()

    async def main() -> None:
        gate = asyncio.Event()

        @incr.query
        async def slow(db: incr.View) -> str:
            ran.append("run")
            await gate.wait()
            return db[Text, "a"].text

        tasks = [asyncio.ensure_future(slow(db)) for _ in range(5)]
        await until(lambda: joined(db, "slow") == 4 and len(ran) == 1)
        for task in tasks[:2]:
            task.cancel()
        await until(lambda: len(ran) == 2)
        # The third one leads now. When it has ended, the fourth has been told to lead, but has not gone on.
        tasks[2].cancel()
        await asyncio.wait([tasks[2]])
        tasks[3].cancel()
        await until(lambda: tasks[3].done() and len(ran) >= 3)
        gate.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes[:4]] == [asyncio.CancelledError] * 4
        assert outcomes[4] == "one"

    asyncio.run(main())
    no_trace(db)


@pytest.mark.spec("flight.cancel")
def test_asyncio_timeouts_and_trio_deadlines_cancel_like_anything_else() -> None:
    db = database()

    @incr.query
    async def never(db: incr.View) -> None:
        if sniff() == "trio":
            await trio.sleep_forever()
        await asyncio.get_running_loop().create_future()

    def sniff() -> str:
        return "trio" if trio.lowlevel.in_trio_task() else "asyncio"

    async def on_asyncio() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await never(db)

    async def on_trio() -> None:
        with pytest.raises(trio.TooSlowError), trio.fail_after(0):
            await never(db)

    asyncio.run(on_asyncio())
    no_trace(db)
    trio.run(on_trio)
    no_trace(db)
    assert db.statistics().memos == 0
