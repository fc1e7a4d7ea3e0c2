"""Removed records, and records that were asked for and never set, leave nothing behind that nobody needs."""

from __future__ import annotations

import gc
import random
import sys
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import incr
from random_programs import CELLS, Cell, Config, Program, evaluate, finish, from_scratch, outcome_of, programs

#: More slots than may stay for nothing.
MANY = 40

_program: list[Program] = [()]


@incr.input
class Note:
    key: int = incr.key()
    text: str


@incr.query
def text_of(db: incr.View, key: int) -> str | None:
    note = db.get(Note, key)
    return None if note is None else note.text


@incr.query
def there(db: incr.View, key: int) -> bool:
    return (Note, key) in db


@incr.query
def names(db: incr.View) -> tuple[int, ...]:
    return tuple(db.keys(Note))


@incr.query
def call(db: incr.View, number: int) -> int:
    async def inner(below: int) -> int:
        return call(db, below)

    return int(finish(evaluate(db, _program[0][number][1], inner)))


def slots(db: incr.Database) -> int:
    """How many rows there are, vacant ones included."""
    return len(db._graph.tables[Note.__incr__.index])  # type: ignore[attr-defined]  # the mark of a record class


def churn(db: incr.Database) -> None:
    """Many records come and go."""
    for key in range(1000, 1000 + MANY):
        db.set(Note(key, "x"))
        db.remove(Note, key)


@pytest.mark.spec("memory.vacant")
@pytest.mark.parametrize("asks", [False, True])
def test_a_table_does_not_grow_while_new_keys_are_set_and_removed(db: incr.Database, asks: bool) -> None:
    db.set(Note(-1, "stays"))
    for key in range(2000):
        db.set(Note(key, "x"))
        if asks:
            assert names(db) == (-1, key)
        db.remove(Note, key)
        assert slots(db) < MANY
    assert names(db) == (-1,)
    db.check_invariant()


@pytest.mark.spec("memory.vacant")
def test_asking_for_what_is_not_there_leaves_nothing_behind(db: incr.Database) -> None:
    for key in range(2000):
        assert db.get(Note, key) is None
        assert (Note, -key) not in db
        with pytest.raises(incr.MissingInputError):
            db[Note, key]
        assert db.remove(Note, key) == 0
    assert slots(db) < MANY


@pytest.mark.spec("memory.vacant")
def test_what_somebody_depends_on_stays_until_nobody_does(db: incr.Database, ran: Any) -> None:
    @incr.query
    def chosen(db: incr.View) -> list[str | bool | None]:
        key = int(db[Note, 0].text)
        note = db.get(Note, key)
        return [note and note.text, (Note, key + 1) in db]

    db.set(Note(0, "5"))
    assert chosen(db) == [None, False]
    churn(db)
    assert chosen(db) == [None, False]
    db.set(Note(5, "five"))
    db.set(Note(6, "six"))
    assert chosen(db) == ["five", True]
    db.remove(Note, 5)
    db.remove(Note, 6)
    churn(db)
    assert chosen(db) == [None, False]
    db.set(Note(0, "7"))
    assert chosen(db) == [None, False]
    db.set(Note(5, "again"))
    assert chosen(db) == [None, False]
    db.set(Note(8, "eight"))
    assert chosen(db) == [None, True]
    db.check_invariant()


@pytest.mark.spec("memory.vacant")
def test_many_that_are_needed_stay_and_go_later(db: incr.Database) -> None:
    for key in range(300):
        assert text_of(db, key) is None
        assert there(db, -key) is False
    churn(db)
    assert slots(db) >= 599
    for key in range(300):
        db.set(Note(key, str(key)))
        db.set(Note(-key, str(-key)))
    assert [text_of(db, key) for key in range(300)] == list(map(str, range(300)))
    assert all(there(db, -key) for key in range(300))
    db.check_invariant()


@pytest.mark.spec("memory.vacant", "history.snapshot")
def test_a_snapshot_sees_what_was_removed(db: incr.Database) -> None:
    for key in range(100):
        db.set(Note(key, str(key)))
    with db.snapshot() as snapshot:
        for key in range(100):
            db.remove(Note, key)
        churn(db)
        assert [snapshot[Note, key].text for key in range(100)] == list(map(str, range(100)))
        assert names(snapshot) == tuple(range(100))
        assert names(db) == ()
        with snapshot.fork() as fork:
            churn(fork)
            assert names(fork) == tuple(range(100))
            assert fork[Note, 7].text == "7"
    assert slots(db) >= 100
    db.set(Note(-1, "x"))
    db.remove(Note, -1)
    gc.collect()
    churn(db)
    assert slots(db) < MANY
    db.check_invariant()


@pytest.mark.spec("memory.vacant", "write.batch")
def test_a_batch_holds_slots_that_may_go_before_it_ends(db: incr.Database) -> None:
    with db.batch() as batch:
        for key in range(100):
            batch.set(Note(key, "old"))
        for key in range(200, 300):
            assert db.get(Note, key) is None
        for key in range(0, 100, 2):
            batch.set(Note(key, "new"))
        churn(db)
        for key in range(0, 100, 5):
            batch.remove(Note, key)
        churn(db)
    expected = {key: "old" if key % 2 else "new" for key in range(100) if key % 5}
    assert {key: db[Note, key].text for key in db.keys(Note)} == expected
    db.check_invariant()


@pytest.mark.spec("memory.vacant", "thread.write", "thread.read")
def test_threads_find_the_slot_that_is_in_the_table(db: incr.Database) -> None:
    wrong: list[Any] = []
    before = sys.getswitchinterval()

    def work(number: int) -> None:
        chance = random.Random(number)
        try:
            for turn in range(300):
                key = number + 4 * chance.randrange(30)  # nobody else writes it
                asked = text_of if chance.random() < 0.3 else None
                read = asked or (lambda db, key: getattr(db.get(Note, key), "text", None))
                if chance.random() < 0.2:
                    with db.batch() as batch:
                        batch.set(Note(key, "first"))
                        db.get(Note, 10_000 + 4 * turn + number)
                        batch.set(Note(key, str(turn)))
                else:
                    db.set(Note(key, str(turn)))
                if read(db, key) != str(turn) or (Note, key) not in db:
                    wrong.append(("set", number, turn, key))
                db.remove(Note, key)
                if read(db, key) is not None or (Note, key) in db:
                    wrong.append(("removed", number, turn, key))
        except BaseException as error:
            wrong.append(error)

    try:
        sys.setswitchinterval(1e-6)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert wrong == []
    assert names(db) == ()
    churn(db)
    assert slots(db) <= 2 * 4 * 30 + MANY
    db.check_invariant()


@pytest.mark.spec("memory.vacant", "memo.consistency")
@given(
    program=programs(tasks=False),
    edits=st.lists(st.tuples(st.sampled_from([*CELLS, -1]), st.none() | st.integers(0, 5)), min_size=1, max_size=8),
    asked=st.randoms(use_true_random=False),
)
def test_any_program_is_told_the_same_however_many_slots_come_and_go(
    program: Program, edits: list[tuple[int, int | None]], asked: random.Random
) -> None:
    _program[0] = program
    db = incr.Database()
    inputs: dict[Any, Any] = {}
    for number, value in edits:
        record = Cell if number >= 0 else Config
        key: Any = number if number >= 0 else ()
        if value is None:
            db.remove(record, key)
            inputs.pop((record, key), None)
        else:
            one = Cell(number, value) if number >= 0 else Config(value)
            db.set(one)
            inputs[record, key] = one
        for other in range(100, 100 + 20):
            db.get(Cell, other)
        for below in range(len(program)):
            if asked.random() < 0.6:
                assert outcome_of(lambda: call(db, below)) == from_scratch(program, inputs, below)  # noqa: B023  # called at once
        db.check_invariant()
