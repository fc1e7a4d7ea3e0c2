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

    def calls_at(self, calls: Calls, rows: Mapping[int, int], high: Sequence[int], revision: int) -> Calls:
        """A section's columns in a file of *revision*, in which the loaded file's rows and high sets have new numbers.

        A call of which a dependency is gone has to run again. One that was good is only known to have been good once
        when something was written since: its own stamps say what that something must not be.
        """
        flags = list(calls.flags) if revision == self.revision else [flags & ~GOOD for flags in calls.flags]
        valid_from, counts = list(calls.valid_from), list(calls.counts)
        dependencies: list[int] = []
        for number, mine in enumerate(_each_row(calls)):
            renumbered = [rows.get(row, -1) for row in mine]
            if -1 in renumbered:
                flags[number], valid_from[number], counts[number] = flags[number] & ~GOOD, -1, 0
            else:
                dependencies += renumbered
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
