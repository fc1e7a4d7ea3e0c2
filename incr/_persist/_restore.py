"""From a checked file to a graph of its own, beside the one that it is to replace.

Law: whatever is wrong with the file comes out here, before anything is swapped in. A memo is good only if everything
that it depends on is there, as it was, and its code is what it was; what is not is treated as if it had been written in
the revision after the file's, so that the engine finds out by its own rules what has to run.

Keeps: load.aside, load.code, load.unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, Final, final

from incr._errors import CorruptError
from incr._exact import exact_key
from incr._graph import Graph, Unseen
from incr._node import ABSENT, EMPTY, NEVER, SCAN, Node, Stored, link
from incr._persist._format import (
    CALLS,
    GOOD,
    HIGH,
    INTERNED,
    KEY_SETS,
    KEYS,
    PRESENCES,
    RECORDS,
    UNTRACKED,
    Calls,
    Shared,
    Values,
    read_calls,
    read_flags,
    read_names,
    read_stamps,
    read_values,
)
from incr._persist._kept import Foreign, ForeignSection, Instances
from incr._persist._keys import UNREADABLE, rows_of
from incr._revision import OPEN
from incr.store.base import Base, Section
from incr.store.columns import unpack_column

__all__ = ["Declared", "Restored", "Source", "located"]

#: What an ingredient has to be to have a section of this kind.
_INGREDIENTS: Final = {RECORDS: "input", PRESENCES: "input", KEY_SETS: "input", CALLS: "query"}

#: (kind, name) -> ingredient.
Declared = Mapping[tuple[str, str], Any]


@final
class Source:
    """Where the values of one section are until they are asked for."""

    __slots__ = ("_decode", "_values")

    def __init__(self, values: Values, decode: Callable[[bytes], Any]) -> None:
        self._values = values
        self._decode = decode

    def decode(self, row: int) -> Any:
        """The value, or EMPTY where this program cannot read it: then it is computed again."""
        value = self._decode(self._values.row(row))
        return EMPTY if value is UNREADABLE else value

    def encoded(self, row: int) -> bytes:
        """The value's bytes."""
        return self._values.row(row)


@final
class _Reason:
    """Why a memo of a file has to run again, for `explain` to show as a cause."""

    __slots__ = ("name",)
    kind = "load"
    index = -1

    def __init__(self, name: str) -> None:
        self.name = name

    def label(self, key: Any) -> str:
        return self.name

    def arguments(self, key: Any) -> tuple[Hashable, ...]:
        return ()


@final
class Restored:
    """The state of a file.

    *decode* gives the value of some bytes, or `UNREADABLE` where this program does not have what they need.
    """

    __slots__ = (
        "_base", "_calls", "_declared", "_decode", "_fingerprint", "_first", "_later", "_lost", "_nodes", "_path",
        "_shared", "_unseen", "graph", "instances",
    )  # fmt: skip

    def __init__(
        self,
        path: str,
        base: Base,
        shared: Shared,
        declared: Declared,
        fingerprint: Callable[[Any], bytes],
        decode: Callable[[bytes], Any],
    ) -> None:
        self._path = path
        self._base = base
        self._shared = shared
        self._declared = declared
        self._fingerprint = fingerprint
        self._decode = decode
        #: The state; its log holds what is not as it was when the file was written.
        self.graph = Graph()
        self.graph.newest = base.header.revision
        self.instances: dict[str, Instances] = {}
        self._later = base.header.revision + 1
        #: Changed since it was stored, nobody knows from what.
        self._unseen = Unseen(self._later, EMPTY, 0)
        for section in base.sections:
            with located(path, section):
                _check_rows(section)
        self._lost = self._reason("something that a load did not find as it was")
        #: By the number of a section: the file's row of its first row.
        self._first = list(accumulate((section.rows for section in base.sections), initial=0))
        #: Row of the file -> its node, if this program has one for it.
        self._nodes: list[Node | None] = [None] * self._first[-1]
        #: The columns of the sections of calls.
        self._calls: dict[int, Calls] = {}
        for number, section in enumerate(base.sections):
            with located(path, section):
                self._restore(number, section)
        for number in self._calls:
            if self._ingredient(base.sections[number]) is not None:
                self._link(number)
        if self.graph.untracked:  # a process is a world of its own: what it sees outside may be anything
            self.graph.log.update(dict.fromkeys(self.graph.untracked.values(), self._unseen))
        if self.graph.log:
            self.graph.newest = self._later

    def _ingredient(self, section: Section) -> Any:
        """The section's ingredient, if this program declares it."""
        return self._declared.get((_INGREDIENTS.get(section.kind, ""), section.name))

    def _restore(self, number: int, section: Section) -> None:
        ingredient = self._ingredient(section)
        first = self._first[number]
        if section.kind == CALLS:
            revision = self._base.header.revision
            self._calls[number] = read_calls(section, revision, self._first[-1], len(self._shared.high_sets))
            if ingredient is not None:
                self._restore_calls(section, ingredient, first, self._calls[number])
        elif section.kind == INTERNED:
            self.instances[section.name] = Instances([row or b"" for row in read_values(section).rows()], 0)
        elif section.kind == UNTRACKED:
            self._restore_untracked(section, first)
        elif section.kind == RECORDS and ingredient is not None:
            self._restore_records(section, ingredient, first)
        elif section.kind == PRESENCES and ingredient is not None:
            self._restore_presences(section, ingredient, first)
        elif section.kind == KEY_SETS and ingredient is not None:
            self._restore_key_set(section, ingredient, first)
        elif section.kind > CALLS:
            raise ValueError(f"a section of the unknown kind {section.kind}")

    # --- inputs ---------------------------------------------------------------------------------------------------

    def _restore_records(self, section: Section, ingredient: Any, first: int) -> None:
        if read_names(section) != tuple(ingredient.key_fields):
            return  # its rows are named in another way now; what depends on them runs again
        stamps = read_stamps(section, self._base.header.revision)
        flags = read_flags(section)
        keys = rows_of(unpack_column(section.stream(KEYS), section.rows), section.rows, self._decode, exact_key)
        values = read_values(section)
        source = Source(values, self._decode)
        table = self.graph.table(ingredient)
        bit = 1 << ingredient.index
        for row, key in enumerate(keys):
            if key is UNREADABLE:
                continue
            node = table[key] = self._nodes[first + row] = _settled(Node(ingredient, key, ABSENT), stamps[row])
            node.bits = bit if flags[row] & HIGH else 0
            if values.lengths[row]:
                self._give_record(node, source, row)
        if len(table) != len(keys) - keys.count(UNREADABLE):
            raise ValueError("two rows have the same key")

    def _give_record(self, node: Node, source: Source, row: int) -> None:
        record = source.decode(row)
        if record is EMPTY:  # there is no such record for this program
            self._change(node)
            return
        ingredient = node.ingredient
        if type(record) is not ingredient.record or ingredient.key_of(record) != node.key:
            raise ValueError(f"a row holds something else than the record {node.label()}")
        node.value = record
        node.hot = True
        node.encoded = Stored(source, row)

    def _restore_presences(self, section: Section, ingredient: Any, first: int) -> None:
        records = self._records_of(section.name)
        places = unpack_column(section.stream(KEYS), section.rows)
        stamps = read_stamps(section, self._base.header.revision)
        flags = read_flags(section)
        if not all(type(place) is int and 0 <= place < len(records) for place in places):
            raise ValueError("a presence of a row that is not there")
        slots: list[Node | None] = [records[place] for place in places]
        for row, slot in enumerate(slots):
            if slot is None:
                continue
            node = _settled(Node(ingredient.presence, slot.key, slot.value is not ABSENT), stamps[row])
            node.bits = slot.bits if flags[row] & HIGH else 0
            self.graph.presence[slot] = self._nodes[first + row] = node
            if slot in self.graph.log:
                self._change(node)

    def _records_of(self, name: str) -> Sequence[Node | None]:
        for number, section in enumerate(self._base.sections):
            if section.kind == RECORDS and section.name == name:
                return self._nodes[self._first[number] : self._first[number + 1]]
        return ()

    def _restore_key_set(self, section: Section, ingredient: Any, first: int) -> None:
        (stamp,) = read_stamps(section, self._base.header.revision)
        (flags,) = read_flags(section)
        node = _settled(Node(ingredient.key_set, (), True), stamp)
        node.bits = 1 << ingredient.index if flags & HIGH else 0
        self.graph.table(ingredient)
        self.graph.key_sets[ingredient.index] = self._nodes[first] = node
        records = self._records_of(section.name)
        if None in records or not self.graph.log.keys().isdisjoint(records):
            self._change(node)

    def _restore_untracked(self, section: Section, first: int) -> None:
        reasons = unpack_column(section.stream(KEYS), section.rows)
        stamps = read_stamps(section, self._base.header.revision)
        for row, reason in enumerate(reasons):
            if type(reason) is not str:
                raise ValueError("the reason of an untracked read is not a text")
            node = self._nodes[first + row] = self.graph.untracked_node(reason)
            _settled(node, stamps[row])

    def _change(self, node: Node) -> None:
        """The node is not what it was when the file was written."""
        node.changed_at = node.valid_from = self._later
        self.graph.log[node] = self._unseen

    # --- calls ----------------------------------------------------------------------------------------------------

    def _restore_calls(self, section: Section, ingredient: Any, first: int, calls: Calls) -> None:
        names = ingredient.signature.names
        if read_names(section) != tuple(names):
            return  # its calls have other arguments now; what depends on them runs again
        row_of = exact_key if len(names) == 1 else _each_exact
        keys = rows_of(unpack_column(section.stream(KEYS), section.rows), section.rows, self._decode, row_of)
        values = read_values(section)
        source = Source(values, self._decode)
        # spec: load.code
        stale = section.fingerprint != self._fingerprint(ingredient)
        code = self._reason(f"the code of {ingredient.name}")
        bits_of = [self._bits(members) for members in self._shared.high_sets]
        nodes: list[Node | None] = []
        columns = zip(keys, calls.changed_at, calls.valid_from, calls.flags, calls.high, values.lengths, strict=True)
        for row, (key, changed_at, valid_from, flags, high, length) in enumerate(columns):
            if key is UNREADABLE:
                nodes.append(None)
                continue
            node = Node(ingredient, key)
            nodes.append(node)
            node.changed_at = changed_at
            if length:
                node.value = node.encoded = Stored(source, row)
            if stale:
                self.graph.log[node] = self._unseen
                node.cause = code
            elif valid_from == NEVER:
                node.cause = self._lost
            else:
                node.valid_from = valid_from
                node.bits = bits_of[high]
                if flags & GOOD:
                    node.suspects = None
                    node.valid_to = OPEN
        self._nodes[first : first + len(nodes)] = nodes
        table = self.graph.table(ingredient)
        table.update((node.key, node) for node in nodes if node is not None)
        if len(table) != len(nodes) - nodes.count(None):
            raise ValueError("two rows have the same key")

    def _bits(self, members: Sequence[int]) -> int:
        bits = 0
        for number in members:
            ingredient = self._ingredient(self._base.sections[number])
            if ingredient is not None:
                bits |= 1 << ingredient.index
        return bits

    def _link(self, number: int) -> None:
        """Give the section's calls what they depend on; one of which something is missing has to run again."""
        calls = self._calls[number]
        nodes = self._nodes
        dependencies = [nodes[row] for row in calls.dependencies]
        complete = None not in dependencies
        end = 0
        for node, count in zip(nodes[self._first[number] : self._first[number + 1]], calls.counts, strict=True):
            start, end = end, end + count
            if node is None or node.valid_from == NEVER:
                continue
            mine = tuple(dependencies[start:end])
            if complete or None not in mine:
                node.dependencies = mine  # type: ignore[assignment]  # there is no None among them
                for dependency in mine:
                    link(dependency, node)  # type: ignore[arg-type]
            else:
                self._rerun(node)

    def _rerun(self, node: Node) -> None:
        node.valid_from = NEVER
        node.valid_to = 0
        node.suspects = SCAN
        node.bits = 0
        node.cause = self._lost
        self.graph.log[node] = self._unseen

    def _reason(self, text: str) -> Node:
        return _settled(Node(_Reason(text), ()), self._later)

    # --- what this program does not declare -----------------------------------------------------------------------

    # spec: load.unknown
    def foreign(self) -> Foreign:
        """The sections that nobody here asks for, with the rows that they depend on."""
        sections: list[ForeignSection] = []
        nodes: dict[int, Node] = {}
        for number, section in enumerate(self._base.sections):
            if section.kind in _INGREDIENTS and self._ingredient(section) is None:
                calls = self._calls.get(number)
                sections.append(ForeignSection(section, self._first[number], calls))
                for row in calls.dependencies if calls is not None else ():
                    node = self._nodes[row]
                    if node is not None:
                        nodes[row] = node
        names = [tuple(self._base.sections[number].name for number in members) for members in self._shared.high_sets]
        return Foreign(sections, nodes, names, self._base.header.revision)


# spec: base.bounded
def _check_rows(section: Section) -> None:
    """Every row takes a byte at least; nothing is made for rows that there is no room for."""
    if section.rows > sum(map(len, section.streams.values())):
        raise ValueError(f"{section.rows} rows are more than there is room for")


def _each_exact(key: Any) -> tuple[Any, ...]:
    return tuple(map(exact_key, key))


def _settled(node: Node, stamp: int) -> Node:
    node.changed_at = node.valid_from = stamp
    node.valid_to = OPEN
    node.suspects = None
    return node


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
