"""`incr.graph`: the dependency graph as networkx sees it."""

from __future__ import annotations

import networkx
import pytest

import incr


@incr.input
class Page:
    name: str = incr.key()
    text: str


@incr.query
def links(db: incr.View, name: str) -> tuple[str, ...]:
    return tuple(word for word in db[Page, name].text.split() if (Page, word) in db)


@incr.query
def longest(db: incr.View) -> str:
    db.untracked("the weather")
    return max(db.keys(Page), key=lambda name: len(links(db, name)))


def small_site() -> incr.Database:
    db = incr.Database()
    db.set(Page("a", text="b"))
    db.set(Page("b", text=""))
    longest(db)
    return db


@pytest.mark.spec("graph.export")
def test_edges_lead_to_what_was_read_in_the_order_of_reading() -> None:
    graph = incr.graph(small_site())
    read = sorted(graph.out_edges("longest()", data="order"), key=lambda edge: edge[2])
    assert [target for _, target, _ in read] == [
        "untracked read (the weather)",
        "the keys of Page",
        "links('a')",
        "links('b')",
    ]
    assert set(graph.successors("links('a')")) == {"Page['a']", "the presence of Page['b']"}
    assert networkx.is_directed_acyclic_graph(graph)


@pytest.mark.spec("graph.export")
def test_nodes_carry_names_stamps_and_costs() -> None:
    db = small_site()
    db.set(Page("b", text="a"))
    links(db, "b")
    nodes = incr.graph(db).nodes
    assert nodes["Page['b']"]["changed_at"] == 3
    assert nodes["links('b')"] | {"seconds": 0} == {
        "kind": "query",
        "name": "links",
        "arguments": ("b",),
        "changed_at": 3,
        "verified_at": 3,
        "state": "good",
        "seconds": 0,
    }
    assert nodes["links('b')"]["seconds"] > 0
    assert nodes["longest()"]["state"] == "suspect"
    assert nodes["Page['a']"]["kind"] == "input"


@pytest.mark.spec("graph.export")
def test_failed_calls_and_absent_inputs_are_told_apart() -> None:
    db = incr.Database()
    with pytest.raises(incr.MissingInputError):
        links(db, "nowhere")
    nodes = incr.graph(db).nodes
    assert nodes["links('nowhere')"]["state"] == "failed"
    assert nodes["Page['nowhere']"]["state"] == "absent"
