"""What there is to commit, taken from the graph in one stretch.

Law: nothing here waits, runs code of the program or copies a value, so that one revision is seen, whole. What is taken
is never written to by the engine again: stamps are copied, tuples and values are immutable.

Keeps: commit.atomic.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final, final

from incr._collected import is_collection
from incr._component import is_component, on_loop
from incr._durable._backing import Backing
from incr._durable._journal import Journal
from incr._node import ABSENT, EMPTY, NEVER, Node
from incr.store.rows import CALLS, GOOD, HIGH, KEY_SETS, PRESENCES, RECORDS, UNTRACKED

__all__ = ["Draft", "Taken", "take"]

#: So many nodes are looked at with the lock held.
_STRETCH: Final = 256
#: So often it is tried to catch up with what changes meanwhile.
_ROUNDS: Final = 8
_KINDS: Final = {"input": RECORDS, "presence": PRESENCES, "keys": KEY_SETS, "untracked": UNTRACKED, "query": CALLS}


@final
class Draft:
    """A node as it is at the revision that is committed."""

    __slots__ = (
        "changed_at", "collection", "dependencies", "encoded", "flags", "ingredient", "key", "kind", "node", "pushes",
        "valid_from", "value",
    )  # fmt: skip

    def __init__(self, node: Node) -> None:
        self.node = node
        kind = node.ingredient.kind
        self.kind = _KINDS[kind]
        #: Whose section it belongs to; None for the reasons of untracked reads.
        self.ingredient: Any = node.ingredient
        if kind == "presence" or kind == "keys":
            self.ingredient = node.ingredient.input
        elif kind == "untracked":
            self.ingredient = None
        self.collection = is_collection(node)
        self.key = node.key
        self.changed_at = node.changed_at
        self.flags = HIGH if node.bits and kind != "query" else 0
        self.value: Any = EMPTY
        #: The value's bytes, or what has them.
        self.encoded: Any = None
        self.pushes: Any = None
        self.dependencies: tuple[Node, ...] = ()
        self.valid_from = node.changed_at
        if kind == "query":
            self._take_call(node)
        else:
            self.flags |= GOOD
            if kind == "input":
                self.value = EMPTY if node.value is ABSENT else node.value
                self.encoded = node.encoded

    def _take_call(self, node: Node) -> None:
        self.value, self.encoded, self.pushes = node.value, node.encoded, node.pushes
        self.valid_from = node.valid_from
        if node.valid_from != NEVER:
            self.dependencies = node.dependencies
            if node.suspects is None:
                self.flags |= GOOD


@final
class Taken:
    """What there is to commit."""

    __slots__ = ("drafts", "goodness", "instances", "journal", "orphans", "removed", "revision", "unknown")

    def __init__(self) -> None:
        self.revision = 0
        #: Where all of it was.
        self.journal = Journal()
        self.drafts: dict[Node, Draft] = {}
        #: Row -> whether it is good, for those that are as they were otherwise.
        self.goodness: dict[int, bool] = {}
        #: Rows of ingredients that this program does not declare, which are not good any more.
        self.unknown: list[int] = []
        #: Those of them whose rows name what is gone.
        self.orphans: list[int] = []
        self.removed: list[int] = []
        #: Interned class -> its new instances, and how many there are in all.
        self.instances: dict[Any, tuple[list[Any], int]] = {}


# spec: commit.atomic
def take(backing: Backing, taken: Taken) -> None:
    """Into *taken*: everything that the store does not have, as of one moment. Whoever is interrupted here gives back
    what *taken* has of the journal.

    The lock is taken for a few nodes at a time. Whatever changes meanwhile is in the journal, and taken once more; what
    is left at the end is so little that it is taken in one stretch, and the revision with it.
    """
    graph = backing.graph
    for _ in range(_ROUNDS):
        with graph.lock:
            graph.current()  # what was written is made known to what depends on it
            backing.settle()
            late = backing.journal.take(taken.journal)
            if late.size <= _STRETCH:
                _look(backing, taken, late.rows, late)
                _end(backing, taken)
                return
        _look_slowly(backing, taken, late)
    with graph.lock:
        graph.current()
        backing.settle()
        late = backing.journal.take(taken.journal)
        _look(backing, taken, late.rows, late)
        _end(backing, taken)


def _look_slowly(backing: Backing, taken: Taken, late: Journal) -> None:
    """Look at many nodes, a stretch at a time."""
    rows, others = iter(late.rows), iter([*late.verified, *late.doubtful])
    while some := dict.fromkeys(islice(rows, _STRETCH)):
        with backing.graph.lock:
            _look(backing, taken, some, None)
    while some := dict.fromkeys(islice(others, _STRETCH)):
        with backing.graph.lock:
            _look_again(backing, taken, some)


def _look(backing: Backing, taken: Taken, rows: Iterable[Node], late: Journal | None) -> None:
    graph = backing.graph
    for node in rows:
        known = taken.drafts.pop(node, None) is not None or node in backing.numbers
        if known or node.value is not ABSENT:  # an empty slot is a row only if it is depended on
            _draft(backing, taken, node)
        if node.ingredient.kind == "input":  # what changes with it, if the store has that
            for one in (graph.presence.get(node), graph.key_sets.get(node.ingredient.index)):
                if one is not None and (one in backing.numbers or one in taken.drafts):
                    taken.drafts.pop(one, None)
                    _draft(backing, taken, one)
    if late is not None:
        _look_again(backing, taken, [*late.verified, *late.doubtful])


def _look_again(backing: Backing, taken: Taken, nodes: Iterable[Node]) -> None:
    """Nodes that are as they were but for being good."""
    for node in nodes:
        if node in taken.drafts:
            del taken.drafts[node]
            _draft(backing, taken, node)
        else:
            number = backing.numbers.get(node)
            if number is not None:
                taken.goodness[number] = node.suspects is None


def _end(backing: Backing, taken: Taken) -> None:
    """Nothing is left: this is the moment."""
    graph = backing.graph
    taken.revision = graph.newest
    for node in taken.drafts:
        taken.goodness.pop(backing.numbers.get(node, -1), None)
    taken.unknown, backing.unknown_doubts = list(backing.unknown_doubts), {}
    taken.goodness.update(dict.fromkeys([one for one in taken.unknown if one not in backing.nodes], False))
    taken.orphans, backing.orphans = [one for one in backing.orphans if one not in backing.removed], {}
    for number in (*taken.orphans, *backing.removed):
        taken.goodness.pop(number, None)
    taken.removed = sorted(backing.removed)
    for ingredient in graph.ingredients:
        if ingredient is not None and ingredient.kind == "interned":
            instances = graph.interned.get(ingredient.index)
            new = 0 if instances is None else len(instances) - backing.instances.get(ingredient, 0)
            if instances is not None and new:
                found = list(islice(reversed(instances.values()), new))
                taken.instances[ingredient] = (found[::-1], len(instances))


def _draft(backing: Backing, taken: Taken, node: Node) -> None:
    """The node's draft, and those of what it depends on and the store does not have."""
    numbers = backing.numbers
    stack = [node]
    while stack:
        top = stack.pop()
        if top in taken.drafts or not _is_row(backing, top):
            continue
        draft = taken.drafts[top] = Draft(top)
        if on_loop(top):
            draft.dependencies = (backing.loop,)
        if draft.kind == PRESENCES:  # who finds the slot finds its presence
            stack.append(backing.graph.slot(draft.ingredient, top.key))
        stack += [one for one in draft.dependencies if one not in numbers]


def _is_row(backing: Backing, node: Node) -> bool:
    """Whether a store can have the node: no call that never came to an end, nor what loops depend on."""
    if node in backing.numbers:
        return True
    return not is_component(node) and (node.ingredient.kind != "query" or node.valid_from != NEVER)
