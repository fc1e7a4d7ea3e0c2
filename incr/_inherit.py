"""Inheritance: the link from a fork to the snapshot that it was made of, for as long as the fork lives.

Twins (see `_twins`) begin with few links. Here they get those that a walk of the fork needs: the dependencies that a
write of the fork reaches, and those that the origin has come to doubt. docs/internals/forks.md says why that is enough.

Law: all dependencies of a call that a fork's write can reach are linked before the walk of that write passes by. The
lock is held; forks share it.

Keeps: fork.view, fork.isolated, fork.cost, fork.closed, load.late.
"""

from __future__ import annotations

from typing import Any, final

from incr._graph import At, Graph
from incr._kin import Kin
from incr._node import ABSENT, SCAN, Node, Stored, each_dependent, link
from incr._suspicion import LISTED, close, spread_bits, suspect_dependents
from incr._twins import Heir, Twins

__all__ = ["Inheritance"]


@final
class Inheritance:
    """What ties one fork's graph to the graph and the revision that it was made of."""

    is_fork = True
    __slots__ = ("_doubts", "_kin", "_origin", "_touched", "_walked", "closed", "graph", "held", "twins")

    # spec: fork.cost
    def __init__(self, origin: Graph, at: At) -> None:
        self._origin = origin
        #: The revision that is pinned, until the fork is gone.
        self.held: At | None = None
        #: Nobody may read or write through the fork's own handle any more.
        self.closed = False
        #: The fork's own graph.
        self.graph = graph = Graph(check_values=origin.checks is not None, lock=origin.lock)
        #: Heirs whose dependencies are to be brought into order.
        self._touched: set[Node] = set()
        #: Heir -> dependencies (of the original) that have to be linked before the next walk; None: all.
        self._doubts: dict[Node, dict[Node | None, None]] = {}
        #: Whether the fork was walked.
        self._walked = False
        with origin.lock:
            base = origin.hold(self, at).revision
            if origin.kin is None:
                origin.kin = Kin(None)
            self._kin = origin.kin
            self._kin.bury()
            self._kin.forked(self)
            graph.newest = base
            graph.at = At(base, graph.tables)
            graph.interned = origin.interned
            graph.kin = own_kin = Kin(self)
            self.twins = Twins(origin, self._kin, base, graph, own_kin)

    # spec: fork.closed
    def drop(self) -> None:
        """Nobody has the fork any more. May be called by a finalizer."""
        self._kin.dropped.append(self)

    def close(self) -> None:
        """Let go of the origin, now or when the last snapshot of the fork is closed."""
        with self._origin.lock:
            self.closed = True
            self.drop()
            self.released()

    def released(self) -> None:
        """Somebody who was bound to this fork, or its handle, is gone: it and those above may have been waiting."""
        with self._origin.lock:
            self._kin.bury()
            if self._kin.origin is not None:
                self._kin.origin.released()

    def end(self) -> bool:
        """Let go of the origin; False if somebody is bound to the fork still."""
        graph, origin = self.graph, self._origin
        graph.history.settle()
        if graph.kin is not None:
            graph.kin.bury()
        if graph.at.users or graph.pins:
            return False
        if self in self._kin.forks:
            self._kin.forks.remove(self)
        if not self._kin.forks and origin.kin is self._kin and self._kin.origin is None:
            origin.kin = None
        origin.release(self)
        return True

    # --- look-ups -------------------------------------------------------------------------------------------------

    def knows(self, ingredient: Any) -> bool:
        """Whether the origin may know calls of the query."""
        return True

    def keeps(self, slot: Node) -> bool:
        """Whether the origin may know who depends on an empty slot."""
        return True

    def find(self, ingredient: Any, key: Any) -> Node | None:
        """The row's node in the fork: what the origin has is taken over."""
        with self.graph.lock:
            return self.twins.find(ingredient, key)

    def call(self, ingredient: Any, key: Any) -> Node:
        """The call's node in the fork, made if nobody has made it."""
        return self.twins.call(ingredient, key)

    def present(self, ingredient: Any, own: dict[Any, Node]) -> list[Any]:
        """The keys of the records that are set in the origin, without those that the fork has rows for."""
        return self.twins.present(ingredient, own)

    def presence_made(self, own: Node, slot: Node) -> None:
        """The fork has a presence node now."""
        self.twins.presence_made(own, slot)

    def key_set_made(self, own: Node) -> None:
        """The fork has a key set now."""
        self.twins.key_set_made(own)

    # --- links ----------------------------------------------------------------------------------------------------

    def spread(self, own: Node) -> None:
        """Let everything that the origin knows to depend on *own* be in the fork, and linked to it."""
        original = self.twins.unspread.get(own)
        if original is None:
            return
        self._kin.reach(original)
        self._kin.settle()
        for dependent in tuple(each_dependent(original)):
            twin = self.twins.at_hand(dependent)
            if twin is None and self.twins.as_it_was(dependent):
                twin = self.twins.twin(dependent)
            heir = None if twin is None else self.twins.heirs.get(twin)
            # The original may have run since, and have other dependencies now.
            if (
                twin is not None
                and heir is not None
                and (heir.dependencies is dependent.dependencies or heir.has(original))
            ):
                self._link(twin, heir, original)
        del self.twins.unspread[own]

    def _link(self, own: Node, heir: Heir, dependency: Node) -> None:
        """Link an heir to one more of its original's dependencies."""
        if dependency not in heir.linked:
            self._depend(own, dependency)
            self._touched.add(own)
            heir.linked[dependency] = None

    def _depend(self, own: Node, dependency: Node) -> None:
        self.twins.in_time = True
        try:
            twin = self.twins.twin(dependency)
        finally:
            self.twins.in_time = False
        grown = twin.bits & ~own.bits
        if grown:
            own.bits |= grown
            spread_bits(own, grown)
        link(twin, own)

    def settle(self) -> None:
        """Bring the dependencies of the heirs that have new ones into the order of reading."""
        for own in self._touched:
            heir = self.twins.heirs.get(own)
            if heir is not None:
                if len(heir.linked) > 1:
                    heir.linked = {item: None for item in heir.dependencies if item in heir.linked}
                own.dependencies = tuple(self.twins.known[item] for item in heir.linked)
                own.places = None
        self._touched.clear()

    def complete(self, own: Node) -> None:
        """Let an heir have all of its dependencies."""
        heir = self.twins.heirs.get(own)
        if heir is not None:
            for dependency in heir.dependencies:
                if dependency not in heir.linked:
                    self._depend(own, dependency)
            own.dependencies = tuple(self.twins.known[item] for item in heir.dependencies)
            own.places = None
            self._touched.discard(own)
            del self.twins.heirs[own]

    # spec: load.late
    def _look_again(self, own: Node) -> None:
        """Other code was found in the origin since the twin was made: what it relied on is not taken over any more."""
        wrong = [item for item in own.dependencies if item.suspects is not None]
        if wrong and own.suspects is None:
            graph = self.graph
            until = min(self.twins.base + 1, graph.newest)
            close(own, wrong if len(wrong) <= LISTED else SCAN, wrong[0], until, graph.listeners)
            suspect_dependents(own, until, graph.listeners, None, graph.kin)

    def unfold(self, own: Node) -> None:
        """An heir that may be wrong is linked to what may have made it so from the first."""

    def ran(self, own: Node) -> None:
        """The node gets dependencies of its own; it inherits nothing any more."""
        if own in self._touched:
            self.settle()
        self.twins.heirs.pop(own, None)

    # --- what happens in the fork ---------------------------------------------------------------------------------

    def before_write(self, changes: list[Any]) -> None:
        """Presence and key sets that somebody may depend on have to be there before they change."""
        for slot, value, _, _ in changes:
            if (value is ABSENT) is not (slot.value is ABSENT):
                self.graph.presence_of(slot)
                self.graph.key_set(slot.ingredient)

    def before_walk(self) -> None:
        """The walk begins."""
        self.prepare()
        self.twins.walking = True

    def prepare(self) -> None:
        """Make the links by which a walk of this graph, or of a fork of it, has to find its way."""
        self._kin.prepare()
        if not self._walked:
            self.twins.used = True
            for node in list(self._origin.untracked.values()):  # they change with every revision
                self.twins.at_hand(node)
            self._walked = True
        while self._doubts:
            own, dependencies = next(iter(self._doubts.items()))
            if None in dependencies:
                self.complete(own)
            heir = self.twins.heirs.get(own)
            if heir is not None:
                for dependency in dependencies:
                    if dependency is not None and heir.has(dependency):
                        self._link(own, heir, dependency)
            self.settle()
            self._look_again(own)
            del self._doubts[own]
        self.settle()

    def after_walk(self) -> None:
        """The walk is over."""
        self.twins.walking = False
        self.settle()

    def high(self, bits: int) -> None:
        """A HIGH input was written: those that have its bit are looked at with all that they depend on."""
        self.twins.high |= bits
        for own in [own for own in self.twins.heirs if own.bits & bits]:
            self.complete(own)

    def vanished(self, slot: Node, stored: Stored) -> None:
        """A slot's record cannot be read: that is found out in the origin, and again here."""
        self.graph.decoded(slot, stored, ABSENT)

    def suspected(self, node: Node) -> None:
        """A call of the fork is not good any more: nobody writes that down."""

    def left(self, dependency: Node) -> None:
        """A call of the fork depends on it no more: that changes nothing in the origin."""

    def filled(self, own: Node) -> None:
        """The fork has the value again: likewise."""

    # --- what happens in the origin -------------------------------------------------------------------------------

    def doubted(self, node: Node, dependency: Node | None) -> None:
        """The origin's links will not lead from *dependency* to *node* for ever: the next walk needs the fork's."""
        own = self.twins.known.get(node)
        if own is not None:
            heir = self.twins.heirs.get(own)
            if heir is not None and dependency not in heir.linked:
                self._doubts.setdefault(own, {})[dependency] = None

    def established(self, node: Node, revision: int) -> None:
        """The origin found an outcome; what the fork has already did not see it, if it is one for the base revision."""
        if self.twins.used and revision <= self.twins.base:
            self.twins.late.add(node)

    def proved(self, own: Node, revision: int) -> None:
        """The fork found an outcome."""
        if revision == self.twins.base:
            self.twins.unsure.discard(own)

    def taken_over(self, node: Node, *, all_linked: bool) -> None:
        """The origin is a fork and has just taken the outcome over: walks before now have not come by *node*, unless
        they could come to it by links that only the origin's origin has."""
        late = self.twins.late
        if all_linked or any(dependency in late for dependency in node.dependencies):
            self.established(node, node.valid_from)
