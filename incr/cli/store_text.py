"""What `incr store` says, as lines of text and as a document, made from what was found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from incr.maintenance import Problem, Salvaged, SectionCounts
from incr.store.rows import Store

__all__ = ["problem_lines", "row_lines", "salvage_lines", "stat_document", "stat_lines"]

#: Longer lists are cut for people; the document has everything.
_SHOWN = 50
#: Longer keys and values are cut, too.
_SHOWN_TEXT = 200


def stat_document(store: Store, backend: str, size: int, counts: Sequence[SectionCounts]) -> dict[str, Any]:
    """A store as far as it can be counted."""
    head = store.head()
    return {
        "backend": backend,
        "revision": head.revision,
        "commits": head.last,
        "bytes_on_disk": size,
        "rows": sum(one.rows for one in counts),
        "can": store.capabilities._asdict(),
        "sections": [one._asdict() for one in counts],
    }


def stat_lines(found: dict[str, Any]) -> Iterator[str]:
    """The same for people."""
    yield f"{found['backend']} store of {found['bytes_on_disk']:,} bytes, at revision {found['revision']:,}"
    yield f"{_many(found['rows'], 'row')} after {_many(found['commits'], 'commit')}"
    for one in found["sections"]:
        empty = f", {one['empty']:,} without a value" if one["empty"] else ""
        run = f", {one['must_run']:,} of them have to run" if one["must_run"] else ""
        yield f"{one['kind']} {one['section']}: {_many(one['rows'], 'row')}, {one['bytes']:,} bytes{empty}"
        yield f"  {one['good']:,} good, {one['suspect']:,} suspect{run}"


def problem_lines(problems: Sequence[Problem]) -> Iterator[str]:
    """What is wrong."""
    if not problems:
        yield "nothing is wrong"
    for problem in problems[:_SHOWN]:
        row = "" if problem.row is None else f" row {problem.row}"
        place = f"{problem.section}{row}: " if problem.section else ""
        yield f"{place}{problem.what}"
    yield from _rest(len(problems))


def row_lines(row: dict[str, Any]) -> Iterator[str]:
    """A row of a dump."""
    state = "good" if row["good"] else "has to run" if row["valid_from"] is None else "suspect"
    yield (
        f"{row['row']} {row['kind']} {row['section']} {_short(row['key'])}: {state}, changed at {row['changed_at']}, "
        f"{len(row['dependencies'])} dependencies, {row['value_bytes'] + row['pushes_bytes']:,} bytes"
    )
    if row.get("value") is not None:
        yield f"  = {_short(row['value'])}"
    if row.get("pushes") is not None:
        yield f"  pushed {_short(row['pushes'])}"


def salvage_lines(found: Salvaged, went_back: Sequence[str]) -> Iterator[str]:
    """What a salvage came to."""
    yield f"{found.rows:,} rows were taken over"
    for finding in went_back:
        yield f"without it: {finding}"
    if not found.lost:
        yield f"nothing {'else ' if went_back else ''}that could be found is missing"
    for section, row, why in found.lost[:_SHOWN]:
        yield f"lost: {section}{'' if row is None else f' row {row}'}: {why}"
    yield from _rest(len(found.lost))
    for name in found.inputs:
        yield f"records of the input {name} may be missing: set them again"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _rest(count: int) -> Iterator[str]:
    if count > _SHOWN:
        yield f"and {count - _SHOWN:,} more; --json lists them all"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_TEXT else f"{text[: _SHOWN_TEXT - 1]}…"
