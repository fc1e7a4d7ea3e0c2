"""Chains of awaited calls that are a hundred thousand deep, under Python's default recursion limit."""

from __future__ import annotations

import os
import sys

import anyio
import pytest

import incr
from tasks import Gate, joined, no_trace, until

pytestmark = pytest.mark.anyio

DEPTH = 100_000
#: On both loops as deep as that with this profile; otherwise on trio only.
DEEP = os.environ.get("INCR_HYPOTHESIS_PROFILE") == "deep"


@incr.input
class Number:
    name: str = incr.key()
    value: int


@pytest.mark.spec("depth.async", "memo.backdate")
async def test_a_hundred_thousand_awaited_calls_cold_and_after_changes(anyio_backend_name: str) -> None:
    depth = DEPTH if DEEP or anyio_backend_name == "trio" else DEPTH // 5
    ran = [0]

    @incr.query
    async def chain(db: incr.View, left: int) -> int:
        ran[0] += 1
        return db[Number, "end"].value % 100 if left == 0 else await chain(db, left - 1)

    limit = sys.getrecursionlimit()
    db = incr.Database()
    db.set(Number("end", 1))
    assert await chain(db, depth) == 1
    assert ran.pop() == depth + 1

    ran.append(0)
    db.set(Number("end", 101))
    assert await chain(db, depth) == 1
    assert ran.pop() == 1  # the rest is verified

    ran.append(0)
    db.set(Number("end", 2))
    assert await chain(db, depth) == 2
    assert ran.pop() == depth + 1
    assert sys.getrecursionlimit() == limit
    graph = db._graph
    assert not graph.pins
    assert not graph.at.users


@pytest.mark.spec("depth.async", "frame.bound")
async def test_a_deep_chain_at_a_snapshot_that_was_left_behind() -> None:
    @incr.query
    async def chain(db: incr.View, depth: int) -> int:
        return db[Number, "end"].value if depth == 0 else await chain(db, depth - 1)

    db = incr.Database()
    db.set(Number("end", 1))
    with db.snapshot() as view:
        db.set(Number("end", 2))
        assert await chain(db, 3_000) == 2
        assert await chain(view, 3_000) == 1
        assert await chain(view, 3_000) == 1
    no_trace(db)


@pytest.mark.spec("depth.async", "flight.cancel", "flight.handover")
async def test_a_deep_chain_that_is_cancelled_leaves_no_trace() -> None:
    gate = Gate()

    @incr.query
    async def chain(db: incr.View, depth: int) -> int:
        if depth:
            return await chain(db, depth - 1)
        await gate.wait()
        return db[Number, "end"].value

    db = incr.Database()
    db.set(Number("end", 1))
    scope = anyio.CancelScope()
    answers = list[int]()

    async def doomed() -> None:
        with scope:
            await chain(db, 3_000)

    async def follow() -> None:
        answers.append(await chain(db, 2_500))  # in the middle of the other one's chain

    async with anyio.create_task_group() as group:
        group.start_soon(doomed)
        while not gate.arrived:
            await anyio.lowlevel.checkpoint()
        group.start_soon(follow)
        await until(lambda: joined(db, "chain") == 1)
        scope.cancel()
        while gate.arrived < 2:
            await anyio.lowlevel.checkpoint()
        db.check_invariant()
        gate.open()
    assert answers == [1]
    no_trace(db)
    assert await chain(db, 3_000) == 1
    counts = db.statistics().queries["chain"]
    assert (counts.executed, counts.cancelled) == (3_001, 3_001)


@pytest.mark.spec("depth.async", "error.outcome", "error.note")
async def test_an_error_at_the_end_of_a_deep_chain_comes_through_unwrapped() -> None:
    @incr.query
    async def chain(db: incr.View, depth: int) -> int:
        return db[Number, "none"].value if depth == 0 else await chain(db, depth - 1)

    db = incr.Database()
    for _ in range(2):
        with pytest.raises(incr.MissingInputError) as caught:
            await chain(db, 3_000)
        assert caught.value.__notes__ == ["in the query call chain(0)"]
    db.set(Number("none", 7))
    assert await chain(db, 3_000) == 7


@pytest.mark.spec("depth.async", "cycle.path")
async def test_a_deep_ring_is_a_cycle() -> None:
    size = 3_000

    @incr.query
    async def ring(db: incr.View, place: int) -> int:
        return await ring(db, (place + 1) % size)

    db = incr.Database()
    with pytest.raises(incr.CycleError) as caught:
        await ring(db, 0)
    assert len(caught.value.path) == size
    no_trace(db)


@pytest.mark.spec("depth.async", "frame.tasks", "frame.outer")
async def test_outer_handles_work_behind_a_hop() -> None:
    db = incr.Database()
    db.set(Number("end", 1))

    @incr.query
    async def chain(view: incr.View, depth: int) -> int:
        return db[Number, "end"].value if depth == 0 else await chain(db, depth - 1)

    assert await chain(db, 3_000) == 1
    db.set(Number("end", 2))
    assert await chain(db, 3_000) == 2
    assert db.statistics().queries["chain"].edges == 3_001
