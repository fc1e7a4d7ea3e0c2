"""What a save leaves out when it may not be as large as the database: values first, then calls.

Law: inputs and interned values are never left out, and a call never stays without what it depends on: after a load it
would be taken as good although nobody could tell that it is not.

Keeps: save.limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from incr._node import Node
from incr._persist._capture import Table
from incr._persist._format import GOOD, NO_ROW_BYTES

__all__ = [
    "Limits",
    "bare_sizes",
    "drop_large_records",
    "drop_largest_values",
    "largest_calls",
    "surplus_records",
    "with_dependents",
]


class Limits(NamedTuple):
    """What `Database.save` was asked to keep to; None is no limit."""

    #: The whole file, in bytes.
    max_bytes: int | None
    #: The rows of one query's section.
    max_records_per_section: int | None
    #: One row: its key, stamps, dependencies and value, in bytes.
    max_record_bytes: int | None


def bare_sizes(table: Table, key_sizes: Iterable[int]) -> list[int]:
    """About what each row takes without its value, in bytes."""
    return [
        NO_ROW_BYTES + 4 * len(mine) + key_bytes + (4 + len(pushes) if pushes else 0)
        for mine, key_bytes, pushes in zip(table.dependencies, key_sizes, table.pushes, strict=True)
    ]


def drop_large_records(table: Table, bare: Sequence[int], most: int) -> Iterator[Node]:
    """Drop the values that make a row larger than *most*; yields the calls that are too large without, too."""
    for row, (node, size) in enumerate(zip(table.nodes, bare, strict=True)):
        if size + len(table.encoded[row] or b"") > most:
            table.encoded[row] = None
        if size > most:
            yield node


def surplus_records(table: Table, most: int) -> Iterable[Node]:
    """The calls that are too many: suspect ones first, then those that were not looked at for longest."""
    order = sorted(range(len(table.nodes)), key=lambda row: (table.flags[row] & GOOD, table.valid_from[row], -row))
    return [table.nodes[row] for row in order[: max(0, len(order) - most)]]


def drop_largest_values(tables: Sequence[Table], excess: int) -> int:
    """Drop values, the largest first, until *excess* bytes are saved; returns what is still too much."""
    places = [
        (-len(value), which, row)
        for which, table in enumerate(tables)
        for row, value in enumerate(table.encoded)
        if value is not None
    ]
    for size, which, row in sorted(places):
        if excess <= 0:
            break
        tables[which].encoded[row] = None
        excess += size
    return excess


def largest_calls(tables: Sequence[Table], bare: Sequence[Sequence[int]], excess: int) -> set[Node]:
    """The calls to leave out, the largest first and with what depends on them, so that *excess* bytes are saved."""
    size_of = {
        node: size
        for table, sizes in zip(tables, bare, strict=True)
        for node, size in zip(table.nodes, sizes, strict=True)
    }
    dependents = _dependents(tables)
    found: set[Node] = set()
    for node in sorted(size_of, key=lambda node: -size_of[node]):  # those of one size in the order of their rows
        if excess <= 0:
            break
        excess -= sum(size_of[gone] for gone in _closure([node], dependents, found))
    return found


def with_dependents(dropped: Iterable[Node], tables: Sequence[Table]) -> set[Node]:
    """The calls and whatever depends on them, directly or not."""
    dropped = list(dropped)
    if not dropped:
        return set()
    found: set[Node] = set()
    _closure(dropped, _dependents(tables), found)
    return found


def _dependents(tables: Sequence[Table]) -> dict[Node, list[Node]]:
    dependents: dict[Node, list[Node]] = {}
    for table in tables:
        for node, dependencies in zip(table.nodes, table.dependencies, strict=True):
            for dependency in dependencies:
                dependents.setdefault(dependency, []).append(node)
    return dependents


def _closure(roots: Iterable[Node], dependents: dict[Node, list[Node]], found: set[Node]) -> list[Node]:
    """Add the roots and what depends on them to *found*; returns those that are new in it."""
    new: list[Node] = []
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            new.append(node)
            stack += dependents.get(node, ())
    return new
