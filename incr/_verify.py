"""Verification: what has to run before a call is known to be good, and nothing else.

The two generators here yield one call at a time that has to run, and are driven by two short loops, one sync, one
async (`_execute`, `_aexecute`). They use an explicit stack, so depth costs memory only.

Law: dependencies are taken in the order in which the body read them, and nothing behind the first changed one is
touched: a later one may not even exist if an earlier one took another branch. A wait may lie behind every yield, so
after each one every decision is made anew.

Keeps: memo.minimal, memo.order, memo.dynamic, error.handled.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any, Final, NamedTuple

from incr._collected import is_collection
from incr._component import is_component, verified_component, verified_component_as_of
from incr._graph import CLOSED, At, Graph
from incr._node import EMPTY, NEVER, SCAN, Memo, Node

__all__ = ["CYCLE", "Members", "Steps", "differs", "verify", "verify_as_of"]

#: The driver's answer if running the call would close a cycle: for whoever depends on it, that is a change.
CYCLE: Final[Any] = object()

#: More dependencies than this are not walked to bring a few suspects into order.
_WIDE: Final = 64


class Members(NamedTuple):
    """Calls of one group, in order, and how many of them may run at a time."""

    nodes: tuple[Node, ...]
    limit: int | None


#: Yields (call that has to run, the calls that are being verified: from the one that was asked for down to it).
#: The list is the generator's own; it stays as it is until the generator goes on. In place of the call there may be
#: several, which may be brought up to date at the same time, by whoever can do that.
Steps = Generator[tuple[Node | Members, list[Node]], Any, None]


# spec: memo.minimal
def verify(graph: Graph, root: Node, at: At, above: Sequence[Node]) -> Steps:
    """Make *root* good at *at*, the newest revision; ends early if a write closes it. The root is the last to run.

    *above* are the calls that are being verified by somebody who needs this one.
    """
    stack = [root]
    pending = [_in_order(root)]
    since = [root.valid_from]  # what the pending iterator was made for
    looked_at: list[Node | None] = [None]
    on_stack = {root, *above}
    offered: set[Node] = set()

    def pop() -> None:
        on_stack.discard(stack.pop())
        pending.pop()
        since.pop()
        looked_at.pop()

    changed = False
    while stack and at.tables is not CLOSED:
        node = stack[-1]
        if node.suspects is None:  # somebody else saw to it during a wait
            pop()
            changed = False
            continue
        if node.valid_from != since[-1]:
            pending[-1], since[-1], looked_at[-1] = _in_order(node), node.valid_from, None
        if not changed:
            found = _next_suspect(node, pending[-1], looked_at[-1])
            if found is not None and found.changed_at <= node.valid_from and found not in on_stack:
                looked_at[-1] = found
                if graph.groups and found not in offered:
                    members = _members(graph, node, found, on_stack)
                    if members is not None:
                        offered.update(members.nodes)
                        yield members, stack
                        continue
                if found in graph.folded:
                    graph.unfold(found)
                stack.append(found)
                pending.append(_in_order(found))
                since.append(found.valid_from)
                looked_at.append(None)
                on_stack.add(found)
                continue
            changed = found is not None or node.valid_from == NEVER
            if found is not None:
                node.cause = found
        if graph.components and is_component(node):
            verified_component(graph, node, at.revision, changed)
            pop()
            changed = False  # the call above, which is one of the loop, is good now, or sees what has changed
            continue
        if not changed and graph.collected is not None:
            changed = graph.collected.unsure(node)
        if not changed:
            graph.verified(node, at.revision)
            pop()
            continue
        # Whatever comes of it, the node is looked at again above: good, or its reader has to run too.
        changed = (yield node, stack) is CYCLE
        if changed:
            pop()


# spec: map.groups
def _members(graph: Graph, node: Node, found: Node, on_stack: set[Node]) -> Members | None:
    """The calls of the same group as *found* that may have changed too: the body has asked for all of them at once."""
    kept, suspects, dependencies = graph.groups.get(node), node.suspects, node.dependencies
    # A wide group must not be walked for one suspect.
    if kept is None or kept[0] is not dependencies or suspects is None or len(suspects) == 1:
        return None
    place = _place(node, found)
    for start, stop, limit in kept[1]:
        if start <= place < stop:
            if suspects is SCAN:
                behind = iter(dependencies[place:stop])
            else:
                behind = (one for one in _in_order(node) if place <= _place(node, one) < stop)
            nodes = tuple([one for one in behind if one.suspects is not None and one not in on_stack])
            return Members(nodes, limit) if len(nodes) > 1 else None
    return None


def _place(node: Node, dependency: Node) -> int:
    return node.dependencies.index(dependency) if node.places is None else node.places[dependency]


def differs(node: Node) -> bool:
    """Whether it takes no steps to know that the call has to run: the first that may have changed is good and has."""
    for dependency in _in_order(node):
        if dependency.suspects is not None:
            return False
        if dependency.changed_at > node.valid_from:
            node.cause = dependency
            return True
    return False


# spec: memo.order
def _in_order(node: Node) -> Iterator[Node]:
    """What may have changed, in the order in which the body read it."""
    suspects = node.suspects
    if suspects is SCAN or suspects is None:
        return iter(node.dependencies)
    if len(suspects) == 1:
        return iter(tuple(suspects))
    dependencies = node.dependencies
    if len(dependencies) <= _WIDE:
        listed = set(suspects)
        return iter([dependency for dependency in dependencies if dependency in listed])
    places = node.places
    if places is None:  # a wide root is asked often and runs seldom: it must not be walked for a few suspects
        places = node.places = {dependency: place for place, dependency in enumerate(dependencies)}
    return iter(sorted(suspects, key=places.__getitem__))


# spec: memo.dynamic
# spec: error.handled
def _next_suspect(node: Node, pending: Iterator[Node], last: Node | None) -> Node | None:
    """The next dependency that changed since the node was good, or that may have; None if there is none left."""
    if last is not None and (last.changed_at > node.valid_from or last.suspects is not None):
        return last
    valid_from = node.valid_from
    for dependency in pending:
        if dependency.changed_at > valid_from or dependency.suspects is not None:
            return dependency
    return None


def verify_as_of(graph: Graph, root: Node, at: At) -> Steps:
    """Find out whether *root*'s outcome was right at *at*, a closed revision; what is found goes into the history."""
    revision = at.revision
    stack = [root]
    places = [0]
    since = [root.valid_from]
    on_stack = {root}

    def pop() -> None:
        on_stack.discard(stack.pop())
        places.pop()
        since.pop()

    changed = False
    while stack:
        node = stack[-1]
        # Of the root the value is wanted; of what is below it, which may be dropped as soon as it is there, the stamps.
        if (graph.find(node, revision) if len(stack) == 1 else _stamps(graph, node, revision)) is not None:
            pop()
            changed = False
            continue
        if not changed:
            blocked = None
            changed = not NEVER < node.valid_from <= revision or node.valid_from != since[-1] or node.value is EMPTY
            if not changed:
                changed, blocked = _scan_as_of(graph, node, revision, places)
                if blocked is None and graph.collected is not None and is_collection(node):
                    changed = True  # something else may have been pushed below it, whatever was read
            if blocked is not None and blocked not in on_stack:
                if blocked in graph.folded:
                    graph.unfold(blocked)
                on_stack.add(blocked)
                stack.append(blocked)
                places.append(0)
                since.append(blocked.valid_from)
                continue
            changed = changed or blocked is not None
        if is_component(node):
            if not changed:
                verified_component_as_of(graph, node, at)
            else:
                pop()
            continue
        if not changed:
            graph.verified_as_of(node, at)
            continue
        changed = (yield node, stack) is CYCLE
        if changed:
            pop()


def _stamps(graph: Graph, node: Node, revision: int) -> Node | Memo | None:
    """Where it says when the outcome that is right at *revision* changed, whether or not the value is still there."""
    return node if node.valid_from <= revision < node.valid_to else graph.find(node, revision)


def _scan_as_of(graph: Graph, node: Node, revision: int, places: list[int]) -> tuple[bool, Node | None]:
    """Go on along the dependencies: (one differs, None), or (False, the call whose outcome is to be found first)."""
    dependencies = node.dependencies
    while places[-1] < len(dependencies):
        dependency = dependencies[places[-1]]
        found = _stamps(graph, dependency, revision)
        if found is None:
            return (False, dependency) if dependency.ingredient.kind in ("query", "component") else (True, None)
        if found.changed_at > node.valid_from:
            return True, None
        places[-1] += 1
    return False, None
