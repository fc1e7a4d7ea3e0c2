"""Backing: how what the store knows of dependents comes into the graph, when the graph needs it.

A call's node (see `_nodes`) begins without links, as a fork's twin begins without most of them (see `_twins` and
docs/internals/forks.md): it has the row's memo, and what it depends on is known to the store. One that may be wrong is
linked, before it is looked at, to those of its dependencies that are not what they were.
Before a walk goes on from a node, every good row that the store knows to depend on it is made a node, and linked. So a
good row that is no node has not been reached by any write since the store was opened, and is right as it stands.

Law: what depends on something that is not good is not good. All dependencies of a good call that a write can reach are
linked before the walk of that write passes by. The lock of the graph is held whenever tables change.

Keeps: commit.vacant, lazy.suspect, lazy.code, load.code, load.unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

from incr._durable._nodes import Heir, Nodes
from incr._node import ABSENT, EMPTY, NEVER, SCAN, Memo, Node, Stored, link, unlink
from incr._pushes import LOST, Pushes
from incr._suspicion import LISTED, close, spread_bits, suspect_dependents
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
            node = self.nodes.get(dependent)
            if node is None:
                row = self.store.row(dependent)
                if not self.trusts(dependent, row):
                    continue  # nor is anything above it; when it becomes a node it is linked to this one (`unfold`)
                node = self.node_of(dependent, row)
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

    # spec: lazy.code
    def unfold(self, own: Node) -> None:
        """Let a call that may be wrong be linked to those of its dependencies that may have made it so.

        These become nodes, and no more than that: what is below them is looked at when they are.
        """
        if own not in self.folded or own.suspects is None:
            return
        heir, since = self.heirs[own], own.valid_from
        for number in heir.dependencies:
            if number in heir.linked:
                continue
            node = self.nodes.get(number)
            if node is not None:
                different = self._may_differ(node, since)
            else:
                row = self.store.row(number)
                different = row.changed_at > since or not self.trusts(number, row)
                if different:
                    node = self.node_of(number, row)
            if different and node is None:
                self.rerun(own)
                return
            if different:
                self._link(own, heir, number)
        self.settle()
        own.suspects = list(own.dependencies) if 0 < len(own.dependencies) <= LISTED else SCAN
        own.cause = own.dependencies[0] if own.dependencies else None
        if own.dependencies:
            self.kin.taken_over(own, all_linked=False)
        self.folded.pop(own, None)

    def _may_differ(self, node: Node, since: int) -> bool:
        """Whether it is not, or may not have been all the time, what an outcome that was right at *since* was made
        from; or whether a write of it would not find the outcome."""
        return (
            node.suspects is not None
            or node.changed_at > since
            or node.valid_from > since  # it may have been another one for a while, and be again what it was
            or node not in self.unspread
        )

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

    def has_presence(self, slot: Node) -> bool:
        """Whether the store has the presence of a slot that it has."""
        number, section = self.numbers.get(slot), self.sections.of(slot.ingredient, PRESENCES)
        if number is None or section is None:
            return False
        return self.store.find(section, self.store.row(number).key) is not None

    # spec: commit.vacant
    def vacated(self, node: Node) -> None:
        """The node's row, on which no other one depends, is nobody's any more; if it has one."""
        number = self.numbers.pop(node, None)
        if number is not None:
            del self.nodes[number]
            self.unspread.pop(node, None)
            self.removed.add(number)
            self.unreadable.add(number)

    # spec: commit.vacant
    def left(self, dependency: Node) -> None:
        """One call less depends on it. If it is an empty slot it may be that nobody does."""
        kind = dependency.ingredient.kind
        if kind == "presence" and dependency in self.numbers:
            dependency = self.graph.slot(dependency.ingredient.input, dependency.key)
            kind = "input"
        if kind == "input" and dependency.value is ABSENT and dependency in self.numbers:
            self.journal.rows[dependency] = None

    # spec: load.unknown
    def declared_late(self, section: int) -> list[int]:
        """The section's rows can be nodes from now on; those of them that name what is gone."""
        late = [number for number in self.unreadable - self.removed if self.store.row(number).section == section]
        self.unreadable.difference_update(late)
        return [number for number in late if number in self.orphans]

    # spec: lazy.code
    def doubt(self, numbers: Iterable[int]) -> None:
        """These rows may not be right any more. What depends on them is among them, as far as it is no node."""
        for number in numbers:
            node = self.nodes.get(number)
            if node is not None:
                self.fold(node)
            else:
                self.reached.add(number)
                self.unknown_doubts[number] = None

    def fold_all(self, section: int) -> None:
        """No call of the section may be right any more."""
        ingredient = self.sections.ingredient(section)
        if ingredient is not None:
            for node in list(self.graph.table(ingredient).values()):
                self.fold(node)

    def fold(self, node: Node) -> None:
        """The call may not be right any more; which of its dependencies has made it wrong is found out when it is
        asked for. Nothing happens if it has run in this process: then it is linked to all of them."""
        if node not in self.heirs:
            return
        self.folded[node] = None  # first: an interrupt leaves nothing behind that is taken as linked
        good = node.suspects is None
        if good:
            close(node, SCAN, self.sections.lost, self.graph.newest, self.graph.listeners)
        node.suspects = SCAN
        self.kin.doubted(node, None)
        if good:
            suspect_dependents(node, self.graph.newest, self.graph.listeners, None, self.kin)

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
        self.unfold(own)
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
        self.folded.pop(own, None)
        self.journal.rows[own] = None

    # spec: commit.journal
    def filled(self, own: Node) -> None:
        """The call has a value that the store does not have, or cannot give to this program. It has just run, so what
        it depends on is here; if that is not so after all, nothing is stored."""
        heir = self.heirs.get(own)
        if not own.ingredient.persist or (heir and any(one not in self.nodes for one in heir.dependencies)):
            return
        self.complete(own)
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
