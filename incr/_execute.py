"""The sync driver: bring a call up to date and give its value, running bodies in the caller's thread.

Law: this is `_aexecute` without the awaits; whatever decides anything is in `_pull`, `_verify` and `_outcome`.

Keeps: memo.consistency, frame.bound, depth.sync, call.colour.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from incr._depth import DEPTH_STEP, in_fresh_thread, stack_is_deep
from incr._errors import call_text
from incr._flight import LEAD, Waiter, join_blocking
from incr._frame import Frame
from incr._graph import CLOSED, At, Graph
from incr._inside import begin_member
from incr._node import EMPTY, Node
from incr._outcome import NOT_OUTCOMES, abandon, conclude, failure, take
from incr._pull import Group, Pull, pull_of
from incr._running import running
from incr._solve import Given, Solve
from incr._view import View

__all__ = ["fetch", "perform", "pull", "refuse_colour", "row", "the_view"]


def fetch(view: View, ingredient: Any, key: Any) -> Any:
    """The value of a plain `def` query's call as of the view's revision, recorded as read."""
    reader, parent, at = view._enter()
    graph = view._graph
    if parent is not None and parent.cycle is not None and parent._graph is graph:
        raise parent.cycle  # the first loop that a call is on decides how it ends: it must not open another one
    node = row(graph, ingredient, key)
    outcome = node.value if node.hot else EMPTY
    if outcome is EMPTY or at.tables is CLOSED:  # no other thread has written before the value was taken
        outcome = pull(graph, node, at, parent)
    if reader is not None:
        reader.note(node)
    # Callbacks read what they like: that must not be what a plain call below on this stack is busy with.
    if graph.listeners.any and (parent is None or not parent._sync):
        graph.listeners.tell()
    return take(graph, node, outcome)


def the_view(view: Any, ingredient: Any) -> View:
    """*view* itself, if it is one."""
    if not isinstance(view, View):
        raise TypeError(
            f"{ingredient.name}() wants a database, a snapshot or a query's `db` as its first argument, "
            f"not {type(view).__name__}"
        )
    return view


def row(graph: Graph, ingredient: Any, key: Any) -> Node:
    """The call's node, made if this is the first time that it is asked."""
    try:
        table = graph.tables[ingredient.index]
    except IndexError:
        table = graph.table(ingredient)
    node: Node | None = table.get(key)
    if node is None:
        if graph.kin is not None and graph.kin.origin is not None:
            node = graph.kin.origin.call(ingredient, key)
            assert node is not None
            return node
        node = graph.table(ingredient).setdefault(key, Node(ingredient, key))  # another thread may have been faster
    return node


# spec: memo.consistency
def pull(graph: Graph, node: Node, at: At, parent: Frame | None) -> Any:
    """The outcome of a plain call at *at*, or at a newer revision if that was written over before anybody held it."""
    pulling = pull_of(graph, node, at, parent)
    try:
        pulling.open()
        while True:
            job = pulling.next()
            if job is None:
                return pulling.outcome
            if type(job) is Solve:
                settle(job)
                continue
            if type(job) is Group:
                continue  # here they come one after the other
            target = job.node
            outcome = run(job) if type(job) is Frame else perform(graph, pulling, job)
            if target is node:
                return outcome if type(outcome) is not Given else outcome.read_by(parent, node)
    finally:
        try:
            pulling.close()
        except BaseException:  # an interrupt, and nobody comes after this
            pulling.close()
            raise


def settle(solve: Solve) -> None:
    """Look for the values of a loop's calls."""
    steps = solve.steps()
    reply: Any = None
    while True:
        try:
            node = steps.send(reply)
        except StopIteration:
            return
        reply = run(begin_member(solve, node))


def perform(graph: Graph, pulling: Pull, job: Any) -> Any:
    """Run the body, or wait for the thread that does; the outcome."""
    if type(job) is Waiter:
        outcome = join_blocking(graph, job)
        if outcome is not LEAD:
            return outcome
        job = pulling.take_over(job)
    assert type(job) is Frame
    return run(job)


def run(frame: Frame) -> Any:
    """Execute the call and publish its outcome, which is returned."""
    parent = frame.parent
    if parent is None or parent.depth % DEPTH_STEP or not stack_is_deep():
        return _run(frame)
    try:
        return in_fresh_thread(lambda: _run(frame), frame.hops)
    finally:
        if not frame.finished:  # there are no more threads
            abandon(frame)


# spec: frame.bound
def _run(frame: Frame) -> Any:
    outcome: Any
    before = running.get()
    try:
        running.set(frame)
        began = perf_counter()
        try:
            outcome = frame.node.ingredient.invoke(frame, frame.node.key)
        except NOT_OUTCOMES:
            raise
        except Exception as error:
            outcome = failure(frame, error)
        return conclude(frame, outcome, perf_counter() - began)
    except BaseException:
        abandon(frame)
        raise
    finally:
        running.set(before)


def refuse_colour(ingredient: Any, view: View, arguments: tuple[Any, ...]) -> None:
    """Raise if an awaited query is called where nothing can be awaited."""
    caller = view if isinstance(view, Frame) else running.get()
    if caller is not None and caller._sync and not caller.finished and caller._graph is view._graph:
        raise TypeError(
            f"{caller.node.label()} is a plain `def` query and cannot call the async query "
            f"{call_text(ingredient.name, arguments)}: make it `async def` and await the call"
        )
