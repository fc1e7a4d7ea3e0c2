"""Taking back what a delta has done to an overlay, exactly.

Law: rows, marks of what is gone, stamps, and the two indexes are afterwards as they were when it was remembered.

Keeps: store.take-back.
"""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

from incr.store.overlay import Overlay
from incr.store.rows import Content, Delta, Row

__all__ = ["Before", "remember", "restore"]


class Before(NamedTuple):
    """What an overlay says about one row; nothing, if all of it is None and False."""

    number: int
    row: tuple[Row, Content | None] | None
    stamp: tuple[bool, int | None] | None
    removed: bool


def remember(overlay: Overlay, delta: Delta) -> list[Before]:
    """What the overlay says about the rows that the delta is about."""
    return [
        Before(number, overlay.rows.get(number), overlay.stamps.get(number), number in overlay.removed)
        for number in chain(delta.removed, delta.rows, delta.verified, delta.suspect)
    ]


# spec: store.take-back
def restore(overlay: Overlay, before: list[Before]) -> None:
    """Let the overlay say again what it said then; nothing else was applied since, or it was taken back."""
    for number, *_ in before:
        now = overlay.rows.pop(number, None)
        if now is not None:
            _unlink(overlay, number, now[0])
    # All of them have let go of their keys by now: one row may have had the key of another.
    for number, row, stamp, removed in before:
        if row is not None:
            overlay.rows[number] = row
            _link(overlay, number, row[0])
        if stamp is None:
            overlay.stamps.pop(number, None)
        else:
            overlay.stamps[number] = stamp
        if not removed:
            overlay.removed.discard(number)


def _unlink(overlay: Overlay, number: int, row: Row) -> None:
    del overlay.keys[row.section, row.key]
    for dependency in row.dependencies:
        users = overlay.users[dependency]
        users.remove(number)
        if not users:
            del overlay.users[dependency]


def _link(overlay: Overlay, number: int, row: Row) -> None:
    overlay.keys[row.section, row.key] = number
    for dependency in row.dependencies:
        overlay.users.setdefault(dependency, set()).add(number)
