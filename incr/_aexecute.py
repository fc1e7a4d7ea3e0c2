"""The async driver: `_execute` with the waits, for awaited queries. It runs under trio and under asyncio.

Law: between two awaits it only hands what `_verify` and `_outcome` decide to the loop.

Keeps: flight.single, flight.handover, loop.checkpoint, depth.async.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from incr._depth import stack_is_deep
from incr._execute import DEPTH_STEP, row, try_fly
from incr._flight import LEAD, find_cycle, fixed, flight_of, join, mark_cycle
from incr._frame import Frame
from incr._graph import CLOSED, At, Graph
from incr._loop import checkpoint, in_fresh_task
from incr._node import NEVER, Memo, Node
from incr._outcome import NOT_OUTCOMES, abandon, begin, conclude, failure, readable, take
from incr._running import put_back, running
from incr._verify import CYCLE, Steps, differs, verify, verify_as_of
from incr._view import View

__all__ = ["afetch"]


async def afetch(view: View, ingredient: Any, key: Any) -> Any:
    """The value of an `async def` query's call as of the view's revision, recorded as read."""
    reader, parent, at = view._enter()
    graph = view._graph
    if parent is not None and parent.cycle is not None and parent._graph is graph:
        raise parent.cycle  # the first loop that a call is on decides how it ends: it must not open another one
    node = row(graph, ingredient, key)
    if node.valid_from != NEVER or node.flight is not None or at.tables is CLOSED or _is_deep(parent):
        holder = await _pull(graph, node, at, parent)
    else:  # a new call: nothing to find out, and each coroutine less is a microsecond
        holder = await _run(begin(graph, at, node, parent, ()))
    if reader is not None and not reader.finished:
        reader._reads[node] = None
    if graph.listeners.any:
        graph.listeners.tell()
    return take(graph, node, holder)


async def _pull(graph: Graph, node: Node, at: At, parent: Frame | None) -> Node | Memo:
    at.users += 1
    try:
        while True:
            if at.tables is not CLOSED:
                if node.suspects is None and readable(graph, node):
                    return node
                if node.suspects is None or node.valid_from == NEVER or differs(node):
                    return await _fly(graph, node, at, parent, ())
                steps = verify(graph, node, at)
            else:
                found = graph.find(node, at.revision)
                if found is not None and readable(graph, found):
                    return found
                steps = verify_as_of(graph, node, at)
            holder = await _drive(steps, graph, node, at, parent)
            if holder is not None:
                return holder
    finally:
        graph.release(at)


async def _drive(steps: Steps, graph: Graph, root: Node, at: At, parent: Frame | None) -> Node | Memo | None:
    """Run what the steps ask for; the root's outcome if it was run, None if it was verified."""
    reply: Any = None
    while True:
        try:
            node, through = steps.send(reply)
        except StopIteration:
            return None
        if node is root:
            return await _fly(graph, node, at, parent, through)
        if node.ingredient.awaited:
            reply = await _try_fly(graph, node, at, parent, through)
        else:
            reply = try_fly(graph, node, at, parent, through)


async def _try_fly(graph: Graph, node: Node, at: At, parent: Frame | None, through: Sequence[Node]) -> Any:
    """Run or join the call for somebody who verifies; CYCLE if it is running already and waits for him."""
    flight = flight_of(node, at)
    if flight is None:
        return await _run_body(graph, node, at, parent, through)
    if find_cycle(flight, parent, through) is not None:
        return CYCLE
    answer = await join(graph, flight, parent, through)
    return await _run_body(graph, node, at, parent, through) if answer is LEAD else answer


async def _fly(graph: Graph, node: Node, at: At, parent: Frame | None, through: Sequence[Node]) -> Node | Memo:
    """Run or join the call for somebody who reads it.

    Raises:
        CycleError: it is running already and waits for him.
    """
    flight = flight_of(node, at)
    if flight is not None:
        path = find_cycle(flight, parent, through)
        if path is not None:
            raise mark_cycle(path, at)
    holder: Node | Memo = await _try_fly(graph, node, at, parent, through)
    return holder


async def _run_body(graph: Graph, node: Node, at: At, parent: Frame | None, through: Sequence[Node]) -> Node | Memo:
    """Execute the call and publish its outcome."""
    frame = begin(graph, at, node, parent, through)
    if not _is_deep(parent):
        return await _run(frame)
    try:
        holder: Memo = await in_fresh_task(lambda: _run_apart(frame))
        return holder
    finally:
        if not frame.finished:  # the task was cancelled before it had begun
            abandon(frame)


def _is_deep(parent: Frame | None) -> bool:
    """Whether the call is to go on in a fresh task."""
    return parent is not None and parent.depth % DEPTH_STEP == 0 and stack_is_deep()


async def _run_apart(frame: Frame) -> Memo:
    return fixed(await _run(frame))


async def _run(frame: Frame) -> Node | Memo:
    token = running.set(frame)
    outcome: Any
    try:
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
        put_back(token)
