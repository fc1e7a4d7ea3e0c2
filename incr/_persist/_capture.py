"""What there is to save, taken from the graph in one stretch.

Law: nothing here waits, runs user code or copies a value, so that one revision is seen, whole, and the event loop is
held up for no longer than it takes to list the nodes. What is captured is never written to by the engine again:
stamps are copied, tuples and values are immutable.

Keeps: save.atomic.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, compress
from typing import Any, final

from incr._component import on_loop
from incr._errors import StoreError
from incr._graph import Graph
from incr._node import ABSENT, EMPTY, NEVER, Node
from incr._persist._format import CALLS, GOOD, HIGH, RECORDS
from incr.store.columns import Column

__all__ = ["Aspect", "Capture", "Table"]


@final
class Table:
    """The rows of one input or query, column by column."""

    __slots__ = (
        "bits", "changed_at", "collected", "column", "dependencies", "encoded", "flags", "ingredient", "keys", "kind",
        "name", "nodes", "pushes", "valid_from", "values",
    )  # fmt: skip

    def __init__(self, kind: int, ingredient: Any, nodes: list[Node]) -> None:
        self.kind = kind
        self.ingredient = ingredient
        self.name: str = ingredient.identity
        self.nodes = nodes
        #: What is collected for a call is named by that: its one dependency.
        self.collected = kind == CALLS and ingredient.accumulator is not None
        self.keys: list[Any] = list(range(len(nodes))) if self.collected else [node.key for node in nodes]
        #: The keys once they are packed.
        self.column: Column = ()
        self.values: list[Any] = [node.value for node in nodes]
        #: Bytes of the values, or what has them, where they are known already.
        self.encoded: list[Any] = [node.encoded for node in nodes]
        self.changed_at = [node.changed_at for node in nodes]
        self.valid_from = [node.valid_from for node in nodes]
        #: What the calls pushed; bytes once it is encoded.
        self.pushes: list[Any] = [node.pushes for node in nodes]
        self.bits = [node.bits for node in nodes]
        self.dependencies: list[tuple[Node, ...]] = [node.dependencies for node in nodes]
        if kind == RECORDS:
            self.flags = [HIGH if bits else 0 for bits in self.bits]
        else:
            self.flags = [GOOD if node.suspects is None else 0 for node in nodes]

    # spec: cycle.stored
    def forget_loops(self) -> None:
        """Calls that were solved together keep their values, and run again: which code a loop went through, and so
        whether they stand after an edit of it, is not written down."""
        for row, node in enumerate(self.nodes):
            if on_loop(node):
                self.valid_from[row], self.flags[row], self.dependencies[row], self.bits[row] = NEVER, 0, (), 0

    def select(self, wanted: Sequence[object]) -> None:
        """Keep the rows for which *wanted* is true."""
        if all(wanted):
            return
        columns: list[list[Any]] = [self.nodes, self.keys, self.values, self.encoded, self.changed_at]
        columns += [self.valid_from, self.flags, self.bits, self.dependencies, self.pushes]
        for column in columns:
            column[:] = compress(column, wanted)


@final
class Aspect:
    """A node that is not a row of a table: a presence, a key set, the reason of an untracked read."""

    __slots__ = ("changed_at", "flags", "node")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.changed_at = node.changed_at
        self.flags = HIGH if node.bits else 0


@final
class Capture:
    """One revision of a graph, as far as files are concerned."""

    __slots__ = (
        "high_inputs",
        "instances",
        "kept",
        "key_sets",
        "known",
        "presences",
        "revision",
        "tables",
        "untracked",
    )

    def __init__(self, graph: Graph, path: str) -> None:
        with graph.lock:
            self._take(graph, path)

    def _take(self, graph: Graph, path: str) -> None:
        graph.current()  # what was written is made known to what depends on it
        self.revision = graph.newest
        self.kept = graph.stored
        self.tables: list[Table] = []
        #: Interned class -> its instances.
        self.instances: dict[Any, list[Any]] = {}
        #: The ingredients that the database has met, by kind and name.
        self.known: set[tuple[str, str]] = set()
        for ingredient, table in zip(graph.ingredients, graph.tables, strict=True):
            if ingredient is None:
                continue
            interned = graph.interned.get(ingredient.index)
            if table or interned:
                self._check_name(ingredient, path)
            if interned:
                self.instances[ingredient] = list(interned.values())
            elif table:
                kind = RECORDS if ingredient.kind == "input" else CALLS
                self.tables.append(Table(kind, ingredient, list(table.values())))
                if graph.components and kind == CALLS:
                    self.tables[-1].forget_loops()
        met = [ingredient for ingredient in graph.ingredients if ingredient is not None]
        self.known.update((ingredient.kind, ingredient.identity) for ingredient in met)
        #: Ingredient index (a HIGH input's bit) -> the input's name.
        self.high_inputs = {ingredient.index: ingredient.identity for ingredient in met if ingredient.kind == "input"}
        self.tables.sort(key=lambda table: (table.kind, table.name))
        self.presences = {slot: Aspect(node) for slot, node in graph.presence.items()}
        self.key_sets = {graph.ingredients[index]: Aspect(node) for index, node in graph.key_sets.items()}
        self.untracked = {reason: Aspect(node) for reason, node in graph.untracked.items()}

    def _check_name(self, ingredient: Any, path: str) -> None:
        name = (ingredient.kind, ingredient.identity)
        if name in self.known:
            raise StoreError(
                path,
                f"two {ingredient.kind} ingredients of this database are called {ingredient.identity!r}, so their rows "
                "could not be told apart in a file; give one of them another name (a query: name=)",
            )
        self.known.add(name)

    def settle(self, foreign: Sequence[Node]) -> None:
        """Leave out what nothing would miss: slots that were never set, calls that never came to an end."""
        used = set(chain.from_iterable(chain.from_iterable(table.dependencies for table in self.tables)))
        used.update(foreign)
        used.update([slot for slot, presence in self.presences.items() if presence.node in used])
        for table in self.tables:
            if table.kind == RECORDS:
                table.select(
                    [value is not ABSENT or node in used for node, value in zip(table.nodes, table.values, strict=True)]
                )
            elif table.collected:
                table.select([node in used for node in table.nodes])
            else:
                table.select(
                    [
                        valid_from != NEVER or value is not EMPTY or node in used
                        for node, value, valid_from in zip(table.nodes, table.values, table.valid_from, strict=True)
                    ]
                )
        self.presences = {slot: row for slot, row in self.presences.items() if row.node in used}
        self.key_sets = {ingredient: row for ingredient, row in self.key_sets.items() if row.node in used}
        self.untracked = {reason: row for reason, row in self.untracked.items() if row.node in used}
