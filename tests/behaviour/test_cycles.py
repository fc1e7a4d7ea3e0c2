"""A call that needs its own result: the same error from each entry point, until an edit ends the loop."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

import incr
from incr.testing import Recorder
from tasks import no_trace


@incr.input
class Node:
    """What the call of this name calls, one after the other."""

    name: str = incr.key()
    calls: tuple[str, ...]


@incr.query
def visit(db: incr.View, name: str) -> int:
    return 1 + sum(visit(db, other) for other in db[Node, name].calls)


@incr.query
def careful(db: incr.View, name: str) -> str:
    """Catches the error of what it calls."""
    texts = list[str]()
    for other in db[Node, name].calls:
        try:
            texts.append(careful(db, other))
        except incr.CycleError:
            texts.append("cycle")
    return f"{name}({' '.join(texts)})"


def graph(**calls: str) -> incr.Database:
    """A database with these nodes: ``graph(a="b c")``."""
    db = incr.Database()
    with db.batch() as batch:
        for name, others in calls.items():
            batch.set(Node(name, tuple(others.split())))
    return db


def outcome(db: incr.View, query: Any, name: str) -> Any:
    """The value, or the path of the cycle as names."""
    try:
        return query(db, name)
    except incr.CycleError as error:
        return [arguments[0] for _, arguments in error.path]


@pytest.mark.spec("cycle.path")
def test_a_call_that_calls_itself() -> None:
    db = graph(a="a")
    with pytest.raises(incr.CycleError) as caught:
        visit(db, "a")
    assert caught.value.path == (("visit", ("a",)),)
    assert str(caught.value) == (
        "a call needs its own result: visit('a') -> visit('a'); "
        "break the loop in one of these queries (catching the error inside of the loop does not help)"
    )
    no_trace(db)


@pytest.mark.spec("cycle.path")
def test_a_path_through_several_queries_names_each_once(db: incr.Database) -> None:
    @incr.query
    def parse(db: incr.View, path: str, *, depth: int = 0) -> int:
        return check(db, path)

    @incr.query
    def check(db: incr.View, path: str) -> int:
        return resolve(db)

    @incr.query
    def resolve(db: incr.View) -> int:
        return parse(db, "a")

    with pytest.raises(incr.CycleError) as caught:
        resolve(db)
    assert caught.value.path == (("check", ("a",)), ("resolve", ()), ("parse", ("a", 0)))
    assert "check('a') -> resolve() -> parse('a', 0) -> check('a')" in str(caught.value)


@pytest.mark.spec("cycle.entry", "cycle.path")
@pytest.mark.parametrize("query", [visit, careful])
@pytest.mark.parametrize("order", list(itertools.permutations("abc")), ids="".join)
def test_the_same_error_from_each_entry_point(query: Any, order: tuple[str, ...]) -> None:
    db = graph(a="b", b="c", c="a")
    for _ in range(2):
        for name in order:
            with pytest.raises(incr.CycleError) as caught:
                query(db, name)
            assert caught.value.path == tuple((query.__name__, (other,)) for other in "abc")
    no_trace(db)


@pytest.mark.spec("cycle.entry")
@pytest.mark.parametrize("order", list(itertools.permutations("abcd")), ids="".join)
def test_catching_inside_of_the_loop_has_no_effect_and_outside_of_it_has(order: tuple[str, ...]) -> None:
    db = graph(a="b", b="c", c="b", d="")
    expected = {"a": "a(cycle)", "b": ["b", "c"], "c": ["b", "c"], "d": "d()"}
    assert {name: outcome(db, careful, name) for name in order} == {name: expected[name] for name in order}
    assert {name: outcome(db, visit, name) for name in order} == {
        name: 1 if name == "d" else ["b", "c"] for name in order
    }
    no_trace(db)


@pytest.mark.spec("cycle.entry", "memo.consistency")
@pytest.mark.parametrize("order", list(itertools.permutations("abc")), ids="".join)
def test_two_loops_that_share_a_call(order: tuple[str, ...]) -> None:
    db = graph(a="b c", b="a", c="a")
    # The first loop that `a` closes decides about it; from then on it closes no other one.
    assert {name: outcome(db, careful, name) for name in order} == {"a": ["a", "b"], "b": ["a", "b"], "c": "c(cycle)"}
    no_trace(db)


@pytest.mark.spec("cycle.entry", "error.note")
def test_the_error_that_is_raised_is_one_object_with_one_note() -> None:
    db = graph(a="b", b="a", top="a")
    errors = list[incr.CycleError]()
    for name in ("a", "b", "top", "a"):
        with pytest.raises(incr.CycleError) as caught:
            visit(db, name)
        errors.append(caught.value)
    assert len(set(map(id, errors))) == 1
    assert len(getattr(errors[0], "__notes__", ())) <= 1


@pytest.mark.spec("cycle.entry", "memo.minimal")
def test_a_cycle_is_remembered_within_a_revision_and_looked_at_again_in_the_next() -> None:
    db = graph(a="b", b="a", other="")
    with Recorder(db) as ran:
        outcome(db, visit, "a")
        assert sorted(ran.take()) == ["visit('a')", "visit('b')"]
        outcome(db, visit, "a")
        outcome(db, visit, "b")
        assert ran.take() == []
        db.set(Node("unrelated", ()))
        assert outcome(db, visit, "a") == ["a", "b"]
        assert sorted(ran.take()) == ["visit('a')", "visit('b')"]


@pytest.mark.spec("cycle.entry", "memo.consistency")
@pytest.mark.parametrize("first", "abc")
@pytest.mark.parametrize("second", "abc")
def test_a_cycle_that_appears_and_disappears_by_an_edit(first: str, second: str) -> None:
    db = graph(a="b", b="c", c="")
    for _ in range(2):
        assert [outcome(db, visit, name) for name in (first, second, "a", "b", "c")][2:] == [3, 2, 1]
        db.set(Node("c", ("a",)))
        assert outcome(db, visit, first) == ["a", "b", "c"]
        assert outcome(db, visit, second) == ["a", "b", "c"]
        db.check_invariant()
        db.set(Node("c", ()))
    assert [outcome(db, visit, name) for name in (first, second, "a", "b", "c")][2:] == [3, 2, 1]
    no_trace(db)


@pytest.mark.spec("cycle.entry", "memo.consistency")
@pytest.mark.parametrize("order", list(itertools.permutations("abcd")), ids="".join)
def test_a_cycle_that_an_edit_closes_below_memos_that_are_verified(order: tuple[str, ...]) -> None:
    """The loop closes while dependencies are being verified, not in a body's own call."""
    db = graph(a="b", b="c", c="d", d="")
    for name in order:
        visit(db, name)
        careful(db, name)
    db.set(Node("d", ("b",)))
    assert {name: outcome(db, visit, name) for name in order} == {name: ["b", "c", "d"] for name in order}
    assert {name: outcome(db, careful, name) for name in order} == {
        name: "a(cycle)" if name == "a" else ["b", "c", "d"] for name in order
    }
    db.set(Node("d", ("a",)))
    assert {name: outcome(db, careful, name) for name in order} == {name: ["a", "b", "c", "d"] for name in order}
    db.set(Node("d", ()))
    assert {name: outcome(db, visit, name) for name in order} == {"a": 4, "b": 3, "c": 2, "d": 1}
    assert careful(db, "a") == "a(b(c(d())))"
    no_trace(db)


@pytest.mark.spec("cycle.entry", "memo.consistency")
@pytest.mark.parametrize("order", list(itertools.permutations("abc")), ids="".join)
def test_a_cycle_moves(order: tuple[str, ...]) -> None:
    db = graph(a="b", b="a", c="")
    for name in order:
        outcome(db, careful, name)
    with db.batch() as batch:
        batch.set(Node("a", ()))
        batch.set(Node("b", ("c",)))
        batch.set(Node("c", ("b",)))
    expected = {"a": "a()", "b": ["b", "c"], "c": ["b", "c"]}
    assert {name: outcome(db, careful, name) for name in order} == expected
    db.check_invariant()


@pytest.mark.spec("cycle.entry", "error.handled")
def test_a_caller_outside_of_the_loop_can_catch_the_error_and_go_on() -> None:
    db = graph(a="b", b="a", top="a d", d="")
    assert careful(db, "top") == "top(cycle d())"
    db.set(Node("b", ()))
    assert careful(db, "top") == "top(a(b()) d())"
    db.set(Node("b", ("a",)))
    assert careful(db, "top") == "top(cycle d())"


@pytest.mark.spec("cycle.entry", "history.snapshot")
def test_a_cycle_of_an_old_revision() -> None:
    db = graph(a="b", b="a")
    with db.snapshot() as view:
        db.set(Node("b", ()))
        assert outcome(db, visit, "a") == 2
        assert outcome(view, visit, "a") == outcome(view, visit, "b") == ["a", "b"]
        assert outcome(db, visit, "a") == 2
    with db.snapshot() as view:
        db.set(Node("b", ("a",)))
        assert outcome(db, visit, "b") == ["a", "b"]
        assert (visit(view, "a"), visit(view, "b")) == (2, 1)
    no_trace(db)


@pytest.mark.spec("cycle.path", "frame.outer")
def test_a_cycle_through_an_outer_handle(db: incr.Database) -> None:
    @incr.query
    def one(view: incr.View) -> int:
        return two(db)

    @incr.query
    def two(view: incr.View) -> int:
        return one(db)

    for query in (one, two):
        with pytest.raises(incr.CycleError) as caught:
            query(db)
        assert caught.value.path == (("one", ()), ("two", ()))


@pytest.mark.spec("cycle.path", "depth.sync")
def test_a_long_cycle_across_helper_threads() -> None:
    size = 2_000
    db = incr.Database()
    with db.batch() as batch:
        for number in range(size):
            batch.set(Node(f"{number:05}", (f"{(number + 1) % size:05}",)))
    for entry in ("01000", "00000"):
        with pytest.raises(incr.CycleError) as caught:
            visit(db, entry)
        assert caught.value.path == tuple(("visit", (f"{number:05}",)) for number in range(size))
    no_trace(db)


def random_graph(chance: random.Random) -> dict[str, str]:
    names = "abcde"[: chance.randrange(2, 5)]
    return {name: " ".join(chance.choices(names, k=chance.randrange(3))) for name in names}


@pytest.mark.spec("cycle.entry", "cycle.path")
@pytest.mark.parametrize("query", [visit, careful])
@pytest.mark.parametrize("block", range(10))
def test_any_graph_gives_the_same_from_each_entry_point(query: Any, block: int) -> None:
    for seed in range(50 * block, 50 * block + 50):
        calls = random_graph(random.Random(seed))
        found = list[dict[str, Any]]()
        for order in itertools.permutations(calls):
            db = graph(**calls)
            outcomes = {name: outcome(db, query, name) for name in order}
            found.append({name: outcomes[name] for name in calls})
            no_trace(db)
        assert all(outcomes == found[0] for outcomes in found), f"seed {seed}: {calls}"


@pytest.mark.spec("cycle.entry", "memo.consistency")
@pytest.mark.parametrize("query", [visit, careful])
@pytest.mark.parametrize("block", range(10))
def test_loops_that_come_and_go_by_edits_are_those_of_a_fresh_database(query: Any, block: int) -> None:
    for seed in range(20 * block, 20 * block + 20):
        chance = random.Random(seed)
        calls = random_graph(chance)
        db = graph(**calls)
        for _ in range(15):
            name = chance.choice(list(calls))
            calls[name] = " ".join(chance.choices(list(calls), k=chance.randrange(3)))
            db.set(Node(name, tuple(calls[name].split())))
            for asked in chance.sample(list(calls), k=chance.randrange(3)):
                assert outcome(db, query, asked) == outcome(graph(**calls), query, asked), f"seed {seed}: {calls}"
            no_trace(db)
