"""A call that needs its own result and has a fallback: the same values from each entry point, until an edit."""

from __future__ import annotations

import itertools
from typing import Any

import anyio
import pytest

import incr
from incr.testing import Recorder
from tasks import Gate, no_trace, until


@incr.input
class Node:
    """What the call of this name calls, one after the other."""

    name: str = incr.key()
    calls: tuple[str, ...]


@incr.query(on_cycle=-1)
def depth(db: incr.View, name: str) -> int:
    return 1 + max((depth(db, other) for other in db[Node, name].calls), default=0)


@incr.query(on_cycle=lambda name: f"<{name}>")
def text(db: incr.View, name: str) -> str:
    return f"{name}({' '.join(plain(db, other) for other in db[Node, name].calls)})"


@incr.query
def plain(db: incr.View, name: str) -> str:
    return f"{text(db, name)}!"


def graph(**calls: str) -> incr.Database:
    """A database with these nodes: ``graph(a="b c")``."""
    db = incr.Database()
    with db.batch() as batch:
        for name, others in calls.items():
            batch.set(Node(name, tuple(others.split())))
    return db


@pytest.mark.spec("cycle.fallback")
def test_a_call_that_calls_itself_is_its_fallback() -> None:
    db = graph(a="a", b="a")
    assert depth(db, "a") == -1
    assert depth(db, "b") == 0
    db.check_invariant()


@pytest.mark.spec("cycle.fallback", "cycle.entry")
@pytest.mark.parametrize("order", list(itertools.permutations("abcd")), ids="".join)
def test_all_calls_on_the_loop_are_their_fallbacks_from_each_entry_point(order: tuple[str, ...]) -> None:
    db = graph(a="b", b="a c", c="", d="a c")
    values = {name: text(db, name) for name in order}
    assert values == {"a": "<a>", "b": "<b>", "c": "c()", "d": "d(<a>! c()!)"}
    no_trace(db)


@pytest.mark.spec("cycle.fallback")
def test_calls_on_the_loop_without_a_fallback_run_against_those_that_have_one() -> None:
    for first in ("a", "b"):
        db = graph(a="b", b="a")
        with Recorder(db) as ran:
            assert plain(db, first) == f"<{first}>!"
            assert plain(db, "a") + plain(db, "b") == "<a>!<b>!"
            ran.take()
            assert plain(db, "a") + plain(db, "b") == "<a>!<b>!"
            assert ran.take() == []


@pytest.mark.spec("cycle.fallback")
def test_a_loop_that_appears_and_disappears_with_an_edit() -> None:
    db = graph(a="b", b="c", c="")
    assert depth(db, "a") == 3
    db.set(Node("c", ("a",)))
    assert [depth(db, name) for name in "cba"] == [-1, -1, -1]
    db.check_invariant()
    db.set(Node("b", ()))
    assert [depth(db, name) for name in "cba"] == [3, 1, 2]
    no_trace(db)


@pytest.mark.spec("cycle.fallback", "cycle.component")
def test_an_edit_that_nobody_on_the_loop_reads_runs_nothing() -> None:
    db = graph(a="b", b="a", c="a", x="")
    with Recorder(db) as ran:
        assert depth(db, "c") == 0
        ran.take()
        db.set(Node("x", ("a",)))
        assert (depth(db, "c"), ran.take()) == (0, [])
        db.set(Node("b", ("a", "a")))
        assert depth(db, "c") == 0
        executed = ran.take()
        assert "depth('c')" not in executed, "the loop came out as it was"
        assert set(executed) == {"depth('a')", "depth('b')"}


@pytest.mark.spec("cycle.fallback")
def test_a_body_that_fails_on_the_loop_does_not_change_the_fallback() -> None:
    @incr.query(on_cycle="fallback")
    def failing(db: incr.View, number: int) -> str:
        failing(db, 1 - number)
        raise ValueError("behind the loop")

    db = incr.Database()
    assert failing(db, 0) == "fallback"
    assert failing(db, 1) == "fallback"


@pytest.mark.spec("cycle.fallback", "error.outcome")
def test_a_fallback_that_raises_is_the_outcome() -> None:
    def no_fallback(name: str) -> int:
        raise LookupError(name)

    @incr.query(on_cycle=no_fallback)
    def looping(db: incr.View, name: str) -> int:
        return looping(db, name)

    with pytest.raises(LookupError, match="here"):
        looping(incr.Database(), "here")


@pytest.mark.spec("cycle.fallback")
def test_the_function_gets_the_arguments_as_the_body_does() -> None:
    @incr.query(on_cycle=lambda a, *rest, key=0, **more: (a, rest, key, more))
    def looping(db: incr.View, a: int, *rest: int, key: int = 0, **more: int) -> Any:
        return looping(db, a, *rest, key=key, **more)

    assert looping(incr.Database(), 1, 2, 3, key=4, other=5) == (1, (2, 3), 4, {"other": 5})


@pytest.mark.spec("cycle.path", "cycle.fallback")
def test_a_loop_that_nobody_recovers_is_an_error_inside_of_one_that_somebody_does() -> None:
    @incr.query
    def left(db: incr.View) -> int:
        return middle(db) + right(db)

    @incr.query
    def right(db: incr.View) -> int:
        return left(db)

    @incr.query(on_cycle=7)
    def middle(db: incr.View) -> int:
        return left(db)

    for query in (left, right, middle):
        db = incr.Database()
        outcomes: list[Any] = []
        for other in (query, left, right, middle):
            try:
                outcomes.append(other(db))
            except incr.CycleError as error:
                outcomes.append(error.path)
        path = (("left", ()), ("right", ()))
        assert outcomes[1:] == [path, path, 7]
        no_trace(db)


@pytest.mark.spec("cycle.fallback", "history.snapshot")
def test_a_snapshot_has_the_loop_of_its_revision() -> None:
    db = graph(a="b", b="a", c="a")
    with db.snapshot() as before:
        db.set(Node("b", ()))
        assert [depth(db, name) for name in "abc"] == [2, 1, 3]
        with db.snapshot() as between:
            db.set(Node("b", ("c",)))
            assert [depth(db, name) for name in "cba"] == [-1, -1, -1]
            assert [depth(before, name) for name in "cab"] == [0, -1, -1]
            assert [depth(between, name) for name in "abc"] == [2, 1, 3]
        db.check_invariant()
    no_trace(db)


@pytest.mark.anyio
@pytest.mark.spec("cycle.fallback", "cycle.tasks")
async def test_a_loop_through_two_tasks() -> None:
    gate = Gate()

    @incr.query(on_cycle=0)
    async def call(db: incr.View, name: str) -> int:
        if gate.arrived < 2:
            await gate.wait()
        return 1 + await call(db, "b" if name == "a" else "a")

    db = incr.Database()
    found: dict[str, int] = {}

    async def ask(name: str) -> None:
        found[name] = await call(db, name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "a")
        tasks.start_soon(ask, "b")
        await until(lambda: gate.arrived == 2)
        gate.open()
    assert found == {"a": 0, "b": 0}
    no_trace(db)


@pytest.mark.spec("declare.query", "cycle.options")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"on_cycle": 1, "cycle_initial": 2}, "one or the other"),
        ({"on_cycle": None, "cycle_join": max}, "one or the other"),
        ({"cycle_join": max}, "needs cycle_initial"),
        ({"cycle_initial": 0, "cycle_join": 3}, "wants a function"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        incr.query(**options)


@pytest.mark.spec("cycle.fallback")
def test_none_is_a_fallback() -> None:
    @incr.query(on_cycle=None)
    def looping(db: incr.View) -> object:
        return looping(db)

    assert looping(incr.Database()) is None
