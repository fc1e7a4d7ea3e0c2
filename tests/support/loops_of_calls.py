"""Graphs of calls with loops in them, and what each gives: its value, or the error of a loop that is really there."""

from __future__ import annotations

import incr

__all__ = ["CATCHING", "NAMES", "Edges", "Graph", "check"]

#: Lower-case calls may form loops. Upper-case ones call them, catch the error, and are never called by them.
NAMES = "abcdef"
CATCHING = "XYZ"
Graph = dict[str, str]


@incr.input
class Edges:
    name: str = incr.key()
    calls: str


def reachable(graph: Graph, name: str) -> set[str]:
    """What the call makes, directly or not."""
    found = set[str]()
    stack = [name]
    while stack:
        for callee in graph[stack.pop()]:
            if callee not in found:
                found.add(callee)
                stack.append(callee)
    return found


def on_loop(graph: Graph) -> set[str]:
    """The calls that need their own results."""
    return {name for name in graph if name in reachable(graph, name)}


def from_scratch(graph: Graph, name: str) -> int | None:
    """The value, or None for a `CycleError`."""
    if name not in CATCHING and ({name} | reachable(graph, name)) & on_loop(graph):
        return None
    return 1 + sum(from_scratch(graph, callee) or 0 for callee in graph[name])


def check(graph: Graph, name: str, outcome: int | incr.CycleError) -> None:
    """Assert that the outcome is right for the graph, the path of the error too."""
    expected = from_scratch(graph, name)
    if not isinstance(outcome, incr.CycleError):
        assert outcome == expected, f"{name} is {outcome}, from scratch {expected}: {graph}"
        return
    assert expected is None, f"{name} is {outcome}, from scratch {expected}: {graph}"
    path = [str(arguments[1]) for _, arguments in outcome.path]
    assert len(set(path)) == len(path)
    for caller, callee in zip(path, [*path[1:], path[0]], strict=True):
        assert callee in graph[caller], f"{path} is no loop of {graph}"
    assert set(path) <= {name} | reachable(graph, name)
    assert path[0] == min(path)
    ring = reachable(graph, path[0]) & {other for other in graph if path[0] in reachable(graph, other)}
    if all(len(set(graph[other]) & ring) == 1 for other in ring):  # one loop only: there is no choice
        assert set(path) == ring, f"{path} is not all of {ring}"
