"""Whoever waits for a commit may be cancelled at any step: nothing hangs, no trace is left, what is on the disk is
whole, and the next commit has everything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio

import incr
from held_disks import HeldDisk
from incr._durable import _session
from incr.store import MemoryDirectory
from tasks import no_trace

#: More than a commit encodes on the event loop, so that it takes a thread.
MANY = _session._FEW + 1


@incr.input
class Cell:
    number: int = incr.key()
    value: int


@incr.query
def half(db: incr.View, number: int) -> int:
    return db[Cell, number].value // 2


@incr.query
def total(db: incr.View) -> int:
    return sum(half(db, number) * (number + 1) for number in db.keys(Cell))


Inputs = dict[int, int]


def from_scratch(inputs: Inputs) -> int:
    return sum(value // 2 * (number + 1) for number, value in inputs.items())


def inputs_of(db: incr.Database) -> Inputs:
    return {number: db[Cell, number].value for number in db.keys(Cell)}


def write(db: incr.Database, inputs: Inputs) -> None:
    with db.batch() as batch:
        for number, value in inputs.items():
            batch.set(Cell(number, value))
    assert total(db) == from_scratch(inputs)


def reopened(disk: MemoryDirectory) -> Inputs:
    """What a process finds after a loss of power; its answers are right."""
    with incr.open(disk.after_power_loss()) as db:
        found = inputs_of(db)
        assert total(db) == from_scratch(found)
        db.check_invariant()
    return found


def states(count: int) -> list[Inputs]:
    """Three states of a database, one after the other."""
    return [{number: 7 * number + turn for number in range(count)} for turn in (1, 4, 9)]


OPERATIONS: dict[str, Callable[[incr.Database], Awaitable[Any]]] = {
    "acommit": lambda db: db.acommit(),
    "acheckpoint": lambda db: db.acheckpoint(),
}


class Strike(trio.abc.Instrument):
    """Cancels a scope before the *at*-th step of any task since it was switched on."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.scope: trio.CancelScope | None = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.scope is not None:
            self.left -= 1
            if not self.left:
                self.scope.cancel()


async def struck(strike: Strike, operation: str, count: int, beside: bool) -> bool:
    """A database in a directory; one operation of it is struck. Whether it was cancelled."""
    before, after, last = states(count)
    disk = MemoryDirectory()
    others = list[int]()
    async with incr.open(disk) as db:
        write(db, before)
        await db.acommit()
        write(db, after)

        async def other() -> None:
            others.append(await db.acommit())

        async with trio.open_nursery() as nursery:
            if beside:
                nursery.start_soon(other)
            with trio.CancelScope() as scope:
                strike.scope = scope
                await OPERATIONS[operation](db)
            strike.scope = None
        found = reopened(disk)
        assert found == after if others or not scope.cancelled_caught else found in (before, after)
        no_trace(db)
        assert (inputs_of(db), total(db)) == (after, from_scratch(after))
        revision = await db.acommit()
        assert reopened(disk) == after
        assert db.durable(revision, 0)
        write(db, last)
        await OPERATIONS[operation](db)
        assert reopened(disk) == last
        no_trace(db)
    assert reopened(disk) == last
    return scope.cancelled_caught


@pytest.mark.spec("commit.atomic", "commit.group", "flight.cancel")
@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("count", [3, MANY])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_cancelled_at_any_step(operation: str, count: int, beside: bool) -> None:
    cancelled = 0
    for at in range(1, 1_000):
        strike = Strike(at)
        try:
            cancelled += trio.run(struck, strike, operation, count, beside, instruments=[strike])
        except BaseException as error:
            error.add_note(f"struck at step {at}")
            raise
        if strike.left > 0:  # it was at its end before that
            assert cancelled
            return
    raise AssertionError("it never came to its end")


@pytest.mark.anyio
@pytest.mark.spec("commit.atomic", "commit.group", "flight.cancel")
@pytest.mark.parametrize("count", [3, MANY])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_cancelled_while_the_disk_is_at_it(operation: str, count: int) -> None:
    """The one who is cancelled, one who waits for the same, and one who comes later."""
    before, after, last = states(count)
    disk = HeldDisk()
    ended = list[str]()
    async with incr.open(disk) as db:
        write(db, before)
        await db.acommit()
        write(db, after)
        disk.hold()
        scope = anyio.CancelScope()

        async def doomed() -> None:
            with scope:
                await OPERATIONS[operation](db)
                ended.append("doomed")

        async def waiting() -> None:
            await db.acommit()
            assert reopened(disk.memory) in (after, last)
            ended.append("waiting")

        async def later() -> None:
            await db.acommit()
            assert reopened(disk.memory) == last
            ended.append("later")

        async with anyio.create_task_group() as group:
            group.start_soon(doomed)
            group.start_soon(waiting)
            await anyio.to_thread.run_sync(disk.reached.wait)
            assert reopened(disk.memory) == before
            scope.cancel()
            await anyio.lowlevel.checkpoint()
            write(db, last)
            group.start_soon(later)
            await anyio.lowlevel.checkpoint()
            assert (ended, total(db)) == ([], from_scratch(last))
            db.check_invariant()
            disk.let_go()
        assert (scope.cancelled_caught, sorted(ended)) == (True, ["later", "waiting"])
        no_trace(db)
    with incr.open(disk.memory.after_power_loss()) as again:
        assert (inputs_of(again), total(again)) == (last, from_scratch(last))
        assert again.statistics().queries["total"].executed == 0


@pytest.mark.anyio
@pytest.mark.spec("commit.atomic", "store.checkpoint", "flight.cancel")
async def test_a_base_that_is_being_written_is_waited_for() -> None:
    """Whoever is cancelled goes on when it is done, not before: closing the database finds nobody at it."""
    before, after, _ = states(3)
    disk = HeldDisk()
    ended = list[str]()
    async with incr.open(disk) as db:
        write(db, before)
        await db.acommit()
        disk.hold()
        scope = anyio.CancelScope()

        async def doomed() -> None:
            try:
                with scope:
                    await db.acheckpoint()
            finally:
                ended.append("doomed")

        async with anyio.create_task_group() as group:
            group.start_soon(doomed)
            await anyio.to_thread.run_sync(disk.reached.wait)
            scope.cancel()
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            assert ended == []
            write(db, after)  # nobody else waits for it
            disk.let_go()
        assert ended == ["doomed"]
        assert len([name for name in disk.memory.names() if name.startswith("base-")]) == 1
        await db.acheckpoint()
        no_trace(db)
    assert reopened(disk.memory) == after
