"""The dependency graph as a networkx graph, for looking at it and for analysis.

Keeps: graph.export.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from incr._database import Database
from incr._graph import Graph
from incr._node import ABSENT, EMPTY, NEVER, Failure, Node

if TYPE_CHECKING:
    import networkx

__all__ = ["graph"]


# spec: graph.export
def graph(db: Database, /) -> networkx.DiGraph[str]:
    """The dependency graph: an edge leads from a call to each thing that it read, numbered by `order`.

    Nodes are named as a reader would write them (``words('a')``, ``Source['a']``) and carry `kind` ("query", "input",
    "presence", "keys", "untracked", or "component" for what the calls of a loop have read outside of it), `name`,
    `arguments`, `changed_at` and `verified_at` (revisions), `state`
    ("good", "suspect", "absent" or "without value"; "failed" for a call that raised), and for calls `seconds`, what
    the last execution took with the calls in it, 0.0 if it did not run in this process.

    Takes time and memory in proportion to the database (about 3 µs and 170 bytes an edge).
    """
    import networkx  # 200 ms that a program which never asks need not pay

    found: networkx.DiGraph[str] = networkx.DiGraph()
    calls = []
    for node, dependencies, attributes in _capture(db._graph):
        label = node.label()
        calls.append((label, dependencies))
        found.add_node(label, **_named(node), **attributes)
    for label, dependencies in calls:
        for order, dependency in enumerate(dependencies):
            name = dependency.label()
            if dependency.ingredient.kind not in ("query", "input"):
                found.add_node(name, **_named(dependency), **_stamps(dependency))
            found.add_edge(label, name, order=order)
    return found


def _capture(graph: Graph) -> list[tuple[Node, tuple[Node, ...], dict[str, Any]]]:
    """The rows as they are at one moment; naming them runs the program's code, so that comes later."""
    with graph.lock:
        graph.current()
        nodes = [node for table in graph.tables for node in list(table.values())]
        nodes += graph.components
        return [
            (node, node.dependencies, _stamps(node))
            for node in nodes
            if node.ingredient.kind != "query" or node.valid_from != NEVER or node.value is not EMPTY
        ]


def _named(node: Node) -> dict[str, Any]:
    ingredient = node.ingredient
    return {"kind": ingredient.kind, "name": ingredient.name, "arguments": ingredient.arguments(node.key)}


def _stamps(node: Node) -> dict[str, Any]:
    return {
        "changed_at": max(node.changed_at, 0),
        "verified_at": max(node.valid_from, 0),
        "state": _state(node),
        "seconds": node.cost,
    }


def _state(node: Node) -> str:
    if node.suspects is not None:
        return "suspect"
    if node.value is ABSENT:
        return "absent"
    if node.value is EMPTY:
        return "without value"
    return "failed" if type(node.value) is Failure else "good"
