"""The sync driver: bring a call up to date and give its value, running bodies in the caller's thread.

Law: this is `_aexecute` without the waits; whatever decides anything is in `_verify` and `_outcome`.

Keeps: memo.consistency, frame.bound, depth.sync, call.colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from incr._depth import in_fresh_thread, stack_is_deep
from incr._errors import call_text
from incr._flight import find_cycle, flight_of, mark_cycle
from incr._frame import Frame
from incr._graph import CLOSED, At, Graph
from incr._node import NEVER, Memo, Node
from incr._outcome import NOT_OUTCOMES, abandon, begin, conclude, failure, readable, take
from incr._running import running
from incr._verify import CYCLE, Steps, differs, verify, verify_as_of
from incr._view import View

__all__ = ["DEPTH_STEP", "fetch", "refuse_colour", "row", "run_body", "the_view", "try_fly"]

#: How many nested calls there are between two looks at the stack.
DEPTH_STEP = 16


def fetch(view: View, ingredient: Any, key: Any) -> Any:
    """The value of a plain `def` query's call as of the view's revision, recorded as read."""
    reader, parent, at = view._enter()
    graph = view._graph
    if parent is not None and parent.cycle is not None and parent._graph is graph:
        raise parent.cycle  # the first loop that a call is on decides how it ends: it must not open another one
    node = row(graph, ingredient, key)
    if node.hot and at.tables is not CLOSED:
        holder: Node | Memo = node
    elif node.valid_from == NEVER and node.flight is None and at.tables is not CLOSED:  # a new call
        holder = run_body(graph, node, at, parent, ())
    else:
        holder = _pull(graph, node, at, parent)
    if reader is not None:
        reader._reads[node] = None
    if graph.listeners.any:
        graph.listeners.tell()
    return take(graph, node, holder)


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
        node = graph.table(ingredient)[key] = Node(ingredient, key)
    return node


# spec: memo.consistency
def _pull(graph: Graph, node: Node, at: At, parent: Frame | None) -> Node | Memo:
    at.users += 1
    try:
        while True:
            if at.tables is not CLOSED:
                if node.suspects is None and readable(graph, node):
                    return node
                if node.suspects is None or node.valid_from == NEVER or differs(node):
                    return fly(graph, node, at, parent, ())
                steps = verify(graph, node, at)
            else:
                found = graph.find(node, at.revision)
                if found is not None and readable(graph, found):
                    return found
                steps = verify_as_of(graph, node, at)
            holder = _drive(steps, graph, node, at, parent)
            if holder is not None:
                return holder
    finally:
        graph.release(at)


def _drive(steps: Steps, graph: Graph, root: Node, at: At, parent: Frame | None) -> Node | Memo | None:
    """Run what the steps ask for; the root's outcome if it was run, None if it was verified."""
    reply: Any = None
    while True:
        try:
            node, through = steps.send(reply)
        except StopIteration:
            return None
        if node is root:
            return fly(graph, node, at, parent, through)
        reply = try_fly(graph, node, at, parent, through)


def try_fly(graph: Graph, node: Node, at: At, parent: Frame | None, through: Sequence[Node]) -> Any:
    """Run the call for somebody who verifies; CYCLE if it is running already and waits for him."""
    flight = flight_of(node, at)
    if flight is not None and find_cycle(flight, parent, through) is not None:
        return CYCLE
    return run_body(graph, node, at, parent, through)


def fly(graph: Graph, node: Node, at: At, parent: Frame | None, through: Sequence[Node]) -> Node | Memo:
    """Run the call for somebody who reads it.

    Raises:
        CycleError: it is running already and waits for him.
    """
    flight = flight_of(node, at)
    if flight is not None:
        path = find_cycle(flight, parent, through)
        if path is not None:
            raise mark_cycle(path, at)
    return run_body(graph, node, at, parent, through)


def run_body(graph: Graph, node: Node, at: At, parent: Frame | None, through: Sequence[Node]) -> Node | Memo:
    """Execute the call and publish its outcome."""
    if parent is not None and parent.depth % DEPTH_STEP == 0 and stack_is_deep():
        return _hop(graph, node, at, parent, through)
    return _run_body(graph, node, at, parent, through)


def _hop(graph: Graph, node: Node, at: At, parent: Frame, through: Sequence[Node]) -> Node | Memo:
    def go_on() -> Node | Memo:
        return _run_body(graph, node, at, parent, through)

    holder: Node | Memo = in_fresh_thread(go_on, parent.hops)
    return holder


# spec: frame.bound
def _run_body(graph: Graph, node: Node, at: At, parent: Frame | None, through: Sequence[Node]) -> Node | Memo:
    frame = begin(graph, at, node, parent, through)
    token = running.set(frame)
    began = perf_counter()
    outcome: Any
    try:
        try:
            outcome = node.ingredient.invoke(frame, node.key)
        except NOT_OUTCOMES:
            raise
        except Exception as error:
            outcome = failure(frame, error)
        return conclude(frame, outcome, perf_counter() - began)
    except BaseException:
        abandon(frame)
        raise
    finally:
        running.reset(token)


def refuse_colour(ingredient: Any, view: View, arguments: tuple[Any, ...]) -> None:
    """Raise if an awaited query is called where nothing can be awaited."""
    caller = view if isinstance(view, Frame) else running.get()
    if caller is not None and caller._sync and not caller.finished and caller._graph is view._graph:
        raise TypeError(
            f"{caller.node.label()} is a plain `def` query and cannot call the async query "
            f"{call_text(ingredient.name, arguments)}: make it `async def` and await the call"
        )
