"""Calls that need each other's results, solved in rounds: the values, what ran, and what an edit runs again."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import networkx
import pytest

import incr
from incr.testing import Recorder
from tasks import Gate, no_trace, until


@incr.input
class Node:
    """A node of a graph: where its edges lead, and what the node itself gives."""

    name: str = incr.key()
    calls: str
    own: int = 0


@incr.query(cycle_initial=frozenset())
def reach(db: incr.View, name: str) -> frozenset[str]:
    """What can be reached."""
    calls = db[Node, name].calls
    return frozenset(calls).union(*(reach(db, other) for other in calls))


@incr.query
def largest_of(db: incr.View, names: str) -> int:
    """A plain query between the calls of `largest`."""
    return max((largest(db, name) for name in names), default=0)


@incr.query(cycle_initial=0)
def largest(db: incr.View, name: str) -> int:
    """The largest number that can be reached."""
    node = db[Node, name]
    return max(node.own, largest_of(db, node.calls))


@incr.query(cycle_initial=frozenset())
async def areach(db: incr.View, name: str) -> frozenset[str]:
    """`reach`, with its calls in tasks of their own."""
    calls = db[Node, name].calls
    found: list[frozenset[str]] = []

    async def add(other: str) -> None:
        found.append(await areach(db, other))

    async with anyio.create_task_group() as tasks:
        for other in calls:
            tasks.start_soon(add, other)
    return frozenset(calls).union(*found)


def graph(**calls: str) -> incr.Database:
    db = incr.Database()
    with db.batch() as batch:
        for name, others in calls.items():
            batch.set(Node(name, others))
    return db


def closure(calls: dict[str, str]) -> dict[str, frozenset[str]]:
    """Without incr."""
    whole = networkx.DiGraph([(name, other) for name, others in calls.items() for other in others])
    whole.add_nodes_from(calls)
    return {
        name: frozenset(other for step in calls[name] for other in {step, *networkx.descendants(whole, step)})
        for name in calls
    }


NESTED = {"a": "b", "b": "cd", "c": "bc", "d": "eb", "e": "d", "f": "ag", "g": "h", "h": "g"}


@pytest.mark.spec("cycle.fixpoint")
@pytest.mark.parametrize("first", NESTED)
def test_nested_loops_from_each_entry_point(first: str) -> None:
    db = graph(**NESTED)
    with Recorder(db) as ran:
        assert reach(db, first) == closure(NESTED)[first]
        assert {name: reach(db, name) for name in NESTED} == closure(NESTED)
        ran.take()
        assert {name: reach(db, name) for name in NESTED} == closure(NESTED)
        assert ran.take() == []
    no_trace(db)


@pytest.mark.anyio
@pytest.mark.spec("cycle.fixpoint", "cycle.tasks")
@pytest.mark.parametrize("first", NESTED)
async def test_nested_loops_in_tasks(first: str) -> None:
    db = graph(**NESTED)
    found: dict[str, frozenset[str]] = {}

    async def ask(name: str) -> None:
        found[name] = await areach(db, name)

    async with anyio.create_task_group() as tasks:
        for name in (first, *NESTED):
            tasks.start_soon(ask, name)
    assert found == closure(NESTED)
    no_trace(db)


@pytest.mark.spec("cycle.fixpoint", "cycle.component")
def test_plain_calls_between_the_members_are_good_afterwards() -> None:
    for first in "abc":
        db = graph(a="b", b="c", c="a")
        db.set(Node("c", "a", own=5))
        with Recorder(db) as ran:
            assert largest(db, first) == 5
            ran.take()
            assert [largest_of(db, name) for name in "abc"] == [5, 5, 5]
            assert ran.take() == []
            db.check_invariant()


@pytest.mark.spec("cycle.component", "memo.minimal")
def test_an_edit_runs_the_loops_that_it_reaches_and_no_others() -> None:
    db = graph(a="b", b="ac", c="d", d="c", e="")
    assert reach(db, "a") == frozenset("abcd")
    with Recorder(db) as ran:
        db.set(Node("e", "a"))
        assert (reach(db, "a"), ran.take()) == (frozenset("abcd"), [])
        db.set(Node("a", "bb"))
        assert reach(db, "a") == frozenset("abcd")
        assert {call for call in ran.take() if "c" in call[6:] or "d" in call[6:]} == set()
        db.set(Node("d", "ce"))
        assert reach(db, "d") == frozenset("abcde")
    no_trace(db)


@pytest.mark.spec("cycle.component", "memo.backdate")
def test_a_loop_that_comes_out_the_same_stops_the_change() -> None:
    db = graph(a="b", b="a")

    @incr.query
    def user(db: incr.View) -> int:
        return len(reach(db, "a"))

    assert user(db) == 2
    db.set(Node("b", "aa"))
    with Recorder(db) as ran:
        assert user(db) == 2
        assert set(ran.take()) == {"reach('a')", "reach('b')"}
        assert set(ran.take_backdated()) == {"reach('a')", "reach('b')"}
        assert ran.take_verified() == ["user()"]


@pytest.mark.spec("cycle.fixpoint")
def test_a_loop_that_appears_and_disappears_with_an_edit() -> None:
    db = graph(a="b", b="c", c="")
    calls = {"a": "b", "b": "c", "c": ""}
    for name, others in [("c", "a"), ("b", ""), ("b", "cb"), ("a", ""), ("c", "c"), ("a", "cb"), ("b", "a")]:
        db.set(Node(name, others))
        calls[name] = others
        assert {name: reach(db, name) for name in "bca"} == closure(calls)
        db.check_invariant()
    assert len(db._graph.components) <= 3, "loops that are gone leave nothing behind"


@pytest.mark.spec("cycle.component")
def test_many_edits_leave_nothing_behind() -> None:
    db = graph(a="b", b="a", c="")
    slot = db._graph.slot(Node.__incr__, "c")  # type: ignore[attr-defined]  # the mark of a record
    for number in range(50):
        db.set(Node("a", "bc" if number % 2 else "b"))
        reach(db, "a")
    assert len(db._graph.components) == 1
    assert slot.dependents is None or slot.dependents.ingredient.kind != "component"
    db.check_invariant()


@pytest.mark.spec("cycle.component", "high.bits")
def test_a_loop_that_reads_high_inputs() -> None:
    @incr.input(durability=incr.Durability.HIGH)
    class Limit:
        value: int

    @incr.query
    def limit(db: incr.View) -> int:
        return db[Limit].value

    @incr.query(cycle_initial=0)
    def count(db: incr.View, number: int) -> int:
        return min(count(db, 1 - number) + 1, limit(db) if number else db[Limit].value)

    db = incr.Database()
    for value in (3, 5, 2, 2):
        db.set(Limit(value))
        assert [count(db, 0), count(db, 1)] == [value, value]
        db.check_invariant()


@pytest.mark.spec("cycle.fixpoint")
def test_join_makes_the_value_from_the_one_before() -> None:
    @incr.query(cycle_initial=lambda number: number, cycle_join=max)
    def wave(db: incr.View, number: int) -> int:
        return (wave(db, (number + 1) % 4) * 3 + 1) % 10

    for first in range(4):
        db = incr.Database()
        wave(db, first)
        values = [wave(db, number) for number in range(4)]
        assert values == [4, 7, 2, 3]
        assert all(values[place] >= (values[(place + 1) % 4] * 3 + 1) % 10 for place in range(4))


@pytest.mark.spec("cycle.fixpoint", "memo.equality")
def test_the_querys_own_equality_says_when_a_value_has_settled() -> None:
    def close(before: float, after: float) -> bool:
        return abs(before - after) < 0.01

    @incr.query(cycle_initial=1.0, eq=close)
    def root(db: incr.View, number: float) -> float:
        guess = root(db, number)
        return (guess + number / guess) / 2

    @incr.query(cycle_initial=0, eq=False)
    def capped(db: incr.View) -> int:
        return min(capped(db) + 1, 4)

    db = incr.Database()
    assert abs(root(db, 2.0) - 2**0.5) < 0.01
    assert capped(db) == 4


@pytest.mark.spec("cycle.rounds")
def test_values_that_do_not_settle_are_an_error_for_all_calls_of_the_loop() -> None:
    @incr.query(cycle_initial=0)
    def up(db: incr.View, number: int) -> int:
        return up(db, 1 - number) + 1

    @incr.query
    def user(db: incr.View) -> int:
        return up(db, 0)

    for first in (0, 1):
        db = incr.Database()
        for number in (first, 1 - first):
            with pytest.raises(incr.CycleError, match="did not settle within 200 rounds") as caught:
                up(db, number)
            assert caught.value.rounds == 200
            assert caught.value.path == (("up", (0,)), ("up", (1,)))
        with pytest.raises(incr.CycleError, match="200 rounds"):
            user(db)
        no_trace(db)


@pytest.mark.spec("cycle.rounds")
def test_long_loops_settle_in_few_rounds() -> None:
    """Two hundred rounds are meant for values, not for the length of a loop."""
    size = 1_000
    names = [f"n{number}" for number in range(size)]
    links = {name: (names[(place + 1) % size], names[place - 1]) for place, name in enumerate(names)}

    @incr.query(cycle_initial=0)
    def most(db: incr.View, name: str) -> int:
        return max(int(name[1:]), *(most(db, other) for other in links[name]))

    db = incr.Database()
    assert most(db, "n500") == size - 1
    assert db.statistics().queries["most"].executed < 10 * size
    assert {most(db, name) for name in names} == {size - 1}


@pytest.mark.spec("cycle.fixpoint", "depth.sync")
def test_the_way_to_a_loop_and_along_it_may_be_deep() -> None:
    @incr.query(cycle_initial=0)
    def step(db: incr.View, number: int) -> int:
        return max(number, step(db, (number + 1) % 3_000)) if number >= 0 else step(db, number + 1)

    assert step(incr.Database(), -3_000) == 2_999


@pytest.mark.anyio
@pytest.mark.spec("cycle.fixpoint", "depth.async")
async def test_the_same_for_awaited_calls() -> None:
    @incr.query(cycle_initial=0)
    async def step(db: incr.View, number: int) -> int:
        return max(number, await step(db, (number + 1) % 1_000)) if number >= 0 else await step(db, number + 1)

    assert await step(incr.Database(), -500) == 999


@pytest.mark.spec("cycle.fixpoint", "error.outcome")
def test_errors_are_values_of_a_round() -> None:
    @incr.query(cycle_initial=0)
    def fragile(db: incr.View, number: int) -> int:
        other = fragile(db, 1 - number)
        if other == 0 and number == 1:
            raise ValueError("too early")
        return 5

    @incr.query(cycle_initial=0)
    def broken(db: incr.View, number: int) -> int:
        return 1 // broken(db, 1 - number) if number else broken(db, 1)

    for first in (0, 1):
        db = incr.Database()
        assert fragile(db, 0) == 5 if first else fragile(db, 1) == 5
        for number in (first, 1 - first):
            with pytest.raises(ZeroDivisionError):
                broken(db, number)
        no_trace(db)


@pytest.mark.spec("cycle.fixpoint", "history.snapshot")
def test_snapshots_have_the_values_of_their_revisions() -> None:
    steps = [("a", "b"), ("b", "a"), ("c", "ab"), ("b", "ca"), ("a", ""), ("b", "c"), ("a", "bc"), ("c", "")]
    for order in itertools.islice(itertools.permutations(range(len(steps))), 0, None, 5_000):
        db = graph(a="", b="", c="")
        calls = {"a": "", "b": "", "c": ""}
        taken: list[tuple[incr.Snapshot, dict[str, str]]] = []
        for name, others in steps:
            db.set(Node(name, others))
            calls[name] = others
            taken.append((db.snapshot(), dict(calls)))
            if others:
                reach(db, "a")
        for place in order:
            view, then = taken[place]
            assert {name: reach(view, name) for name in "cab"} == closure(then)
            db.check_invariant()
        for view, _ in taken:
            view.close()
        no_trace(db)


@pytest.mark.anyio
@pytest.mark.spec("cycle.fixpoint", "history.publish")
async def test_a_write_in_the_middle_of_the_rounds() -> None:
    db = graph(a="b", b="ca", c="")
    gate = Gate()
    runs = 0

    @incr.query(cycle_initial=frozenset())
    async def slow(db: incr.View, name: str) -> frozenset[str]:
        nonlocal runs
        runs += 1
        if runs == 4:
            await gate.wait()
        calls = db.get(Node, name, Node(name, "")).calls
        found = frozenset(calls)
        for other in calls:
            found |= await slow(db, other)
        return found

    found: list[frozenset[str]] = []

    async def ask() -> None:
        found.append(await slow(db, "a"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await until(lambda: gate.arrived == 1)
        db.set(Node("c", "d"))
        gate.open()
    assert found == [frozenset("abc")]
    assert await slow(db, "a") == frozenset("abcd")
    no_trace(db)


@pytest.mark.anyio
@pytest.mark.spec("cycle.fixpoint", "flight.cancel")
async def test_rounds_that_are_cancelled_leave_no_trace() -> None:
    for stop in range(1, 25):
        await _cancel_at(stop)


async def _cancel_at(stop: int) -> None:
    db = graph(a="b", b="ca", c="b")
    checkpoints = 0
    scope = anyio.CancelScope()

    @incr.query(cycle_initial=frozenset())
    async def slow(db: incr.View, name: str) -> frozenset[str]:
        nonlocal checkpoints
        checkpoints += 1
        if checkpoints == stop:
            scope.cancel()
        await anyio.lowlevel.checkpoint()
        found = frozenset(db[Node, name].calls)
        for other in db[Node, name].calls:
            found |= await slow(db, other)
        return found

    with scope:
        await slow(db, "a")
    no_trace(db)
    assert [await slow(db, name) for name in "cab"] == [frozenset("abc")] * 3
    no_trace(db)


@pytest.mark.spec("cycle.component", "explain.why", "graph.export")
def test_looking_at_a_loop() -> None:
    db = graph(a="b", b="a", c="a")
    reach(db, "c")
    db.set(Node("b", "ab"))
    reach(db, "c")
    text = str(db.explain(reach, "a"))
    assert "the cycle of reach('a') -> reach('b')" in text
    assert "Node['b']" in text
    found = incr.graph(db)
    assert networkx.is_directed_acyclic_graph(found)
    label = "the cycle of reach('a') -> reach('b')"
    assert found.nodes[label]["kind"] == "component"
    assert set(found.successors(label)) == {"Node['a']", "Node['b']"}
    assert set(found.predecessors(label)) == {"reach('a')", "reach('b')"}
    assert db.statistics().queries["reach"].memos == 3


@pytest.mark.spec("cycle.stored")
def test_after_a_load_loops_run_again_and_equal_values_stop_there(tmp_path: Path) -> None:
    @incr.query(name="user")
    def user(db: incr.View) -> int:
        return len(reach(db, "a"))

    db = graph(a="b", b="a", c="")
    assert (user(db), reach(db, "c")) == (2, frozenset())
    db.save(tmp_path / "state.incr")
    again = incr.Database()
    assert again.load(tmp_path / "state.incr")
    with Recorder(again) as ran:
        assert (user(again), reach(again, "c")) == (2, frozenset())
        assert set(ran.take()) == {"reach('a')", "reach('b')"}
        assert ran.take_verified() == ["user()"]
    no_trace(again)


@pytest.mark.spec("cycle.options", "fingerprint.code")
def test_the_functions_that_make_values_are_code() -> None:
    from incr._persist._code import _fingerprint_of

    def declare(**options: Any) -> bytes:
        @incr.query(**options)
        def same(db: incr.View, number: int) -> int:
            return number

        return _fingerprint_of(same.__incr__)  # type: ignore[attr-defined]  # the mark of a query

    declared = [
        declare(),
        declare(on_cycle=0),
        declare(on_cycle=None),
        declare(on_cycle=1),
        declare(cycle_initial=0),
        declare(cycle_initial=lambda number: 0),
        declare(cycle_initial=lambda number: 1),
        declare(cycle_initial=0, cycle_join=max),
        declare(cycle_initial=0, cycle_join=lambda before, after: before | after),
        declare(cycle_initial=0, cycle_join=lambda before, after: before & after),
    ]
    assert len(set(declared)) == len(declared)
    assert declare(cycle_initial=0, cycle_join=max) == declare(cycle_initial=0, cycle_join=max)


@pytest.mark.spec("cycle.path", "frame.databases")
def test_a_loop_through_another_database_is_an_error() -> None:
    first, second = incr.Database(), incr.Database()

    @incr.query(cycle_initial=0)
    def here(db: incr.View) -> int:
        return there(second)

    @incr.query(cycle_initial=0)
    def there(db: incr.View) -> int:
        return here(first)

    with pytest.raises(incr.CycleError):
        here(first)
    with pytest.raises(incr.CycleError):
        there(second)
    no_trace(first)
    no_trace(second)


found = incr.Accumulator[str]("found on loops")


@incr.query(cycle_initial=frozenset())
def telling(db: incr.View, name: str) -> frozenset[str]:
    found.push(db, name)
    return frozenset(name).union(*(between(db, other) for other in db[Node, name].calls))


@incr.query
def between(db: incr.View, name: str) -> frozenset[str]:
    found.push(db, f"to {name}")
    return telling(db, name)


@pytest.mark.spec("cycle.component", "accumulate.once")
@pytest.mark.parametrize("first", "abc")
def test_what_a_loop_pushes_is_collected_once_from_wherever(first: str) -> None:
    db = graph(a="b", b="ac", c="d", d="")
    telling(db, first)
    loop = ["a", "b", "to a", "to b", "to c", "c", "to d", "d"]
    assert sorted(found.of(db, telling, "a")) == sorted(loop)
    assert found.of(db, telling, "a") == found.of(db, telling, "b")
    assert found.of(db, telling, "c") == ("c", "to d", "d")
    db.set(Node("c", ""))
    assert sorted(found.of(db, telling, "b")) == sorted(loop[:-2])
    db.set(Node("b", ""))
    assert found.of(db, telling, "a") == ("a", "to b", "b")


@pytest.mark.spec("cycle.component", "accumulate.of")
def test_a_loop_cannot_collect_its_own_pushes() -> None:
    @incr.query(cycle_initial=0)
    def looking(db: incr.View, number: int) -> int:
        if number == 0:
            looking(db, 1)
            return len(found.of(db, looking, 1))
        return looking(db, 0)

    with pytest.raises(incr.IncrError, match="collects within a loop"):
        looking(incr.Database(), 0)
