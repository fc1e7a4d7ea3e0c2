"""What an execution leaves behind: the steps that both drivers share before and after the body.

Law: what must not be interrupted is here, and has no await. The one place where user code is called is the
comparison of two values: without the lock, and before anything changes.

Keeps: memo.backdate, memo.equality, memo.shared, error.outcome, error.note, error.traceback, error.interrupt.
"""

from __future__ import annotations

import os
from typing import Any

from incr._errors import MutatedValueError
from incr._events import QueryCancelled
from incr._exact import same, same_error
from incr._flight import claim, hand_over, land, note_cycle, tell_all, tell_leader
from incr._frame import Frame
from incr._graph import CLOSED, At, Graph
from incr._node import EMPTY, RESERVED, Failure, Node, Stored
from incr._pushes import BARRED, weigh

__all__ = ["NOT_OUTCOMES", "abandon", "begin", "conclude", "failure", "is_unchanged", "same_outcome", "take"]

#: These speak of the machine, not of the inputs: they propagate, and nothing is stored.
NOT_OUTCOMES = (RecursionError, MemoryError)

_HERE = os.path.dirname(__file__) + os.sep


class _Note(str):
    """The line that says in which call an exception first came up; a type of its own, to find it again."""

    __slots__ = ()


def begin(frame: Frame) -> None:
    """Claim the call's flight for the frame. The caller holds the lock."""
    at = frame.at
    if at.poison is not None:
        frame.cycle = at.poison.get(frame.node)
        if frame.cycle is not None:
            note_cycle(frame)
    at.users, frame.held = at.users + 1, at
    claim(frame)


def conclude(frame: Frame, outcome: Any, seconds: float) -> Any:
    """Publish what the body gave, wake those who wait, and end the frame. Returns the outcome for everybody."""
    if frame.part is not None:
        return frame.part.conclude(frame, outcome, seconds)
    graph, node, at = frame._graph, frame.node, frame.at
    lock = graph.lock
    while True:
        cycle, before, valid_from = frame.cycle, node.value, node.valid_from
        if cycle is not None:
            outcome = Failure(cycle, cycle.__traceback__)
            pushes: Any = BARRED
        else:
            pushes = None if frame.pushes is None else weigh(node.pushes, frame.pushes)
        unchanged = is_unchanged(node, at, before, outcome)
        try:
            lock.acquire()  # a `with` costs three times as much
            if node.value is not before or node.valid_from != valid_from or frame.cycle is not cycle:
                continue  # another thread was here while the values were compared
            dependencies = dependencies_of(frame) if frame.groups else tuple(frame._reads)
            outcome = graph.publish(node, at, outcome, dependencies, unchanged, pushes, ran=True)
            if graph.groups or frame.groups:
                _keep_groups(frame, dependencies)
            node.cost = seconds
            node.ran_at = at.revision
            if at.tables and frame.held is at:  # nobody has written: there is nothing that only this call needed
                at.users, frame.held = at.users - 1, None
            else:
                graph.release(frame)
            waiters = land(frame)
            if graph.memory is not None:
                graph.memory.landed(node)
            break
        finally:
            try:  # noqa: SIM105  # an interrupt may come while the lock is waited for; `suppress` takes too long
                lock.release()
            except RuntimeError:
                pass
    if waiters:
        tell_all(waiters, outcome)
    if graph.checks is not None:
        graph.checks.note(node)
    return outcome


# spec: map.order
def dependencies_of(frame: Frame) -> tuple[Node, ...]:
    """What the call has read."""
    reads: dict[Node, Any] = frame._reads
    if not frame.groups:
        return tuple(reads)
    # A task that the body has left behind may still be making calls. (Copied first: threads may read on meanwhile.)
    return tuple([node for node, mark in list(reads.items()) if mark is not RESERVED])


# spec: map.groups
def _keep_groups(frame: Frame, dependencies: tuple[Node, ...]) -> None:
    """Remember the groups with the call's dependencies, if those are what was published. The caller holds the lock."""
    graph, node = frame._graph, frame.node
    if not (frame.groups or node in graph.groups) or node.dependencies != dependencies:
        return  # or they are of another execution, whose groups are kept
    stretches: list[tuple[int, int, int | None]] = []
    for members, limit in frame.groups:
        read = tuple([member for member in members if frame._reads.get(member, RESERVED) is not RESERVED])
        if len(read) > 1:
            start = dependencies.index(read[0])
            if dependencies[start : start + len(read)] == read:
                stretches.append((start, start + len(read), limit))
    if stretches:
        graph.groups[node] = node.dependencies, tuple(stretches)
    else:
        graph.groups.pop(node, None)


# spec: error.interrupt
def abandon(frame: Frame) -> None:
    """The body ended without an outcome: the memo stays as it was, and a follower takes over if there is one."""
    if frame.finished:
        return  # it was published: what came up came behind that
    graph, node = frame._graph, frame.node
    with graph.lock:
        graph.counters[node.ingredient].cancelled += 1
        if graph.listeners.any:
            graph.listeners.emit(QueryCancelled(node.ingredient.name, node.ingredient.arguments(node.key)))
        if frame.part is None:
            graph.release(frame)
            hand_over(frame)
            if graph.memory is not None:
                graph.memory.landed(node)
    if frame.part is not None:
        frame.part.abandon(frame)
    tell_leader(graph, frame)
    if graph.listeners.any:
        graph.listeners.tell()


# spec: memo.backdate
def is_unchanged(node: Node, at: At, before: Any, outcome: Any) -> bool:
    """Whether the outcome is the same as the memo's current one, so that nothing that used that has to run."""
    if node.valid_from > at.revision and at.tables is CLOSED:
        return False  # the current one is newer: not the one before this
    if type(before) is Stored:
        before = before.decode()
    if before is EMPTY:
        return False
    equal = node.ingredient.equal
    if equal is None and type(before) is not Failure and type(outcome) is not Failure:
        return same(before, outcome)  # the usual case, without a call
    return same_outcome(before, outcome, equal)


def same_outcome(before: Any, outcome: Any, equal: Any) -> bool:
    """Whether two outcomes are the same by a query's `eq`."""
    if type(before) is Failure or type(outcome) is Failure:
        return type(before) is type(outcome) and same_error(before.error, outcome.error)
    if equal is None:
        return same(before, outcome)
    if equal is False:
        return False
    try:
        return equal(before, outcome) is True
    except Exception:
        return False


# spec: error.outcome
def failure(frame: Frame, error: Exception) -> Failure:
    """An exception as an outcome: with its traceback from the body on, and a note that names the call, once."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith((_HERE, "<incr ")):
        traceback = traceback.tb_next
    # spec: error.note
    if not any(type(note) is _Note for note in getattr(error, "__notes__", ())):
        error.add_note(_Note(f"in the query call {frame.node.label()}"))
    return Failure(error, traceback)


def take(graph: Graph, node: Node, value: Any) -> Any:
    """The value of an outcome; an outcome that is an exception is raised."""
    if type(value) is Failure:
        value.throw()
    # spec: memo.shared
    if graph.checks is not None and not graph.checks.intact(node):
        raise MutatedValueError(
            f"the value of {node.label()} was changed in place after the call had returned it; memoised values are "
            "shared: return an immutable one (a tuple, a frozenset, a frozen data class) or copy it before changing it"
        )
    return value
