"""Tasks that ask for the same call share one execution; for different calls they do not wait for each other."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import incr
from tasks import Gate, joined, no_trace, until

pytestmark = pytest.mark.anyio


@incr.input
class Text:
    name: str = incr.key()
    text: str


class Slow:
    """A query that waits for its gate, and what it ran."""

    def __init__(self) -> None:
        self.gate = gate = Gate()
        self.ran = ran = list[tuple[str, int]]()

        @incr.query(name="slow")
        async def slow(db: incr.View, name: str) -> str:
            ran.append((name, db.revision))
            await gate.wait()
            if name not in ("a", "b"):
                raise ValueError(name)
            return db[Text, name].text.upper()

        self.query = slow


def database() -> incr.Database:
    db = incr.Database()
    db.set(Text("a", "one"))
    db.set(Text("b", "two"))
    return db


async def ask(db: incr.View, query: Any, name: str, answers: list[Any]) -> None:
    try:
        answers.append(await query(db, name))
    except Exception as error:
        answers.append(error)


@pytest.mark.spec("flight.single")
async def test_ten_tasks_that_ask_one_call_run_it_once() -> None:
    db, slow, answers = database(), Slow(), list[Any]()
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(ask, db, slow.query, "a", answers)
        await until(lambda: joined(db, "slow") == 9 and slow.gate.arrived == 1)
        slow.gate.open()
    assert answers == ["ONE"] * 10
    assert all(answer is answers[0] for answer in answers)
    assert len(slow.ran) == 1
    counts = db.statistics().queries["slow"]
    assert (counts.executed, counts.joined, counts.cancelled) == (1, 9, 0)
    no_trace(db)


@pytest.mark.spec("flight.single", "error.outcome", "error.note")
async def test_an_error_is_shared_like_a_value() -> None:
    db, slow, answers = database(), Slow(), list[Any]()
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(ask, db, slow.query, "x", answers)
        await until(lambda: joined(db, "slow") == 3)
        slow.gate.open()
    assert [type(answer) for answer in answers] == [ValueError] * 4
    assert len({id(answer) for answer in answers}) == 1
    assert len(answers[0].__notes__) == 1
    assert len(slow.ran) == 1
    no_trace(db)


@pytest.mark.spec("flight.single")
async def test_different_calls_run_side_by_side() -> None:
    db, slow, answers = database(), Slow(), list[Any]()
    async with anyio.create_task_group() as group:
        group.start_soon(ask, db, slow.query, "a", answers)
        group.start_soon(ask, db, slow.query, "b", answers)
        await until(lambda: slow.gate.arrived == 2)
        slow.gate.open()
    assert sorted(answers) == ["ONE", "TWO"]
    assert db.statistics().queries["slow"].joined == 0


@pytest.mark.spec("flight.single", "frame.bound")
async def test_another_revision_is_another_execution() -> None:
    db, slow, answers = database(), Slow(), list[Any]()
    async with anyio.create_task_group() as group:
        group.start_soon(ask, db, slow.query, "a", answers)
        await until(lambda: slow.gate.arrived == 1)
        db.set(Text("a", "new"))
        group.start_soon(ask, db, slow.query, "a", answers)
        await until(lambda: slow.gate.arrived == 2)
        assert db.statistics().queries["slow"].joined == 0
        slow.gate.open()
    assert sorted(answers) == ["NEW", "ONE"]
    assert [revision for _, revision in slow.ran] == [2, 3]
    no_trace(db)
    assert await slow.query(db, "a") == "NEW"
    assert len(slow.ran) == 2


@pytest.mark.spec("flight.single")
async def test_two_databases_do_not_share_an_execution() -> None:
    first, second, slow, answers = database(), database(), Slow(), list[Any]()
    second.set(Text("a", "other"))
    async with anyio.create_task_group() as group:
        group.start_soon(ask, first, slow.query, "a", answers)
        group.start_soon(ask, second, slow.query, "a", answers)
        await until(lambda: slow.gate.arrived == 2)
        slow.gate.open()
    assert sorted(answers) == ["ONE", "OTHER"]


@pytest.mark.spec("flight.single", "frame.tasks")
async def test_a_follower_inside_a_query_depends_on_what_it_waited_for() -> None:
    db, slow, answers = database(), Slow(), list[Any]()

    @incr.query
    async def around(db: incr.View) -> str:
        return f"<{await slow.query(db, 'a')}>"

    async def ask_around() -> None:
        answers.append(await around(db))

    async with anyio.create_task_group() as group:
        group.start_soon(ask, db, slow.query, "a", answers)
        await until(lambda: slow.gate.arrived == 1)
        group.start_soon(ask_around)
        await until(lambda: joined(db, "slow") == 1)
        slow.gate.open()
    assert sorted(answers) == ["<ONE>", "ONE"]
    db.set(Text("a", "new"))
    assert await around(db) == "<NEW>"


@pytest.mark.spec("flight.single", "memo.minimal")
async def test_tasks_that_verify_the_same_call_run_what_changed_once() -> None:
    db, slow = database(), Slow()
    slow.gate.open()
    answers = list[Any]()
    ran = list[str]()

    @incr.query
    async def initial(db: incr.View) -> str:
        return (await slow.query(db, "a"))[0]

    @incr.query
    async def outer(db: incr.View, name: str) -> str:
        ran.append(name)
        return name + await initial(db)

    for name in "xyz":
        await outer(db, name)
    db.set(Text("a", "old"))
    del ran[:], slow.ran[:]

    async with anyio.create_task_group() as group:
        for name in "xyzxyz":
            group.start_soon(ask, db, outer, name, answers)
    assert sorted(answers) == ["xO", "xO", "yO", "yO", "zO", "zO"]
    assert slow.ran == [("a", 3)]
    assert db.statistics().queries["initial"].executed == 2
    assert ran == []  # the initial is the same, and it is all that they read
    no_trace(db)
