"""Flights: one execution per call and revision, who waits for it, who takes over, and who would wait for himself.

A frame is the flight of its call: `node.flight` is the chain of frames that execute the node, one per revision.

Law: before anybody waits, the calls that need his own result are walked. If the execution that he would wait for is
among them, he gets a `CycleError` instead, and so does every call on the loop when it ends.

Keeps: flight.single, flight.handover, flight.cancel, cycle.path, cycle.tasks, cycle.entry.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, final

from incr._errors import CycleError, short_repr
from incr._events import FlightJoined
from incr._frame import Frame
from incr._graph import At, Graph
from incr._loop import Wakeup, new_wakeup
from incr._node import Memo, Node

__all__ = [
    "LEAD",
    "Waiter",
    "claim",
    "find_cycle",
    "fixed",
    "flight_of",
    "hand_over",
    "join",
    "land",
    "mark_cycle",
    "note_cycle",
]

#: Told to a follower: the leader is gone, take over.
LEAD: Final[Any] = object()


@final
class Waiter:
    """One caller that waits for a flight."""

    __slots__ = ("answer", "frame", "through", "wakeup")

    def __init__(self, frame: Frame | None, through: Sequence[Node], wakeup: Wakeup) -> None:
        self.frame = frame
        self.through = through
        self.wakeup = wakeup
        self.answer: Any = None

    def tell(self, answer: Any) -> None:
        self.answer = answer
        self.wakeup.set()


def flight_of(node: Node, at: At) -> Frame | None:
    """The execution of the call at that revision that is in progress."""
    flight: Frame | None = node.flight
    while flight is not None and flight.at is not at:
        flight = flight.next_flight
    return flight


# spec: flight.single
def claim(frame: Frame) -> None:
    """Make *frame* the execution of its call; in place of a leader that is gone it takes over the waiters."""
    node = frame.node
    if node.flight is not None:
        gone = flight_of(node, frame.at)
        if gone is not None and gone.leaderless:
            frame.waiters = gone.waiters
            _remove(gone)
        frame.next_flight = node.flight
    node.flight = frame


def land(frame: Frame, holder: Node | Memo) -> None:
    """The execution is over and published: everybody who waits gets its outcome."""
    _remove(frame)
    waiters = frame.waiters
    frame.finish()
    if waiters:
        frame.waiters = None
        answer = fixed(holder)
        for waiter in waiters:
            waiter.tell(answer)


def fixed(holder: Node | Memo) -> Memo:
    """The outcome as it is now, for somebody who goes on later: by then the node may be about a newer revision."""
    return Memo(holder.value, holder.changed_at, holder.valid_from, holder.valid_to)


# spec: flight.handover
def hand_over(frame: Frame) -> None:
    """The execution ended without an outcome: one follower takes over, or the flight is gone without trace."""
    if frame.waiters:
        frame.leaderless = True
        frame.waiters.pop(0).tell(LEAD)
    else:
        _remove(frame)
    frame.finish()


def _remove(frame: Frame) -> None:
    node = frame.node
    if node.flight is frame:
        node.flight = frame.next_flight
        return
    before = node.flight
    while before is not None and before.next_flight is not frame:
        before = before.next_flight
    if before is not None:
        before.next_flight = frame.next_flight


# spec: flight.cancel
async def join(graph: Graph, flight: Frame, frame: Frame | None, through: Sequence[Node]) -> Any:
    """Wait for the flight; returns where its outcome can be read, or LEAD if the caller has to take over."""
    waiter = Waiter(frame, through, new_wakeup())
    if flight.waiters is None:
        flight.waiters = []
    flight.waiters.append(waiter)
    node = flight.node
    graph.counters[node.ingredient].joined += 1
    if graph.listeners.any:
        graph.listeners.emit(FlightJoined(node.ingredient.name, node.ingredient.arguments(node.key)))
        graph.listeners.tell()
    at = flight.at
    try:
        await waiter.wakeup.wait()
    except BaseException:
        if waiter.answer is LEAD:
            orphan = flight_of(node, at)
            if orphan is not None and orphan.leaderless:
                hand_over(orphan)
        elif waiter.answer is None:
            # The waiters may have moved to another leader in the meantime; the list moved with them.
            holder = flight_of(node, at)
            if holder is not None and holder.waiters is not None and waiter in holder.waiters:
                holder.waiters.remove(waiter)
        raise
    return waiter.answer


# spec: cycle.tasks
def find_cycle(flight: Frame, frame: Frame | None, through: Sequence[Node]) -> list[Frame | Node] | None:
    """The loop that would close if *frame* waited for *flight*: its calls, from the flight's to the frame's, or None.

    Walks from the frame to everything that needs its result: who called it, who waits for it, and so on.
    """
    if frame is None:
        return None
    came_from: dict[Frame, tuple[Frame | None, Sequence[Node]]] = {frame: (None, through)}
    queue = deque([frame])
    while queue:
        needed = queue.popleft()
        if needed is flight:
            return _path(needed, came_from)
        needers = [(needed.parent, needed.through)]
        needers += [(waiter.frame, waiter.through) for waiter in needed.waiters or ()]
        for needer, between in needers:
            if needer is not None and needer not in came_from and not needer.finished:
                came_from[needer] = (needed, between)
                queue.append(needer)
    return None


def _path(start: Frame, came_from: dict[Frame, tuple[Frame | None, Sequence[Node]]]) -> list[Frame | Node]:
    path: list[Frame | Node] = []
    frame: Frame | None = start
    while frame is not None:
        needed, between = came_from[frame]
        path.append(frame)
        path.extend(between[:-1])
        frame = needed
    return path


# spec: cycle.path
# spec: cycle.entry
def mark_cycle(path: list[Frame | Node], at: At) -> CycleError:
    """Make every call on the loop end with the same `CycleError`, which is returned.

    A body that catches it does not change that: otherwise the answers would depend on which of the calls was asked
    first.
    """
    nodes = _without_detours([step.node if isinstance(step, Frame) else step for step in path])
    calls = [(node.ingredient.name, node.ingredient.arguments(node.key)) for node in nodes]
    first = min(range(len(calls)), key=lambda place: (calls[place][0], short_repr(calls[place][1], 1000)))
    error = CycleError(calls[first:] + calls[:first])
    for step in path:
        if isinstance(step, Frame):
            if step.cycle is None:
                step.cycle = error
                note_cycle(step)
        else:
            if at.poison is None:
                at.poison = {}
            at.poison.setdefault(step, error)
    return error


def note_cycle(frame: Frame) -> None:
    """Have the call looked at again in each revision: what it read on the loop depends on where that was entered.

    It is noted where the loop was closed, so that a later verification asks nothing that comes behind.
    """
    frame._reads[frame._graph.untracked_node("on a cycle")] = None


def _without_detours(nodes: list[Node]) -> list[Node]:
    """A call that runs for one and is verified for another comes twice: what lies between is a loop of its own."""
    places: dict[Node, int] = {}
    loop: list[Node] = []
    for node in nodes:
        if node in places:
            for passed in loop[places[node] + 1 :]:
                del places[passed]
            del loop[places[node] + 1 :]
        else:
            places[node] = len(loop)
            loop.append(node)
    return loop
