"""The graph's entry for one input slot, one presence, one key set or one call, and what is remembered in it.

Law: each field is defined by an equation over the others and over what was written; `check_invariant` asserts them,
and tests call it after every step. Nothing here runs user code.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from incr._revision import OPEN

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = [
    "ABSENT",
    "EMPTY",
    "NEVER",
    "RESERVED",
    "SCAN",
    "Failure",
    "Ingredient",
    "Marker",
    "Memo",
    "Node",
    "Stored",
    "each_dependent",
    "link",
    "settled",
    "unlink",
]


class Ingredient(Protocol):
    """What a node knows of the table that it stands in: enough to name it."""

    name: str
    index: int
    kind: str

    def label(self, key: Any) -> str:
        """The row as a reader would write it."""
        ...

    def arguments(self, key: Any) -> tuple[Hashable, ...]:
        """The row's key as the program gave it: a call's arguments, a record's key fields."""
        ...


@final
class Marker:
    """A value that no program can have."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


#: There is no outcome here: never computed, or dropped.
EMPTY: Final = Marker("EMPTY")
#: The value of an input slot that holds no record.
ABSENT: Final = Marker("ABSENT")


#: In a frame's reads: the place of a call that is being made, and that it has not read yet.
RESERVED: Final = Marker("RESERVED")


#: As `valid_from`: before every revision.
NEVER: Final = -1


@final
class Failure:
    """An outcome that is an exception, with the traceback that it came with (the engine's own frames left out)."""

    __slots__ = ("cause", "context", "error", "traceback")

    def __init__(self, error: BaseException, traceback: TracebackType | None) -> None:
        self.error = error
        self.traceback = traceback
        self.cause = error.__cause__
        self.context = error.__context__

    # spec: error.traceback
    def throw(self) -> Any:
        """Raise the exception as it was the first time: raising it again adds to it, so what was added is removed."""
        error = self.error
        suppress = error.__suppress_context__
        error.__cause__ = self.cause
        error.__context__ = self.context
        error.__suppress_context__ = suppress
        raise error.with_traceback(self.traceback)


@final
class Stored:
    """A value that is still in the bytes of a file; `decode` gives it, or EMPTY where this program cannot read it."""

    __slots__ = ("_row", "_source")

    def __init__(self, source: Any, row: int) -> None:
        self._source = source
        self._row = row

    def decode(self) -> Any:
        """The value, or EMPTY."""
        return self._source.decode(self._row)

    def encoded(self) -> bytes | None:
        """The value's bytes as they were read."""
        encoded: bytes | None = self._source.encoded(self._row)
        return encoded

    def kept(self) -> Stored:
        """The same value, whatever becomes of the row."""
        kept: Stored = self._source.kept(self, self._row)
        return kept

    def is_row(self, source: Any, row: int) -> bool:
        """Whether this is what *source* has in *row*."""
        return self._source is source and self._row == row


@final
class Memo:
    """An outcome that was current once and that somebody who is bound to an older revision still needs."""

    __slots__ = ("changed_at", "dependencies", "pushes", "valid_from", "valid_to", "value")

    def __init__(
        self,
        value: Any,
        changed_at: int,
        valid_from: int,
        valid_to: int,
        dependencies: tuple[Node, ...] | None = None,
        pushes: Any = None,
    ) -> None:
        self.value = value
        self.changed_at = changed_at
        self.valid_from = valid_from
        self.valid_to = valid_to
        #: What a call read when it came to this outcome: a fork of that revision goes by it.
        self.dependencies = dependencies
        #: What it pushed to accumulators, as a node has it.
        self.pushes = pushes


#: As `suspects`: too many to list; every dependency is looked at.
SCAN: Final[list[Node]] = []


@final
class Node:
    """One slot or call. See docs/internals/engine.md for the picture."""

    __slots__ = (
        "__weakref__",
        "bits",
        "cause",
        "changed_at",
        "cost",
        "dependencies",
        "dependents",
        "encoded",
        "flight",
        "history",
        "hot",
        "ingredient",
        "key",
        "places",
        "pushes",
        "ran_at",
        "suspects",
        "valid_from",
        "valid_to",
        "value",
    )

    #: The table and the row that this node is.
    ingredient: Any
    key: Any
    #: The last outcome: a value, a Failure, Stored, or EMPTY; a slot's record or ABSENT.
    value: Any
    #: hot == (suspects is None and value is a plain value): what a hit tests.
    hot: bool
    #: Newest revision at which the value differed from the one before it; changed_at <= valid_from for calls.
    changed_at: int
    #: The outcome is right for every revision R with valid_from <= R < valid_to. valid_to == OPEN iff suspects is None.
    #: valid_from is NEVER for a call that has to run whatever its dependencies say: it is new, or its code is.
    valid_from: int
    valid_to: int
    #: What the call read, in the order of reading, each once.
    dependencies: tuple[Node, ...]
    #: Where each dependency stands in `dependencies`, for a wide call that had to know it; else None.
    places: dict[Node, int] | None
    #: m in n.dependents <=> n in m.dependencies, for every n that is not a HIGH input.
    #: None, one node, a tuple of up to eight, or a dict: most nodes have few, and an empty dict is 64 bytes.
    dependents: Node | tuple[Node, ...] | dict[Node, None] | None
    #: None iff good at the newest walked revision; else the dependencies that may have changed since valid_from.
    suspects: list[Node] | None
    #: Why it last became suspect or ran: one dependency. What `explain` follows.
    cause: Node | None
    #: The executions in progress, newest first; None nearly always.
    flight: Any
    #: Older outcomes that a pinned revision needs, oldest first; None nearly always.
    history: list[Memo] | None
    #: One bit for each HIGH ingredient that was read, directly or not. On a slot: its ingredient's, once it was HIGH.
    bits: int
    #: The revision that the last execution in this process was bound to; NEVER if there was none.
    ran_at: int
    #: Seconds that the last execution took, calls that it made included; 0.0 if it did not run in this process.
    cost: float
    #: The outcome's bytes as last written or read, while they are still right; else None.
    encoded: Any
    #: What the call pushed to accumulators: `Pushes`, LOST or BARRED (see `_pushes`); None nearly always.
    pushes: Any

    def __init__(self, ingredient: Any, key: Any, value: Any = EMPTY) -> None:
        self.ingredient = ingredient
        self.key = key
        self.value = value
        self.hot = False
        self.changed_at = 0
        self.valid_from = NEVER
        self.valid_to = 0
        self.dependencies = ()
        self.places = None
        self.dependents = None
        self.suspects = SCAN
        self.cause = None
        self.flight = None
        self.history = None
        self.bits = 0
        self.ran_at = NEVER
        self.cost = 0.0
        self.encoded = None
        self.pushes = None

    def __repr__(self) -> str:
        return f"<Node {self.label()}>"

    def label(self) -> str:
        """The node as a reader would write it."""
        text: str = self.ingredient.label(self.key)
        return text

    def covers(self, revision: int) -> bool:
        """Whether the current outcome is known to be right at *revision*."""
        return self.valid_from <= revision < self.valid_to and self.value is not EMPTY

    def check_invariant(self) -> None:
        """Assert the equations that concern this node and its neighbours."""
        plain = self.value is not EMPTY and type(self.value) not in (Failure, Stored)
        assert not self.hot or (self.suspects is None and plain), f"{self}: hot but not good and plain"
        assert (self.valid_to == OPEN) == (self.suspects is None), f"{self}: valid_to does not fit suspects"
        assert self.valid_from <= self.valid_to or self.valid_to == 0, f"{self}: empty validity"
        assert self.changed_at <= self.valid_from or self.suspects is SCAN, f"{self}: changed after it was verified"
        assert len(set(self.dependencies)) == len(self.dependencies), f"{self}: a dependency twice"
        assert self.places is None or tuple(self.places) == self.dependencies, f"{self}: places of other dependencies"
        for dependency in self.dependencies:
            linked = self in set(each_dependent(dependency))
            knows_bits = not dependency.bits & ~self.bits
            if dependency.ingredient.kind == "query":
                assert linked and knows_bits, f"{self}: {dependency} does not know it, or it lacks a bit"
            else:  # an input may have become HIGH after it was read
                assert linked or (dependency.bits and knows_bits), f"{self}: {dependency} does not know it"
            if self.suspects is None:
                assert dependency.suspects is None, f"{self}: good above the suspect {dependency}"
                assert dependency.changed_at <= self.valid_from, f"{self}: good but {dependency} changed since"
        for dependent in each_dependent(self):
            assert self in dependent.dependencies, f"{self}: {dependent} does not depend on it"
        for memo in self.history or ():
            assert memo.valid_from < memo.valid_to < OPEN, f"{self}: empty history entry"


def settled(node: Node) -> Node:
    """The node, as one that is good since ever."""
    node.valid_from = 0
    node.valid_to = OPEN
    node.suspects = None
    return node


def each_dependent(node: Node) -> Iterator[Node]:
    """The nodes that read *node*, in the order in which they were linked."""
    dependents = node.dependents
    if dependents is None:
        return iter(())
    if type(dependents) is Node:
        return iter((dependents,))
    return iter(dependents)


#: The kinds of nodes that are links in a chain: a HIGH input that is below them does not know what is above.
_COMPUTED: Final = ("query", "component")

#: More dependents than this are kept in a dict.
_FEW: Final = 8


def link(dependency: Node, node: Node) -> None:
    """Let *dependency* know that *node* read it, unless it is a HIGH input whose bit the node has."""
    bits = dependency.bits
    if bits and not bits & ~node.bits and dependency.ingredient.kind not in _COMPUTED:
        return
    dependents = dependency.dependents
    if dependents is None:
        dependency.dependents = node
    elif type(dependents) is dict:
        dependents[node] = None
    elif type(dependents) is Node:
        if dependents is not node:
            dependency.dependents = (dependents, node)
    elif node not in dependents:
        more = (*dependents, node)
        dependency.dependents = more if len(more) <= _FEW else dict.fromkeys(more)


def unlink(dependency: Node, node: Node) -> None:
    """Let *dependency* forget *node*; nothing happens if it did not know it."""
    dependents = dependency.dependents
    if type(dependents) is dict:
        dependents.pop(node, None)
        if not dependents:
            dependency.dependents = None
    elif type(dependents) is tuple:
        rest = tuple(other for other in dependents if other is not node)
        dependency.dependents = rest[0] if len(rest) == 1 else rest or None
    elif dependents is node:
        dependency.dependents = None
