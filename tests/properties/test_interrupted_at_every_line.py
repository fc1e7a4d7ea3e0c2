"""An interrupt may come between any two lines: a read is interrupted once at each line of incr that it passes.

Afterwards no call may hang, no flight or pin be left, no answer be wrong.
"""

from __future__ import annotations

from typing import Any

import pytest

import incr
from incr._running import running
from interruptions import Interruption


@incr.input
class Cell:
    name: str = incr.key()
    value: int


@incr.query
def parity(db: incr.View, name: str) -> int:
    return db[Cell, name].value % 2


@incr.query
def pair(db: incr.View, name: str, other: Any) -> int:
    return parity(db, name) + (10 * parity(db, other) if (Cell, other) in db else 0)


@incr.query
def total(db: incr.View) -> int:
    try:
        missing = db[Cell, "missing"].value
    except incr.MissingInputError:
        missing = 0
    return pair(db, "a", "b") + pair(db, "b", None) + len(list(db.keys(Cell))) + missing


def from_scratch(values: dict[str, int]) -> int:
    fresh = incr.Database()
    for name, value in values.items():
        fresh.set(Cell(name, value=value))
    return total(fresh)


def left_behind(db: incr.Database) -> list[str]:
    graph = db._graph
    nodes = [node for table in graph.tables for node in table.values()]
    found = [f"{node} is in flight" for node in nodes if node.flight is not None]
    if graph.pins or graph.at.users:
        found.append(f"{len(graph.pins)} pins, {graph.at.users} users")
    current = running.get()
    if current is not None and not current.finished:
        found.append(f"{current} counts as running")
    return found


def prepared(scene: str) -> tuple[incr.Database, dict[str, int], Any]:
    """A database, what its cells hold, and what has to stay alive meanwhile."""
    db = incr.Database()
    values = {"a": 1, "b": 2}
    for name, value in values.items():
        db.set(Cell(name, value=value))
    if scene == "cold":
        return db, values, None
    if scene == "listening":
        return db, values, db.subscribe(lambda event: None)
    assert total(db) == from_scratch(values)
    values |= {"b": 4 if scene == "backdated" else 5}
    db.set(Cell("b", value=values["b"]))
    return db, values, None


@pytest.mark.spec("error.interrupt")
@pytest.mark.spec("flight.cancel")
@pytest.mark.parametrize("scene", ["cold", "listening", "backdated", "changed"])
def test_a_read_that_is_interrupted_at_any_line_leaves_no_trace(scene: str) -> None:
    for at in range(1, 10_000):
        db, values, alive = prepared(scene)
        interruption = Interruption(at)
        interrupted = interruption.interrupts(lambda db=db: total(db))
        where = f"interrupted at {interruption.place}, the {at}th line"
        assert not left_behind(db), f"{where}: {left_behind(db)}"
        assert total(db) == from_scratch(values), where
        db.check_invariant()
        values["a"] = 2
        db.set(Cell("a", value=2))
        assert total(db) == from_scratch(values), f"{where}, after a write"
        assert not left_behind(db), f"{where}: {left_behind(db)}"
        db.check_invariant()
        if not interrupted:
            assert at > 100
            return
        del alive
    raise AssertionError("the read never came to its end")


@pytest.mark.spec("write.batch")
@pytest.mark.spec("error.interrupt")
@pytest.mark.parametrize("pinned", [False, True])
def test_a_batch_that_is_interrupted_at_any_line_is_written_whole_or_not_at_all(pinned: bool) -> None:
    for at in range(1, 10_000):
        db, before, alive = prepared("changed")
        before["c"] = 7
        db.set(Cell("c", value=7))
        after = {"a": 4, "b": before["b"], "new": 3}
        assert total(db) == from_scratch(before)
        snapshot = db.snapshot() if pinned else None

        def write(db: incr.Database = db) -> None:
            with db.batch() as batch:
                batch.set(Cell("a", value=4))
                batch.set(Cell("new", value=3))
                batch.remove(Cell, "c")

        interruption = Interruption(at)
        interrupted = interruption.interrupts(write)
        where = f"interrupted at {interruption.place}, the {at}th line"
        now = {name: db[Cell, name].value for name in db.keys(Cell)}
        assert now in (before, after), f"{where}: {now}"
        assert interrupted or now != before
        assert total(db) == from_scratch(now), where
        db.check_invariant()
        if snapshot is not None:
            assert total(snapshot) == from_scratch(before), where
            snapshot.close()
        assert not left_behind(db), f"{where}: {left_behind(db)}"
        db.set(Cell("a", value=9))
        assert total(db) == from_scratch(now | {"a": 9}), where
        db.check_invariant()
        if not interrupted:
            return
        del alive
    raise AssertionError("the write never came to its end")
