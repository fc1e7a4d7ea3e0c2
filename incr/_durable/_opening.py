"""Opening: a graph comes to stand on a store, in time that does not grow with what the store has.

What is not as it was when the store was written (code, classes, what the database cannot see) is found here, and
whatever depends on it becomes suspect. Everything else is trusted without a look.

Law: if anything is not as it was, that is so from a revision on that the store has never seen.

Keeps: commit.revisions, lazy.open, lazy.code, lazy.late, load.code, load.late, load.unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from incr._durable._backing import Backing
from incr._durable._rowcodec import UNREADABLE, RowCodec
from incr._durable._sections import Sections
from incr._graph import At, Graph
from incr._node import ABSENT, Node, Stored
from incr.store.rows import CALLS, PRESENCES, RECORDS, VALUE, Store

__all__ = ["BUDGET", "stand_on"]

#: So many rows are looked at to find out which ones depend on what is different; if that is not enough, all rows of
#: the sections that may depend on it are doubted without a look.
BUDGET = 256

#: Sections whose rows have keys, and records, that this program may not be able to read.
_LOOKED_AT: Final = {"input": (RECORDS, PRESENCES), "query": (CALLS,), "interned": ()}


# spec: lazy.open
def stand_on(graph: Graph, store: Store, declared: Iterable[Any], fingerprint: Callable[[Any], bytes]) -> Backing:
    """Let an empty graph have what a store has.

    Raises:
        StoreError: the store cannot be read, or is damaged.
    """
    declared = list(declared)
    head = store.head()
    with graph.lock:
        codec = RowCodec(store.path, head.classes, declared, graph)
        sections = Sections(store.path, head, declared, fingerprint, graph.lock)
        backing = Backing(graph, store, codec, sections)
        # spec: commit.revisions
        graph.newest = head.revision
        graph.at = At(graph.newest, graph.tables)
        opening = _Opening(graph, backing)
        sections.meet_all(opening.meet, codec.declare)
        if not codec.all_readable():
            opening.look_at_all(declared)
        opening.look_outside()
        backing.settle()
        opening.done = True
    return backing


class _Opening:
    """What is found to be different."""

    def __init__(self, graph: Graph, backing: Backing) -> None:
        self._graph = graph
        self._backing = backing
        self._first = graph.newest
        #: How many rows may still be looked at.
        self._left = BUDGET
        #: The database is in use.
        self.done = False

    def _later(self) -> int:
        """The revision in which what is different becomes so."""
        graph = self._graph
        if self.done:  # somebody may have read, or committed, what was taken as right until now
            graph.advance()
        elif graph.newest == self._first:
            graph.newest += 1
            graph.at = At(graph.newest, graph.tables)
        return graph.newest

    # spec: load.code
    # spec: lazy.late
    def meet(self, ingredient: Any, section: int, other_code: bool, other_keys: bool) -> None:
        """The section has rows of other code, or rows whose keys mean nothing any more."""
        backing, sections = self._backing, self._backing.sections
        numbers = backing.declared_late(section)
        if other_keys:
            numbers = list(backing.store.rows_of(section))
        if numbers or (other_code and sections.size(section)):
            self._later()
        if other_code or other_keys:
            sections.found(section, self._graph.newest, other_code=other_code)
        if other_keys:
            backing.drop(numbers)
        elif other_code:
            self._doubt_above(section, lambda: backing.store.rows_of(section), sections.size(section))
        else:
            for number in numbers:
                node = backing.node(number)
                if node is not None:
                    backing.rerun(node)
        if self.done and not backing.codec.all_readable():
            self._look_at_rows(ingredient, section)
        backing.settle()

    # spec: lazy.code
    def _doubt_above(self, section: int, rows: Callable[[], Iterable[int]], size: int) -> None:
        """Rows of the section, *size* of them at most, are not what they were: what depends on them may be wrong."""
        backing, sections = self._backing, self._backing.sections
        if self.done:
            self._left = BUDGET
        if not size or not sections.doubts.above(section):
            return
        reached = self._above(rows()) if size <= self._left else None
        if reached is not None:
            backing.doubt(reached)
            return
        for number in sections.doubt_above(section, self._graph.newest):
            backing.fold_all(number)

    def _above(self, rows: Iterable[int]) -> list[int] | None:
        """The rows that depend on these, directly or not; None if there are too many."""
        store = self._backing.store
        stack = list(rows)
        seen = set(stack)
        found: list[int] = []
        self._left -= len(seen)
        while stack:
            more = [one for one in store.dependents(stack.pop()) if one not in seen]
            self._left -= len(more)
            if self._left < 0:
                return None
            seen.update(more)
            stack += more
            found += more
        return found

    # spec: load.late
    def look_at_all(self, declared: Iterable[Any]) -> None:
        """Classes that rows are made of are not what they were: which rows can this program not read?"""
        sections = self._backing.sections
        for ingredient in declared:
            for kind in _LOOKED_AT[ingredient.kind]:
                section = sections.of(ingredient, kind)
                if section is not None:
                    self._look_at_rows(ingredient, section)

    def _look_at_rows(self, ingredient: Any, section: int) -> None:
        kind = self._backing.sections.kind(section)
        if kind not in _LOOKED_AT[ingredient.kind] or getattr(ingredient, "accumulator", None) is not None:
            return
        for number in list(self._backing.store.rows_of(section)):
            if number not in self._backing.removed:
                self._look_at(ingredient, kind, number)

    def _look_at(self, ingredient: Any, kind: int, number: int) -> None:
        backing = self._backing
        row = backing.store.row(number)
        if backing.codec.row_key(ingredient, row.key) is UNREADABLE:
            self._later()
            backing.drop([number])
            if kind == RECORDS and row.flags & VALUE:
                keys = self._graph.key_set(ingredient)
                backing.changed(keys)
                if keys in backing.numbers:
                    backing.journal.rows[keys] = None
        elif kind == RECORDS:
            slot = backing.node(number)
            if slot is not None and type(slot.value) is Stored and slot.value.decode() is ABSENT:
                self._later()
                backing.vanished(slot, slot.value)

    def look_outside(self) -> None:
        """A process is a world of its own: what it sees outside of the database may be anything."""
        backing = self._backing
        section = backing.sections.untracked()
        if section is None:
            return
        numbers = list(backing.store.rows_of(section))
        for number in numbers:
            self._later()
            node: Node | None = backing.node(number)
            if node is not None:
                # Whatever depends on it is doubted, and linked to it when it is looked at.
                backing.unspread.pop(node, None)
                backing.changed(node)
        self._doubt_above(section, lambda: numbers, len(numbers))
