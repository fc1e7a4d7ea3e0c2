"""Links between nodes, whatever they are kept in, and invariants that notice what is broken."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import incr
from incr._node import Failure, Node, each_dependent, link, unlink


@incr.input
class Source:
    path: str = incr.key()
    text: str = ""


@incr.query
def text(db: incr.View, path: str) -> str:
    return db[Source, path].text


@incr.query
def shout(db: incr.View, path: str) -> str:
    return text(db, path).upper()


def query_node(name: str) -> Node:
    return Node(text.__incr__, name)  # type: ignore[attr-defined]  # a query carries its ingredient


@pytest.mark.spec("suspect.push")
@pytest.mark.parametrize("seed", range(5))
def test_dependents_are_a_set_in_the_order_of_linking(seed: int) -> None:
    chance = random.Random(seed)
    source = query_node("source")
    readers = [query_node(str(number)) for number in range(20)]
    model = dict[Node, None]()
    for _ in range(400):
        reader = chance.choice(readers[: chance.choice([1, 2, 9, 20])])
        if chance.random() < 0.5:
            link(source, reader)
            model[reader] = None
        else:
            unlink(source, reader)
            model.pop(reader, None)
        assert list(each_dependent(source)) == list(model)
        if not model:
            assert source.dependents is None


@pytest.mark.spec("high.bits")
def test_an_input_does_not_know_the_readers_that_have_its_bit() -> None:
    slot = Node(Source.__incr__, "a")  # type: ignore[attr-defined]  # a record class carries its ingredient
    call, knowing, ignorant = query_node("call"), query_node("knowing"), query_node("ignorant")
    slot.bits = call.bits = knowing.bits = 1
    for dependency in (slot, call):
        link(dependency, knowing)
        link(dependency, ignorant)
    assert list(each_dependent(slot)) == [ignorant]
    assert list(each_dependent(call)) == [knowing, ignorant]  # a call with a bit knows its readers like any other


def whole() -> tuple[incr.Database, Node, Node, Node]:
    db = incr.Database()
    db.set(Source("a", "x"))
    assert shout(db, "a") == "X"
    kinds: list[Any] = [Source, text, shout]
    slot, inner, outer = (db._graph.table(kind.__incr__)["a"] for kind in kinds)
    db.check_invariant()
    return db, slot, inner, outer


BREAK: list[Callable[[incr.Database, Node, Node, Node], object]] = [
    lambda db, slot, inner, outer: unlink(slot, inner),
    lambda db, slot, inner, outer: link(slot, outer),
    lambda db, slot, inner, outer: setattr(inner, "suspects", [slot]),
    lambda db, slot, inner, outer: setattr(inner, "valid_to", 3),
    lambda db, slot, inner, outer: setattr(inner, "changed_at", 7),
    lambda db, slot, inner, outer: setattr(slot, "changed_at", 7),
    lambda db, slot, inner, outer: setattr(inner, "bits", 4),
    lambda db, slot, inner, outer: setattr(outer, "dependencies", (inner, inner)),
    lambda db, slot, inner, outer: setattr(outer, "value", Failure(ValueError("x"), None)),
    lambda db, slot, inner, outer: db._graph.pins.append(db._graph.at),
]


@pytest.mark.parametrize("place", range(len(BREAK)))
def test_the_invariants_notice_what_is_broken(place: int) -> None:
    parts = whole()
    BREAK[place](*parts)
    with pytest.raises(AssertionError):
        parts[0].check_invariant()


def test_a_node_says_what_it_is() -> None:
    _, slot, inner, outer = whole()
    assert [repr(node) for node in (slot, inner, outer)] == [
        "<Node Source['a']>",
        "<Node text('a')>",
        "<Node shout('a')>",
    ]
