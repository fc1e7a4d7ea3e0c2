"""Rows as nodes: made one by one, each of them from the moment on at which somebody needs it.

Law: a row becomes a node as it stands in the store. One that is good there, and that nothing is known to speak against,
is right; of any other it is found out when somebody asks for it. The lock of the graph is held.

Keeps: lazy.open, lazy.trust, lazy.value, lazy.code, load.code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

from incr._collected import Collected
from incr._durable._journal import Journal
from incr._durable._rowcodec import UNREADABLE, RowCodec
from incr._durable._sections import Sections
from incr._durable._sources import Source
from incr._graph import Graph
from incr._kin import Kin
from incr._log import UNTRACKED as UNTRACKED_READS
from incr._node import ABSENT, Node, Stored, settled
from incr._persist._pushed import StoredPushes
from incr._pushes import LOST, Pushes
from incr._revision import OPEN
from incr.store.rows import (
    CALLS,
    GOOD,
    HIGH,
    INTERNED,
    KEY_SETS,
    LOST_PUSHES,
    PRESENCES,
    PUSHES,
    RECORDS,
    UNTRACKED,
    VALUE,
    Row,
    Store,
)

__all__ = ["LOOP", "Heir", "Nodes"]

#: The reason that stands for what no store can have: loops of calls that were solved together (which code they went
#: through is not written down), and calls whose arguments cannot be stored.
LOOP: Final = "a call that cannot be stored by itself"


@final
class Heir:
    """A call that has not run in this process: its row's dependencies, and which of them are linked."""

    __slots__ = ("_members", "dependencies", "linked")

    def __init__(self, dependencies: Sequence[int]) -> None:
        self.dependencies = dependencies
        self.linked: dict[int, None] = {}
        self._members: set[int] | None = None

    def has(self, number: int) -> bool:
        """Whether the outcome depends on the row."""
        if self._members is None:
            self._members = set(self.dependencies)
        return number in self._members


class Nodes:
    """The rows of one store that are nodes of a graph."""

    is_fork = False
    __slots__ = (
        "closed",
        "codec",
        "folded",
        "graph",
        "heirs",
        "instances",
        "journal",
        "kin",
        "loop",
        "nodes",
        "numbers",
        "orphans",
        "pushes",
        "reached",
        "records",
        "removed",
        "sections",
        "shapes",
        "store",
        "touched",
        "unknown_doubts",
        "unreadable",
        "unspread",
        "values",
    )  # fmt: skip

    def __init__(self, graph: Graph, store: Store, codec: RowCodec, sections: Sections) -> None:
        self.graph = graph
        self.store = store
        self.codec = codec
        self.sections = sections
        #: The store is not open any more.
        self.closed = False
        self.journal = Journal()
        #: Row -> its node, and back; nodes that have no row yet are not there.
        self.nodes: dict[int, Node] = {}
        self.numbers: dict[Node, int] = {}
        #: Where the values of calls are, records, and what was pushed.
        self.values = Source(store, lambda row, data: codec.value(data), lambda content: content.value)
        self.records = Source(
            store, lambda row, data: codec.record(self.nodes[row], data), lambda content: content.value
        )
        self.pushes = Source(store, lambda row, data: codec.value(data), lambda content: content.pushes)
        #: Nodes on which rows may depend that are no nodes, or are not linked.
        self.unspread: dict[Node, int] = {}
        #: Calls that have their row's memo and not all of its dependencies.
        self.heirs: dict[Node, Heir] = {}
        #: Those of them that may be wrong, and are not linked yet to what may have made them so (see `Graph.folded`).
        self.folded = graph.folded
        #: Heirs whose dependencies are to be brought into order.
        self.touched: dict[Node, None] = {}
        #: Rows that cannot be nodes in this program, as far as somebody has asked; those of them that a write reached.
        self.unreadable: set[int] = set()
        #: Rows that the store still has and nobody asks for any more.
        self.removed: set[int] = set()
        #: What a commit knows of all nodes of an ingredient.
        self.shapes: dict[Any, Any] = {}
        #: How many interned values of each class are known to the store, or were looked for in it.
        self.instances: dict[Any, int] = {}
        #: What stands for dependencies that no store can have; it changes whenever a store is opened.
        self.loop = settled(Node(UNTRACKED_READS, LOOP, LOOP))
        #: Rows that are not good any more, which the store does not know yet. Those of them that are nodes are in the
        #: journal.
        self.unknown_doubts: dict[int, None] = {}
        #: All that ever were among them.
        self.reached: set[int] = set()
        #: Those of them whose rows name what is gone.
        self.orphans: dict[int, None] = {}
        self.kin = graph.kin = Kin(self)
        self.kin.made = self.journal.rows

    # --- look-ups -------------------------------------------------------------------------------------------------

    # spec: lazy.open
    def find(self, ingredient: Any, key: Any) -> Node | None:
        """The row's node; None if there is no such row."""
        node = self.graph.table(ingredient).get(key)
        if node is not None:
            return node
        section = self.sections.of(ingredient, RECORDS if ingredient.kind == "input" else CALLS)
        data = None if section is None else self._key_of(ingredient, key)
        if section is None or data is None:
            return None
        with self.graph.lock:
            node = self.graph.table(ingredient).get(key)
            if node is None:
                found = self.store.find(section, data)
                if found is not None and found not in self.removed:
                    self.unreadable.discard(found)  # without the key it may have been
                    node = self.node(found, key)
        return node

    def _key_of(self, ingredient: Any, key: Any) -> bytes | None:
        if getattr(ingredient, "accumulator", None) is not None:
            number = self.numbers.get(key)
            return None if number is None else self.codec.encode(number)
        return self.codec.try_key(ingredient, key)

    def call(self, ingredient: Any, key: Any) -> Node:
        """The call's node, made if nobody has made it."""
        node = self.find(ingredient, key)
        if node is None:
            node = self.graph.table(ingredient).setdefault(key, Node(ingredient, key))
        return node

    def present(self, ingredient: Any, own: dict[Any, Node]) -> list[Any]:
        """The keys of the records that are there, without those that are nodes."""
        section = self.sections.of(ingredient, RECORDS)
        if section is None:
            return []
        found: list[Any] = []
        for number in self.store.rows_of(section):
            if number not in self.nodes and number not in self.removed:
                row = self.store.row(number)
                key = self.codec.row_key(ingredient, row.key) if row.flags & VALUE else UNREADABLE
                if key is not UNREADABLE and key not in own:
                    found.append(key)
        return found

    def presence_made(self, own: Node, slot: Node) -> None:
        """There is a presence node now, made before the slot was filled or emptied in this process."""
        section = self.sections.of(slot.ingredient, PRESENCES)
        data = self.codec.try_key(slot.ingredient, slot.key)
        if section is not None and data is not None and slot not in self.graph.presence:
            self._stamp(own, self.store.find(section, data))

    def key_set_made(self, own: Node) -> None:
        """There is a key set now, made before it first changed in this process."""
        ingredient = own.ingredient.input
        section = self.sections.of(ingredient, KEY_SETS)
        if section is not None and ingredient.index not in self.graph.key_sets:
            self._stamp(own, self.store.find(section, b""))

    def _stamp(self, own: Node, number: int | None) -> None:
        if number is not None and number not in self.removed:
            row = self.store.row(number)
            own.changed_at = own.valid_from = row.changed_at
            self.enter(number, own)

    # --- rows become nodes ----------------------------------------------------------------------------------------

    def node(self, number: int, key: Any = UNREADABLE) -> Node | None:
        """The row's node; None if it is of an ingredient that this program does not declare, or cannot be read.

        *key* is the row's key, where that is known.
        """
        node = self.nodes.get(number)
        if node is None and number not in self.unreadable:
            node = self.node_of(number, self.store.row(number), key)
        return node

    def node_of(self, number: int, row: Row, key: Any = UNREADABLE) -> Node | None:
        """`node` for one that was not made yet, with what the store has of the row."""
        if number not in self.unreadable:
            self._make(number, row, key)
        return self.nodes.get(number)

    # spec: lazy.trust
    # spec: lazy.code
    def trusts(self, number: int, row: Row) -> bool:
        """Whether a row that is no node is right as it stands."""
        return self.sections.doubts.trusts(row) and number not in self.reached

    def _make(self, number: int, row: Row, key: Any) -> None:
        ingredient, kind = self.sections.ingredient(row.section), self.sections.kind(row.section)
        if number in self.unreadable or number in self.nodes:  # the section was looked at for the first time just now
            return
        node: Node | None = None
        if kind == UNTRACKED:
            reason = self.codec.decode(row.key)
            if reason == LOOP:
                node = self.loop
            elif type(reason) is str:
                node = self.graph.untracked_node(reason)
        elif ingredient is None or kind == INTERNED:
            pass
        elif kind == KEY_SETS:
            node = self.graph.key_set(ingredient)
        elif kind == CALLS:
            node = self._call(number, row, ingredient, key)
        else:
            if key is UNREADABLE:
                key = self.codec.row_key(ingredient, row.key)
            if key is not UNREADABLE:
                if kind == RECORDS:
                    node = self._slot(number, row, ingredient, key)
                else:
                    node = self.graph.presence_of(self.find(ingredient, key) or self.graph.slot(ingredient, key))
        if node is None:
            self.unreadable.add(number)
        elif number not in self.nodes:
            self.enter(number, node)

    def enter(self, number: int, node: Node) -> None:
        self.numbers[node] = number
        self.unspread[node] = number
        self.nodes[number] = node

    # spec: lazy.value
    def _slot(self, number: int, row: Row, ingredient: Any, key: Any) -> Node:
        there = row.flags & VALUE
        node = Node(ingredient, key, Stored(self.records, number) if there else ABSENT)
        node.changed_at = node.valid_from = row.changed_at
        node.valid_to, node.suspects = OPEN, None
        if there:
            node.encoded = node.value
        if row.flags & HIGH:
            node.bits = 1 << ingredient.index
        self.enter(number, node)
        return self.graph.table(ingredient).setdefault(key, node)

    # spec: lazy.trust
    # spec: load.code
    def _call(self, number: int, row: Row, ingredient: Any, key: Any) -> Node | None:
        if key is UNREADABLE:
            key = self._call_key(row, ingredient)
            if key is UNREADABLE:
                return None
        if ingredient.accumulator is not None:
            self.graph.collected = self.graph.collected or Collected()
        node = Node(ingredient, key)
        node.changed_at = row.changed_at
        if row.flags & LOST_PUSHES:
            node.pushes = LOST
        elif row.flags & VALUE:
            node.value = node.encoded = Stored(self.values, number)
            if row.flags & PUSHES:
                node.pushes = Pushes(None, StoredPushes(Stored(self.pushes, number), self.sections.accumulators))
        if self.sections.doubts.must_run(row):
            node.cause = self.sections.lost
        else:
            node.valid_from = row.valid_from
            self.heirs[node] = Heir(row.dependencies)
            if self.trusts(number, row):
                node.valid_to, node.suspects = OPEN, None
            else:
                self.folded[node] = None
                if row.flags & GOOD and number in self.reached:  # the store is told with the next commit
                    self.journal.doubtful[node] = None
        self.graph.table(ingredient)[key] = node
        return node

    def _call_key(self, row: Row, ingredient: Any) -> Any:
        if ingredient.accumulator is None:
            return self.codec.row_key(ingredient, row.key)
        # What is collected for a call is known by the call's node.
        call = self.node(row.dependencies[0]) if len(row.dependencies) == 1 else None
        if call is None or call.ingredient.kind != "query" or call.ingredient.awaited is not ingredient.awaited:
            return UNREADABLE
        return call

    # --- numbers --------------------------------------------------------------------------------------------------

    def give(self, node: Node, number: int) -> None:
        """The node has a row now: all that depends on it is here."""
        self.numbers[node] = number
        self.nodes[number] = node

    def take_back(self, node: Node) -> None:
        """The row has not come into the store."""
        del self.nodes[self.numbers.pop(node)]

    def has(self, stored: Stored, number: int) -> bool:
        """Whether *stored* is the value of this very row."""
        return stored.is_row(self.values, number) or stored.is_row(self.records, number)

    def stored(self, node: Node) -> Stored:
        """The value of a node that has a row, as the store has it."""
        source = self.records if node.ingredient.kind == "input" else self.values
        return Stored(source, self.numbers[node])
