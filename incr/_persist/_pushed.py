"""Pushes in files: what calls pushed to accumulators, and what was collected for calls that depend on it.

Pushes are stored beside the value: the accumulator's name, the place and the value of each. What cannot be stored is
not forgotten: the row says that something is missing, has no value either, and so the call runs again when its pushes
are asked for.

What is collected for a call is a row in a section of calls, whose one dependency says for which.

Law: a program that does not have an accumulator of a pushed name takes the pushes as missing.

Keeps: accumulate.persist.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, final

from incr._collected import Collected
from incr._errors import StoreError
from incr._node import EMPTY, Node, Stored
from incr._pushes import Push, Pushes

if TYPE_CHECKING:
    from incr._persist._format import Calls
    from incr._persist._rows import Declared, Rows

__all__ = ["StoredPushes", "accumulators_of", "encode_pushes", "known_pushes", "name_rows"]


@final
class StoredPushes:
    """The pushes of one row of a file."""

    __slots__ = ("_accumulators", "_stored")

    def __init__(self, stored: Stored, accumulators: Mapping[str, Any]) -> None:
        self._stored = stored
        self._accumulators = accumulators

    def decode(self) -> tuple[Push, ...] | None:
        """The pushes; None where this program cannot read them all."""
        found = self._stored.decode()
        if found is EMPTY or type(found) is not tuple:
            return None
        try:
            return tuple((self._accumulators[name], int(position), value) for name, position, value in found)
        except (LookupError, TypeError, ValueError):
            return None

    def encoded(self) -> bytes | None:
        """The bytes as they were read."""
        return self._stored.encoded()

    def kept(self) -> StoredPushes:
        """The same pushes, whatever becomes of the row."""
        return StoredPushes(self._stored.kept(), self._accumulators)


def accumulators_of(declared: Declared) -> dict[str, Any]:
    """The program's accumulators by name."""
    found = [one.accumulator for one in declared.values() if one.kind == "query" and one.accumulator is not None]
    return {accumulator.name: accumulator for accumulator in found}


def known_pushes(pushes: Pushes) -> bytes | None:
    """The bytes of pushes that were written or read before."""
    if pushes.encoded is None and pushes.stored is not None:
        known: bytes | None = pushes.stored.encoded()
        return known
    return pushes.encoded


class _Encodes(Protocol):
    def encode(self, value: Any) -> bytes: ...


def encode_pushes(pushes: Pushes, encoder: _Encodes, named: dict[str, Any], path: str) -> bytes:
    """The bytes of pushes whose values are there; *named* are the accumulators that the file has, by name.

    Raises:
        EncodeError: a value cannot be encoded, and whatever its class raises.
        StoreError: another accumulator of the file has the same name.
    """
    for accumulator, _, _ in pushes.entries or ():
        if named.setdefault(accumulator.name, accumulator) is not accumulator:
            raise StoreError(
                path,
                f"two accumulators of this database are called {accumulator.name!r}, so their values could not be told "
                "apart in a file; give one of them another name",
            )
    data: bytes = encoder.encode(tuple((one.name, position, value) for one, position, value in pushes.entries or ()))
    return data


def name_rows(rows: Rows, number: int, calls: Calls, collection: Any) -> None:
    """Find out for which call each row of a section of collections is; one that says it of none is as if not there."""
    table = rows.graph.table(collection)
    table.clear()
    rows.graph.collected = rows.graph.collected or Collected()
    first, end = rows.first[number], 0
    for place, count in enumerate(calls.counts):
        start, end = end, end + count
        node = rows.nodes[first + place]
        call = rows.nodes[calls.dependencies[start]] if count == 1 else None
        if node is None or call is None or not _fits(call, collection) or call in table:
            rows.nodes[first + place] = None
        else:
            node.key = call
            table[call] = node


def _fits(call: Node, collection: Any) -> bool:
    return call.ingredient.kind == "query" and call.ingredient.awaited is collection.awaited
