"""Suspicion: what a write tells the calls that it can reach, directly or not.

Law: suspect is not changed. A call that is suspect already only gains a suspect; nothing is walked twice for one write.
The caller holds the database's lock.

Keeps: suspect.push, high.bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from incr._events import QuerySuspected
from incr._kin import Kin
from incr._listeners import Listeners
from incr._node import SCAN, Node, each_dependent

__all__ = ["LISTED", "close", "spread_bits", "suspect_dependents", "suspect_readers"]

#: More suspects than this are not listed: all dependencies are looked at instead.
LISTED: Final = 8


# spec: suspect.push
def suspect_dependents(
    node: Node, revision: int, listeners: Listeners, seen: set[Node] | None, kin: Kin | None
) -> None:
    """The node was written at *revision*: everything that read it, directly or not, may have changed.

    What is suspect already ends the walk, unless *seen* is given: it is for what an interrupted walk has left behind,
    and ends where this walk has been.
    """
    stack = [node]
    while stack:
        source = stack.pop()
        if kin is not None:
            kin.reach(source)
        for dependent in each_dependent(source):
            suspects = dependent.suspects
            if seen is not None and suspects is not None and dependent not in seen:
                seen.add(dependent)
                stack.append(dependent)
            if suspects is None:
                close(dependent, [source], source, revision, listeners)
                stack.append(dependent)
            elif suspects is not SCAN and source not in suspects:
                if len(suspects) < LISTED:
                    suspects.append(source)
                else:
                    dependent.suspects = SCAN
            elif seen is None:
                continue
            if kin is not None:
                kin.doubted(dependent, None if dependent.suspects is SCAN else source)


# spec: high.bits
def suspect_readers(
    slot: Node,
    calls: Iterable[dict[Any, Node]],
    components: Iterable[Node],
    revision: int,
    listeners: Listeners,
    kin: Kin | None,
) -> None:
    """Suspect every call and component that has the slot's bit: HIGH inputs do not know who read them."""
    bits = slot.bits
    if kin is not None:
        kin.high(bits)
    closed: list[Node] = []
    for nodes in (*(list(table.values()) for table in calls), components):  # other threads make rows without the lock
        for node in nodes:
            if node.bits & bits:
                if node.suspects is None:
                    close(node, SCAN, slot, revision, listeners)
                    closed.append(node)
                else:
                    node.suspects = SCAN
                if kin is not None:
                    kin.doubted(node, None)
    if kin is not None and kin.origin is not None:  # those above that the origin knows may not have the bit yet
        for node in closed:
            suspect_dependents(node, revision, listeners, None, kin)


def spread_bits(node: Node, bits: int) -> None:
    """Dependents learn of new bits even where the outcome is backdated and they do not run."""
    stack = [node]
    while stack:
        for dependent in each_dependent(stack.pop()):
            if bits & ~dependent.bits:
                dependent.bits |= bits
                stack.append(dependent)


def close(node: Node, suspects: list[Node], cause: Node, revision: int, listeners: Listeners) -> None:
    """The good call is not known to be right from *revision* on."""
    node.hot = False
    node.valid_to = revision
    node.cause = cause
    node.suspects = suspects  # last: an interrupted walk finds by it what is not done
    if listeners.any and node.ingredient.kind == "query":
        listeners.emit(QuerySuspected(node.ingredient.name, node.ingredient.arguments(node.key)))
