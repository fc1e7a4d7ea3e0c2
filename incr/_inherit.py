"""Inheritance: what a fork takes over from the snapshot that it was made of.

A fork starts with empty tables. A look-up that misses goes to the origin, and what is found there as of the snapshot's
revision becomes a node of the fork: its *twin*. An *heir* is a twin with the memo of its original but only those links
that may matter, in the origin's order of reading: the dependencies that were reached by a write of the fork, or doubted
by the origin, since. docs/internals/forks.md says why that is enough.

Law: the origin is read, never written. All dependencies of a call that a fork's write can reach are linked before the
walk of that write passes by. The lock is held; forks share it.

Keeps: fork.view, fork.isolated, fork.shared, fork.cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, final

from incr._collected import Collected, is_collection
from incr._graph import At, Graph
from incr._kin import Kin
from incr._node import ABSENT, EMPTY, NEVER, SCAN, Memo, Node, each_dependent, link
from incr._revision import OPEN
from incr._suspicion import LISTED, spread_bits

__all__ = ["Inheritance"]

_NOTHING: Final[tuple[Node, ...]] = ()


@final
class _Heir:
    """A twin that has not run in the fork: its original's dependencies, and which of them are linked."""

    __slots__ = ("_members", "dependencies", "linked")

    def __init__(self, dependencies: tuple[Node, ...]) -> None:
        self.dependencies = dependencies
        self.linked: dict[Node, None] = {}
        self._members: set[Node] | None = None

    def has(self, dependency: Node) -> bool:
        """Whether the original's outcome depends on it."""
        if self._members is None:
            self._members = set(self.dependencies)
        return dependency in self._members


@final
class _Plan:
    """How a call's twin is to be made: from which outcome, with which dependencies' twins."""

    __slots__ = ("dependencies", "holder", "partial", "pending")

    def __init__(self, holder: Node | Memo | None, dependencies: tuple[Node, ...], *, partial: bool) -> None:
        self.holder = holder
        self.dependencies = dependencies
        self.partial = partial
        self.pending: Iterator[Node] = iter(dependencies)


@final
class Inheritance:
    """The link from one fork's graph to the graph and the revision that it was made of."""

    __slots__ = (
        "_base", "_doubts", "_heirs", "_high", "_kin", "_late", "_origin", "_own_kin", "_touched", "_twins",
        "_unspread", "_unsure", "_used", "_walked", "_walking", "closed", "graph", "held",
    )  # fmt: skip

    # spec: fork.cost
    def __init__(self, origin: Graph, at: At) -> None:
        self._origin = origin
        #: The revision that is pinned, until the fork is gone.
        self.held: At | None = None
        self._base = origin.hold(self, at).revision
        #: The fork's own graph.
        self.graph = Graph(check_values=origin.checks is not None, lock=origin.lock)
        self.graph.newest = self._base
        self.graph.at = At(self._base, self.graph.tables)
        self.graph.interned = origin.interned
        self._own_kin = self.graph.kin = Kin(self)
        #: Node of the origin -> node of the fork.
        self._twins: dict[Node, Node] = {}
        #: Twin -> its original, while there may be dependents that only the origin knows.
        self._unspread: dict[Node, Node] = {}
        #: Twins that have their original's memo and not all of its dependencies.
        self._heirs: dict[Node, _Heir] = {}
        #: Heirs whose dependencies are to be brought into order.
        self._touched: set[Node] = set()
        #: Heir -> dependencies (of the original) that have to be linked before the next walk; None: all.
        self._doubts: dict[Node, dict[Node | None, None]] = {}
        #: Originals that got an outcome for the base revision when the fork had nodes already, which thus did not
        #: see it, nor did its walks.
        self._late: set[Node] = set()
        #: Twins whose value at the base revision is not known, only one from before it.
        self._unsure: set[Node] = set()
        #: The bits of the HIGH inputs that the fork has written.
        self._high = 0
        #: Whether the fork has any nodes, and whether it was walked.
        self._used = False
        self._walked = False
        #: Whether a walk of the fork has begun and not come to its end.
        self._walking = False
        #: Nobody may read or write through the fork's own handle any more.
        self.closed = False
        with origin.lock:
            if origin.kin is None:
                origin.kin = Kin(None)
            self._kin = origin.kin
            self._kin.bury()
            self._kin.forks.append(self)

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

    # spec: fork.view
    def find(self, ingredient: Any, key: Any) -> Node | None:
        """The row's node in the fork: what the origin has is taken over."""
        graph = self.graph
        self._used = True
        node = graph.table(ingredient).get(key)
        if node is None:
            original = self._original(ingredient, key)
            node = None if original is None else self.twin(original)
        return node

    def call(self, ingredient: Any, key: Any) -> Node:
        """The call's node in the fork, made if nobody has made it."""
        with self.graph.lock:
            node = self.find(ingredient, key)
            if node is None:
                node = self.graph.table(ingredient)[key] = Node(ingredient, key)
            return node

    def present(self, ingredient: Any, own: dict[Any, Node]) -> list[Any]:
        """The keys of the records that are set in the origin, without those that the fork has rows for."""
        return [key for key in self._origin.present(ingredient, self._base) if key not in own]

    def _original(self, ingredient: Any, key: Any) -> Node | None:
        origin, index = self._origin, ingredient.index
        if self._kin.origin is None and not (
            index < len(origin.ingredients) and origin.ingredients[index] is ingredient
        ):
            return None  # asking must not make a table there
        return origin.known(ingredient, key)

    # --- twins ----------------------------------------------------------------------------------------------------

    def twin(self, node: Node) -> Node:
        """The fork's node for a node of the origin, with what can be taken over; its dependencies come first."""
        found = self._twin(node)
        if found is not None:
            return found
        stack: list[tuple[Node, _Plan]] = [(node, self._plan(node))]
        under = {node}
        while stack:
            top, plan = stack[-1]
            missing = next((item for item in plan.pending if self._twin(item) is None), None)
            if missing is not None and missing not in under:
                stack.append((missing, self._plan(missing)))
                under.add(missing)
                continue
            if missing is not None:  # outcomes of different times may go in circles: this one has to run
                plan = _Plan(None, (), partial=False)
            self._make(top, plan)
            under.discard(top)
            stack.pop()
        return self._twins[node]

    def _twin(self, node: Node) -> Node | None:
        """The twin if there is one, or if it takes no dependencies to make it."""
        found = self._twins.get(node)
        if found is not None:
            return found
        graph, ingredient, kind = self.graph, node.ingredient, node.ingredient.kind
        if kind == "presence":
            own = graph.presence_of(self.twin(self._slot_of(node)))
        elif kind == "keys":
            own = graph.key_set(ingredient.input)
        elif kind == "untracked":
            own = self._untracked(node)
        else:
            row = graph.table(ingredient).get(self._twins.get(node.key) if is_collection(node) else node.key)
            if row is None:
                return self._slot(node) if kind == "input" else None
            own = row
        return self._pair(node, own)

    def _pair(self, node: Node, own: Node) -> Node:
        if self._twins.setdefault(node, own) is own:
            self._unspread[own] = node
        return own

    def _slot_of(self, presence: Node) -> Node:
        return self._origin.slot(presence.ingredient.input, presence.key)

    # spec: fork.isolated
    def _slot(self, node: Node) -> Node:
        found = self._origin.find(node, self._base)
        assert found is not None  # what a pinned revision needs is kept
        own = Node(node.ingredient, node.key, found.value)
        own.changed_at, own.valid_from, own.valid_to = found.changed_at, found.valid_from, OPEN
        own.suspects = None
        own.bits = node.bits
        own.hot = found.value is not ABSENT
        self.graph.table(node.ingredient)[node.key] = own
        return self._pair(node, own)

    def _untracked(self, node: Node) -> Node:
        graph = self.graph
        own = graph.untracked.get(node.key)
        if own is None:
            own = graph.untracked_node(node.key)
            own.changed_at = own.valid_from = graph.at.revision  # what was written since is not known to anybody yet
        return own

    def presence_made(self, own: Node, slot: Node) -> None:
        """The fork has a presence node now, made before its slot was ever filled or emptied in the fork."""
        original = self._original(slot.ingredient, slot.key)
        theirs = None
        if original is not None:
            theirs = self._origin.presence.get(original)
            if theirs is None and self._kin.origin is not None:
                theirs = self._origin.presence_of(original)
        own.changed_at = own.valid_from = min(slot.changed_at, self._base)
        self._stamp(own, theirs)

    def key_set_made(self, own: Node) -> None:
        """The fork has a key set now, made before it first changed in the fork."""
        self._used = True
        origin, index = self._origin, own.ingredient.input.index
        theirs = origin.key_sets.get(index)
        if theirs is None and self._kin.origin is not None:
            theirs = origin.key_set(own.ingredient.input)
        own.changed_at = own.valid_from = self._base
        self._stamp(own, theirs)
        known = origin.sorted_keys.get(index)
        if theirs is not None and known is not None and known[0] == own.changed_at:
            self.graph.sorted_keys[index] = known

    def _stamp(self, own: Node, theirs: Node | None) -> None:
        if theirs is not None:
            found = self._origin.find(theirs, self._base)
            if found is not None:
                own.changed_at, own.valid_from = found.changed_at, found.valid_from
            own.bits |= theirs.bits
            self._twins.pop(theirs, None)  # an interrupt has come before that was known to the graph
            self._pair(theirs, own)

    # spec: fork.shared
    def _plan(self, node: Node) -> _Plan:
        """What a call's twin can take over."""
        base = self._base
        self._kin.complete(node)
        if not NEVER < node.valid_from <= base < node.valid_to:
            for memo in node.history or ():
                if memo.valid_from <= base < memo.valid_to and memo.dependencies is not None:
                    return _Plan(memo, memo.dependencies, partial=False)
        if self._as_it_was(node) and not node.bits & self._high:
            return _Plan(node, tuple(node.suspects or ()), partial=True)
        if NEVER < node.valid_from <= base:
            return _Plan(node, node.dependencies, partial=False)
        # The code of a loaded call has changed: it has to run, but may come to the same outcome.
        return _Plan(node if node.valid_from == NEVER and node.value is not EMPTY else None, (), partial=False)

    def _as_it_was(self, node: Node) -> bool:
        """Whether the origin's links still say what the outcome of the base revision depends on, and have said so at
        each walk of the fork. Where they do not any more, they never will again."""
        return NEVER < node.valid_from <= self._base and node.suspects is not SCAN and node not in self._late

    def _make(self, node: Node, plan: _Plan) -> None:
        key = node.key
        if is_collection(node):  # what is collected for a call is known by the call's node
            key = self.twin(key)
            self.graph.collected = self.graph.collected or Collected()
        own = Node(node.ingredient, key)
        holder = plan.holder
        self.graph.table(node.ingredient)[key] = own
        self._pair(node, own)
        if holder is None:
            return
        own.value, own.changed_at, own.cost, own.pushes = holder.value, holder.changed_at, node.cost, holder.pushes
        if holder.valid_to <= self._base:
            self._unsure.add(own)
        if self._has_to_run(node, plan):
            own.cause = node.cause
            return
        if plan.partial:
            heir = self._heirs[own] = _Heir(node.dependencies)
            heir.linked = dict.fromkeys(plan.dependencies)
            if len(heir.linked) > 1:
                heir.linked = {item: None for item in heir.dependencies if item in heir.linked}
            dependencies = tuple(self._twins[item] for item in heir.linked)
        else:
            dependencies = tuple(self._twins[item] for item in plan.dependencies)
        own.bits = node.bits if plan.partial else 0
        for item in dependencies:
            own.bits |= item.bits
        for item in dependencies:
            link(item, own)
        own.dependencies = dependencies
        self._validate(own, holder, dependencies)
        if dependencies or not plan.partial:
            self._own_kin.established(own, own.valid_from)

    def _has_to_run(self, node: Node, plan: _Plan) -> bool:
        """Whether the outcome may not be trusted, though it may be compared with: when it came to be, a dependency had
        a value that its twin does not know of. Backdating that over the difference would hide it."""
        holder = plan.holder
        assert holder is not None
        if holder.valid_from == NEVER:
            return True
        if holder.valid_to <= self._base:
            return node in self._late
        return not plan.partial and any(self._twins[item] in self._unsure for item in plan.dependencies)

    def _validate(self, own: Node, holder: Node | Memo, dependencies: tuple[Node, ...]) -> None:
        """For which revisions of the fork the outcome is right, as far as that is known."""
        base = self._base
        if holder.valid_to <= base:  # it was not even known for the base revision
            own.valid_from, own.valid_to = holder.valid_from, holder.valid_to
            own.suspects = list(dependencies) if 0 < len(dependencies) <= LISTED else SCAN
            own.cause = dependencies[0] if dependencies else None
            return
        moved = [item for item in dependencies if item.suspects is not None or self._changed_at(item) > base]
        own.valid_from = base
        if moved:
            own.valid_to = base + 1
            own.suspects = moved if len(moved) <= LISTED else SCAN
            own.cause = moved[0]
        else:
            own.valid_from = max([base, *(item.valid_from for item in dependencies if item.ingredient.kind == "query")])
            own.valid_to = OPEN
            own.suspects = None
            self.graph.warm(own)

    def _changed_at(self, own: Node) -> int:
        """When it changed, as far as the walks know: a write that no walk has begun with will find whom it reaches."""
        unseen = None if self._walking else self.graph.log.get(own)
        return own.changed_at if unseen is None else unseen.changed_at

    # --- links ----------------------------------------------------------------------------------------------------

    def spread(self, own: Node) -> None:
        """Let everything that the origin knows to depend on *own* be in the fork, and linked to it."""
        original = self._unspread.get(own)
        if original is None:
            return
        self._kin.reach(original)
        self._kin.settle()
        for dependent in tuple(each_dependent(original)):
            twin = self._twin(dependent)
            if twin is None and self._as_it_was(dependent):
                twin = self.twin(dependent)
            if twin is not None and twin in self._heirs:
                self._link(twin, original)
        del self._unspread[own]

    def _link(self, own: Node, dependency: Node) -> None:
        """Link an heir to one more of its original's dependencies."""
        heir = self._heirs[own]
        # The original may have run since, and have other dependencies now.
        if dependency not in heir.linked and heir.has(dependency):
            self._depend(own, dependency)
            self._touched.add(own)
            heir.linked[dependency] = None

    def _depend(self, own: Node, dependency: Node) -> None:
        twin = self.twin(dependency)
        grown = twin.bits & ~own.bits
        if grown:
            own.bits |= grown
            spread_bits(own, grown)
        link(twin, own)

    def settle(self) -> None:
        """Bring the dependencies of the heirs that have new ones into the order of reading."""
        for own in self._touched:
            heir = self._heirs.get(own)
            if heir is not None:
                if len(heir.linked) > 1:
                    heir.linked = {item: None for item in heir.dependencies if item in heir.linked}
                own.dependencies = tuple(self._twins[item] for item in heir.linked)
                own.places = None
        self._touched.clear()

    def complete(self, own: Node) -> None:
        """Let an heir have all of its dependencies."""
        heir = self._heirs.get(own)
        if heir is not None:
            for dependency in heir.dependencies:
                if dependency not in heir.linked:
                    self._depend(own, dependency)
            own.dependencies = tuple(self._twins[item] for item in heir.dependencies)
            own.places = None
            self._touched.discard(own)
            del self._heirs[own]

    def ran(self, own: Node) -> None:
        """The node gets dependencies of its own; it inherits nothing any more."""
        if own in self._touched:
            self.settle()
        self._heirs.pop(own, None)

    # --- what happens in the fork ---------------------------------------------------------------------------------

    def before_write(self, changes: list[Any]) -> None:
        """Presence and key sets that somebody may depend on have to be there before they change."""
        for slot, value, _, _ in changes:
            if (value is ABSENT) is not (slot.value is ABSENT):
                self.graph.presence_of(slot)
                self.graph.key_set(slot.ingredient)

    def before_walk(self) -> None:
        """The links by which the walk has to find its way."""
        if not self._walked:
            self.before_first_walk()
            self._walked = True
        while self._doubts:
            own, dependencies = next(iter(self._doubts.items()))
            if None in dependencies:
                self.complete(own)
            elif own in self._heirs:
                for dependency in dependencies:
                    if dependency is not None:
                        self._link(own, dependency)
            del self._doubts[own]
        self.settle()
        self._walking = True

    def after_walk(self) -> None:
        """The walk is over."""
        self._walking = False
        self.settle()

    def before_first_walk(self) -> None:
        """What changes with every revision has to be here before this graph, or a fork of it, is walked."""
        self._used = True
        self._kin.before_first_walk()
        for node in list(self._origin.untracked.values()):
            self._twin(node)

    def high(self, bits: int) -> None:
        """A HIGH input was written: those that have its bit are looked at with all that they depend on."""
        self._high |= bits
        for own in [own for own in self._heirs if own.bits & bits]:
            self.complete(own)

    # --- what happens in the origin -------------------------------------------------------------------------------

    def doubted(self, node: Node, dependency: Node | None) -> None:
        """The origin's links will not lead from *dependency* to *node* for ever: the next walk needs the fork's."""
        own = self._twins.get(node)
        if own is not None:
            heir = self._heirs.get(own)
            if heir is not None and dependency not in heir.linked:
                self._doubts.setdefault(own, {})[dependency] = None

    def established(self, node: Node, revision: int) -> None:
        """The origin found an outcome; what the fork has already did not see it, if it is one for the base revision."""
        if self._used and revision <= self._base:
            self._late.add(node)

    def proved(self, own: Node, revision: int) -> None:
        """The fork found an outcome."""
        if revision == self._base:
            self._unsure.discard(own)
