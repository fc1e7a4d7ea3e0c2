"""A file's sections in their order, and the numbers that rows and HIGH sets have in it.

Law: the order depends on kinds and names only, and the rows' on the order in which they were made, so the same state
gives the same bytes.

Keeps: save.atomic, load.unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, final

from incr._node import Node
from incr._persist._capture import Aspect, Capture, Table
from incr._persist._format import (
    CALLS,
    FILE,
    INTERNED,
    KEY_SETS,
    PRESENCES,
    RECORDS,
    UNTRACKED,
    Calls,
    Shared,
    calls_draft,
    foreign_draft,
    plain_draft,
    shared_draft,
)
from incr._persist._kept import Foreign, ForeignSection
from incr.store.base import Draft
from incr.store.columns import pack_column

__all__ = ["Arrangement"]

#: The kinds of sections that belong to an ingredient, and what such an ingredient is.
_INGREDIENTS = {RECORDS: "input", PRESENCES: "input", KEY_SETS: "input", INTERNED: "interned", CALLS: "query"}


class _Place(NamedTuple):
    """One section: where it stands, the nodes whose rows it has, and how its bytes are made."""

    kind: int
    name: str
    rows: int
    nodes: Sequence[Node]
    draft: Callable[[], Draft]
    foreign: ForeignSection | None = None


@final
class Arrangement:
    """One way to write a capture down."""

    __slots__ = (
        "_capture", "_classes", "_fingerprint", "_foreign", "_foreign_high", "_high", "_high_sets", "_moved",
        "_places", "_rows",
    )  # fmt: skip

    def __init__(
        self,
        capture: Capture,
        instances: Mapping[str, Sequence[bytes]],
        classes: bytes,
        foreign: Foreign,
        fingerprint: Callable[[Any], bytes],
    ) -> None:
        self._capture = capture
        self._classes = classes
        self._foreign = foreign
        self._fingerprint = fingerprint
        places = [
            *self._table_places(),
            *self._instance_places(instances),
            *self._node_places(),
            *self._foreign_places(),
        ]
        places.append(_Place(FILE, "", 0, (), self._shared))
        self._places = sorted(places, key=lambda place: (place.kind, place.name))
        self._number_high_sets()
        #: Node -> row of the file.
        self._rows: dict[Node, int] = {}
        #: Row of the loaded file -> row of this one, for foreign rows and for what foreign calls depend on.
        self._moved: dict[int, int] = {}
        start = 0
        for place in self._places:
            self._rows.update(zip(place.nodes, range(start, start + len(place.nodes)), strict=True))
            if place.foreign is not None:
                first = place.foreign.first_row
                self._moved.update(zip(range(first, first + place.rows), range(start, start + place.rows), strict=True))
            start += place.rows
        self._moved.update((row, self._rows[node]) for row, node in foreign.nodes.items() if node in self._rows)

    def drafts(self) -> Iterator[Draft]:
        """The sections, in order."""
        return (place.draft() for place in self._places)

    # --- what there is --------------------------------------------------------------------------------------------

    def _table_places(self) -> Iterator[_Place]:
        for table in self._capture.tables:
            if table.nodes:
                draft = self._calls if table.kind == CALLS else self._records
                yield _Place(table.kind, table.name, len(table.nodes), table.nodes, _bound(draft, table))

    def _instance_places(self, instances: Mapping[str, Sequence[bytes]]) -> Iterator[_Place]:
        for name, rows in instances.items():
            yield _Place(INTERNED, name, len(rows), (), _bound(_instances, name, rows))

    def _node_places(self) -> Iterator[_Place]:
        presences: dict[Any, list[Node]] = {}
        for slot in self._capture.presences:
            presences.setdefault(slot.ingredient, []).append(slot)
        for ingredient, slots in presences.items():
            rows = [self._capture.presences[slot] for slot in slots]
            draft = _bound(self._presences, ingredient.identity, slots, rows)
            yield _Place(PRESENCES, ingredient.identity, len(rows), [row.node for row in rows], draft)
        for ingredient, row in self._capture.key_sets.items():
            yield _Place(
                KEY_SETS, ingredient.identity, 1, [row.node], _bound(_aspects, KEY_SETS, ingredient.identity, [row])
            )
        reasons = self._capture.untracked
        if reasons:
            draft = _bound(_aspects, UNTRACKED, "", list(reasons.values()), pack_column(list(reasons)))
            yield _Place(UNTRACKED, "", len(reasons), [row.node for row in reasons.values()], draft)

    # spec: load.unknown
    def _foreign_places(self) -> Iterator[_Place]:
        for one in self._foreign.sections:
            section = one.section
            # An ingredient that was declared after the load has a section of its own now.
            if (_INGREDIENTS[section.kind], section.name) not in self._capture.known:
                yield _Place(section.kind, section.name, section.rows, (), _bound(self._foreign_section, one), one)

    # --- numbers --------------------------------------------------------------------------------------------------

    def _number_high_sets(self) -> None:
        number_of = {place.name: number for number, place in enumerate(self._places) if place.kind == RECORDS}
        numbers: dict[tuple[int, ...], int] = {(): 0}

        def number(names: Iterable[str]) -> int:
            members = sorted(number_of[name] for name in names if name in number_of)
            return numbers.setdefault(tuple(members), len(numbers))

        #: A node's bits -> the number of its set.
        self._high: dict[int, int] = {}
        for table in self._capture.tables:
            if table.kind == CALLS:
                for bits in dict.fromkeys(table.bits):
                    if bits not in self._high:
                        named = self._capture.high_inputs.items()
                        self._high[bits] = number(name for index, name in named if bits >> index & 1)
        #: A set's number in the loaded file -> the number of its set.
        self._foreign_high = [number(names) for names in self._foreign.high_sets]
        self._high_sets = list(numbers)

    # --- sections -------------------------------------------------------------------------------------------------

    def _shared(self) -> Draft:
        return shared_draft(Shared(self._classes, self._high_sets))

    def _records(self, table: Table) -> Draft:
        return plain_draft(
            RECORDS,
            table.name,
            len(table.nodes),
            names=table.ingredient.key_fields,
            keys=pack_column(table.column),
            stamps=table.changed_at,
            flags=table.flags,
            values=table.encoded,
        )

    def _calls(self, table: Table) -> Draft:
        calls = Calls(
            table.changed_at,
            table.valid_from,
            table.flags,
            list(map(self._high.__getitem__, table.bits)),
            list(map(len, table.dependencies)),
            list(map(self._rows.__getitem__, chain.from_iterable(table.dependencies))),
        )
        ingredient = table.ingredient
        names = () if table.collected else ingredient.signature.names
        return calls_draft(
            table.name, self._fingerprint(ingredient), names, pack_column(table.column), calls, table.encoded,
            table.pushes,
        )  # fmt: skip

    def _presences(self, name: str, slots: Sequence[Node], rows: Sequence[Aspect]) -> Draft:
        """A presence is named by the row of its slot among the input's."""
        (records,) = (place for place in self._places if place.kind == RECORDS and place.name == name)
        first = self._rows[records.nodes[0]]
        return _aspects(PRESENCES, name, rows, pack_column([self._rows[slot] - first for slot in slots]))

    def _foreign_section(self, one: ForeignSection) -> Draft:
        calls = one.calls
        if calls is not None:
            good = self._foreign.stays_good(self._moved, self._capture.revision)
            calls = self._foreign.calls_of(calls, self._moved, self._foreign_high, good)
        return foreign_draft(one.section, calls)


def _bound(draft: Callable[..., Draft], *arguments: Any) -> Callable[[], Draft]:
    return lambda: draft(*arguments)


def _instances(name: str, rows: Sequence[bytes]) -> Draft:
    return plain_draft(INTERNED, name, len(rows), values=rows)


def _aspects(kind: int, name: str, rows: Sequence[Aspect], keys: bytes | None = None) -> Draft:
    stamps, flags = [row.changed_at for row in rows], [row.flags for row in rows]
    return plain_draft(kind, name, len(rows), keys=keys, stamps=stamps, flags=flags)
