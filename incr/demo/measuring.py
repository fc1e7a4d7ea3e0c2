"""What a change of the inputs costs: which calls ran, which were only verified, how long it took, and why.

Law: it watches the database from outside, by its events. The analysis knows nothing of being measured.

Keeps: demo.edit.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import incr
from incr.demo.edits import EDITS, editable_function
from incr.demo.inputs import Source
from incr.demo.queries import loads, report, summary
from incr.demo.values import Summary

__all__ = ["Cost", "Edit", "analyse", "cost_of", "make_edits", "most_imported"]

Call = tuple[str, tuple[object, ...]]


@dataclass(slots=True)
class Cost:
    """What happened in the database while something was done."""

    seconds: float = 0.0
    #: Calls whose bodies ran, in the order in which they ended.
    executed: list[Call] = field(default_factory=list[Call])
    #: Those of them that gave what they had given before.
    backdated: set[Call] = field(default_factory=set[Call])
    #: How many calls were proved good without running.
    verified: int = 0
    #: How many calls the written inputs could reach.
    suspected: int = 0
    #: How many times somebody waited for a call that another thread was busy with.
    joined: int = 0

    def note(self, event: incr.Event) -> None:
        """Count one event."""
        match event:
            case incr.QueryExecuted(query, key):
                self.executed.append((query, key))
            case incr.QueryBackdated(query, key):
                self.backdated.add((query, key))
            case incr.QueryVerified():
                self.verified += 1
            case incr.QuerySuspected():
                self.suspected += 1
            case incr.FlightJoined():
                self.joined += 1
            case _:
                pass


@contextmanager
def cost_of(db: incr.Database) -> Generator[Cost, None, None]:
    """The cost of what is done in the block."""
    cost = Cost()
    began = time.perf_counter()
    with db.subscribe(cost.note):
        yield cost
    cost.seconds = time.perf_counter() - began


def analyse(db: incr.Database, progress: Callable[[int, int], object] | None = None) -> Summary:
    """The summary of all files that are set. *progress* is told how many of how many are done."""
    # The summary would ask for the same reports; asking one by one lets us say how far we are.
    paths = list(db.keys(Source))
    for done, path in enumerate(paths, 1):
        report(db, path)
        if progress is not None:
            progress(done, len(paths))
    return summary(db)


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit that was made in memory."""

    what: str
    path: str
    function: str
    cost: Cost
    before: Summary
    after: Summary
    #: Why the summary is what it is.
    why: incr.Explanation


# spec: demo.edit
def make_edits(db: incr.Database, path: str) -> Iterator[Edit]:
    """Edit a function of the file in each of the ways of `EDITS`, one after the other, and ask for the summary.

    The edits stay in the database; the file on the disk is not touched.
    """
    function = editable_function(db[Source, path].text)
    if function is None:
        raise LookupError(f"{path} has no function that can be edited")
    for what, edit in EDITS:
        text = edit(db[Source, path].text, function)
        before = summary(db)
        with cost_of(db) as cost:
            db.set(Source(path, text=text))
            after = summary(db)
        yield Edit(what, path, function, cost, before, after, db.explain(summary))


def most_imported(db: incr.Database) -> tuple[str, int] | None:
    """The file with a function to edit that most others import, and by how many; None if no file has one."""
    paths = list(db.keys(Source))
    importers = Counter(needed for path in paths for needed in loads(db, path))
    for path in sorted(paths, key=lambda path: (-importers[path], path)):
        if editable_function(db[Source, path].text) is not None:
            return path, importers[path]
    return None
