"""Components: what the calls of a solved loop have read outside of it, as one node that all of them depend on.

The calls of a loop depend on each other, so links between their nodes would be a circle, and verification would walk
it for ever. Instead each of them depends on one node, the component, and that one on everything outside.

Law: all calls of a component are good for the same revisions, at any time. A call of a loop is never brought up to
date without the others: its body alone does not give its outcome.

Keeps: cycle.component.
"""

from __future__ import annotations

from typing import Any, Final, final

from incr._graph import CLOSED, At, Graph
from incr._node import NEVER, SCAN, Memo, Node, each_dependent, unlink

__all__ = [
    "forget_component",
    "is_component",
    "on_loop",
    "publish_component",
    "verified_component",
    "verified_component_as_of",
]

#: A label names so many calls at most.
_NAMED: Final = 6


@final
class _Components:
    """The table that components stand in, as far as their names are concerned; the key is the calls."""

    name = "cycle"
    kind = "component"
    index = -1

    def label(self, key: Any) -> str:
        calls = " -> ".join(node.label() for node in key[:_NAMED])
        return f"the cycle of {calls}{f' -> … ({len(key)} calls)' if len(key) > _NAMED else ''}"

    def arguments(self, key: Any) -> tuple[Any, ...]:
        return tuple(node.label() for node in key)


_COMPONENTS: Final = _Components()


def is_component(node: Node) -> bool:
    """Whether the node stands for the outside of a loop."""
    return node.ingredient is _COMPONENTS


def on_loop(node: Node) -> bool:
    """Whether the call's outcome was found together with those of a loop: its body alone does not give it again."""
    return len(node.dependencies) == 1 and node.dependencies[0].ingredient is _COMPONENTS


# spec: cycle.component
def publish_component(graph: Graph, at: At, members: tuple[Node, ...], outside: tuple[Node, ...], pushes: Any) -> Node:
    """A node for what *members*, solved at *at*, have read, and for what was pushed on the loop.

    It is linked if they can become current memos.
    """
    node = Node(_COMPONENTS, members)
    if at.tables is CLOSED:
        graph._publish_late(node, at, True, outside, False, pushes)
    else:
        graph._relink(node, outside)
        node.value, node.pushes = True, pushes
        node.changed_at = at.revision
        graph._settle(node, at.revision)
    if node.valid_to:
        graph.components[node] = None
    return node


def forget_component(graph: Graph, component: Node) -> None:
    """Nothing is known of the loop any more: what it depends on need not tell it."""
    if graph.kin is not None:
        graph.kin.relinked(component)
        for dependency in component.dependencies:
            graph.kin.doubted(component, dependency)
    graph._keep_current(component)
    for dependency in component.dependencies:
        unlink(dependency, component)
    component.dependencies, component.places = (), None
    component.valid_from, component.valid_to, component.suspects = NEVER, 0, SCAN
    graph.components.pop(component, None)
    if graph.collected is not None:
        graph.collected.drop(component)


def verified_component(graph: Graph, component: Node, revision: int, changed: bool) -> None:
    """Every dependency was looked at, and none, or one, has changed: so are all calls of the loop good, or none.

    One that has changed is never good again: its calls run, and find out for themselves what they are a loop with.
    """
    if changed:
        forget_component(graph, component)
        component.changed_at = revision
        graph._settle(component, revision)
        return
    graph._keep_current(component)
    graph._settle(component, revision)
    for node in each_dependent(component):
        graph.verified(node, revision)


def verified_component_as_of(graph: Graph, component: Node, at: At) -> None:
    """The component's dependencies were at *at*, a closed revision, what they were when it was solved."""
    if graph.kin is not None:
        graph.kin.complete(component)
    revision = at.revision
    memo = Memo(component.value, component.changed_at, revision, revision + 1, component.dependencies, component.pushes)
    graph.history.keep(component, memo)
    for node in each_dependent(component):
        if graph.find(node, at.revision) is None:
            graph.verified_as_of(node, at)
