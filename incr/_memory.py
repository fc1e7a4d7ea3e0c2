"""Memory: whose value is dropped when there are more values than the program wants.

SIEVE (Zhang et al., NSDI 2024): values stand in the order in which they came. A hand goes from old to new and round
again; it drops the first value that was not visited since it last passed by, and takes the visit from the others. Here
a visit costs a hit nothing. The bit is `node.hot`: the hand *cools* a node, and the next read, which takes the slow
path because of that, finds the value good and warms it. A new value starts cool. (Errors are never hot: their visits
are noted in a set.)

Law: only values go. Stamps, dependencies and suspicion stay, so a call without a value is verified like any other, and
nothing that used it has to look again. The lock is held; nothing of the program runs here.

Keeps: memory.lru, memory.limit, memory.sieve, memory.evicted, memory.untracked.
"""

from __future__ import annotations

from typing import Any, Final, final

from incr._estimate import estimate
from incr._events import QueryEvicted
from incr._listeners import Listeners
from incr._node import EMPTY, Memo, Node, Stored

__all__ = ["Memory", "Sieve", "limited", "meet"]

#: So many places that are empty are left in the order.
_SLACK: Final = 16


@final
class Sieve:
    """An order of values with a hand. What a value weighs is up to the owner; the weights are limited."""

    __slots__ = ("_hand", "_order", "_visited", "entries", "limit", "total")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        #: What the values weigh together.
        self.total = 0
        #: Each node's place in the order, its value and what that weighs.
        self.entries: dict[Node, tuple[int, Any, int]] = {}
        #: From old to new; None where one has gone.
        self._order: list[Node | None] = []
        self._hand = 0
        #: Nodes that were visited and whose values hits do not take.
        self._visited: set[Node] = set()

    def enter(self, node: Node, value: Any, weight: int) -> None:
        """Put a new value at the end, not visited yet."""
        self._order.append(node)  # first: without an entry the hand passes over it
        self.entries[node] = (len(self._order) - 1, value, weight)
        self.total += weight
        node.hot = False

    def replace(self, node: Node, value: Any, weight: int) -> None:
        """The node has another value now; it stays where it is."""
        place, _, before = self.entries[node]
        self.entries[node] = (place, value, weight)
        self.total += weight - before

    def visit(self, node: Node) -> None:
        """The value was read. If hits may take it, it is hot by now."""
        if not node.hot:
            self._visited.add(node)

    def remove(self, node: Node) -> None:
        """The node has no value any more."""
        entry = self.entries.pop(node, None)
        if entry is None:
            return
        place, _, weight = entry
        self._order[place] = None
        self.total -= weight
        self._visited.discard(node)
        if len(self._order) > 2 * len(self.entries) + _SLACK:
            self._close_gaps()

    def _close_gaps(self) -> None:
        hand = sum(node is not None for node in self._order[: self._hand])
        order = [node for node in self._order if node is not None]
        for place, node in enumerate(order):
            _, value, weight = self.entries[node]
            self.entries[node] = (place, value, weight)
        self._hand = hand if hand < len(order) else 0
        self._order[:] = order
        self.total = sum(weight for _, _, weight in self.entries.values())

    # spec: memory.sieve
    def victim(self) -> Node | None:
        """Move the hand to a value that may go; None if all of them are being compared with new ones."""
        order = self._order
        for _ in range(2 * len(order)):
            if self._hand >= len(order):
                self._hand = 0
            place, node = self._hand, order[self._hand]
            self._hand = place + 1 if place + 1 < len(order) else 0
            if node is None or node.flight is not None or self.entries.get(node, (-1,))[0] != place:
                continue
            if not node.hot and node not in self._visited:
                return node
            node.hot = False  # a node may be in both: the visits of a value that no hit could take stay noted
            self._visited.discard(node)
        return None


@final
class Memory:
    """The limits of one database."""

    __slots__ = ("_kept", "_kept_bytes", "_overall", "_queries", "counters", "listeners")

    def __init__(self, listeners: Listeners, counters: dict[Any, Any]) -> None:
        self.listeners = listeners
        self.counters = counters
        #: The sieves of queries that have a limit of their own; that of all values together.
        self._queries: dict[Any, Sieve] = {}
        self._overall: Sieve | None = None
        #: What is kept for snapshots, in bytes: counted if there is a limit for all.
        self._kept: dict[Memo, int] = {}
        self._kept_bytes = 0

    def limit_query(self, ingredient: Any) -> None:
        """Keep at most ``lru`` values of the query."""
        self._queries.setdefault(ingredient, Sieve(ingredient.lru))

    def limit_all(self, limit: int) -> None:
        """Keep at most *limit* bytes."""
        self._overall = Sieve(limit)

    def forget(self, counters: dict[Any, Any]) -> None:
        """All nodes are new: a file was loaded."""
        self.counters = counters
        self._queries = {
            ingredient: Sieve(ingredient.lru)
            for ingredient in counters
            if ingredient.kind == "query" and ingredient.lru is not None
        }
        if self._overall is not None:
            self._overall = Sieve(self._overall.limit)

    # spec: memory.lru
    # spec: memory.limit
    def warmed(self, node: Node) -> None:
        """The node has been given a value, was found good, or was read."""
        value = node.value
        own = self._queries.get(node.ingredient)
        if own is not None:
            self._see(own, node, value)
        if self._overall is not None:
            self._see(self._overall, node, value)

    def landed(self, node: Node) -> None:
        """The call does not run any more: what there was too much of, because values were not dropped, may go now."""
        for sieve in (self._queries.get(node.ingredient), self._overall):
            if sieve is not None:
                self._make_room(sieve, 0)

    def _see(self, sieve: Sieve, node: Node, value: Any) -> None:
        entry = sieve.entries.get(node)
        if value is EMPTY or type(value) is Stored or _has_to_stay(node):
            sieve.remove(node)
            return
        if entry is not None and entry[1] is value:
            sieve.visit(node)
            return
        if node.value is not value:
            return  # the other limit has dropped it
        weight = estimate(value) if sieve is self._overall else 1
        if weight > sieve.limit:  # not even if it were the only one
            self._evict(node)
        elif entry is not None:
            sieve.replace(node, value, weight)
            sieve.visit(node)
            self._make_room(sieve, 0)
        else:
            self._make_room(sieve, weight)
            sieve.enter(node, value, weight)

    def _make_room(self, sieve: Sieve, weight: int) -> None:
        room = sieve.limit - weight - (self._kept_bytes if sieve is self._overall else 0)
        while sieve.total > room:
            victim = sieve.victim()
            if victim is None:
                return
            self._evict(victim)

    # spec: memory.evicted
    def _evict(self, node: Node) -> None:
        """Drop the value; where a file has it, it can be read from there again."""
        kept = node.value  # not before the end of this may code of the program run that waits for the value to go
        node.hot = False
        node.value = node.encoded if type(node.encoded) is Stored else EMPTY
        for sieve in (self._queries.get(node.ingredient), self._overall):
            if sieve is not None:
                sieve.remove(node)
        self.counters[node.ingredient].evicted += 1
        if self.listeners.any:
            self.listeners.emit(QueryEvicted(node.ingredient.name, node.ingredient.arguments(node.key)))
        del kept

    # --- what snapshots need --------------------------------------------------------------------------------------

    def keeps(self, memo: Memo, node: Node) -> None:
        """The memo is kept for a snapshot."""
        if self._overall is not None and node.ingredient.kind == "query" and memo not in self._kept:
            entry = self._overall.entries.get(node)
            size = entry[2] if entry is not None and entry[1] is memo.value else estimate(memo.value)
            self._kept[memo] = size
            self._kept_bytes += size

    def keeps_no_more(self, memo: Memo) -> None:
        """No snapshot needs the memo."""
        self._kept_bytes -= self._kept.pop(memo, 0)

    # --- for tests ------------------------------------------------------------------------------------------------

    def check_invariant(self) -> None:
        """Assert that the limits are kept and that what is counted is there."""
        for sieve in (*self._queries.values(), *([] if self._overall is None else [self._overall])):
            assert sieve.total == sum(weight for _, _, weight in sieve.entries.values()), "a total that is none"
            busy = sum(weight for node, (_, _, weight) in sieve.entries.items() if node.flight is not None)
            assert sieve.total - busy <= sieve.limit, "too much"
            for node, (_, value, _) in sieve.entries.items():
                assert node.value is value, f"{node}: its value is not the one that is counted"
        assert self._kept_bytes == sum(self._kept.values()), "another sum of what is kept"


def limited(graph: Any) -> Memory:
    """The limits of a graph, made if there were none."""
    if graph.memory is None:
        graph.memory = graph.history.memory = Memory(graph.listeners, graph.counters)
    memory: Memory = graph.memory
    return memory


def meet(graph: Any, ingredient: Any) -> None:
    """The graph has a table for the ingredient now. A fork has no limits: its values go with it."""
    if ingredient.kind == "query" and ingredient.lru is not None and (graph.kin is None or not graph.kin.is_fork):
        limited(graph).limit_query(ingredient)


# spec: memory.untracked
def _has_to_stay(node: Node) -> bool:
    """Whether the call, run again alone, might say something else than before: it read what the database cannot see,
    or was solved with the loop that it is on."""
    kind = node.ingredient.kind
    return kind == "component" or any(one.ingredient.kind in ("untracked", "component") for one in node.dependencies)
