"""The async driver: `_execute` with the waits, for awaited queries. It runs under trio and under asyncio.

Law: between two awaits it only hands what `_pull`, `_verify` and `_outcome` decide to the loop.

Keeps: flight.single, flight.handover, loop.checkpoint, depth.async.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any

from incr._concurrent import all_of
from incr._depth import DEPTH_STEP, stack_is_deep
from incr._execute import perform, row
from incr._flight import LEAD, Waiter, join
from incr._frame import Frame
from incr._graph import CLOSED, At, Graph
from incr._inside import begin_member
from incr._loop import checkpoint, in_fresh_task
from incr._node import EMPTY, Node
from incr._outcome import NOT_OUTCOMES, abandon, conclude, failure, take
from incr._pull import Group, Pull, pull_of
from incr._running import put_back, running
from incr._solve import Given, Solve
from incr._view import View

__all__ = ["afetch", "apull"]


async def afetch(view: View, ingredient: Any, key: Any) -> Any:
    """The value of an `async def` query's call as of the view's revision, recorded as read."""
    reader, parent, at = view._enter()
    graph = view._graph
    if parent is not None and parent.cycle is not None and parent._graph is graph:
        raise parent.cycle  # the first loop that a call is on decides how it ends: it must not open another one
    node = row(graph, ingredient, key)
    outcome = node.value if node.hot else EMPTY
    if outcome is EMPTY or at.tables is CLOSED:  # no other thread has written before the value was taken
        outcome = await apull(graph, node, at, parent)
    if reader is not None:
        reader.note(node)
    if graph.listeners.any:
        graph.listeners.tell()
    return take(graph, node, outcome)


async def apull(graph: Graph, node: Node, at: At, parent: Frame | None, above: Sequence[Node] = ()) -> Any:
    """`_execute.pull` for a call of either kind."""
    pulling = pull_of(graph, node, at, parent, above)
    try:
        pulling.open()
        while True:
            job = pulling.next()
            if job is None:
                return pulling.outcome
            if type(job) is Solve:
                await _settle(job)
                continue
            if type(job) is Group:
                await _bring_up_to_date(graph, job, at, parent)
                continue
            target = job.node
            if target.ingredient.awaited:
                outcome = await _perform(graph, pulling, job)
            else:
                outcome = perform(graph, pulling, job)
            if target is node:
                return outcome if type(outcome) is not Given else outcome.read_by(parent, node)
    finally:
        try:
            pulling.close()
        except BaseException:  # an interrupt, and nobody comes after this
            pulling.close()
            raise


# spec: map.groups
async def _bring_up_to_date(graph: Graph, group: Group, at: At, parent: Frame | None) -> None:
    """The members of the group at the same time; what comes of it is looked at by whoever verifies."""

    def puller(node: Node) -> Callable[[], Awaitable[Any]]:
        return lambda: apull(graph, node, at, parent, group.above)

    await all_of([puller(node) for node in group.members.nodes], group.members.limit)


async def _settle(solve: Solve) -> None:
    """Look for the values of a loop's calls: all of them are awaited, because a plain call cannot make such a one."""
    steps = solve.steps()
    reply: Any = None
    while True:
        try:
            node = steps.send(reply)
        except StopIteration:
            return
        reply = await _fly(begin_member(solve, node))


async def _perform(graph: Graph, pulling: Pull, job: Any) -> Any:
    """Run the body, or wait for the task that does; the outcome."""
    if type(job) is Waiter:
        outcome = await join(graph, job)
        if outcome is not LEAD:
            return outcome
        job = pulling.take_over(job)
    assert type(job) is Frame
    return await _fly(job)


async def _fly(frame: Frame) -> Any:
    """Execute the call and publish its outcome, which is returned."""
    parent = frame.parent
    if parent is None or parent.depth % DEPTH_STEP or not stack_is_deep():
        return await _run(frame)
    try:
        return await in_fresh_task(lambda: _run(frame))
    finally:
        if not frame.finished:  # the task was cancelled before it had begun
            abandon(frame)


async def _run(frame: Frame) -> Any:
    outcome: Any
    before = running.get()
    try:
        running.set(frame)
        await checkpoint()
        began = perf_counter()
        try:
            outcome = await frame.node.ingredient.invoke(frame, frame.node.key)
        except NOT_OUTCOMES:
            raise
        except Exception as error:
            outcome = failure(frame, error)
        return conclude(frame, outcome, perf_counter() - began)
    except BaseException:
        abandon(frame)
        raise
    finally:
        put_back(frame, before)
