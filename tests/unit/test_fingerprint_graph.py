"""Digests over graphs with loops: each covers what it reaches, wherever the walk began."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incr._fingerprint.merkle import Description, digest_all, digest_of

Graph = list[list[int]]

#: For each node the nodes that it names, in order.
graphs = st.integers(1, 8).flatmap(
    lambda size: st.lists(st.lists(st.integers(0, size - 1), max_size=4), min_size=size, max_size=size)
)


class Thing:
    """A function or class, as far as a digest is concerned."""


def digests(graph: Graph, order: list[int], changed: int | None = None) -> list[bytes]:
    """The digest of each node, when they are asked for in this order."""
    things = [Thing() for _ in graph]
    known: dict[Thing, bytes] = {}

    def describe(thing: Thing) -> Description:
        node = things.index(thing)
        text = b"changed" if node == changed else str(node).encode()
        return Description(digest_of([text]), [things[child] for child in graph[node]])

    for node in order:
        digest_all(things[node], describe, known)
    return [known[thing] for thing in things]


def reachable(graph: Graph, start: int) -> set[int]:
    found = {start}
    waiting = [start]
    while waiting:
        new = set(graph[waiting.pop()]) - found
        found |= new
        waiting += new
    return found


@pytest.mark.spec("fingerprint.code")
@given(graph=graphs, data=st.data())
def test_a_digest_does_not_depend_on_what_was_asked_before(graph: Graph, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(graph))))
    assert digests(graph, list(order)) == digests(graph, list(range(len(graph))))


@pytest.mark.spec("fingerprint.reach")
@given(graph=graphs, data=st.data())
def test_a_change_changes_the_digests_of_all_that_reach_it_and_of_no_others(graph: Graph, data: st.DataObject) -> None:
    changed = data.draw(st.integers(0, len(graph) - 1))
    order = list(range(len(graph)))
    before, after = digests(graph, order), digests(graph, order, changed)
    for node in order:
        assert (before[node] != after[node]) == (changed in reachable(graph, node))


@pytest.mark.spec("fingerprint.code")
@given(graph=graphs)
def test_no_two_nodes_share_a_digest(graph: Graph) -> None:
    found = digests(graph, list(range(len(graph))))
    assert len(set(found)) == len(found)
