"""What one save or load leaves for the next save: the numbers of classes, what is interned already, foreign sections.

A section is foreign if this program does not declare its ingredient. Its keys and values are kept as they are; what its
calls depend on is renumbered, because rows of other sections move.

Law: nothing in here is changed once it is made. A save that fails or comes too late leaves the graph with what it had.

Keeps: load.unknown, save.unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from incr._node import Node
from incr._persist._format import GOOD, Calls
from incr.store.base import Section

__all__ = ["NOTHING", "NO_FOREIGN", "Foreign", "ForeignSection", "Instances", "Kept"]


class Instances(NamedTuple):
    """The interned values of one class that a file has, and how many of the database's own are among them."""

    rows: Sequence[bytes]
    seen: int


class ForeignSection(NamedTuple):
    """A section as it was read, with the number of its first row in that file."""

    section: Section
    first_row: int
    calls: Calls | None


class Foreign(NamedTuple):
    """The foreign sections of the file that was loaded."""

    sections: Sequence[ForeignSection]
    #: The rows of declared ingredients that foreign calls depend on.
    nodes: Mapping[int, Node]
    #: The file's sets of HIGH inputs, by the inputs' names.
    high_sets: Sequence[tuple[str, ...]]
    #: The revision at which the calls' flags are right: a good one is good as long as nothing is written.
    revision: int

    def without_calls(self) -> Foreign:
        """The same without any memos."""
        return self._replace(sections=[one for one in self.sections if one.calls is None])

    def stays_good(self, rows: Mapping[int, int], revision: int) -> bool:
        """Whether calls that were good in the loaded file are good in one of *revision* that has these of its rows.

        They are if nothing was written and nothing is gone. Otherwise they have been good once, and their stamps say
        what must not have changed since then.
        """
        return revision == self.revision and all(
            row in rows for one in self.sections if one.calls is not None for row in one.calls.dependencies
        )

    def calls_of(self, calls: Calls, rows: Mapping[int, int], high: Sequence[int], good: bool) -> Calls:
        """A section's columns in a file in which the loaded file's rows and high sets have new numbers.

        A call of which a dependency is gone has to run again.
        """
        flags = [flags if good else flags & ~GOOD for flags in calls.flags]
        valid_from, counts = list(calls.valid_from), list(calls.counts)
        dependencies: list[int] = []
        for number, mine in enumerate(_each_row(calls)):
            if all(row in rows for row in mine):
                dependencies += [rows[row] for row in mine]
            else:
                valid_from[number], counts[number] = -1, 0
        return Calls(calls.changed_at, valid_from, flags, [high[place] for place in calls.high], counts, dependencies)


def _each_row(calls: Calls) -> Iterator[Sequence[int]]:
    start = 0
    for count in calls.counts:
        yield calls.dependencies[start : start + count]
        start += count


class Kept(NamedTuple):
    """What the next save goes on from."""

    #: The class table as plain data. Encoded values refer to it by number, so numbers are never given again.
    classes: Sequence[Any]
    #: By the name of the interned class.
    instances: Mapping[str, Instances]
    foreign: Foreign


NO_FOREIGN: Final = Foreign((), {}, ((),), 0)
NOTHING: Final = Kept((), {}, NO_FOREIGN)
