"""Inputs out of a file: records, presences, key sets, and the reasons of untracked reads.

Law: a record is read now, not when it is asked for: one that this program cannot read is not there, and who depended on
it has to be told.

Keeps: load.aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from incr._exact import exact_key
from incr._node import ABSENT, EMPTY, Node, Stored
from incr._persist._format import HIGH, KEYS, RECORDS, read_flags, read_names, read_stamps, read_values
from incr._persist._keys import UNREADABLE, rows_of
from incr._persist._reason import settled
from incr._persist._rows import Rows, Source
from incr.store.base import Section
from incr.store.columns import unpack_column

__all__ = ["restore_key_set", "restore_presences", "restore_records", "restore_untracked"]


def restore_records(rows: Rows, section: Section, ingredient: Any, first: int) -> None:
    """The records of an input, and the slots of which it is known that they hold none."""
    if read_names(section) != tuple(ingredient.key_fields):
        return  # its rows are named in another way now; what depends on them runs again
    stamps = read_stamps(section, rows.revision)
    flags = read_flags(section)
    keys = rows_of(unpack_column(section.stream(KEYS), section.rows), section.rows, rows.decode, exact_key)
    values = read_values(section)
    source = Source(values, rows.decode)
    table = rows.graph.table(ingredient)
    bit = 1 << ingredient.index
    for row, key in enumerate(keys):
        if key is UNREADABLE:
            continue
        node = table[key] = rows.nodes[first + row] = settled(Node(ingredient, key, ABSENT), stamps[row])
        node.bits = bit if flags[row] & HIGH else 0
        if values.lengths[row]:
            _give_record(rows, node, source, row)
    if len(table) != len(keys) - keys.count(UNREADABLE):
        raise ValueError("two rows have the same key")


def _give_record(rows: Rows, node: Node, source: Source, row: int) -> None:
    record = source.decode(row)
    if record is EMPTY:  # there is no such record for this program
        rows.change(node)
        return
    ingredient = node.ingredient
    if type(record) is not ingredient.record or ingredient.key_of(record) != node.key:
        raise ValueError(f"a row holds something else than the record {node.label()}")
    node.value = record
    node.hot = True
    node.encoded = Stored(source, row)


def restore_presences(rows: Rows, section: Section, ingredient: Any, first: int) -> None:
    """The presences of an input's records, as far as calls have asked for them."""
    records = _records_of(rows, section.name)
    places = unpack_column(section.stream(KEYS), section.rows)
    stamps = read_stamps(section, rows.revision)
    flags = read_flags(section)
    if not all(type(place) is int and 0 <= place < len(records) for place in places):
        raise ValueError("a presence of a row that is not there")
    slots: list[Node | None] = [records[place] for place in places]
    for row, slot in enumerate(slots):
        if slot is None:
            continue
        node = settled(Node(ingredient.presence, slot.key, slot.value is not ABSENT), stamps[row])
        node.bits = slot.bits if flags[row] & HIGH else 0
        rows.graph.presence[slot] = rows.nodes[first + row] = node
        if slot in rows.graph.log:
            rows.change(node)


def _records_of(rows: Rows, name: str) -> Sequence[Node | None]:
    for number, section in enumerate(rows.base.sections):
        if section.kind == RECORDS and section.name == name:
            return rows.of_section(number)
    return ()


def restore_key_set(rows: Rows, section: Section, ingredient: Any, first: int) -> None:
    """The set of an input's keys, if calls have asked for it."""
    (stamp,) = read_stamps(section, rows.revision)
    (flags,) = read_flags(section)
    node = settled(Node(ingredient.key_set, (), True), stamp)
    node.bits = 1 << ingredient.index if flags & HIGH else 0
    rows.graph.table(ingredient)
    rows.graph.key_sets[ingredient.index] = rows.nodes[first] = node
    records = _records_of(rows, section.name)
    if None in records or not rows.graph.log.keys().isdisjoint(records):
        rows.change(node)


def restore_untracked(rows: Rows, section: Section, first: int) -> None:
    """The reasons of untracked reads. A process is a world of its own: what it sees outside may be anything."""
    reasons = unpack_column(section.stream(KEYS), section.rows)
    read_stamps(section, rows.revision)
    for row, reason in enumerate(reasons):
        if type(reason) is not str:
            raise ValueError("the reason of an untracked read is not a text")
        node = rows.nodes[first + row] = rows.graph.untracked_node(reason)
        rows.change(node)
