"""From a checked file to a graph of its own, beside the one that it is to replace.

Law: whatever is wrong with the file comes out here, before anything is swapped in. A memo is good only if everything
that it depends on is there, as it was, and its code is what it was.

Keeps: load.aside, load.code, load.corrupt, load.unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from incr._exact import exact_key
from incr._graph import Graph
from incr._node import EMPTY, NEVER, Node, Stored, each_dependent, link
from incr._persist._format import (
    CALLS,
    GOOD,
    INTERNED,
    KEY_SETS,
    KEYS,
    LOST_PUSHES,
    PRESENCES,
    RECORDS,
    UNTRACKED,
    Calls,
    Shared,
    read_calls,
    read_names,
    read_pushes,
    read_values,
)
from incr._persist._kept import Foreign, ForeignSection, Instances
from incr._persist._keys import UNREADABLE, rows_of
from incr._persist._pushed import StoredPushes, accumulators_of, name_rows
from incr._persist._restore_inputs import restore_key_set, restore_presences, restore_records, restore_untracked
from incr._persist._rows import INGREDIENTS, Declared, Rows, Source, located
from incr._pushes import LOST, Pushes
from incr._revision import OPEN
from incr.store.base import Base, Section
from incr.store.columns import unpack_column

__all__ = ["Restored", "restore"]


class Restored(NamedTuple):
    """The state of a file, and what the next save has to know of it."""

    graph: Graph
    instances: dict[str, Instances]
    foreign: Foreign


def restore(
    path: str,
    base: Base,
    shared: Shared,
    declared: Declared,
    fingerprint: Callable[[Any], bytes],
    decode: Callable[[bytes], Any],
) -> Restored:
    """The state of a file whose bytes are as they were written.

    *decode* gives the value of some bytes, or `UNREADABLE` where this program does not have what they need.

    Raises:
        CorruptError: what the bytes say does not fit together.
    """
    rows = Rows(path, base, declared, decode)
    #: By the number of a section of calls.
    columns: dict[int, Calls] = {}
    instances: dict[str, Instances] = {}
    for number, section in enumerate(base.sections):
        with located(path, section):
            ingredient = rows.ingredient(section)
            if section.kind == CALLS:
                calls = columns[number] = read_calls(section, rows.revision, len(rows.nodes), len(shared.high_sets))
                if ingredient is not None:
                    _restore_calls(rows, section, ingredient, rows.first[number], calls, shared, fingerprint)
            elif section.kind == INTERNED:
                instances[section.name] = Instances([row or b"" for row in read_values(section).rows()], 0)
            else:
                _restore_inputs(rows, section, ingredient, rows.first[number])
    used = [number for number in columns if rows.ingredient(base.sections[number]) is not None]
    for number in used:
        ingredient = rows.ingredient(base.sections[number])
        if ingredient.accumulator is not None:
            name_rows(rows, number, columns[number], ingredient)
    for number in used:
        with located(path, base.sections[number]):
            _check_good(rows, columns[number])
        _link(rows, number, columns[number])
    for number in used:
        _distrust(rows, number)
    if rows.graph.log:
        rows.graph.newest = rows.later
    return Restored(rows.graph, instances, _foreign(rows, shared, columns))


def _restore_inputs(rows: Rows, section: Section, ingredient: Any, first: int) -> None:
    if section.kind == UNTRACKED:
        restore_untracked(rows, section, first)
    elif section.kind > CALLS:
        raise ValueError(f"a section of the unknown kind {section.kind}")
    elif ingredient is not None:
        {RECORDS: restore_records, PRESENCES: restore_presences, KEY_SETS: restore_key_set}[section.kind](
            rows, section, ingredient, first
        )


def _restore_calls(
    rows: Rows,
    section: Section,
    ingredient: Any,
    first: int,
    calls: Calls,
    shared: Shared,
    fingerprint: Callable[[Any], bytes],
) -> None:
    names = () if ingredient.accumulator is not None else ingredient.signature.names
    if read_names(section) != tuple(names):
        return  # its calls have other arguments now; what depends on them runs again
    single = len(names) == 1 or ingredient.accumulator is not None
    row_of = exact_key if single else _each_exact
    keys = rows_of(unpack_column(section.stream(KEYS), section.rows), section.rows, rows.decode, row_of)
    values = read_values(section)
    source = Source(values, rows.decode)
    bits_of = [_bits(rows, members) for members in shared.high_sets]
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
        if valid_from == NEVER:
            node.cause = rows.lost
        else:
            node.valid_from = valid_from
            node.bits = bits_of[high]
            if flags & GOOD:
                node.suspects = None
                node.valid_to = OPEN
            else:
                rows.suspects.add(first + row)
        if flags & LOST_PUSHES:
            node.pushes = LOST
            node.value = EMPTY
            node.encoded = None
    _restore_pushes(rows, section, nodes)
    rows.nodes[first : first + len(nodes)] = nodes
    known = [node for node in nodes if node is not None]
    table = rows.graph.table(ingredient)
    table.update((node.key, node) for node in known)
    if len(table) != len(known):
        raise ValueError("two rows have the same key")
    # spec: load.code
    if section.fingerprint != fingerprint(ingredient):
        cause = rows.reason(f"the code of {ingredient.name}")
        for node in known:
            rows.rerun(node, cause)


# spec: accumulate.persist
def _restore_pushes(rows: Rows, section: Section, nodes: Sequence[Node | None]) -> None:
    values = read_pushes(section)
    if values is None:
        return
    source = Source(values, rows.decode)
    accumulators = accumulators_of(rows.declared)
    for row, (node, length) in enumerate(zip(nodes, values.lengths, strict=True)):
        if length and node is not None and node.pushes is not LOST:
            node.pushes = Pushes(None, StoredPushes(Stored(source, row), accumulators))


def _each_exact(key: Any) -> tuple[Any, ...]:
    return tuple(map(exact_key, key))


def _bits(rows: Rows, members: Sequence[int]) -> int:
    bits = 0
    for number in members:
        ingredient = rows.ingredient(rows.base.sections[number])
        if ingredient is not None:
            bits |= 1 << ingredient.index
    return bits


# spec: load.corrupt
def _check_good(rows: Rows, calls: Calls) -> None:
    """No call is good that depends on one that may not be: nothing would ever find out that it is wrong."""
    if rows.suspects.isdisjoint(calls.dependencies):
        return
    end = 0
    for flags, valid_from, count in zip(calls.flags, calls.valid_from, calls.counts, strict=True):
        start, end = end, end + count
        if flags & GOOD and valid_from != NEVER and not rows.suspects.isdisjoint(calls.dependencies[start:end]):
            raise ValueError("a call is said to be good that depends on one that is not")


def _link(rows: Rows, number: int, calls: Calls) -> None:
    """Give the section's calls what they depend on; one of which something is missing has to run again."""
    nodes = rows.nodes
    dependencies = [nodes[row] for row in calls.dependencies]
    complete = None not in dependencies
    end = 0
    for node, count in zip(rows.of_section(number), calls.counts, strict=True):
        start, end = end, end + count
        if node is None or node.valid_from == NEVER:
            continue
        mine = tuple(dependencies[start:end])
        if complete or None not in mine:
            node.dependencies = mine  # type: ignore[assignment]  # there is no None among them
            for dependency in mine:
                link(dependency, node)  # type: ignore[arg-type]
        else:
            rows.rerun(node, rows.lost)


def _distrust(rows: Rows, number: int) -> None:
    """Whoever is good and has used a call that has to run again has to look: calls of a loop are stored like that."""
    for node in rows.of_section(number):
        if node is not None and node.cause is rows.lost and any(one.suspects is None for one in each_dependent(node)):
            rows.rerun(node, rows.lost)


# spec: load.unknown
def _foreign(rows: Rows, shared: Shared, columns: dict[int, Calls]) -> Foreign:
    """The sections that nobody here declares, with the rows that their calls depend on."""
    sections: list[ForeignSection] = []
    nodes: dict[int, Node] = {}
    for number, section in enumerate(rows.base.sections):
        if section.kind in INGREDIENTS and rows.ingredient(section) is None:
            calls = columns.get(number)
            sections.append(ForeignSection(section, rows.first[number], calls))
            for row in calls.dependencies if calls is not None else ():
                node = rows.nodes[row]
                if node is not None:
                    nodes[row] = node
    names = [tuple(rows.base.sections[number].name for number in members) for members in shared.high_sets]
    return Foreign(sections, nodes, names, rows.revision)
