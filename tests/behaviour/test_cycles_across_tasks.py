"""Calls in different tasks that would wait for each other for ever get an error with the whole loop instead."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import incr
from tasks import Gate, joined, no_trace, until

pytestmark = pytest.mark.anyio


@incr.input
class Edges:
    """Which calls a call makes, in order."""

    name: str = incr.key()
    calls: tuple[str, ...]


class Walk:
    """A query that calls itself along the edges, after its gate has been opened."""

    def __init__(self, **edges: str) -> None:
        self.db = incr.Database()
        with self.db.batch() as batch:
            for name, calls in edges.items():
                batch.set(Edges(name, tuple(calls)))
        self.gates = gates = {name: Gate() for name in edges}
        self.answers = dict[str, Any]()
        self.catching = catching = set[str]()

        @incr.query(name="walk")
        async def walk(db: incr.View, name: str) -> int:
            await gates[name].wait()
            total = 1
            for callee in db[Edges, name].calls:
                try:
                    total += await walk(db, callee)
                except incr.CycleError:
                    if name not in catching:
                        raise
                    total += 1000
            return total

        self.walk = walk

    def open(self, names: str = "") -> None:
        for name in names or self.gates:
            self.gates[name].open()

    async def ask(self, name: str, view: incr.View | None = None, key: str = "") -> None:
        try:
            self.answers[key or name] = await self.walk(self.db if view is None else view, name)
        except incr.CycleError as error:
            self.answers[key or name] = error

    def edges(self, name: str, calls: str) -> None:
        self.db.set(Edges(name, tuple(calls)))

    async def ask_together(self, names: str) -> None:
        """One task for each; all of them are in their bodies before the first one calls anything."""
        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(self.ask, name)
            await until(lambda: all(self.gates[name].arrived for name in names))
            self.open()
            await until(lambda: len(self.answers) == len(names))

    def path(self, name: str) -> str:
        error = self.answers[name]
        assert isinstance(error, incr.CycleError), f"{name}: {error!r}"
        assert {query for query, _ in error.path} == {"walk"}
        return "".join(str(argument) for _, (argument,) in error.path)


@pytest.mark.spec("cycle.tasks", "cycle.path", "cycle.entry")
async def test_two_tasks_that_wait_for_each_other_both_get_the_error() -> None:
    one = Walk(a="b", b="a")
    await one.ask_together("ab")
    assert one.path("a") == one.path("b") == "ab"
    text = str(one.answers["a"])
    assert "walk('a') -> walk('b') -> walk('a')" in text
    no_trace(one.db)


@pytest.mark.spec("cycle.tasks", "cycle.path", "cycle.entry")
@pytest.mark.parametrize("order", ["abc", "cab", "bca", "acb", "cba", "bac"])
async def test_three_tasks_in_a_ring(order: str) -> None:
    one = Walk(a="b", b="c", c="a")
    await one.ask_together(order)
    assert one.path("a") == one.path("b") == one.path("c") == "abc"
    no_trace(one.db)


@pytest.mark.spec("cycle.path", "cycle.entry")
@pytest.mark.parametrize("entry", "abc")
async def test_one_task_that_runs_round_the_ring(entry: str) -> None:
    one = Walk(a="b", b="c", c="a")
    one.open()
    await one.ask(entry)
    assert one.path(entry) == "abc"
    for name in "abc":
        await one.ask(name)
        assert one.path(name) == "abc"
    no_trace(one.db)


@pytest.mark.spec("cycle.path")
async def test_a_call_that_awaits_itself() -> None:
    one = Walk(a="a")
    one.open()
    await one.ask("a")
    assert one.path("a") == "a"


@pytest.mark.spec("cycle.entry", "error.handled")
async def test_a_caller_that_is_not_on_the_loop_may_catch_the_error() -> None:
    one = Walk(o="a", a="b", b="a")
    one.catching.add("o")
    await one.ask_together("oab")
    assert one.answers["o"] == 1001
    assert one.path("a") == one.path("b") == "ab"
    no_trace(one.db)


@pytest.mark.spec("cycle.entry", "cycle.tasks")
@pytest.mark.parametrize("catching", ["a", "b", "ab"])
async def test_a_body_on_the_loop_that_catches_the_error_ends_with_it_all_the_same(catching: str) -> None:
    for together in (False, True):
        for order in ("ab", "ba"):
            one = Walk(a="b", b="a")
            one.catching.update(catching)
            if together:
                await one.ask_together(order)
            else:
                one.open()
                for name in order:
                    await one.ask(name)
            assert one.path("a") == one.path("b") == "ab"
            no_trace(one.db)


@pytest.mark.spec("cycle.tasks")
async def test_the_loop_is_found_behind_a_chain_of_callers() -> None:
    # The two tasks begin far from the loop; who waits for whom is known through their callers only.
    one = Walk(p="q", q="a", a="b", b="a", x="y", y="b")
    async with anyio.create_task_group() as group:
        group.start_soon(one.ask, "p")
        group.start_soon(one.ask, "x")
        one.open("pqxy")
        await until(lambda: one.gates["a"].arrived == 1 and one.gates["b"].arrived == 1)
        one.open()
        await until(lambda: len(one.answers) == 2)
    assert one.path("p") == one.path("x") == "ab"
    no_trace(one.db)


@pytest.mark.spec("cycle.tasks", "flight.single")
async def test_a_diamond_over_several_tasks_is_no_cycle() -> None:
    one = Walk(a="bc", b="d", c="d", d="")
    await one.ask_together("abcd")
    assert one.answers == {"a": 5, "b": 2, "c": 2, "d": 1}
    assert one.db.statistics().queries["walk"].executed == 4
    no_trace(one.db)


@pytest.mark.spec("cycle.tasks")
async def test_waiting_in_one_direction_at_two_revisions_is_no_cycle() -> None:
    one = Walk(a="b", b="")
    async with anyio.create_task_group() as group:
        group.start_soon(one.ask, "a", None, "early a")
        await until(lambda: one.gates["a"].arrived == 1)
        with one.db.batch() as batch:
            batch.set(Edges("a", ()))
            batch.set(Edges("b", ("a",)))
        group.start_soon(one.ask, "b", None, "late b")
        await until(lambda: one.gates["b"].arrived == 1)
        one.open()
        await until(lambda: len(one.answers) == 2)
    assert one.answers == {"early a": 2, "late b": 2}
    no_trace(one.db)


@pytest.mark.spec("cycle.entry", "memo.consistency")
async def test_a_loop_that_is_broken_by_a_write_is_gone() -> None:
    one = Walk(a="b", b="c", c="a", o="a")
    one.open()
    for name in "oabc":
        await one.ask(name)
        assert one.path(name) == "abc"
    one.edges("c", "")
    for name in "cboa":
        await one.ask(name)
    assert one.answers == {"c": 1, "b": 2, "a": 3, "o": 4}
    one.edges("c", "b")
    for name in "oabc":
        await one.ask(name)
        assert one.path(name) == "bc"
    no_trace(one.db)


@pytest.mark.spec("cycle.tasks", "cycle.entry")
@pytest.mark.parametrize("catching", ["", "a", "b", "c", "abc"])
@pytest.mark.parametrize("entry", "abo")
async def test_a_loop_that_a_verification_runs_into(entry: str, catching: str) -> None:
    # All three have memos, so what closes the loop is a call that is being verified, not one that runs.
    one = Walk(o="a", a="b", b="c", c="")
    one.catching.update(catching)
    one.open()
    await one.ask("o")
    assert one.answers == {"o": 4}
    one.edges("c", "a")
    await one.ask(entry)
    assert one.path(entry) == "abc"
    for name in "oabc":
        await one.ask(name)
        assert one.path(name) == "abc"
    one.edges("c", "")
    await one.ask("o")
    assert one.answers["o"] == 4
    no_trace(one.db)


@pytest.mark.spec("cycle.tasks", "cycle.entry")
async def test_two_tasks_that_verify_into_each_other() -> None:
    one = Walk(a="x", x="", b="y", y="")
    one.open()
    await one.ask("a")
    await one.ask("b")
    one.answers.clear()
    with one.db.batch() as batch:
        batch.set(Edges("x", ("b",)))
        batch.set(Edges("y", ("a",)))
    for name in "xy":
        one.gates[name] = Gate()
    async with anyio.create_task_group() as group:
        group.start_soon(one.ask, "a")
        group.start_soon(one.ask, "b")
        await until(lambda: one.gates["x"].arrived == 1 and one.gates["y"].arrived == 1)
        one.open("xy")
        await until(lambda: len(one.answers) == 2)
    assert one.path("a") == one.path("b") == "axby"
    for name in "xy":
        await one.ask(name)
        assert one.path(name) == "axby"
    no_trace(one.db)


@pytest.mark.spec("cycle.tasks")
async def test_children_of_one_call_that_wait_for_each_other() -> None:
    db = incr.Database()
    gates = {name: Gate() for name in "lr"}
    caught = list[incr.CycleError]()

    @incr.query
    async def left(db: incr.View) -> int:
        await gates["l"].wait()
        return 1 + await right(db)

    @incr.query
    async def right(db: incr.View) -> int:
        await gates["r"].wait()
        return 1 + await left(db)

    @incr.query
    async def both(db: incr.View) -> int:
        async def ask(query: Any) -> None:
            try:
                await query(db)
            except incr.CycleError as error:
                caught.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(ask, left)
            group.start_soon(ask, right)
            await until(lambda: all(gate.arrived for gate in gates.values()))
            for gate in gates.values():
                gate.open()
        return len(caught)

    assert await both(db) == 2
    assert [error.path for error in caught] == [(("left", ()), ("right", ()))] * 2
    no_trace(db)


@pytest.mark.spec("cycle.tasks", "flight.handover")
async def test_a_follower_that_takes_over_closes_no_loop_that_is_not_there() -> None:
    one = Walk(a="b", b="", o="ab")
    scope = anyio.CancelScope()

    async def leader() -> None:
        with scope:
            await one.ask("b", key="leader")

    async with anyio.create_task_group() as group:
        group.start_soon(leader)
        await until(lambda: one.gates["b"].arrived == 1)
        one.open("ao")
        group.start_soon(one.ask, "o")
        await until(lambda: joined(one.db, "walk") == 1)
        group.start_soon(one.ask, "a")
        await until(lambda: joined(one.db, "walk") == 2)
        scope.cancel()
        await until(lambda: one.gates["b"].arrived == 2)
        one.open()
        await until(lambda: len(one.answers) == 2)
    assert one.answers == {"o": 4, "a": 2}
    no_trace(one.db)


@pytest.mark.spec("cycle.tasks", "flight.cancel")
async def test_a_cancelled_call_of_a_loop_leaves_the_others_their_error() -> None:
    one = Walk(a="b", b="c", c="a")
    scope = anyio.CancelScope()

    async def doomed() -> None:
        with scope:
            await one.ask("c")

    async with anyio.create_task_group() as group:
        group.start_soon(one.ask, "a")
        group.start_soon(one.ask, "b")
        group.start_soon(doomed)
        await until(lambda: all(gate.arrived == 1 for gate in one.gates.values()))
        one.open("ab")
        await until(lambda: joined(one.db, "walk") == 2)
        scope.cancel()
        await until(lambda: one.gates["c"].arrived == 2)
        one.open()
        await until(lambda: len(one.answers) == 2)
    assert one.path("a") == one.path("b") == "abc"
    no_trace(one.db)
