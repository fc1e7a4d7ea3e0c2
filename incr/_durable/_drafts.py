"""What there is to commit, taken from the graph in one stretch.

Law: nothing here waits, runs code of the program or copies a value, so that one revision is seen, whole. What is taken
is never written to by the engine again: stamps are copied, tuples and values are immutable.

Keeps: commit.atomic, commit.vacant.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final, final

from incr._component import on_loop
from incr._durable._backing import Backing
from incr._durable._journal import Journal
from incr._node import ABSENT, EMPTY, NEVER, Node
from incr.store.rows import CALLS, GOOD, HIGH, KEY_SETS, NO_SECTION, PRESENCES, RECORDS, UNTRACKED

__all__ = ["Draft", "Shape", "Taken", "take"]

#: So many nodes are looked at with the lock held.
_STRETCH: Final = 256
#: So often it is tried to catch up with what changes meanwhile.
_ROUNDS: Final = 8
_KINDS: Final = {"input": RECORDS, "presence": PRESENCES, "keys": KEY_SETS, "untracked": UNTRACKED, "query": CALLS}


@final
class Shape:
    """What all nodes of one ingredient have in common for a store."""

    __slots__ = ("collection", "ingredient", "is_row", "kind", "section")

    def __init__(self, ingredient: Any) -> None:
        kind = ingredient.kind
        #: Whether a store can have such nodes: not what loops depend on.
        self.is_row = kind in _KINDS
        self.kind = _KINDS.get(kind, NO_SECTION)
        #: Whose section they belong to; None for the reasons of untracked reads.
        self.ingredient: Any = ingredient
        if kind == "presence" or kind == "keys":
            self.ingredient = ingredient.input
        elif kind == "untracked":
            self.ingredient = None
        #: Whether they are what is collected for calls.
        self.collection = getattr(ingredient, "accumulator", None) is not None
        #: The number of the section, once there is one.
        self.section = NO_SECTION


@final
class Draft:
    """A node as it is at the revision that is committed."""

    __slots__ = ("changed_at", "dependencies", "encoded", "flags", "node", "pushes", "shape", "valid_from", "value")

    def __init__(self, node: Node, shape: Shape) -> None:
        self.node = node
        self.shape = shape
        self.changed_at = node.changed_at
        #: The value's bytes, or what has them.
        self.encoded: Any = node.encoded
        self.dependencies: tuple[Node, ...] = ()
        self.value: Any = node.value
        self.pushes: Any = None
        if shape.kind == CALLS:
            self.pushes = node.pushes
            self.valid_from = node.valid_from
            self.flags = 0
            if node.valid_from != NEVER:
                self.dependencies = node.dependencies
                if node.suspects is None:
                    self.flags = GOOD
        else:
            self.valid_from = node.changed_at
            self.flags = GOOD | HIGH if node.bits else GOOD
            if self.value is ABSENT:
                self.value = EMPTY


@final
class Taken:
    """What there is to commit."""

    __slots__ = ("drafts", "goodness", "instances", "journal", "orphans", "removed", "revision", "unknown", "vacant")

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
        #: Slots that were empty when they were looked at.
        self.vacant: dict[Node, None] = {}
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
    rows, others = iter(late.rows), iter(late.others())
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
        if node.value is ABSENT:
            taken.vacant[node] = None
        if node.ingredient.kind == "input":  # what changes with it, if the store has that
            for one in (graph.presence.get(node), graph.key_sets.get(node.ingredient.index)):
                if one is not None and (one in backing.numbers or one in taken.drafts):
                    taken.drafts.pop(one, None)
                    _draft(backing, taken, one)
    if late is not None:
        _look_again(backing, taken, late.others())


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
    for slot in taken.vacant:
        _vacate(backing, taken, slot)
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


# spec: commit.vacant
def _vacate(backing: Backing, taken: Taken, slot: Node) -> None:
    """An empty slot that nobody depends on has no row any more.

    Only rows that were there at the opening go: one that came since may still be taken back.
    """
    presence = backing.graph.presence.get(slot)
    nodes = [slot] if presence is None else [slot, presence]
    if slot.value is not ABSENT or any(_is_used(backing, taken, node) for node in nodes):
        return
    if presence is None and backing.has_presence(slot):
        return
    for node in nodes:
        taken.drafts.pop(node, None)
        backing.vacated(node)


def _is_used(backing: Backing, taken: Taken, node: Node) -> bool:
    number = backing.numbers.get(node)
    if node.dependents is not None or node.bits or (number is not None and not backing.sections.was_there(number)):
        return True
    dependents = () if number is None else backing.store.dependents(number)
    return any(backing.nodes.get(one) not in taken.drafts for one in dependents)


def _draft(backing: Backing, taken: Taken, node: Node) -> None:
    """The node's draft, and those of what it depends on and the store does not have."""
    numbers, drafts, shapes = backing.numbers, taken.drafts, backing.shapes
    stack = [node]
    while stack:
        top = stack.pop()
        if top in drafts:
            continue
        shape = shapes.get(top.ingredient)
        if shape is None:
            shape = shapes[top.ingredient] = Shape(top.ingredient)
        if not shape.is_row or (shape.kind == CALLS and top.valid_from == NEVER and top not in numbers):
            continue  # a call that never came to an end
        draft = drafts[top] = Draft(top, shape)
        if on_loop(top):
            draft.dependencies = (backing.loop,)
        if shape.kind == PRESENCES:  # who finds the slot finds its presence
            stack.append(backing.graph.slot(shape.ingredient, top.key))
        stack += [one for one in draft.dependencies if one not in numbers]
