"""Flights: one execution per call and revision, who waits for it, who takes over, and who would wait for himself.

A frame is the flight of its call: `node.flight` is the chain of frames that execute the node, one per revision.

Law: before anybody waits, the calls that need his own result are walked. If the execution that he would wait for is
among them, he gets a `CycleError` instead, and so does every call on the loop when it ends. Looking and beginning to
wait are one stretch under the database's lock, as are all changes here; telling and waiting are outside of it.

Keeps: flight.single, flight.handover, flight.cancel, cycle.path, cycle.tasks, cycle.entry, thread.cycle.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock, get_ident
from collections import deque
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final, Protocol, final

from incr._errors import CycleError, short_repr
from incr._events import FlightJoined
from incr._frame import Frame
from incr._graph import At, Graph
from incr._node import Node

__all__ = [
    "LEAD",
    "Poisoned",
    "Waiter",
    "claim",
    "cycle_error",
    "enlist",
    "find_cycle",
    "flight_of",
    "hand_over",
    "join",
    "join_blocking",
    "land",
    "leave",
    "mark_cycle",
    "meeting",
    "note_cycle",
    "on_this_stack",
    "tell_all",
    "tell_leader",
]

#: Told to a follower: the leader is gone, take over.
LEAD: Final[Any] = object()
_NONE_YET: Final[Any] = object()

#: Two threads that begin to wait at the same time, each in a database of its own, might overlook each other.
meeting: Final = allocate_lock()


class Poisoned(Protocol):
    """A revision, or the solving of a component: what keeps the errors of calls that have no frame yet."""

    poison: dict[Node, BaseException] | None


@final
class Waiter:
    """One caller that waits for a flight."""

    __slots__ = ("answer", "at", "frame", "node", "through", "wakeup")

    def __init__(self, flight: Frame, frame: Frame | None, through: Sequence[Node], wakeup: Any) -> None:
        self.node = flight.node
        self.at = flight.at
        self.frame = frame
        self.through = through
        #: A `Wakeup` for an awaited call, a `ThreadWakeup` for a plain one.
        self.wakeup = wakeup
        self.answer: Any = _NONE_YET

    def tell(self, answer: Any) -> bool:
        """Let it go on with the answer; whether there is anybody left to go on."""
        self.answer = answer
        try:
            self.wakeup.set()
        except RuntimeError:
            return False  # its loop has ended, and the task with it
        return True


def flight_of(node: Node, at: At) -> Frame | None:
    """The execution of the call at that revision that is in progress."""
    flight: Frame | None = node.flight
    while flight is not None and flight.at is not at:
        flight = flight.next_flight
    return flight


# spec: flight.single
def claim(frame: Frame) -> None:
    """Make *frame* the execution of its call; in place of a leader that is gone it takes over the waiters.

    The caller holds the lock, here and below unless it says otherwise.
    """
    node = frame.node
    if node.flight is not None:
        gone = flight_of(node, frame.at)
        if gone is not None and gone.leaderless:
            frame.waiters = gone.waiters
            leave(gone)
        frame.next_flight = node.flight
    node.flight = frame


def land(frame: Frame) -> list[Waiter]:
    """The execution is over and published. Returns who is to be told its outcome, without the lock."""
    leave(frame)
    waiters, frame.waiters = frame.waiters, None
    frame.finish()
    return waiters or []


def tell_all(waiters: Sequence[Waiter], outcome: Any) -> None:
    """Let everybody go on with the outcome, not with the node: by then that may be about a newer revision.

    The caller does not hold the lock.
    """
    for waiter in waiters:
        waiter.tell(outcome)


# spec: flight.handover
def hand_over(frame: Frame) -> None:
    """The execution ended without an outcome: its flight is kept for a follower (see `tell_leader`), or gone."""
    if frame.waiters:
        frame.leaderless = True
    else:
        leave(frame)
    frame.finish()


def tell_leader(graph: Graph, orphan: Frame) -> None:
    """Let one follower of a flight without leader take over. The caller does not hold the lock."""
    while orphan.leaderless:
        with graph.lock:
            if not orphan.waiters:
                leave(orphan)
                return
            follower = orphan.waiters.pop(0)
        if follower.tell(LEAD):
            return


def leave(frame: Frame) -> None:
    """Take the execution out of its call's flights."""
    node = frame.node
    if node.flight is frame:
        node.flight = frame.next_flight
        return
    before = node.flight
    while before is not None and before.next_flight is not frame:
        before = before.next_flight
    if before is not None:
        before.next_flight = frame.next_flight


def on_this_stack(flight: Frame) -> bool:
    """Whether a plain call is executed below on this very stack, so that nobody here can wait for it.

    Only what runs in the middle of a body without being part of it gets here: a finalizer, a signal handler.
    """
    if get_ident() in flight.hops:
        return True
    below: FrameType | None = sys._getframe(1)
    while below is not None:
        found = below.f_locals
        if found.get("frame") is flight or found.get("_incr_frame") is flight:
            return True
        below = below.f_back
    return False


def enlist(graph: Graph, flight: Frame, frame: Frame | None, through: Sequence[Node], wakeup: Any) -> Waiter:
    """Have one more caller wait for the flight."""
    waiter = Waiter(flight, frame, through, wakeup)
    if flight.waiters is None:
        flight.waiters = []
    flight.waiters.append(waiter)
    ingredient = flight.node.ingredient
    graph.counters[ingredient].joined += 1
    if graph.listeners.any:
        graph.listeners.emit(FlightJoined(ingredient.name, ingredient.arguments(flight.node.key)))
    return waiter


# spec: flight.cancel
async def join(graph: Graph, waiter: Waiter) -> Any:
    """Wait for the flight in a task; returns the outcome, or LEAD if the caller has to take over."""
    if graph.listeners.any:
        graph.listeners.tell()
    try:
        await waiter.wakeup.wait()
    except BaseException:
        _withdraw(graph, waiter)
        raise
    return waiter.answer


# spec: thread.wait
def join_blocking(graph: Graph, waiter: Waiter) -> Any:
    """`join` for a plain call, which another thread executes: this thread stands still until then."""
    if graph.listeners.any and (waiter.frame is None or not waiter.frame._sync):
        graph.listeners.tell()
    try:
        waiter.wakeup.block()
    except BaseException:
        _withdraw(graph, waiter)
        raise
    return waiter.answer


def _withdraw(graph: Graph, waiter: Waiter) -> None:
    """The caller does not wait any more; if it was to take over, another one is."""
    with graph.lock:
        # The waiters may have moved to another leader in the meantime; the list moved with them.
        flight = flight_of(waiter.node, waiter.at)
        if flight is not None and flight.waiters is not None and waiter in flight.waiters:
            flight.waiters.remove(waiter)
    if waiter.answer is LEAD and flight is not None and flight.leaderless:
        tell_leader(graph, flight)


# spec: cycle.tasks
# spec: thread.cycle
def find_cycle(flight: Frame, frame: Frame | None, through: Sequence[Node]) -> list[Frame | Node] | None:
    """The loop that would close if *frame* waited for *flight*: its calls, from the flight's to the frame's, or None.

    Walks from the frame to everything that needs its result: who called it, who waits for it, and so on. The caller
    holds `meeting` too, until it has enlisted.
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
def cycle_error(path: list[Frame | Node]) -> CycleError:
    """The error that all calls on the loop end with: its text does not depend on where the loop was entered.

    The caller does not hold the lock: arguments are compared by how they are written.
    """
    nodes = _without_detours([step.node if isinstance(step, Frame) else step for step in path])
    nodes = [node for node in nodes if node.ingredient.kind == "query"]
    calls = [(node.ingredient.name, node.ingredient.arguments(node.key)) for node in nodes]
    first = min(range(len(calls)), key=lambda place: (calls[place][0], short_repr(calls[place][1], 1000)))
    return CycleError(calls[first:] + calls[:first])


def mark_cycle(path: list[Frame | Node], at: Poisoned, error: CycleError) -> None:
    """Make every call on the loop end with *error*.

    A body that catches it does not change that: otherwise the answers would depend on which of the calls was asked
    first.
    """
    for step in path:
        if isinstance(step, Frame):
            if step.cycle is None and not step.finished:
                step.cycle = error
                note_cycle(step)
        else:
            if at.poison is None:
                at.poison = {}
            at.poison.setdefault(step, error)


def note_cycle(frame: Frame) -> None:
    """Have the call looked at again in each revision: what it read on the loop depends on where that was entered.

    It is noted where the loop was closed, so that a later verification asks nothing that comes behind.
    """
    frame.note(frame._graph.untracked_node("on a cycle"))


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
