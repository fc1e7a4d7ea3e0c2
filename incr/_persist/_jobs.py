"""Whole files: what a database is asked to save or load, as jobs whose parts may run in other threads.

`save` and `load` do the whole of it. Their parts (`prepare_save` → `write` → `finish`, `prepare_load` → `read` →
`finish`) are for callers that must not hold up an event loop: `write` and `read` may run in another thread, what is
before and after them belongs to the thread of the database.

Law: what is asked for is checked before anything is looked at or written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any, TypeAlias

from incr._errors import short_repr
from incr._events import ValueNotStored
from incr._graph import Graph
from incr._persist._code import fingerprint_by
from incr._persist._kept import NO_FOREIGN, Kept
from incr._persist._limits import Limits
from incr._persist._load import LoadJob
from incr._persist._save import SaveJob

__all__ = ["LoadJob", "SaveJob", "load", "prepare_load", "prepare_save", "save"]

Path: TypeAlias = str | bytes | PathLike[str] | PathLike[bytes]

_ON_CORRUPT = ("error", "ignore", "quarantine", "delete")


def save(
    graph: Graph,
    path: Path,
    *,
    max_bytes: int | None = None,
    max_records_per_section: int | None = None,
    max_record_bytes: int | None = None,
    code: str | None = None,
) -> tuple[ValueNotStored, ...]:
    """Write the graph's newest revision to one file; returns what could not be stored."""
    job = prepare_save(
        graph,
        path,
        max_bytes=max_bytes,
        max_records_per_section=max_records_per_section,
        max_record_bytes=max_record_bytes,
        code=code,
    )
    job.write()
    return job.finish()


def load(
    graph: Graph,
    path: Path,
    *,
    on_corrupt: str = "error",
    max_bytes: int | None = None,
    declared: Iterable[Any],
    code: str | None = None,
) -> bool:
    """Replace the graph's state by a file's; False if there is no file, or *on_corrupt* says to go on without it.

    *declared* are the program's ingredients, the oldest first.
    """
    job = prepare_load(graph, path, on_corrupt=on_corrupt, max_bytes=max_bytes, declared=declared, code=code)
    job.read()
    return job.finish()


def prepare_save(
    graph: Graph,
    path: Path,
    *,
    max_bytes: int | None = None,
    max_records_per_section: int | None = None,
    max_record_bytes: int | None = None,
    code: str | None = None,
    classes: Sequence[Any] | None = None,
) -> SaveJob:
    """What `save` would write now, captured: whatever happens to the graph later is not in it.

    *classes* is the table of classes of the store that the graph's values come from, if they do.

    Raises:
        TypeError: a limit is not a number, or the path is not a path.
        ValueError: a limit is negative.
    """
    limits = Limits(
        _limit("max_bytes", max_bytes),
        _limit("max_records_per_section", max_records_per_section),
        _limit("max_record_bytes", max_record_bytes),
    )
    if classes is not None:
        graph.stored = Kept(classes, {}, NO_FOREIGN)
    return SaveJob(graph, path, limits, fingerprint_by(code))


def prepare_load(
    graph: Graph,
    path: Path,
    *,
    on_corrupt: str = "error",
    max_bytes: int | None = None,
    declared: Iterable[Any],
    code: str | None = None,
) -> LoadJob:
    """A load that has not begun.

    Raises:
        TypeError: an option has a wrong type, or the path is not a path.
        ValueError: an option has a value that is not one of its own.
        StoreError: a snapshot is open, or a call runs.
    """
    if on_corrupt not in _ON_CORRUPT:
        raise ValueError(f"on_corrupt is one of {', '.join(map(repr, _ON_CORRUPT))}, not {short_repr(on_corrupt)}")
    declared = list(declared)
    by = fingerprint_by(code)
    for ingredient in declared:
        if ingredient.kind == "query":
            # Now, before the program has changed what its modules hold: the next process begins with that too.
            by(ingredient)
    return LoadJob(graph, path, on_corrupt, _limit("max_bytes", max_bytes), declared, by)


def _limit(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int:
        raise TypeError(f"{name} is a number or None, not {short_repr(value)}")
    if value < 0:
        raise ValueError(f"{name} cannot be negative: {value}")
    return value
