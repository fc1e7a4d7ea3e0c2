"""In which order the members of a component take their turns in a round, from who has used whom.

Law: the order among calls that use no others but each other does not depend on which other calls are members too.
A call comes after those that it has used, except where that goes round in a loop; each loop begins at its first
member, and is gone round the other way in every other round.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

__all__ = ["groups", "in_turn"]

N = TypeVar("N")

Edges = Mapping[N, Iterable[N]]


def in_turn(edges: Edges[N], *, back: bool) -> list[N]:
    """All nodes in their order; *edges* has them with what each one has used, the first members first.

    *back* turns each loop round: what goes along it one way in one round goes the other way in the next.
    """
    order: list[N] = []
    for group in groups(edges):
        inside = {node: [other for other in edges[node] if other in group] for node in group}
        first = next(iter(group))
        turn = list(_used_first(first, inside))
        order += reversed(turn) if back else turn
    return order


def _used_first(first: N, edges: Edges[N]) -> Iterator[N]:
    """The nodes that can be reached from *first*, each behind those that it leads to."""
    seen = {first}
    stack = [(first, iter(edges[first]))]
    while stack:
        node, rest = stack[-1]
        for other in rest:
            if other not in seen:
                seen.add(other)
                stack.append((other, iter(edges[other])))
                break
        else:
            stack.pop()
            yield node


def groups(edges: Edges[N]) -> Iterator[dict[N, None]]:
    """The groups of nodes that lead to each other, those before that others lead to, each in the order of *edges*.

    Tarjan, "Depth-first search and linear graph algorithms" (1972), with a stack of its own.
    """
    numbers: dict[N, int] = {}
    lows: dict[N, int] = {}
    place = {node: number for number, node in enumerate(edges)}
    path: list[N] = []
    done: set[N] = set()
    for root in edges:
        if root in numbers:
            continue
        stack = [(root, iter(edges[root]))]
        numbers[root] = lows[root] = len(numbers)
        path.append(root)
        while stack:
            node, rest = stack[-1]
            for other in rest:
                if other not in numbers:
                    numbers[other] = lows[other] = len(numbers)
                    path.append(other)
                    stack.append((other, iter(edges[other])))
                    break
                if other not in done:
                    lows[node] = min(lows[node], numbers[other])
            else:
                stack.pop()
                if stack:
                    lows[stack[-1][0]] = min(lows[stack[-1][0]], lows[node])
                if lows[node] == numbers[node]:
                    start = path.index(node)
                    group = path[start:]
                    del path[start:]
                    done.update(group)
                    yield dict.fromkeys(sorted(group, key=place.__getitem__))
