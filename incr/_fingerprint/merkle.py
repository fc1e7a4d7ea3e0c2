"""Digests over a graph that may have loops: each node's digest covers all that it reaches.

Law: a digest does not depend on where the walk began, nor on what was digested before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableMapping

__all__ = ["Description", "digest_all", "digest_of"]


class Description(NamedTuple):
    """What one function or class is by itself, and the functions and classes that it names, in a fixed order."""

    digest: bytes
    children: list[Any]


def digest_of(parts: Iterable[bytes]) -> bytes:
    """Sixteen bytes over *parts*; where one ends and the next begins counts."""
    from _blake2 import blake2b  # what hashlib has under this name, without loading OpenSSL first

    pieces = [piece for part in parts for piece in (len(part).to_bytes(8, "little"), part)]
    return blake2b(b"".join(pieces), digest_size=16).digest()


class _Visit:
    """A node on the way: Tarjan's numbers, and how far its children have been looked at."""

    __slots__ = ("description", "low", "next", "number", "thing")

    def __init__(self, thing: Any, number: int, description: Description) -> None:
        self.thing = thing
        self.number = self.low = number
        self.description = description
        self.next = 0


def digest_all(root: Any, describe: Callable[[Any], Description], digests: MutableMapping[Any, bytes]) -> None:
    """Put the digests of *root* and of all that it reaches into *digests*.

    Tarjan, "Depth-first search and linear graph algorithms" (1972), with a stack of its own: each group of nodes that
    reach each other is complete before any node that names it.
    """
    if root in digests:
        return
    # Keyed by id: the visits keep the things alive.
    visits: dict[int, _Visit] = {}

    def enter(thing: Any) -> None:
        visit = visits[id(thing)] = _Visit(thing, len(visits), describe(thing))
        path.append(visit)
        group.append(visit)

    path: list[_Visit] = []
    group: list[_Visit] = []
    enter(root)
    while path:
        visit = path[-1]
        children = visit.description.children
        if visit.next < len(children):
            child = children[visit.next]
            visit.next += 1
            if child in digests:
                continue
            seen = visits.get(id(child))
            if seen is None:
                enter(child)
            else:
                visit.low = min(visit.low, seen.number)
            continue
        path.pop()
        if path:
            path[-1].low = min(path[-1].low, visit.low)
        if visit.low == visit.number:
            start = group.index(visit)
            _finish(group[start:], digests)
            del group[start:]


def _finish(members: list[_Visit], digests: MutableMapping[Any, bytes]) -> None:
    """Digest a group of nodes that reach each other, each of which has been walked."""
    inside = {id(member.thing): member.description.digest for member in members}

    def summary(member: _Visit) -> bytes:
        named = (inside[id(child)] if id(child) in inside else digests[child] for child in member.description.children)
        return digest_of([member.description.digest, *named])

    summaries = [summary(member) for member in members]
    # Sorted, because the walk may enter the loop anywhere.
    shared = digest_of(sorted(summaries))
    for member, own in zip(members, summaries, strict=True):
        digests[member.thing] = digest_of([shared, own])
