"""What engines of this kind are known to get wrong, one test to a hazard; docs/comparisons.md names them."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import anyio
import pytest

import incr
from incr.testing import Recorder
from tasks import until

#: Seconds after which a test that hangs is ended.
PATIENCE = 30.0


@incr.input
class Cell:
    name: str = incr.key()
    value: int


@incr.query
def double(db: incr.View, name: str) -> int:
    return 2 * db[Cell, name].value


def calls_made(function: Callable[[], object]) -> int:
    """How many Python functions are entered while *function* runs."""
    entered = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal entered
        entered += event == "call"

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return entered


@pytest.mark.spec("history.snapshot", "thread.write")
def test_a_snapshot_never_holds_half_of_a_batch(db: incr.Database) -> None:
    rounds = 300
    names = [f"cell {number}" for number in range(5)]

    def write() -> None:
        for value in range(rounds):
            with db.batch() as batch:
                for name in names:
                    batch.set(Cell(name, value=value))

    def look() -> list[tuple[int, set[int]]]:
        seen: list[tuple[int, set[int]]] = []
        while not seen or seen[-1][0] < rounds:
            with db.snapshot() as view:
                seen.append((view.revision, {double(view, name) for name in view.keys(Cell)}))
        return seen

    with ThreadPoolExecutor(3) as pool:
        looks = [pool.submit(look) for _ in range(2)]
        pool.submit(write).result()
        for revision, values in [seen for look in looks for seen in look.result()]:
            assert values == ({2 * (revision - 1)} if revision else set())


@pytest.mark.spec("history.snapshot")
def test_making_a_snapshot_takes_the_same_steps_whatever_the_database_holds() -> None:
    taken: list[int] = []
    for size in (10, 1000):
        db = incr.Database()
        with db.batch() as batch:
            for number in range(size):
                batch.set(Cell(str(number), value=number))
        for number in range(size):
            double(db, str(number))
        taken.append(calls_made(db.snapshot))
    assert taken[0] == taken[1]


@pytest.mark.spec("frame.bound", "thread.read")
def test_a_stream_of_writes_keeps_no_call_from_ending(db: incr.Database, ran: Recorder) -> None:
    with db.batch() as batch:
        for number in range(50):
            batch.set(Cell(str(number), value=1))

    @incr.query
    def total(db: incr.View) -> int:
        found = 0
        for number in range(50):
            write(number)  # each read is followed by a write of what was read and of what comes next
            found += double(db, str(number))
        return found

    def write(number: int) -> None:
        writer = threading.Thread(target=set_both, args=(number,))
        writer.start()
        writer.join(PATIENCE)

    def set_both(number: int) -> None:
        with outer.batch() as batch:
            for name in (number, (number + 1) % 50):
                batch.set(Cell(str(name), value=outer[Cell, str(name)].value + 1))

    outer = db
    with db.snapshot() as before:
        assert total(db) == 100
        assert ran.take().count("total()") == 1
        assert db.revision == before.revision + 50
        assert sum(double(before, str(number)) for number in range(50)) == 100
    assert sum(double(db, str(number)) for number in range(50)) == 2 * 150


@pytest.mark.anyio
@pytest.mark.spec("fork.isolated", "flight.single")
async def test_views_whose_revisions_have_one_number_share_nothing_that_differs(db: incr.Database) -> None:
    db.set(Cell("a", value=1))
    entered: list[int] = []
    gate = anyio.Event()

    @incr.query
    async def slow(db: incr.View) -> int:
        value = db[Cell, "a"].value
        entered.append(value)
        await gate.wait()
        return value

    answers: dict[str, int] = {}
    with db.snapshot() as view, view.fork() as one, view.fork() as other:
        one.set(Cell("a", value=2))
        other.set(Cell("a", value=3))
        db.set(Cell("a", value=4))
        assert one.revision == other.revision == db.revision

        async def ask(name: str, where: incr.View) -> None:
            answers[name] = await slow(where)

        async with anyio.create_task_group() as group:
            for name, where in {"one": one, "other": other, "db": db, "view": view}.items():
                group.start_soon(ask, name, where)
            await until(lambda: len(entered) == 4)
            assert sorted(entered) == [1, 2, 3, 4]
            gate.set()
    assert answers == {"one": 2, "other": 3, "db": 4, "view": 1}


@pytest.mark.spec("frame.outer", "cycle.path")
def test_a_call_may_ask_itself_as_of_an_older_revision(db: incr.Database) -> None:
    db.set(Cell("a", value=1))
    older: list[incr.Snapshot] = [db.snapshot()]

    @incr.query
    def growth(db: incr.View) -> int:
        now = db[Cell, "a"].value
        before = older.pop() if older else None
        return now if before is None else now - growth(before)

    db.set(Cell("a", value=5))
    snapshot = older[0]
    assert growth(db) == 4
    snapshot.close()


@pytest.mark.spec("frame.databases", "history.prune")
def test_a_dropped_database_leaves_nothing_behind() -> None:
    class Value:
        pass

    alive: list[weakref.ref[Any]] = []

    @incr.query
    def made(db: incr.View, name: str) -> Value:
        value = Value()
        alive.append(weakref.ref(value))
        assert db[Cell, name].value == len(alive) - 1
        return value

    def use() -> None:
        db = incr.Database()
        for value in range(3):
            db.set(Cell("a", value=value))
            db.snapshot()  # forgotten, not closed
            made(db, "a")

    use()
    gc.collect()
    assert len(alive) == 3
    assert [reference for reference in alive if reference() is not None] == []


@pytest.mark.spec("thread.write", "history.snapshot")
def test_a_write_waits_for_no_reader_and_no_snapshot(db: incr.Database) -> None:
    db.set(Cell("a", value=1))
    reading, may_end = threading.Event(), threading.Event()

    @incr.query
    def slow(db: incr.View) -> int:
        reading.set()
        assert may_end.wait(PATIENCE)
        return db[Cell, "a"].value

    with ThreadPoolExecutor(1) as pool, db.snapshot() as view:
        answer = pool.submit(slow, db)
        assert reading.wait(PATIENCE)
        db.set(Cell("a", value=2))  # in the thread that holds a snapshot, while another one runs a body
        assert not answer.done()
        may_end.set()
        assert answer.result(PATIENCE) == view[Cell, "a"].value == 1
    assert slow(db) == 2


@pytest.mark.spec("intern.identity", "thread.read")
def test_threads_that_intern_one_value_at_once_get_one_instance(db: incr.Database) -> None:
    @incr.interned
    class Name:
        text: str

    together = threading.Barrier(4)

    def intern(_: int) -> list[Name]:
        together.wait(PATIENCE)
        return [db.intern(Name(str(number))) for number in range(200)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(intern, range(4)))
    assert all(len({id(name) for name in same}) == 1 for same in zip(*found, strict=True))
