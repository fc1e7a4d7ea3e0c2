"""Many tasks that share many calls, and thousands of snapshots: what is done is counted, not timed."""

from __future__ import annotations

import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from random import Random
from types import FrameType
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import incr
from tasks import no_trace

TASKS = 64
CALLS = 1_000


@incr.input
class Text:
    number: int = incr.key()
    text: str


def lines(function: Callable[[], Any]) -> int:
    """How many lines of incr's modules *function* runs."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if "incr" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.anyio
@pytest.mark.spec("flight.single")
async def test_64_tasks_that_ask_for_1000_shared_calls_run_each_once(db: incr.Database) -> None:
    ran = Counter[int]()
    running = set[int]()

    @incr.query
    async def shared(db: incr.View, number: int) -> str:
        assert number not in running
        running.add(number)
        await anyio.lowlevel.checkpoint()
        text = db[Text, number].text
        if number and number % 3 == 0:
            text += await shared(db, number // 2)
        ran[number] += 1
        running.discard(number)
        return text

    def right(number: int) -> str:
        return f"{number}." + (right(number // 2) if number and number % 3 == 0 else "")

    async def ask(task: int) -> None:
        numbers = list(range(CALLS))
        Random(task % 8).shuffle(numbers)  # eight at a time go the same way
        for number in numbers:
            assert await shared(db, number) == right(number)

    with db.batch() as batch:
        for number in range(CALLS):
            batch.set(Text(number, f"{number}."))
    async with anyio.create_task_group() as group:
        for task in range(TASKS):
            group.start_soon(ask, task)
    assert ran == Counter(range(CALLS))
    assert db.statistics().queries["shared"].joined > CALLS
    no_trace(db)


@pytest.mark.spec("history.snapshot")
def test_a_snapshot_is_made_by_the_same_steps_whatever_there_is(db: incr.Database) -> None:
    @incr.query
    def length(db: incr.View, number: int) -> int:
        return len(db[Text, number].text)

    def fill(first: int, last: int) -> None:
        with db.batch() as batch:
            for number in range(first, last):
                batch.set(Text(number, "x"))
        for number in range(first, last):
            length(db, number)

    def cost() -> tuple[int, int]:
        """Lines that are run and bytes that are taken."""
        made: list[incr.Snapshot] = []
        assert db.revision  # what the writes reach was walked already
        count = lines(lambda: made.append(db.snapshot()))
        tracemalloc.start()
        made.append(db.snapshot())
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        for snapshot in made:
            snapshot.close()
        return count, size

    fill(0, 10)
    cost()
    few = cost()
    fill(10, 3_000)
    assert cost() == few
    others = [db.snapshot() for _ in range(1_000)]
    for number in range(1_000):
        db.set(Text(number, str(number)))
        others.append(db.snapshot())
    assert cost() == few
    for other in others:
        other.close()
    assert cost() == few
    no_trace(db)


@pytest.mark.spec("history.prune", "history.snapshot")
def test_thousands_of_snapshots_are_right_and_keep_what_they_need_alone(db: incr.Database) -> None:
    random = Random(1)
    texts = dict.fromkeys(range(20), "")

    @incr.query
    def length(db: incr.View, number: int) -> int:
        return len(db[Text, number].text)

    @incr.query
    def total(db: incr.View) -> int:
        return sum(length(db, number) for number in texts)

    with db.batch() as batch:
        for number, text in texts.items():
            batch.set(Text(number, text))
    live: list[tuple[incr.Snapshot, int]] = []
    for step in range(2_000):
        number = random.randrange(20)
        texts[number] = "x" * random.randrange(9)
        db.set(Text(number, texts[number]))
        if random.random() < 0.3:
            total(db)
        live.append((db.snapshot(), sum(map(len, texts.values()))))
        if step % 500 == 499:
            exact(db)
    assert db.statistics().pinned == db.revision - 2 > 1_700  # all but the first and the newest
    random.shuffle(live)
    for place, (snapshot, right) in enumerate(live):
        if place % 50 == 0:
            assert total(snapshot) == right
        snapshot.close()
        if place % 500 == 0:
            exact(db)
    no_trace(db)


def exact(db: incr.Database) -> None:
    """Assert that each outcome of the past is needed by an open snapshot, and is the only one that is."""
    db.check_invariant()
    graph = db._graph
    pinned = [pin.revision for pin in graph.pins]
    for table in graph.tables:
        for node in table.values():
            needed = [
                {revision for revision in pinned if memo.valid_from <= revision < memo.valid_to}
                for memo in node.history or ()
            ]
            assert all(needed), f"{node}: kept for nobody"
            assert sum(map(len, needed)) == len(set().union(*needed)), f"{node}: two outcomes for one revision"


@pytest.mark.spec("history.prune")
def test_writing_costs_nothing_more_once_no_snapshot_is_open(db: incr.Database) -> None:
    @incr.query
    def length(db: incr.View, number: int) -> int:
        return len(db[Text, number].text)

    def edit(text: str) -> Callable[[], object]:
        return lambda: (db.set(Text(0, text)), length(db, 0))

    db.set(Text(0, ""))
    length(db, 0)
    before = lines(edit("1"))
    snapshots = []
    for number in range(500):
        snapshots.append(db.snapshot())
        edit("x" * number)()
    assert lines(edit("a")) > before
    for snapshot in snapshots:
        snapshot.close()
    assert lines(edit("bc")) == before
    no_trace(db)


@pytest.mark.spec("history.prune")
def test_memory_stays_while_snapshots_come_and_go(db: incr.Database) -> None:
    random = Random(2)

    @incr.query
    def length(db: incr.View, number: int) -> int:
        return len(db[Text, number].text)

    live: list[incr.Snapshot] = []

    def edits(count: int) -> int:
        for step in range(count):
            db.set(Text(random.randrange(30), "x" * random.randrange(50)))
            length(db, step % 30) if step > 29 else None
            live.append(db.snapshot())
            if len(live) > 10:
                view = live.pop(random.randrange(10))
                view.get(Text, 3)
                view.close()
        return tracemalloc.get_traced_memory()[0]

    for number in range(30):
        db.set(Text(number, ""))
    tracemalloc.start()
    try:
        first = edits(1_000)
        assert edits(4_000) - first < 20_000  # a single entry kept for each edit would be five times that
    finally:
        tracemalloc.stop()
    for snapshot in live:
        snapshot.close()
    no_trace(db)
