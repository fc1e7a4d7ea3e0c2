"""The first run of a call: the short way through the drivers for a call that has no node yet.

A cold start consists of first runs, so they are worth a way of their own: there is nothing to verify, to compare or
to unlink. Compiled wrappers (`_signature`) call the body between `begin_first` and `end_first`, so that a
nested call costs two Python frames of stack.

Law: this decides nothing that `_execute`, `_aexecute` and `_outcome` would decide otherwise; whatever is unusual
(somebody listens, waits, has written meanwhile, a cycle, a deep stack) is left to them.

Keeps: memo.consistency, error.outcome, error.interrupt.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from incr._depth import DEPTH_STEP, stack_is_deep
from incr._flight import hand_over, leave, tell_leader
from incr._frame import Frame
from incr._graph import CLOSED
from incr._node import NEVER, Node
from incr._outcome import NOT_OUTCOMES, abandon, conclude, failure, take
from incr._running import running

__all__ = ["begin_first", "end_first", "fail_first"]


def begin_first(view: Any, ingredient: Any, key: Any) -> Frame | None:
    """A running frame for a call that nobody has made before, or None where it takes more to find out what to do.

    Raises:
        LookupError, TypeError, AttributeError: as the look-ups of a hit do; nothing is changed then.
    """
    at = view._at
    tables = at.tables
    if not tables or at.poison is not None:
        return None
    index = ingredient.index
    table = tables[index]
    if key in table:
        return None
    graph = view._graph
    if graph.ingredients[index] is not ingredient or graph.listeners.any or graph.cool:
        return None
    kin = graph.kin
    if ingredient.recovery is not None or (kin is not None and ingredient not in kin.fresh and kin.knows(ingredient)):
        return None
    parent: Frame | None = None
    if view._reads is not None:
        parent = view
        if view.cycle is not None or view.part is not None or (not view.depth % DEPTH_STEP and stack_is_deep()):
            return None
    elif running.get() is not None:
        return None
    node = Node(ingredient, key)
    frame = node.flight = Frame(graph, at, node, parent, ())
    lock = graph.lock
    try:
        if table.setdefault(key, node) is not node:
            return None  # another thread was faster
        try:
            lock.acquire()  # a `with` costs three times as much
            if at.tables is CLOSED and not at.users:
                leave(frame)  # another thread has written before anybody held this revision
                return None
            at.users, frame.held = at.users + 1, at
        finally:
            try:  # noqa: SIM105  # an interrupt may come while the lock is waited for; `suppress` takes too long
                lock.release()
            except RuntimeError:
                pass
        frame.token = running.set(frame)
        frame.began = perf_counter()
        return frame
    except BaseException:  # an interrupt, and nobody has the frame yet who could give it up
        if running.get() is frame:
            running.set(parent)
        with graph.lock:
            graph.release(frame)
            hand_over(frame)
        tell_leader(graph, frame)
        raise


def end_first(frame: Frame, value: Any) -> Any:
    """Publish what the body gave, end the frame, note the read in the caller's; returns the value."""
    seconds = perf_counter() - frame.began
    graph, node, at, parent = frame._graph, frame.node, frame.at, frame.parent
    lock = graph.lock
    try:
        lock.acquire()
        # Nobody compares values here (`begin_first` saw to that), and the first flight of a call has none behind it.
        usual = not (
            not at.tables
            or node.flight is not frame
            or node.valid_from != NEVER
            or frame.waiters is not None
            or frame.cycle is not None
            or frame.pushes is not None
            or frame.groups
            or (graph.kin is not None and node.ingredient not in graph.kin.fresh)
            or graph.listeners.any
        )
        if usual:
            graph.publish_first(node, at.revision, value, tuple(frame._reads))
            node.cost = seconds
            at.users, frame.held = at.users - 1, None
            node.flight = None
            frame.finish()
    finally:
        try:  # noqa: SIM105  # an interrupt may come while the lock is waited for; `suppress` takes too long
            lock.release()
        except RuntimeError:
            pass
    if not usual:
        return _end(frame, value, seconds)
    token, frame.token = frame.token, None
    running.reset(token)
    if parent is not None:
        reads = parent._reads
        if reads is not None:  # `Frame.note`
            reads[node] = None
    return value


def fail_first(frame: Frame, error: BaseException) -> None:
    """The body raised: raises the outcome; returns, the call being abandoned, if *error* is none."""
    if frame.token is None:
        return  # it came up behind the end of the call
    if isinstance(error, Exception) and not isinstance(error, NOT_OUTCOMES):
        _end(frame, failure(frame, error), perf_counter() - frame.began)
    _leave(frame)


def _end(frame: Frame, outcome: Any, seconds: float) -> Any:
    graph, node, parent = frame._graph, frame.node, frame.parent
    try:
        outcome = conclude(frame, outcome, seconds)
    finally:
        _leave(frame)
    if parent is not None:
        parent.note(node)
    if graph.listeners.any and (parent is None or not parent._sync):
        graph.listeners.tell()
    return take(graph, node, outcome)


def _leave(frame: Frame) -> None:
    if not frame.finished:
        abandon(frame)
    if frame.token is not None:
        token, frame.token = frame.token, None
        try:
            running.reset(token)
        except ValueError:
            return  # closed from outside of its task, whose context is gone: there is nothing to put back
