"""What is in a store, as plain data: for people, for other programs, and for counting.

Law: reading only, and nothing of the program's classes is needed.

Keeps: tools.dump, tools.stat.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from incr._codec.plain import PlainReader
from incr.maintenance._match import Prefix
from incr.maintenance._sections import Steps, kind_name, numbers_of, plain_key, reader_of, section_named
from incr.store.rows import GOOD, HIGH, LOST_PUSHES, NEVER, Content, Head, Progress, Row, SectionInfo, Store

__all__ = ["SectionCounts", "count", "dump", "export"]


# spec: tools.dump
def dump(
    store: Store,
    section: str | None = None,
    prefix: tuple[Any, ...] = (),
    *,
    values: bool = False,
    progress: Progress | None = None,
) -> Iterator[dict[str, Any]]:
    """Each row as a dict of JSON's types: of one section or of all, and with a key that begins with *prefix*.

    Of values and pushes there is the length, with *values* what they are, too.

    Raises:
        StoreError: there is no such section, or the store cannot be read.
    """
    head = store.head()
    reader = reader_of(store, head)
    wanted = None if section is None else section_named(store, head, section).name
    begins = Prefix(store, head, prefix)
    steps = Steps(progress, lambda: sum(1 for _ in numbers_of(store, head)))
    for info in head.sections:
        if wanted in (None, info.name):
            for number in store.rows_of(info.number):
                row = store.row(number)
                if begins.matches(info, row.key):
                    yield _row(reader, info, number, row, store.content(number), values)
                steps.step()
    steps.end()


def _row(
    reader: PlainReader, info: SectionInfo, number: int, row: Row, content: Content, values: bool
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "section": info.name,
        "kind": kind_name(info.kind),
        "row": number,
        "key": plain_key(info, reader, row.key),
        "changed_at": row.changed_at,
        "valid_from": None if row.valid_from == NEVER else row.valid_from,
        "good": bool(row.flags & GOOD),
        "high": bool(row.flags & HIGH),
        "lost_pushes": bool(row.flags & LOST_PUSHES),
        "dependencies": list(row.dependencies),
        "value_bytes": len(content.value),
        "pushes_bytes": len(content.pushes),
    }
    if values:
        found["value"] = reader.read(content.value) if content.value else None
        found["pushes"] = reader.read(content.pushes) if content.pushes else None
    return found


# spec: tools.dump
def export(store: Store, progress: Progress | None = None) -> Iterator[str]:
    """The store as lines of JSON: first what does not grow with the rows, then each row with its value."""
    head = store.head()
    yield _json(
        {
            "revision": head.revision,
            "commits": head.last,
            "sections": [
                {
                    "section": info.name,
                    "kind": kind_name(info.kind),
                    "fingerprint": info.fingerprint.hex(),
                    "parts": list(info.parts),
                }
                for info in head.sections
            ],
        }
    )
    for row in dump(store, values=True, progress=progress):
        yield _json(row)


def _json(found: dict[str, Any]) -> str:
    return json.dumps(found, allow_nan=False)


class SectionCounts(NamedTuple):
    """How much there is of one section. Sizes are in bytes, without what the backend adds."""

    section: str
    kind: str
    rows: int
    #: Of keys, dependencies, values and pushes.
    bytes: int
    value_bytes: int
    #: Rows that can be used as they are.
    good: int
    #: Rows that have to be looked at again first.
    suspect: int
    #: Suspect ones among them that have to run whatever their dependencies say.
    must_run: int
    #: Rows without a value.
    empty: int


# spec: tools.stat
def count(store: Store, progress: Progress | None = None) -> list[SectionCounts]:
    """How much there is of each section. Reads everything."""
    head: Head = store.head()
    steps = Steps(progress, lambda: sum(1 for _ in numbers_of(store, head)))
    found = [_count(store, info, steps) for info in head.sections]
    steps.end()
    return found


def _count(store: Store, info: SectionInfo, steps: Steps) -> SectionCounts:
    rows = size = values = good = must_run = empty = 0
    for number in store.rows_of(info.number):
        row, content = store.row(number), store.content(number)
        rows += 1
        size += len(row.key) + 8 * len(row.dependencies) + len(content.value) + len(content.pushes)
        values += len(content.value)
        good += bool(row.flags & GOOD)
        must_run += row.valid_from == NEVER
        empty += not content.value
        steps.step()
    return SectionCounts(info.name, kind_name(info.kind), rows, size, values, good, rows - good, must_run, empty)
