"""What tests with several tasks share, on either loop: gates instead of sleeps, and a look at what was left behind."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import anyio.lowlevel

import incr

__all__ = ["Gate", "joined", "no_trace", "until"]


class Gate:
    """Where a body waits until the test opens it; counts who has come."""

    def __init__(self) -> None:
        self.arrived = 0
        self._open = anyio.Event()

    def open(self) -> None:
        """Let everybody through, from now on."""
        self._open.set()

    async def wait(self) -> None:
        """Be counted, and wait."""
        self.arrived += 1
        await self._open.wait()


async def until(condition: Callable[[], bool]) -> None:
    """Let the other tasks run until the condition holds; a test that would hang fails instead."""
    for _ in range(2_000):
        if condition():
            return
        await anyio.lowlevel.checkpoint()
    raise AssertionError("the other tasks have got stuck")


def joined(db: incr.Database, name: str) -> int:
    """How often somebody has waited for a call of the query that somebody else ran."""
    found = db.statistics().queries.get(name)
    return 0 if found is None else found.joined


def no_trace(db: incr.Database) -> None:
    """Assert that nothing is in flight, pinned, or kept for somebody who has gone."""
    db.check_invariant()
    graph = db._graph
    assert not graph.pins
    assert not graph.at.users
    for table in graph.tables:
        for node in table.values():
            assert node.flight is None, f"{node} is in flight"
            assert node.history is None, f"{node} has a history"
