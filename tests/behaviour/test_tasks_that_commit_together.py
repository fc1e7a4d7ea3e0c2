"""Tasks that commit at the same time: one delta has what all of them have written, and none hears too early."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
import trio
import trio.testing

import incr
from incr._durable import _session
from incr.store import MemoryStore

Open = Callable[..., Any]
#: More than an event loop commits by itself.
MUCH = _session._FEW + 1
go_on = threading.Event()


class Slow:
    """A value that takes until `go_on` to be encoded."""


def encode(value: Slow) -> str:
    assert go_on.wait(60)
    return "slow"


incr.register_codec(Slow, encode=encode, decode=lambda data: Slow())


@incr.input
class Note:
    name: str = incr.key()
    text: str


@incr.input
class Other:
    name: str = incr.key()
    value: Slow


@pytest.fixture(params=["memory", "sqlite", "file"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same store again and again."""
    if request.param == "memory":
        place = MemoryStore()
        return lambda: incr.open(place)
    if request.param == "sqlite":
        return lambda: incr.open(tmp_path / "state.sqlite", backend="sqlite")
    return lambda: incr.open(tmp_path / "state")


def write_much(db: incr.Database) -> None:
    with db.batch() as batch:
        for place in range(MUCH):
            batch.set(Note(f"n{place}", text="x"))


@pytest.mark.spec("commit.group")
def test_tasks_that_commit_at_the_same_time_are_all_durable(opened: Open) -> None:
    async def main() -> None:
        async with opened() as db:

            async def edit(number: int) -> None:
                db.set(Note(f"n{number}", text="x"))
                assert await db.acommit() >= 1

            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(edit, number)
            assert db.durable(db.revision)

    trio.run(main)
    with opened() as db:
        assert all(db[Note, f"n{number}"].text == "x" for number in range(20))


@pytest.mark.spec("commit.group")
@pytest.mark.parametrize("library", ["trio", "asyncio"])
def test_tasks_that_commit_much_at_the_same_time_share_a_delta(opened: Open, library: str) -> None:
    async def main() -> None:
        async with opened() as db:

            async def edit(number: int) -> None:
                with db.batch() as batch:
                    for place in range(MUCH):
                        batch.set(Note(f"n{number}/{place}", text="x"))
                assert await db.acommit() == 20

            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(edit, number)
            assert db._session.store.head().last == 1
            assert db.durable(20)

    anyio.run(main, backend=library)
    with opened() as db:
        assert all(db[Note, f"n{number}/{place}"].text == "x" for number in range(20) for place in range(MUCH))


@pytest.mark.spec("commit.group", "commit.durable")
def test_who_comes_when_a_commit_has_begun_is_in_the_next_one(opened: Open) -> None:
    async def main() -> None:
        async with opened() as db:
            go_on.clear()
            db.set(Other("slow", value=Slow()))
            write_much(db)
            heard: list[int] = []

            async def wait() -> None:
                heard.append(await db.acommit())

            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                while db._session._gathering is not None or db._session.backing.journal.size:
                    await trio.lowlevel.checkpoint()
                db.set(Note("late", text="y"))
                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                assert heard == []
                go_on.set()
            assert sorted(heard) == [2, 3]

    trio.run(main)
    with opened() as db:
        assert (db[Note, "late"].text, db[Note, "n0"].text) == ("y", "x")


@pytest.mark.spec("commit.group", "flight.cancel")
def test_a_task_that_was_to_commit_for_others_and_is_cancelled_leaves_it_to_them(opened: Open) -> None:
    async def main() -> None:
        async with opened() as db:
            write_much(db)
            limiter = trio.to_thread.current_default_thread_limiter()
            holders = [object() for _ in range(int(limiter.total_tokens))]
            for holder in holders:
                limiter.acquire_on_behalf_of_nowait(holder)
            heard: list[int] = []

            async def wait(scope: trio.CancelScope) -> None:
                with scope:
                    heard.append(await db.acommit())

            async with trio.open_nursery() as nursery:
                first = trio.CancelScope()
                nursery.start_soon(wait, first)
                await trio.testing.wait_all_tasks_blocked()
                for _ in range(5):
                    nursery.start_soon(wait, trio.CancelScope())
                await trio.testing.wait_all_tasks_blocked()
                first.cancel()
                await trio.testing.wait_all_tasks_blocked()
                assert heard == []
                for holder in holders:
                    limiter.release_on_behalf_of(holder)
            assert heard == [1] * 5
            assert db.durable(1)
            assert db._session._gathering is None

    trio.run(main)
    with opened() as db:
        assert all(db[Note, f"n{place}"].text == "x" for place in range(MUCH))


@pytest.mark.spec("commit.group", "commit.unencodable")
def test_tasks_that_commit_together_all_hear_why_it_cannot_be(opened: Open) -> None:
    async def main() -> None:
        async with opened() as db:
            write_much(db)
            db.set(Note("culprit", text=cast(Any, object())))
            heard: list[incr.EncodeError] = []

            async def wait() -> None:
                with pytest.raises(incr.EncodeError, match="object") as caught:
                    await db.acommit()
                heard.append(caught.value)

            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(wait)
            assert len(heard) == 5
            db.set(Note("culprit", text="y"))
            assert await db.acommit() == db.revision

    trio.run(main)
    with opened() as db:
        assert (db[Note, "culprit"].text, db[Note, "n0"].text) == ("y", "x")


_encoded: list[int] = []


class Page:
    """A value that notes where it is encoded."""

    def __init__(self, text: str) -> None:
        self.text = text


def encode_page(value: Page) -> str:
    _encoded.append(threading.get_ident())
    return value.text


incr.register_codec(Page, encode=encode_page, decode=Page)
told = incr.Accumulator[str]("told of pages")


@incr.query
def page(db: incr.View, size: int) -> Page:
    return Page("x" * size)


@incr.query
def chatty(db: incr.View, size: int) -> Page:
    told.push(db, "y" * size)
    return Page("short")


@pytest.mark.spec("commit.group")
def test_large_values_are_not_encoded_in_the_thread_of_the_loop(opened: Open) -> None:
    async def main(db: incr.Database) -> None:
        for call, elsewhere in ((page, False), (chatty, False), (page, True), (chatty, True)):
            call(db, 1_000_000 if elsewhere else 10)
            _encoded.clear()
            await db.acommit()
            assert [ident != threading.get_ident() for ident in _encoded] == [elsewhere]

    with opened() as db:
        anyio.run(main, db)
    with opened() as db:
        assert [len(page(db, size).text) for size in (10, 1_000_000)] == [10, 1_000_000]
