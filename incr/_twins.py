"""Twins: the nodes of a fork that stand for nodes of its origin, with what is taken over from them.

A look-up in a fork that misses goes to the origin, and what is found there as of the snapshot's revision, the *base*,
becomes a node of the fork. An *heir* is a twin with the memo of its original but only those links that may matter, in
the order of reading of the origin. docs/internals/forks.md says which, and why that is enough.

Law: the origin is read, never written; what it does not know for the base revision is not guessed. The lock is held;
forks share it.

Keeps: fork.view, fork.isolated, fork.shared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

from incr._collected import Collected, is_collection
from incr._component import is_component, on_loop
from incr._graph import Graph
from incr._kin import Kin
from incr._node import ABSENT, EMPTY, NEVER, SCAN, Memo, Node, Stored, link
from incr._revision import OPEN
from incr._suspicion import LISTED

__all__ = ["Heir", "Twins"]


@final
class Heir:
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
class Twins:
    """What one fork has taken over so far."""

    __slots__ = (
        "_own_kin", "base", "graph", "heirs", "high", "in_time", "kin", "known", "late", "origin", "unspread",
        "unsure", "used", "walking",
    )  # fmt: skip

    def __init__(self, origin: Graph, kin: Kin, base: int, graph: Graph, own_kin: Kin) -> None:
        self.origin = origin
        self.kin = kin
        self.base = base
        #: The fork's own graph.
        self.graph = graph
        self._own_kin = own_kin
        #: Node of the origin -> node of the fork.
        self.known: dict[Node, Node] = {}
        #: Twin -> its original, while there may be dependents that only the origin knows.
        self.unspread: dict[Node, Node] = {}
        #: Twins that have their original's memo and not all of its dependencies.
        self.heirs: dict[Node, Heir] = {}
        #: Originals that got an outcome for the base revision when the fork had nodes already, which thus did not
        #: see it, nor did its walks.
        self.late: set[Node] = set()
        #: Twins whose value at the base revision is not known, only one from before it.
        self.unsure: set[Node] = set()
        #: The bits of the HIGH inputs that the fork has written.
        self.high = 0
        #: Whether the fork has any nodes.
        self.used = False
        #: Whether a walk of the fork has begun and not come to its end.
        self.walking = False
        #: Whether twins are made for an heir that relies on their originals: forks of this fork have always seen them.
        self.in_time = False

    # --- look-ups -------------------------------------------------------------------------------------------------

    # spec: fork.view
    def find(self, ingredient: Any, key: Any) -> Node | None:
        """The row's node in the fork: what the origin has is taken over."""
        graph = self.graph
        self.used = True
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
        return [key for key in self.origin.present(ingredient, self.base) if key not in own]

    def _original(self, ingredient: Any, key: Any) -> Node | None:
        origin, index = self.origin, ingredient.index
        if type(key) is Node:  # what is collected for a call is known by the call's node: there by theirs
            key = self._original(key.ingredient, key.key)
            if key is None:
                return None
        if self.kin.origin is None and not (
            index < len(origin.ingredients) and origin.ingredients[index] is ingredient
        ):
            return None  # asking must not make a table there
        return origin.known(ingredient, key)

    # --- twins ----------------------------------------------------------------------------------------------------

    def twin(self, node: Node) -> Node:
        """The fork's node for a node of the origin, with what can be taken over; its dependencies come first."""
        found = self.at_hand(node)
        if found is not None:
            return found
        plan = self._plan(node)
        if not plan.dependencies and not is_component(node):  # nearly always
            self._make(node, plan)
            return self.known[node]
        stack = [(node, plan)]
        loops: list[Node] = []
        under = {node}
        while stack:
            top, plan = stack[-1]
            missing = next((item for item in plan.pending if self.at_hand(item) is None), None)
            if missing is not None and missing not in under:
                stack.append((missing, self._plan(missing)))
                under.add(missing)
                continue
            if missing is not None:  # outcomes of different times may go in circles: this one has to run
                plan = _Plan(None, (), partial=False)
            self._make(top, plan)
            under.discard(top)
            stack.pop()
            if is_component(top):
                loops.append(top)
        for loop in loops:  # all calls of it at once: a walk that reaches the component has to find them good
            self.known[loop].key = tuple(self.twin(member) for member in loop.key)
        return self.known[node]

    def at_hand(self, node: Node) -> Node | None:
        """The twin if there is one, or if it takes no dependencies to make it."""
        found = self.known.get(node)
        if found is not None:
            return found
        graph, ingredient, kind = self.graph, node.ingredient, node.ingredient.kind
        if kind == "presence":
            own = graph.presence_of(self.twin(self._slot_of(node)))
        elif kind == "keys":
            own = graph.key_set(ingredient.input)
        elif kind == "untracked":
            own = self._untracked(node)
        elif kind == "component":
            return None
        else:
            row = graph.table(ingredient).get(self.at_hand(node.key) if is_collection(node) else node.key)
            if row is None:
                return self._slot(node) if kind == "input" else None
            own = row
        return self._pair(node, own)

    def _pair(self, node: Node, own: Node) -> Node:
        if self.known.setdefault(node, own) is own:
            self.unspread[own] = node
        return own

    def _slot_of(self, presence: Node) -> Node:
        return self.origin.slot(presence.ingredient.input, presence.key)

    # spec: fork.isolated
    def _slot(self, node: Node) -> Node:
        found = self.origin.find(node, self.base)
        assert found is not None  # what a pinned revision needs is kept
        own = Node(node.ingredient, node.key, found.value.kept() if type(found.value) is Stored else found.value)
        own.changed_at, own.valid_from, own.valid_to = found.changed_at, found.valid_from, OPEN
        own.suspects = None
        own.bits = node.bits
        own.hot = found.value is not ABSENT and type(found.value) is not Stored
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
            theirs = self.origin.presence.get(original)
            if theirs is None and self.kin.origin is not None:
                theirs = self.origin.presence_of(original)
        own.changed_at = own.valid_from = min(slot.changed_at, self.base)
        self._stamp(own, theirs)

    def key_set_made(self, own: Node) -> None:
        """The fork has a key set now, made before it first changed in the fork."""
        self.used = True
        origin, index = self.origin, own.ingredient.input.index
        theirs = origin.key_sets.get(index)
        if theirs is None and self.kin.origin is not None:
            theirs = origin.key_set(own.ingredient.input)
        own.changed_at = own.valid_from = self.base
        self._stamp(own, theirs)
        known = origin.sorted_keys.get(index)
        if theirs is not None and known is not None and known[0] == own.changed_at:
            self.graph.sorted_keys[index] = known

    def _stamp(self, own: Node, theirs: Node | None) -> None:
        if theirs is not None:
            found = self.origin.find(theirs, self.base)
            if found is not None:
                own.changed_at, own.valid_from = found.changed_at, found.valid_from
            own.bits |= theirs.bits
            self.known.pop(theirs, None)  # an interrupt has come before that was known to the graph
            self._pair(theirs, own)

    # spec: fork.shared
    def _plan(self, node: Node) -> _Plan:
        """What a call's twin can take over."""
        base = self.base
        self.kin.complete(node)
        if not NEVER < node.valid_from <= base < node.valid_to:
            right = [memo for memo in node.history or () if memo.valid_from <= base < memo.valid_to]
            right.sort(key=_is_dropped)  # the call may have run again, for a snapshot
            for memo in right:
                if memo.dependencies is not None:
                    return _Plan(memo, memo.dependencies, partial=False)
        # The calls of a loop are linked to what all of them depend on from the first: they are good together or not.
        if self.as_it_was(node) and not node.bits & self.high and not on_loop(node):
            return _Plan(node, tuple(node.suspects or ()), partial=True)
        if NEVER < node.valid_from <= base:
            return _Plan(node, node.dependencies, partial=False)
        # The code of a loaded call has changed: it has to run, but may come to the same outcome.
        return _Plan(node if node.valid_from == NEVER and node.value is not EMPTY else None, (), partial=False)

    def as_it_was(self, node: Node) -> bool:
        """Whether the origin's links still say what the outcome of the base revision depends on, and have said so at
        each walk of the fork. Where they do not any more, they never will again."""
        return NEVER < node.valid_from <= self.base and node.suspects is not SCAN and node not in self.late

    def _make(self, node: Node, plan: _Plan) -> None:
        key = node.key
        if is_collection(node):  # what is collected for a call is known by the call's node
            key = self.twin(key)
            self.graph.collected = self.graph.collected or Collected()
        own = Node(node.ingredient, key)
        holder = plan.holder
        if not is_component(node):
            self.graph.table(node.ingredient)[key] = own
        self._pair(node, own)
        if holder is None:
            return
        own.value, own.changed_at, own.cost, own.pushes = holder.value, holder.changed_at, node.cost, holder.pushes
        if holder.valid_to <= self.base:
            self.unsure.add(own)
        if self._has_to_run(node, plan):
            own.cause = node.cause
            return
        if plan.partial:
            heir = self.heirs[own] = Heir(node.dependencies)
            heir.linked = dict.fromkeys(plan.dependencies)
            if len(heir.linked) > 1:
                heir.linked = {item: None for item in heir.dependencies if item in heir.linked}
            dependencies = tuple(self.known[item] for item in heir.linked)
        else:
            dependencies = tuple(self.known[item] for item in plan.dependencies)
        own.bits = node.bits if plan.partial else 0
        for item in dependencies:
            own.bits |= item.bits
        for item in dependencies:
            link(item, own)
        own.dependencies = dependencies
        if is_component(own):
            self.graph.components[own] = None
        self._validate(own, holder, dependencies)
        if not self.in_time and (dependencies or not plan.partial):
            self._own_kin.taken_over(own, all_linked=not plan.partial)

    def _has_to_run(self, node: Node, plan: _Plan) -> bool:
        """Whether the outcome may not be trusted, though it may be compared with: when it came to be, a dependency had
        a value that its twin does not know of. Backdating that over the difference would hide it."""
        holder = plan.holder
        assert holder is not None
        if holder.valid_from == NEVER:
            return True
        if plan.dependencies and is_component(plan.dependencies[0]):
            return self.known[plan.dependencies[0]].valid_from == NEVER
        if holder.valid_to <= self.base:
            return node in self.late
        return not plan.partial and any(self.known[item] in self.unsure for item in plan.dependencies)

    def _validate(self, own: Node, holder: Node | Memo, dependencies: tuple[Node, ...]) -> None:
        """For which revisions of the fork the outcome is right, as far as that is known."""
        base = self.base
        if holder.valid_to <= base:  # it was not even known for the base revision
            own.valid_from, own.valid_to = holder.valid_from, holder.valid_to
            own.suspects = list(dependencies) if 0 < len(dependencies) <= LISTED else SCAN
            own.cause = dependencies[0] if dependencies else None
            return
        moved = [item for item in dependencies if item.suspects is not None or self._changed_at(item) > base]
        if not moved and is_collection(own):  # other pushes change no value: has the fork looked at what is below?
            moved = [item for item in dependencies if item.valid_from > base]
        own.valid_from = base
        if moved:
            own.valid_to = min(base + 1, self.graph.newest)  # as any suspect, it is not known for the newest revision
            own.suspects = moved if len(moved) <= LISTED else SCAN
            own.cause = moved[0]
        else:
            calls = [item for item in dependencies if item.ingredient.kind in ("query", "component")]
            own.valid_from = max([base, *(item.valid_from for item in calls)])
            own.valid_to = OPEN
            own.suspects = None
            self.graph.warm(own)

    def _changed_at(self, own: Node) -> int:
        """When it changed, as far as the walks know: a write that no walk has begun with will find whom it reaches."""
        unseen = None if self.walking else self.graph.log.get(own)
        return own.changed_at if unseen is None else unseen.changed_at


def _is_dropped(memo: Memo) -> bool:
    return memo.value is EMPTY
