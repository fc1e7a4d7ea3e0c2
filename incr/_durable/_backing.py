"""Backing: how what the store knows of dependents comes into the graph, when the graph needs it.

A call's node (see `_nodes`) begins without most of its links, as a fork's twin does (see `_twins` and
docs/internals/forks.md): it has the row's memo, and is linked to those of its dependencies that are not what they were.
The rest is known to the store.
Before a walk goes on from a node, everything that the store knows to depend on it is made, and linked. So a row that is
no node has not been reached by any write since the store was opened, and is right as it stands.

Law: all dependencies of a call that a write can reach are linked before the walk of that write passes by. The lock of
the graph is held whenever tables change.

Keeps: lazy.suspect, load.code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

from incr._durable._nodes import Heir, Nodes
from incr._node import ABSENT, EMPTY, NEVER, SCAN, Memo, Node, Stored, link, unlink
from incr._pushes import LOST, Pushes
from incr._suspicion import spread_bits, suspect_dependents
from incr.store.rows import KEY_SETS, PRESENCES

__all__ = ["Backing"]


@final
class Backing(Nodes):
    """What ties a graph to the store that it lives in."""

    __slots__ = ()

    def knows(self, ingredient: Any) -> bool:
        """Whether the store had calls of the query when it was opened."""
        return self.sections.is_old(ingredient)

    def keeps(self, slot: Node) -> bool:
        """Whether an empty slot has a row, on which others may depend."""
        presence = self.graph.presence.get(slot)
        return slot in self.numbers or presence in self.numbers

    def released(self) -> None:
        """A handle is gone: nothing here waits for that."""

    # --- links ----------------------------------------------------------------------------------------------------

    # spec: lazy.suspect
    def spread(self, own: Node) -> None:
        """Let everything that the store knows to depend on *own* be a node, and linked to it."""
        number = self.unspread.get(own)
        if number is None:
            return
        for dependent in self.store.dependents(number):
            node = self.node(dependent)
            heir = None if node is None else self.heirs.get(node)
            # It may have run since, and have other dependencies now.
            if node is not None and heir is not None and heir.has(number):
                self._link(node, heir, number)
            elif node is None:
                self._doubt_unknown(dependent)
        del self.unspread[own]

    def _link(self, own: Node, heir: Heir, number: int) -> None:
        if number not in heir.linked:
            self._depend(own, self.nodes[number])
            self.touched[own] = None
            heir.linked[number] = None

    def _depend(self, own: Node, dependency: Node) -> None:
        grown = dependency.bits & ~own.bits
        if grown:
            own.bits |= grown
            spread_bits(own, grown)
        link(dependency, own)

    def _doubt_unknown(self, number: int) -> None:
        """A row that is no node here, and what depends on it, may not be right any more."""
        stack = [number]
        while stack:
            top = stack.pop()
            if top in self.unknown_doubts:
                continue
            self.unknown_doubts[top] = None
            self.reached.add(top)
            for dependent in self.store.dependents(top):
                node = self.node(dependent)
                if node is None:
                    stack.append(dependent)
                elif node in self.heirs:
                    self.rerun(node)

    def drop(self, numbers: Sequence[int]) -> None:
        """These rows are nobody's any more, and whoever depends on them has to run."""
        self.removed.update(numbers)
        self.unreadable.update(numbers)
        for number in numbers:
            for dependent in self.store.dependents(number):
                node = self.node(dependent)
                if node is not None:
                    self.rerun(node)
                    self.journal.rows[node] = None  # its row must not go on naming what is gone
                elif dependent not in self.removed:
                    self._doubt_unknown(dependent)
                    self.orphans[dependent] = None

    # spec: load.unknown
    def declared_late(self, section: int) -> list[int]:
        """The section's rows can be nodes from now on; those that something has reached while they could not."""
        late = [number for number in self.unreadable - self.removed if self.store.row(number).section == section]
        self.unreadable.difference_update(late)
        return [number for number in late if number in self.reached]

    # spec: load.code
    def rerun(self, node: Node) -> None:
        """The call has to run, whatever its dependencies say, and what depends on it has to look."""
        if node.valid_from == NEVER:
            return
        self.ran(node)
        node.hot = False
        for dependency in node.dependencies:
            unlink(dependency, node)
        node.dependencies, node.places = (), None
        node.valid_from, node.valid_to, node.suspects, node.bits, node.cause = NEVER, 0, SCAN, 0, self.sections.lost
        suspect_dependents(node, self.graph.newest, self.graph.listeners, None, self.kin)

    def vanished(self, slot: Node, stored: Stored) -> None:
        """The slot's record cannot be read by this program: it is not there any more."""
        with self.graph.lock:
            if slot.value is stored:
                self._empty(slot)

    def _empty(self, slot: Node) -> None:
        self.journal.rows[slot] = None
        presence = self.graph.presence_of(slot)
        keys = self.graph.key_set(slot.ingredient)
        slot.value, slot.encoded, slot.hot = ABSENT, None, False
        presence.value = False
        for node in (slot, presence, keys):
            self.changed(node)
        self.settle()

    def changed(self, node: Node) -> None:
        """What is no call is different from the newest revision on. Older ones, whatever it was for them, cannot be
        told any better."""
        newest = self.graph.newest
        if node.valid_from < newest:
            self.graph.history.keep(node, Memo(node.value, node.changed_at, node.valid_from, newest))
        node.changed_at = node.valid_from = newest
        suspect_dependents(node, newest, self.graph.listeners, None, self.kin)

    def settle(self) -> None:
        """Bring the dependencies of those that have new links into the order of reading."""
        for own in self.touched:
            heir = self.heirs.get(own)
            if heir is not None:
                if len(heir.linked) > 1:
                    heir.linked = {one: None for one in heir.dependencies if one in heir.linked}
                own.dependencies = tuple([self.nodes[one] for one in heir.linked])
                own.places = None
        self.touched.clear()

    def complete(self, own: Node) -> None:
        """Let a call have all of its dependencies that are known here, and its outcome whatever becomes of its row."""
        if type(own.value) is Stored:
            own.value = own.value.kept()
        if type(own.pushes) is Pushes and own.pushes.entries is None:
            own.pushes = Pushes(None, own.pushes.stored.kept())
        heir = self.heirs.get(own)
        if heir is None:
            return
        self.store.prefetch(heir.dependencies)
        numbers = [one for one in heir.dependencies if self.node(one) is not None]
        for number in numbers:
            if number not in heir.linked:
                self._depend(own, self.nodes[number])
        own.dependencies = tuple([self.nodes[one] for one in numbers])
        own.places = None
        self.touched.pop(own, None)
        if len(numbers) == len(heir.dependencies):
            self.heirs.pop(own, None)
        else:  # a write that reaches the others finds it by its row
            heir.linked = dict.fromkeys(numbers)
            if self.sections.accumulators:  # what those have pushed is not known
                own.pushes, own.value, own.encoded, own.hot = LOST, EMPTY, None, False

    # --- what happens in the graph --------------------------------------------------------------------------------

    def ran(self, own: Node) -> None:
        """The node gets dependencies of its own."""
        if own in self.touched:
            self.settle()
        self.heirs.pop(own, None)
        self.journal.rows[own] = None

    def proved(self, own: Node, revision: int) -> None:
        """The outcome is known to be right from *revision* on."""
        if own.ingredient.kind == "query":
            self.journal.verified[own] = None

    def suspected(self, node: Node) -> None:
        """The call may not be good any more. A commit that goes on may have taken it as good, with a row or without."""
        if node.ingredient.kind == "query":
            self.journal.doubtful[node] = None

    def before_write(self, changes: Sequence[Any]) -> None:
        """Presence and key sets that rows depend on have to be nodes before they change."""
        for slot, value, _, _ in changes:
            self.journal.rows[slot] = None
            if (value is ABSENT) is not (slot.value is ABSENT):
                ingredient = slot.ingredient
                for kind, made in (
                    (PRESENCES, slot in self.graph.presence),
                    (KEY_SETS, ingredient.index in self.graph.key_sets),
                ):
                    section = None if made else self.sections.of(ingredient, kind)
                    if section is not None and kind == PRESENCES:
                        self.graph.presence_of(slot)
                    elif section is not None:
                        self.graph.key_set(ingredient)

    def before_walk(self) -> None:
        """Before suspicion is pushed."""

    def prepare(self) -> None:
        """Before a fork pushes suspicion: it goes by the links that are here."""
        self.settle()

    def after_walk(self) -> None:
        """After suspicion was pushed."""
        self.settle()

    def high(self, bits: int) -> None:
        """A HIGH input was written: who has its bit here is linked to what he has it from."""
