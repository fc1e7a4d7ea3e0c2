"""Whoever runs a call may be cancelled: one of those who wait runs it again, and nothing else is left of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import incr
from tasks import Gate, joined, no_trace, until

pytestmark = pytest.mark.anyio


@incr.input
class Text:
    name: str = incr.key()
    text: str


class Situation:
    """A slow call, tasks that ask for it, each with a way to cancel it, and what came of them."""

    def __init__(self) -> None:
        self.db = incr.Database()
        self.db.set(Text("a", "one"))
        self.gate = gate = Gate()
        self.ran = ran = list[int]()
        self.answers = dict[str, str]()
        self.scopes = dict[str, anyio.CancelScope]()

        @incr.query(name="slow")
        async def slow(db: incr.View, name: str) -> str:
            ran.append(db.revision)
            text = db[Text, name].text
            await gate.wait()
            return text.upper()

        self.slow = slow

    async def ask(self, task: str, query: Callable[[], Any] | None = None) -> None:
        self.scopes[task] = anyio.CancelScope()
        with self.scopes[task]:
            self.answers[task] = await (self.slow(self.db, "a") if query is None else query())
            return
        self.answers[task] = "cancelled"

    async def followers(self, count: int) -> None:
        """Until so many have waited."""
        await until(lambda: joined(self.db, "slow") == count)

    async def runs(self, count: int) -> None:
        """Until so many have come to the gate."""
        await until(lambda: self.gate.arrived == count)

    @property
    def node(self) -> Any:
        return self.db._graph.tables[vars(self.slow)["__incr__"].index]["a"]

    @property
    def cancelled(self) -> int:
        return self.db.statistics().queries["slow"].cancelled


@pytest.mark.spec("flight.handover", "flight.cancel")
async def test_a_cancelled_leader_is_followed_by_exactly_one() -> None:
    one = Situation()
    async with anyio.create_task_group() as group:
        group.start_soon(one.ask, "leader")
        await one.runs(1)
        for number in range(5):
            group.start_soon(one.ask, f"follower {number}")
        await one.followers(5)
        one.scopes["leader"].cancel()
        await one.runs(2)
        assert one.answers == {"leader": "cancelled"}
        one.db.check_invariant()
        one.gate.open()
    assert one.answers == {"leader": "cancelled", **{f"follower {number}": "ONE" for number in range(5)}}
    assert one.ran == [1, 1]
    counts = one.db.statistics().queries["slow"]
    assert (counts.executed, counts.cancelled) == (1, 1)
    no_trace(one.db)
    assert await one.slow(one.db, "a") == "ONE"
    assert len(one.ran) == 2


@pytest.mark.spec("flight.handover")
async def test_one_leader_after_the_other_is_cancelled() -> None:
    one = Situation()
    tasks = ["leader", *(f"follower {number}" for number in range(4))]
    async with anyio.create_task_group() as group:
        group.start_soon(one.ask, "leader")
        await one.runs(1)
        for place, name in enumerate(tasks[1:], 1):
            group.start_soon(one.ask, name)
            await one.followers(place)
        for turn, name in enumerate(tasks[:-1], 2):
            one.scopes[name].cancel()
            await one.runs(turn)
            one.db.check_invariant()
        one.gate.open()
    assert [one.answers[name] for name in tasks] == ["cancelled"] * 4 + ["ONE"]
    assert len(one.ran) == 5
    no_trace(one.db)


@pytest.mark.spec("flight.handover", "flight.cancel")
async def test_the_chosen_follower_is_cancelled_before_it_could_begin() -> None:
    one = Situation()
    async with anyio.create_task_group() as group:
        group.start_soon(one.ask, "leader")
        await one.runs(1)
        for number in range(3):
            group.start_soon(one.ask, f"follower {number}")
            await one.followers(number + 1)
        chosen = one.node.flight.waiters[0]
        one.scopes["leader"].cancel()
        while chosen.answer is None:
            await anyio.lowlevel.checkpoint()
        # It is told that it leads, and may or may not have gone on: cancelled all the same.
        one.scopes["follower 0"].cancel()
        await until(lambda: one.gate.arrived >= 2 and "follower 0" in one.answers)
        one.gate.open()
    assert sorted(one.answers.values()) == ["ONE", "ONE", "cancelled", "cancelled"]
    assert len(one.ran) <= 3
    no_trace(one.db)


@pytest.mark.spec("flight.handover", "flight.cancel")
async def test_leader_and_first_follower_are_cancelled_at_once() -> None:
    one = Situation()
    async with anyio.create_task_group() as group:
        group.start_soon(one.ask, "leader")
        await one.runs(1)
        for number in range(3):
            group.start_soon(one.ask, f"follower {number}")
            await one.followers(number + 1)
        one.scopes["leader"].cancel()
        one.scopes["follower 0"].cancel()
        await one.runs(2)
        one.gate.open()
    assert one.answers == {
        "leader": "cancelled",
        "follower 0": "cancelled",
        "follower 1": "ONE",
        "follower 2": "ONE",
    }
    assert len(one.ran) == 2
    no_trace(one.db)


@pytest.mark.spec("flight.cancel", "flight.handover")
async def test_all_are_cancelled_and_the_next_one_begins_anew() -> None:
    one = Situation()
    async with anyio.create_task_group() as group:
        group.start_soon(one.ask, "leader")
        await one.runs(1)
        for number in range(3):
            group.start_soon(one.ask, f"follower {number}")
        await one.followers(3)
        for scope in one.scopes.values():
            scope.cancel()
    assert set(one.answers.values()) == {"cancelled"}
    assert one.ran == [1]
    no_trace(one.db)
    assert one.db.statistics().memos == 0
    one.gate.open()
    assert await one.slow(one.db, "a") == "ONE"
    one.db.set(Text("a", "two"))
    assert await one.slow(one.db, "a") == "TWO"
    assert one.ran == [1, 1, 2]


@pytest.mark.spec("flight.cancel")
async def test_a_cancelled_waiter_disturbs_nobody() -> None:
    one = Situation()
    async with anyio.create_task_group() as group:
        group.start_soon(one.ask, "leader")
        await one.runs(1)
        for number in range(3):
            group.start_soon(one.ask, f"follower {number}")
            await one.followers(number + 1)
        one.scopes["follower 1"].cancel()
        await until(lambda: "follower 1" in one.answers)
        assert one.cancelled == 0
        one.gate.open()
    assert one.answers.pop("follower 1") == "cancelled"
    assert set(one.answers.values()) == {"ONE"}
    assert one.ran == [1]
    no_trace(one.db)


@pytest.mark.spec("flight.cancel")
async def test_a_cancelled_run_leaves_memo_stamps_and_suspects_as_they_were() -> None:
    one = Situation()
    one.gate.open()
    await one.slow(one.db, "a")
    one.db.set(Text("a", "two"))
    one.db.check_invariant()
    node = one.node
    fields = ("value", "changed_at", "valid_from", "valid_to", "dependencies", "suspects", "bits", "ran_at", "hot")
    before = [getattr(node, name) for name in fields]
    events = list[incr.Event]()
    one.gate._open = anyio.Event()
    with one.db.subscribe(events.append):
        async with anyio.create_task_group() as group:
            group.start_soon(one.ask, "leader")
            await one.runs(2)
            one.scopes["leader"].cancel()
    assert before == [getattr(node, name) for name in fields]
    assert incr.QueryCancelled("slow", ("a",)) in events
    assert not any(isinstance(event, incr.QueryExecuted) for event in events)
    counts = one.db.statistics().queries["slow"]
    assert (counts.executed, counts.cancelled) == (1, 1)
    no_trace(one.db)
    one.gate.open()
    assert await one.slow(one.db, "a") == "TWO"


@pytest.mark.spec("flight.handover", "flight.cancel")
async def test_a_leader_that_only_verifies_is_cancelled() -> None:
    one = Situation()
    one.gate.open()
    ran = list[str]()

    @incr.query
    async def first_letter(db: incr.View) -> str:
        return (await one.slow(db, "a"))[0]

    @incr.query
    async def above(db: incr.View) -> str:
        ran.append("above")
        return await first_letter(db) + "!"

    assert await above(one.db) == "O!"
    one.db.set(Text("a", "other"))
    one.gate._open = anyio.Event()
    del ran[:]
    async with anyio.create_task_group() as group:
        group.start_soon(one.ask, "verifier", lambda: above(one.db))
        await one.runs(2)
        group.start_soon(one.ask, "reader")
        group.start_soon(one.ask, "second verifier", lambda: above(one.db))
        await one.followers(2)
        one.scopes["verifier"].cancel()
        await one.runs(3)
        one.db.check_invariant()
        one.gate.open()
    assert one.answers == {"verifier": "cancelled", "reader": "OTHER", "second verifier": "O!"}
    assert ran == []  # the letter is the same
    assert one.ran == [1, 2, 2]
    no_trace(one.db)


@pytest.mark.spec("flight.handover", "frame.bound")
async def test_the_one_that_takes_over_is_bound_to_the_same_revision() -> None:
    one = Situation()
    async with anyio.create_task_group() as group:
        group.start_soon(one.ask, "leader")
        await one.runs(1)
        group.start_soon(one.ask, "follower")
        await one.followers(1)
        one.db.set(Text("a", "two"))
        group.start_soon(one.ask, "later")
        await one.runs(2)
        one.scopes["leader"].cancel()
        await one.runs(3)
        one.gate.open()
    assert one.answers == {"leader": "cancelled", "follower": "ONE", "later": "TWO"}
    assert one.ran == [1, 2, 1]
    no_trace(one.db)
    assert await one.slow(one.db, "a") == "TWO"
    assert len(one.ran) == 3


@pytest.mark.spec("flight.handover", "flight.cancel")
async def test_a_leader_cancelled_at_its_first_checkpoint_has_run_nothing() -> None:
    one = Situation()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await one.slow(one.db, "a")
    assert scope.cancelled_caught
    assert one.ran == []
    assert one.cancelled == 1
    no_trace(one.db)


@pytest.mark.spec("flight.handover")
async def test_followers_inside_queries_take_over_for_their_call() -> None:
    one = Situation()

    @incr.query
    async def around(db: incr.View, mark: str) -> str:
        return mark + await one.slow(db, "a")

    async with anyio.create_task_group() as group:
        group.start_soon(one.ask, "leader", lambda: around(one.db, "<"))
        await one.runs(1)
        group.start_soon(one.ask, "follower", lambda: around(one.db, ">"))
        await one.followers(1)
        one.scopes["leader"].cancel()
        await one.runs(2)
        one.gate.open()
    assert one.answers == {"leader": "cancelled", "follower": ">ONE"}
    no_trace(one.db)
    one.db.set(Text("a", "two"))
    assert await around(one.db, ">") == ">TWO"


@pytest.mark.spec("flight.handover")
async def test_a_leader_that_is_interrupted_hands_over_too() -> None:
    one = Situation()
    failing = Gate()

    class Interrupt(BaseException):
        pass

    first = [True]

    @incr.query
    async def fragile(db: incr.View) -> str:
        await failing.wait()
        if first.pop() if first else False:
            raise Interrupt
        return db[Text, "a"].text

    caught = list[str]()

    async def leader() -> None:
        try:
            await fragile(one.db)
        except Interrupt:
            caught.append("interrupt")

    async with anyio.create_task_group() as group:
        group.start_soon(leader)
        await until(lambda: failing.arrived == 1)
        group.start_soon(one.ask, "follower", lambda: fragile(one.db))
        await until(lambda: joined(one.db, "fragile") == 1)
        failing.open()
    assert caught == ["interrupt"]
    assert one.answers == {"follower": "one"}
    no_trace(one.db)
