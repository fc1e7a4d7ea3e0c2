"""Dependencies are those of the last run, and are looked at in the order in which the body read them."""

from __future__ import annotations

import random

import pytest

import incr
from incr.testing import Recorder


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.input
class Choice:
    path: str


@incr.query
def text(db: incr.View, path: str) -> str:
    return db[Source, path].text


@incr.query
def chosen(db: incr.View) -> str:
    return text(db, db[Choice].path)


@pytest.mark.spec("memo.dynamic", "suspect.push")
def test_what_the_last_run_did_not_read_runs_nothing(db: incr.Database, ran: Recorder) -> None:
    with db.batch() as batch:
        batch.set(Choice("a"))
        batch.set(Source("a", "x"))
        batch.set(Source("b", "y"))
    assert chosen(db) == "x"
    db.set(Choice("b"))
    assert chosen(db) == "y"
    ran.take()
    ran.take_verified()
    db.set(Source("a", "z"))
    assert chosen(db) == "y"
    assert ran.take() == ran.take_verified() == []
    db.set(Choice("a"))
    assert chosen(db) == "z"
    assert ran.take() == ["text('a')", "chosen()"]
    db.check_invariant()


@pytest.mark.spec("memo.dynamic")
def test_dependencies_are_replaced_also_where_the_outcome_is_the_same(db: incr.Database, ran: Recorder) -> None:
    with db.batch() as batch:
        batch.set(Choice("a"))
        batch.set(Source("a", "same"))
        batch.set(Source("b", "same"))
    assert chosen(db) == "same"
    db.set(Choice("b"))
    assert chosen(db) == "same"
    ran.take()
    db.set(Source("a", "dropped"))
    assert chosen(db) == "same"
    assert ran.take() == []
    db.set(Source("b", "new"))
    assert chosen(db) == "new"
    assert ran.take() == ["text('b')", "chosen()"]


@pytest.mark.spec("memo.order", "memo.dynamic")
def test_a_dependency_of_a_branch_that_is_not_taken_any_more_is_not_computed(db: incr.Database, ran: Recorder) -> None:
    with db.batch() as batch:
        batch.set(Choice("a"))
        batch.set(Source("a", "x"))
        batch.set(Source("b", "y"))
    assert chosen(db) == "x"
    ran.take()
    with db.batch() as batch:
        batch.set(Choice("b"))
        batch.remove(Source, "a")  # text('a') would fail now
    assert chosen(db) == "y"
    assert ran.take() == ["text('b')", "chosen()"]
    assert db.explain(text, "a").decision == "suspect"


@pytest.mark.spec("memo.order")
@pytest.mark.parametrize("count", [3, 8, 9, 30])
def test_suspects_are_looked_at_in_the_order_of_the_reads(db: incr.Database, ran: Recorder, count: int) -> None:
    paths = [str(number) for number in range(count)]

    @incr.query
    def until_stop(db: incr.View) -> int:
        for number, path in enumerate(reversed(paths)):
            if text(db, path) == "stop":
                return number
        return -1

    with db.batch() as batch:
        for path in paths:
            batch.set(Source(path, "go"))
    assert until_stop(db) == -1
    assert ran.take() == [*(f"text('{path}')" for path in reversed(paths)), "until_stop()"]
    with db.batch() as batch:
        for path in paths:  # written in the other order
            batch.set(Source(path, "stop" if path == "1" else "go on"))
    assert until_stop(db) == count - 2
    assert ran.take() == [*(f"text('{path}')" for path in reversed(paths[1:])), "until_stop()"]
    db.check_invariant()


@pytest.mark.spec("memo.order", "memo.minimal")
def test_the_body_runs_at_the_first_difference(db: incr.Database, ran: Recorder) -> None:
    order = list[str]()

    @incr.query
    def noted(db: incr.View, path: str) -> str:
        order.append(path)
        return db[Source, path].text

    @incr.query
    def three(db: incr.View) -> str:
        order.append("three")
        return noted(db, "c") + noted(db, "a") + noted(db, "b")

    with db.batch() as batch:
        for path in "abc":
            batch.set(Source(path, path))
    assert three(db) == "cab"
    assert order == ["three", "c", "a", "b"]
    del order[:]
    with db.batch() as batch:
        for path in "ab":
            batch.set(Source(path, path.upper()))
    assert three(db) == "cAB"
    assert order == ["a", "three", "b"]
    assert ran.take()[-3:] == ["noted('a')", "noted('b')", "three()"]


@pytest.mark.spec("memo.dynamic")
def test_a_read_that_is_repeated_counts_once_where_it_came_first(db: incr.Database) -> None:
    @incr.query
    def twice(db: incr.View) -> str:
        return text(db, "a") + text(db, "b") + text(db, "a") + db[Source, "a"].text

    db.set(Source("a", "x"))
    db.set(Source("b", "y"))
    assert twice(db) == "xyxx"
    assert db.statistics().queries["twice"].edges == 3
    db.check_invariant()


@pytest.mark.spec("memo.aba")
def test_a_value_that_comes_back_after_it_was_seen(db: incr.Database, ran: Recorder) -> None:
    db.set(Choice("a"))
    db.set(Source("a", "x"))
    assert chosen(db) == "x"
    db.set(Source("a", "y"))
    assert chosen(db) == "y"
    db.set(Source("a", "x"))
    assert chosen(db) == "x"
    assert ran.take() == ["text('a')", "chosen()"] * 3


@pytest.mark.spec("memo.aba", "memo.minimal")
def test_a_value_that_comes_back_before_anybody_looks_runs_nothing(db: incr.Database, ran: Recorder) -> None:
    db.set(Choice("a"))
    db.set(Source("a", "x"))
    assert chosen(db) == "x"
    ran.take()
    db.set(Source("a", "y"))
    db.set(Source("a", "x"))
    assert chosen(db) == "x"
    assert ran.take() == []


@pytest.mark.spec("memo.aba", "history.snapshot", "memo.consistency")
def test_what_was_true_before_and_after_is_not_taken_as_true_in_between(db: incr.Database) -> None:
    @incr.query
    def upper(db: incr.View) -> str:
        return chosen(db).upper()

    db.set(Choice("a"))
    db.set(Source("a", "x"))
    assert upper(db) == "X"
    db.set(Source("a", "y"))
    with db.snapshot() as between:
        db.set(Source("a", "x"))
        assert upper(db) == "X"
        assert upper(between) == "Y"
        assert upper(db) == "X"
        db.check_invariant()


@pytest.mark.spec("memo.aba", "memo.backdate", "memo.consistency")
def test_a_dependent_that_slept_through_a_change_and_its_return(db: incr.Database, ran: Recorder) -> None:
    """The dependency is brought up to date at each step, its dependent only at the end."""
    db.set(Choice("a"))
    db.set(Source("a", "x"))
    assert chosen(db) == "x"
    db.set(Source("a", "y"))
    assert text(db, "a") == "y"
    db.set(Source("a", "x"))
    assert text(db, "a") == "x"
    ran.take()
    assert chosen(db) == "x"
    assert ran.take() in ([], ["chosen()"])
    db.set(Source("a", "z"))
    assert chosen(db) == "z"


@pytest.mark.spec("memo.dynamic", "memo.consistency")
def test_a_query_may_grow_its_own_set_of_calls(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def reachable(db: incr.View, path: str) -> frozenset[str]:
        found = {path}
        for name in db[Source, path].text.split():
            if (Source, name) in db:
                found |= reachable(db, name)
        return frozenset(found)

    db.set(Source("a", "b c"))
    db.set(Source("c", "d"))
    assert reachable(db, "a") == {"a", "c"}
    db.set(Source("b", ""))
    assert reachable(db, "a") == {"a", "b", "c"}
    ran.take()
    db.set(Source("d", "e"))
    assert reachable(db, "a") == {"a", "b", "c", "d"}
    assert ran.take() == ["reachable('d')", "reachable('c')", "reachable('a')"]
    db.set(Source("c", ""))
    assert reachable(db, "a") == {"a", "b", "c"}
    ran.take()
    db.set(Source("d", "f"))
    assert reachable(db, "a") == {"a", "b", "c"}
    assert ran.take() == []


@pytest.mark.spec("memo.order")
@pytest.mark.parametrize("count", [10, 64, 65, 200])
def test_a_few_suspects_among_many_are_looked_at_in_the_order_of_the_reads(
    db: incr.Database, ran: Recorder, count: int
) -> None:
    paths = [str(number) for number in range(count)]

    @incr.query
    def longest(db: incr.View) -> int:
        return max(len(text(db, path)) for path in reversed(paths))

    with db.batch() as batch:
        for path in paths:
            batch.set(Source(path, "x"))
    assert longest(db) == 1
    for texts in ("y", "z"):
        ran.take()
        for path in ("3", "7", "5"):
            db.set(Source(path, texts))
        with db.batch() as batch:
            batch.set(Source("9", texts * 2))
            batch.set(Source("1", texts * 2))
        assert longest(db) == 2
        assert ran.take() == ["text('9')", "text('7')", "text('5')", "text('3')", "text('1')", "longest()"]
        for path in ("9", "1"):
            db.set(Source(path, "x"))
        assert longest(db) == 1
    db.check_invariant()


@pytest.mark.spec("memo.aba", "memo.minimal", "memo.consistency")
@pytest.mark.parametrize("durability", incr.Durability)
@pytest.mark.parametrize("seed", range(15))
def test_values_that_come_back_at_random(seed: int, durability: incr.Durability) -> None:
    chance = random.Random(seed)

    @incr.query
    def seen(db: incr.View, path: str) -> tuple[bool, str]:
        return (Source, path) in db, found.text if (found := db.get(Source, path)) else "none"

    @incr.query
    def both(db: incr.View) -> tuple[object, ...]:
        return seen(db, "a"), seen(db, "b")

    db = incr.Database()
    with Recorder(db) as ran:
        both(db)
        before = [db.get(Source, path) for path in "ab"]
        for _ in range(60):
            ran.take()
            for _ in range(chance.randrange(4)):
                path = chance.choice("ab")
                if chance.random() < 0.3:
                    db.remove(Source, path)
                else:
                    db.set(Source(path, chance.choice("xy")), durability=durability)
            now = both(db)
            after = [db.get(Source, path) for path in "ab"]
            assert now == tuple((record is not None, record.text if record else "none") for record in after)
            changed = [f"seen('{path}')" for path, old, new in zip("ab", before, after, strict=True) if old != new]
            assert ran.take() == changed + ["both()"] * bool(changed)
            before = after
            db.check_invariant()


@pytest.mark.spec("memo.aba", "history.snapshot")
def test_a_value_that_comes_back_while_an_old_revision_is_pinned(db: incr.Database, ran: Recorder) -> None:
    db.set(Choice("a"))
    db.set(Source("a", "x"))
    with db.snapshot() as view:
        db.set(Source("a", "y"))
        db.set(Source("a", "x"))
        assert (chosen(view), chosen(db)) == ("x", "x")
        with db.snapshot() as between:
            db.set(Source("a", "z"))
            assert (chosen(view), chosen(between), chosen(db)) == ("x", "x", "z")
    db.check_invariant()
