"""Calls inside of a solve: how they begin and what their end leaves behind.

Law: a frame inside of a solve claims no flight and joins none but those of the same solve, and whether its outcome is
published is decided by what it has used.

Keeps: cycle.fallback, cycle.fixpoint, cycle.path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

from incr._flight import LEAD, find_cycle, note_cycle, tell_all
from incr._frame import Frame
from incr._graph import At, Graph
from incr._node import Failure, Node
from incr._outcome import dependencies_of
from incr._pushes import BARRED
from incr._solve import Given, Solve

__all__ = ["Part", "begin_below", "begin_inside", "begin_member", "loop_below"]


@final
class Part:
    """What a frame inside of a solve knows besides: the solve, and which of its reads were tainted."""

    __slots__ = ("member", "solve", "tainted")

    def __init__(self, solve: Solve, member: bool) -> None:
        self.solve = solve
        #: The frame is a member's at its turn, not that of a call between members.
        self.member = member
        self.tainted: dict[Node, Given] = {}

    def given(self, frame: Frame, outcome: Any) -> Given:
        """The frame's outcome with all that it has used."""
        touched: dict[Node, Any] = {}
        outside: dict[Node, None] = {}
        reads = dependencies_of(frame)
        for node in reads:
            tainted = self.tainted.get(node)
            if tainted is None:
                outside[node] = None
            else:
                outside.update(tainted.outside)
        for tainted in list(self.tainted.values()):
            touched.update(tainted.touched)
        return Given(outcome, touched, outside, reads, frame.pushes if frame.cycle is None else BARRED)

    def conclude(self, frame: Frame, outcome: Any, seconds: float) -> Any:
        """Publish what no member has to do with, keep the rest as long as it stands. Returns the outcome for everybody:
        what was published, or a `Given`."""
        solve, node = self.solve, frame.node
        if frame.cycle is not None:
            outcome = Failure(frame.cycle, frame.cycle.__traceback__)
        given = self.given(frame, outcome)
        with solve.graph.lock:
            solve.graph.executed(node)
            node.cost = seconds
        home = None if self.member else solve.home_of(given.touched)
        told: Any = given
        if home is not None and node.ingredient.recovery is not None:
            told = home.adopt(node)
        elif home is not None:
            solve.keep(node, given)
        elif not self.member:
            told = solve.publish({node: outcome}, given.reads, given.pushes)[node]
        self._leave(frame, told)
        return told

    def abandon(self, frame: Frame) -> None:
        """The body ended without an outcome: nothing is left of it, and whoever waits for it runs it himself."""
        self._leave(frame, None)

    def _leave(self, frame: Frame, told: Any) -> None:
        flights, node = self.solve.flights, frame.node
        with frame._graph.lock:
            before: Frame | None = flights.get(node)
            if before is frame:
                if frame.next_flight is None:
                    del flights[node]
                else:
                    flights[node] = frame.next_flight
            while before is not None and before.next_flight is not frame:
                before = before.next_flight
            if before is not None:
                before.next_flight = frame.next_flight
            waiters, frame.waiters = frame.waiters, None
            frame.finish()
        if waiters:
            tell_all(waiters, LEAD if told is None else told)


def begin_inside(solve: Solve, node: Node, parent: Frame, through: Sequence[Node], member: bool) -> Frame:
    """A frame that nobody outside of the solve knows of."""
    frame = Frame(solve.graph, solve.at, node, parent, through)
    frame.part = Part(solve, member)
    for poison in (solve.poison, solve.at.poison):
        if poison is not None and node in poison and frame.cycle is None:
            frame.cycle = poison[node]
            note_cycle(frame)
    if not member:
        frame.next_flight = solve.flights.get(node)
        solve.flights[node] = frame
    return frame


def begin_member(solve: Solve, node: Node) -> Frame:
    """A frame for a member at its turn."""
    return begin_inside(solve, node, solve.reader, (), member=True)


def begin_below(graph: Graph, at: At, node: Node, parent: Frame) -> Frame:
    """A frame for a call that is running already further up, to run once more. The caller holds the lock."""
    return begin_inside(Solve(graph, at, None, parent, ()), node, parent, (), member=False)


def loop_below(node: Node, parent: Frame, through: Sequence[Node]) -> list[Frame | Node] | None:
    """The loop that closes if the call runs for this frame, which is inside of a solve."""
    flight: Frame | None = parent.part.solve.flights.get(node)
    while flight is not None:
        path = find_cycle(flight, parent, through)
        if path is not None:
            return path
        flight = flight.next_flight
    return None
