"""Numbers about a database: how much it holds, and what happened to whose calls.

Keeps: statistics.counts, statistics.bytes, statistics.hits.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, final

from incr._counters import Counters
from incr._estimate import estimate, measure
from incr._graph import Graph
from incr._node import ABSENT, EMPTY, NEVER, Node, Stored
from incr._revision import Revision

__all__ = ["QueryStatistics", "Statistics", "statistics"]


@final
class QueryStatistics:
    """One query's numbers: `memos` and `edges` held, and how often in this process its calls were `executed`,
    `verified` (proved good without running), `backdated` (run, with the same outcome), `joined` (waited for by a
    second caller) and `cancelled`, and how many of their values were `evicted`."""

    __slots__ = (
        "backdated", "cancelled", "edges", "estimated_bytes", "evicted", "executed", "hits", "joined",
        "measured_bytes", "memos", "misses", "values", "verified",
    )  # fmt: skip

    def __init__(self, nodes: list[Node], counters: Counters, *, counts_hits: bool, sizes: bool) -> None:
        values = [node.value for node in nodes]
        values = [value for value in values if value is not EMPTY and type(value) is not Stored]
        self.memos = len(nodes)
        self.edges = sum(len(node.dependencies) for node in nodes)
        #: Memos whose values are in memory.
        self.values = len(values)
        self.executed = counters.executed
        self.verified = counters.verified
        self.backdated = counters.backdated
        self.joined = counters.joined
        self.cancelled = counters.cancelled
        self.evicted = counters.evicted
        #: Reads that found a good value, and reads that did not; None unless the database counts them.
        self.hits = counters.hits if counts_hits else None
        self.misses = counters.misses if counts_hits else None
        #: What the values take, each by itself, and all together; None if nobody asked.
        self.estimated_bytes = sum(map(estimate, values)) if sizes else None
        self.measured_bytes = measure(values) if sizes else None

    def __repr__(self) -> str:
        return f"QueryStatistics({', '.join(f'{name}={getattr(self, name)}' for name in sorted(self.__slots__))})"


@final
class Statistics:
    """A database's numbers at one moment. The sums over all queries are here, the parts in `queries`, by name."""

    __slots__ = (
        "edges", "evicted", "executed", "inputs", "interned", "kept", "memos", "pinned", "queries", "revision",
        "state_bytes", "verified",
    )  # fmt: skip

    def __init__(
        self,
        revision: Revision,
        inputs: int,
        interned: int,
        pinned: int,
        kept: int,
        state_bytes: int | None,
        queries: Mapping[str, QueryStatistics],
    ) -> None:
        self.revision = revision
        #: Records that are set.
        self.inputs = inputs
        #: Interned values.
        self.interned = interned
        #: Older revisions that snapshots and running calls are bound to.
        self.pinned = pinned
        #: Older outcomes that are kept for those.
        self.kept = kept
        #: About how many bytes inputs and interned values take; None if nobody asked.
        self.state_bytes = state_bytes
        self.queries = queries
        self.memos = sum(one.memos for one in queries.values())
        self.edges = sum(one.edges for one in queries.values())
        self.executed = sum(one.executed for one in queries.values())
        self.verified = sum(one.verified for one in queries.values())
        self.evicted = sum(one.evicted for one in queries.values())

    def __repr__(self) -> str:
        return f"Statistics({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


# spec: statistics.counts
# spec: statistics.bytes
# spec: statistics.hits
def statistics(graph: Graph, *, sizes: bool = False) -> Statistics:
    """Count; takes time in proportion to what the database holds, with *sizes* to all that its values hold."""
    records: list[Any] = []
    queries: dict[str, QueryStatistics] = {}
    for ingredient, table in zip(list(graph.ingredients), list(graph.tables), strict=False):
        if ingredient is None:
            continue
        if ingredient.kind == "input":
            records += [slot.value for slot in list(table.values()) if slot.value is not ABSENT]
        elif ingredient.kind == "query":
            nodes = [node for node in list(table.values()) if node.valid_from != NEVER or node.value is not EMPTY]
            queries[_free_name(ingredient, queries)] = QueryStatistics(
                nodes, graph.counters[ingredient], counts_hits=graph.counts_hits, sizes=sizes
            )
    interned = [value for instances in list(graph.interned.values()) for value in list(instances)]
    state_bytes = sum(map(estimate, records)) + sum(map(estimate, interned)) if sizes else None
    graph.history.settle()
    with graph.lock:
        kept = sum(len(pin.kept) for pin in graph.pins)
    return Statistics(
        Revision(graph.newest),
        len(records),
        len(interned),
        len(graph.pins),
        kept,
        state_bytes,
        MappingProxyType(queries),
    )


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
