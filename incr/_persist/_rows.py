"""A file's rows as they become nodes: what the parts of a load share.

Law: nodes are made in a graph of their own, beside the one that is to be replaced. What is not as it was when the file
was written is changed in the revision after the file's, so that the engine finds out by its own rules what has to run.

Keeps: load.aside, base.bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, Final, final

from incr._errors import CorruptError
from incr._graph import Graph
from incr._log import Unseen
from incr._node import EMPTY, NEVER, SCAN, Node, Stored
from incr._persist._format import CALLS, KEY_SETS, PRESENCES, RECORDS, Values
from incr._persist._keys import UNREADABLE
from incr._persist._reason import Reason, settled
from incr.store.base import Base, Section

__all__ = ["INGREDIENTS", "Declared", "Rows", "Source", "located"]

#: What an ingredient has to be to have a section of this kind.
INGREDIENTS: Final = {RECORDS: "input", PRESENCES: "input", KEY_SETS: "input", CALLS: "query"}

#: (kind, name) -> ingredient.
Declared = Mapping[tuple[str, str], Any]


@final
class Source:
    """Where the values of one section are until they are asked for."""

    __slots__ = ("_decode", "_unreadable", "_values")

    def __init__(self, values: Values, decode: Callable[[bytes], Any]) -> None:
        self._values = values
        self._decode = decode
        self._unreadable: set[int] = set()

    def decode(self, row: int) -> Any:
        """The value, or EMPTY where this program cannot read it: then it is computed again."""
        value = self._decode(self._values.row(row))
        if value is UNREADABLE:
            self._unreadable.add(row)
            return EMPTY
        return value

    def encoded(self, row: int) -> bytes | None:
        """The value's bytes; None if this program has found that it cannot read them, and so has another value now."""
        return None if row in self._unreadable else self._values.row(row)

    def kept(self, stored: Stored, row: int) -> Stored:
        """The file was read, and is never written to."""
        return stored


@final
class Rows:
    """The rows of all sections.

    *decode* gives the value of some bytes, or `UNREADABLE` where this program does not have what they need.
    """

    __slots__ = (
        "_unseen",
        "base",
        "declared",
        "decode",
        "first",
        "graph",
        "later",
        "lost",
        "nodes",
        "path",
        "revision",
        "suspects",
    )  # fmt: skip

    def __init__(self, path: str, base: Base, declared: Declared, decode: Callable[[bytes], Any]) -> None:
        self.path = path
        self.base = base
        self.declared = declared
        self.decode = decode
        for section in base.sections:
            with located(path, section):
                _check_rows(section)
        #: The file's revision, and the one in which everything changes that is not as it was then.
        self.revision = base.header.revision
        self.later = self.revision + 1
        #: The state; its log holds what has changed.
        self.graph = Graph()
        self.graph.newest = self.revision
        #: Changed since it was stored, nobody knows from what.
        self._unseen = Unseen(self.later, EMPTY, 0)
        #: The cause of a call's having to run again because something is missing.
        self.lost = self.reason("something that a load did not find as it was")
        #: By the number of a section: the file's row of its first row.
        self.first = list(accumulate((section.rows for section in base.sections), initial=0))
        #: Row of the file -> its node, if this program has one for it.
        self.nodes: list[Node | None] = [None] * self.first[-1]
        #: Rows of the file that are of calls which may not be good any more.
        self.suspects: set[int] = set()

    def ingredient(self, section: Section) -> Any:
        """The section's ingredient, if this program declares it."""
        return self.declared.get((INGREDIENTS.get(section.kind, ""), section.name))

    def of_section(self, number: int) -> Sequence[Node | None]:
        """The nodes of a section's rows."""
        return self.nodes[self.first[number] : self.first[number + 1]]

    def change(self, node: Node) -> None:
        """The slot, presence, key set or reason is not what it was when the file was written."""
        node.changed_at = node.valid_from = self.later
        self.graph.log[node] = self._unseen

    def rerun(self, node: Node, cause: Node) -> None:
        """The call has to run again, and what used it has to look."""
        node.valid_from = NEVER
        node.valid_to = 0
        node.suspects = SCAN
        node.bits = 0
        node.cause = cause
        self.graph.log[node] = self._unseen

    def reason(self, text: str) -> Node:
        """A cause that is no row."""
        return settled(Node(Reason(text), ()), self.later)


# spec: base.bounded
def _check_rows(section: Section) -> None:
    """Every row takes a byte at least; nothing is made for rows that there is no room for."""
    if section.rows > sum(map(len, section.streams.values())):
        raise ValueError(f"{section.rows} rows are more than there is room for")


@contextmanager
def located(path: str, section: Section) -> Generator[None]:
    """What does not fit in the section is damage of the file."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        if isinstance(error, CorruptError):
            raise
        name = f" of {section.name!r}" if section.name else ""
        raise CorruptError(path, section.offset, f"in the section{name}: {error}") from error
