"""Inputs are written while calls run: each answer is that of the revision at which its outermost read began."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import incr
from hand_loop import HandLoop, pause
from tasks import Gate, joined, no_trace, until

pytestmark = pytest.mark.anyio


@incr.input
class Text:
    name: str = incr.key()
    text: str


@incr.input(durability=incr.Durability.HIGH)
class Setting:
    value: str


@incr.query
def length(db: incr.View, name: str) -> int:
    return len(db[Text, name].text)


def database(**texts: str) -> incr.Database:
    db = incr.Database()
    with db.batch() as batch:
        for name, text in texts.items():
            batch.set(Text(name, text))
    return db


@pytest.mark.spec("frame.bound", "memo.consistency")
async def test_a_running_call_sees_its_own_revision_throughout() -> None:
    db = database(a="one", b="x")
    db.set(Setting("old"))
    gate, seen, answers = Gate(), list[Any](), list[Any]()

    @incr.query
    async def everything(db: incr.View) -> tuple[Any, ...]:
        def look() -> tuple[Any, ...]:
            here = (db.revision, db[Text, "a"].text, db.get(Text, "c"), (Text, "c") in db, tuple(db.keys(Text)))
            return *here, length(db, "a"), db[Setting].value

        seen.append(look())
        await gate.wait()
        seen.append(look())
        return look()

    async def ask() -> None:
        answers.append(await everything(db))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await until(lambda: gate.arrived == 1)
        db.set(Text("a", "other"))
        db.set(Text("c", "new"))
        db.remove(Text, "b")
        db.set(Setting("new"))
        assert length(db, "a") == 5
        gate.open()
    assert seen == [(2, "one", None, False, ("a", "b"), 3, "old")] * 2
    assert answers == seen[:1]
    no_trace(db)
    assert await everything(db) == (6, "other", Text("c", "new"), True, ("a", "c"), 5, "new")


@pytest.mark.spec("frame.bound")
async def test_what_it_calls_later_is_bound_to_its_revision_too() -> None:
    db = database(a="one")
    gate, answers = Gate(), list[int]()

    @incr.query
    async def inner(db: incr.View) -> int:
        return length(db, "a") * 10 + db.revision

    @incr.query
    async def outer(db: incr.View) -> int:
        await gate.wait()
        return await inner(db)

    async def ask() -> None:
        answers.append(await outer(db))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await until(lambda: gate.arrived == 1)
        db.set(Text("a", "four"))
        assert await inner(db) == 42
        gate.open()
    assert answers == [31]
    assert await inner(db) == 42
    assert await outer(db) == 42
    no_trace(db)


@pytest.mark.spec("history.publish")
async def test_a_late_outcome_becomes_the_memo_where_nothing_of_it_was_written() -> None:
    db = database(a="one", b="two")
    gate, ran, answers = Gate(), list[int](), list[int]()

    @incr.query
    async def slow(db: incr.View) -> int:
        ran.append(db.revision)
        read = length(db, "a")
        await gate.wait()
        return read

    async def ask() -> None:
        answers.append(await slow(db))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await until(lambda: gate.arrived == 1)
        db.set(Text("b", "unrelated"))
        gate.open()
    assert answers == [3]
    assert await slow(db) == 3
    assert ran == [1]
    no_trace(db)


@pytest.mark.spec("history.publish", "memo.backdate")
async def test_a_late_outcome_is_verified_where_what_was_written_comes_out_the_same() -> None:
    db = database(a="one")
    gate, ran, answers = Gate(), list[int](), list[int]()

    @incr.query
    async def slow(db: incr.View) -> int:
        ran.append(db.revision)
        read = length(db, "a")
        await gate.wait()
        return read

    async def ask() -> None:
        answers.append(await slow(db))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await until(lambda: gate.arrived == 1)
        db.set(Text("a", "two"))  # of the same length; nobody has asked for it yet
        gate.open()
    assert answers == [3]
    assert await slow(db) == 3
    assert ran == [1]
    no_trace(db)


@pytest.mark.spec("history.publish")
async def test_a_late_outcome_over_a_changed_dependency_is_not_good_for_now() -> None:
    db = database(a="one")
    gate, ran, answers = Gate(), list[int](), list[str]()

    @incr.query
    async def slow(db: incr.View) -> str:
        ran.append(db.revision)
        read = db[Text, "a"].text
        await gate.wait()
        return read

    async def ask() -> None:
        answers.append(await slow(db))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await until(lambda: gate.arrived == 1)
        db.set(Text("a", "two"))
        gate.open()
    assert answers == ["one"]
    no_trace(db)
    assert await slow(db) == "two"
    assert ran == [1, 2]


@pytest.mark.spec("history.publish", "memo.backdate")
async def test_a_late_outcome_does_not_hide_behind_a_dependency_that_came_back() -> None:
    # length('a') is 5 at the late call's revision and 3 before and after: what it is now says nothing about then.
    db = database(a="one")
    gate, answers = Gate(), list[int]()

    @incr.query
    async def slow(db: incr.View) -> int:
        await gate.wait()
        return length(db, "a")

    async def ask() -> None:
        answers.append(await slow(db))

    assert length(db, "a") == 3
    db.set(Text("a", "three"))
    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await until(lambda: gate.arrived == 1)
        db.set(Text("a", "two"))
        assert length(db, "a") == 3
        gate.open()
    assert answers == [5]
    assert await slow(db) == 3
    no_trace(db)


@pytest.mark.spec("history.publish")
async def test_a_late_outcome_does_not_replace_a_newer_one() -> None:
    db = database(a="one")
    gates, ran = {1: Gate(), 2: Gate()}, list[int]()
    answers = dict[str, str]()

    @incr.query
    async def slow(db: incr.View) -> str:
        ran.append(db.revision)
        await gates[db.revision].wait()
        return db[Text, "a"].text

    async def ask(task: str) -> None:
        answers[task] = await slow(db)

    async with anyio.create_task_group() as group:
        group.start_soon(ask, "early")
        await until(lambda: gates[1].arrived == 1)
        db.set(Text("a", "two"))
        group.start_soon(ask, "late")
        await until(lambda: gates[2].arrived == 1)
        gates[2].open()
        await until(lambda: "late" in answers)
        gates[1].open()
    assert answers == {"early": "one", "late": "two"}
    assert await slow(db) == "two"
    assert ran == [1, 2]
    no_trace(db)


@pytest.mark.spec("history.publish", "read.untracked")
async def test_an_untracked_read_of_a_late_call_is_not_good_for_now() -> None:
    db = database(a="one")
    gate, answers = Gate(), list[int]()

    @incr.query
    async def clock(db: incr.View) -> int:
        await gate.wait()
        db.untracked("the revision")
        return db.revision

    async def ask() -> None:
        answers.append(await clock(db))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await until(lambda: gate.arrived == 1)
        db.set(Text("a", "two"))
        assert length(db, "a") == 3
        gate.open()
    assert answers == [1]
    assert await clock(db) == 2
    no_trace(db)


@pytest.mark.spec("frame.bound")
async def test_a_verification_that_waited_starts_over_at_its_own_revision() -> None:
    db = database(a="one", b="x")
    gate, answers = Gate(), list[str]()
    open_gate = [True]

    @incr.query
    async def slow(db: incr.View) -> int:
        read = len(db[Text, "a"].text)
        if not open_gate[0]:
            await gate.wait()
        return read

    @incr.query
    async def root(db: incr.View) -> str:
        return f"{await slow(db)} {db[Text, 'b'].text}"

    async def ask() -> None:
        answers.append(await root(db))

    assert await root(db) == "3 x"
    db.set(Text("a", "two"))
    open_gate[0] = False
    async with anyio.create_task_group() as group:
        group.start_soon(ask)  # verifies root, for which slow has to run
        await until(lambda: gate.arrived == 1)
        db.set(Text("b", "y"))
        gate.open()
    assert answers == ["3 x"]
    assert await root(db) == "3 y"
    no_trace(db)


@pytest.mark.spec("frame.bound", "flight.single")
def test_a_follower_that_is_woken_late_gets_the_outcome_of_its_own_revision() -> None:
    # The order of these steps is up to a loop, so it is done by hand.
    db = database(a="one")
    loop = HandLoop()

    @incr.query
    async def text(db: incr.View) -> str:
        await pause()
        return db[Text, "a"].text

    leader = loop.spawn(text(db), "leader")
    follower = loop.spawn(text(db), "follower")
    loop.step(leader)
    loop.step(follower)
    assert joined(db, "text") == 1
    while not leader.ended.done():
        loop.step(leader)
    assert follower.ready
    db.set(Text("a", "two"))
    third = loop.spawn(text(db), "third")
    while not third.ended.done():
        loop.step(third)
    while not follower.ended.done():
        loop.step(follower)
    assert (leader.value, follower.value, third.value) == ("one", "one", "two")
    no_trace(db)


@pytest.mark.spec("frame.bound")
async def test_writes_are_refused_in_the_task_of_a_query_only() -> None:
    db = database(a="one")
    gate, refused = Gate(), list[str]()

    @incr.query
    async def writing(db_: incr.View) -> None:
        await gate.wait()
        try:
            db.set(Text("a", "two"))
        except incr.WriteInQueryError as error:
            refused.append(str(error))

    async with anyio.create_task_group() as group:
        group.start_soon(writing, db)
        await until(lambda: gate.arrived == 1)
        db.set(Text("b", "fine"))
        gate.open()
    assert len(refused) == 1
    assert "writing()" in refused[0]
    assert db[Text, "a"].text == "one"
