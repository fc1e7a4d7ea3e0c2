"""Numbers about a database: how much it holds, and what happened to whose calls.

Keeps: statistics.counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, final

from incr._graph import Graph
from incr._node import ABSENT, EMPTY, NEVER
from incr._revision import Revision

__all__ = ["QueryStatistics", "Statistics", "statistics"]


@final
class QueryStatistics:
    """One query's numbers: `memos` and `edges` held, and how often in this process its calls were `executed`,
    `verified` (proved good without running), `backdated` (run, with the same outcome), `joined` (waited for by a
    second caller) and `cancelled`."""

    __slots__ = ("backdated", "cancelled", "edges", "executed", "joined", "memos", "verified")

    def __init__(
        self, memos: int, edges: int, executed: int, verified: int, backdated: int, joined: int, cancelled: int
    ) -> None:
        self.memos = memos
        self.edges = edges
        self.executed = executed
        self.verified = verified
        self.backdated = backdated
        self.joined = joined
        self.cancelled = cancelled

    def __repr__(self) -> str:
        return f"QueryStatistics({', '.join(f'{name}={getattr(self, name)}' for name in sorted(self.__slots__))})"


@final
class Statistics:
    """A database's numbers at one moment. The sums over all queries are here, the parts in `queries`, by name."""

    __slots__ = ("edges", "executed", "inputs", "interned", "memos", "pinned", "queries", "revision", "verified")

    def __init__(
        self, revision: Revision, inputs: int, interned: int, pinned: int, queries: Mapping[str, QueryStatistics]
    ) -> None:
        self.revision = revision
        #: Records that are set.
        self.inputs = inputs
        #: Interned values.
        self.interned = interned
        #: Older revisions that snapshots and running calls are bound to.
        self.pinned = pinned
        self.queries = queries
        self.memos = sum(one.memos for one in queries.values())
        self.edges = sum(one.edges for one in queries.values())
        self.executed = sum(one.executed for one in queries.values())
        self.verified = sum(one.verified for one in queries.values())

    def __repr__(self) -> str:
        return f"Statistics({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


# spec: statistics.counts
def statistics(graph: Graph) -> Statistics:
    """Count; takes time in proportion to what the database holds."""
    inputs = 0
    queries: dict[str, QueryStatistics] = {}
    for ingredient, table in zip(list(graph.ingredients), list(graph.tables), strict=False):
        if ingredient is None:
            continue
        if ingredient.kind == "input":
            inputs += sum(slot.value is not ABSENT for slot in list(table.values()))
        elif ingredient.kind == "query":
            nodes = [node for node in list(table.values()) if node.valid_from != NEVER or node.value is not EMPTY]
            edges = sum(len(node.dependencies) for node in nodes)
            counters = graph.counters[ingredient]
            queries[_free_name(ingredient, queries)] = QueryStatistics(
                len(nodes),
                edges,
                counters.executed,
                counters.verified,
                counters.backdated,
                counters.joined,
                counters.cancelled,
            )
    interned = sum(map(len, graph.interned.values()))
    return Statistics(Revision(graph.newest), inputs, interned, len(graph.pins), MappingProxyType(queries))


def _free_name(ingredient: Any, taken: Mapping[str, QueryStatistics]) -> str:
    """The query's name; where others have it too, with its place, and where that is not enough, with a number."""
    if ingredient.name not in taken:
        name: str = ingredient.name
        return name
    identity: str = ingredient.identity
    name, number = identity, 2
    while name in taken:
        name, number = f"{identity}#{number}", number + 1
    return name
