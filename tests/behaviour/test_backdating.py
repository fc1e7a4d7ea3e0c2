"""The same result stops a change: what used it is verified, not run."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import incr
from incr.testing import Recorder


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.input
class Settings:
    root: str


@incr.query
def words(db: incr.View, path: str) -> tuple[str, ...]:
    return tuple(db[Source, path].text.split())


@incr.query
def count(db: incr.View, path: str) -> int:
    return len(words(db, path))


@incr.query
def total(db: incr.View) -> int:
    return sum(count(db, path) for path in db.keys(Source))


@pytest.mark.spec("memo.backdate", "memo.minimal")
def test_an_equal_result_stops_here(db: incr.Database, ran: Recorder) -> None:
    db.set(Source("a", "x y"))
    assert total(db) == 2
    assert ran.take() == ["words('a')", "count('a')", "total()"]
    db.set(Source("a", "x  y"))  # only whitespace changed
    assert total(db) == 2
    assert ran.take() == ran.take_backdated() == ["words('a')"]
    assert ran.take_verified() == ["count('a')", "total()"]
    db.set(Source("a", "y z"))
    assert total(db) == 2
    assert ran.take() == ["words('a')", "count('a')"]
    assert ran.take_backdated() == ["count('a')"]
    assert ran.take_verified() == ["total()"]
    db.check_invariant()


@pytest.mark.spec("memo.backdate", "memo.minimal", "suspect.push")
def test_after_an_early_cutoff_unrelated_revisions_run_nothing(db: incr.Database, ran: Recorder) -> None:
    db.set(Source("a", "x y"))
    assert total(db) == 2
    db.set(Source("a", "x  y"))
    assert total(db) == 2
    ran.take()
    ran.take_verified()
    for number in range(10):
        db.set(Settings(f"unrelated {number}"))
        assert total(db) == 2
    assert ran.take() == ran.take_verified() == []


@pytest.mark.spec("memo.backdate", "memo.minimal")
def test_after_an_early_cutoff_related_but_equal_revisions_run_what_they_must(db: incr.Database, ran: Recorder) -> None:
    """Not the dependents for ever: what counts is when a dependency was last looked at, not one's own change."""
    db.set(Source("a", "x y"))
    db.set(Source("b", "z"))
    assert total(db) == 3
    db.set(Source("a", "x  y"))
    assert total(db) == 3
    ran.take()
    for number in range(10):
        db.set(Source("b", "z" + " " * (number + 1)))
        assert total(db) == 3
        assert ran.take() == ["words('b')"]


@pytest.mark.spec("memo.backdate", "memo.shared")
def test_the_old_object_is_kept(db: incr.Database) -> None:
    db.set(Source("a", "x y"))
    before = words(db, "a")
    db.set(Source("a", "y x"))
    other = words(db, "a")
    assert other is not before
    db.set(Source("a", "y  x"))
    assert words(db, "a") is other


@pytest.mark.spec("memo.minimal")
def test_what_was_changed_and_is_not_asked_for_does_not_run(db: incr.Database, ran: Recorder) -> None:
    for path in "abc":
        db.set(Source(path, path))
        count(db, path)
    ran.take()
    for path in "abc":
        db.set(Source(path, path * 2))
    assert count(db, "b") == 1
    assert ran.take() == ["words('b')", "count('b')"]
    assert count(db, "c") == 1
    assert ran.take() == ["words('c')", "count('c')"]


@pytest.mark.spec("memo.minimal", "memo.consistency")
def test_a_diamond_runs_each_call_once(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def left(db: incr.View) -> int:
        return count(db, "a") + 1

    @incr.query
    def right(db: incr.View) -> int:
        return count(db, "a") * 10

    @incr.query
    def top(db: incr.View) -> tuple[int, int]:
        return left(db), right(db)

    db.set(Source("a", "x"))
    assert top(db) == (2, 10)
    ran.take()
    db.set(Source("a", "x y"))
    assert top(db) == (3, 20)
    assert ran.take() == ["words('a')", "count('a')", "left()", "right()", "top()"]


@pytest.mark.spec("memo.backdate", "memo.equality")
def test_eq_false_never_backdates(db: incr.Database, ran: Recorder) -> None:
    @incr.query(eq=False)
    def inner(db: incr.View) -> int:
        return len(db[Source, "a"].text)

    @incr.query
    def outer(db: incr.View) -> int:
        return inner(db)

    db.set(Source("a", "x"))
    assert outer(db) == 1
    ran.take()
    db.set(Source("a", "y"))
    assert outer(db) == 1
    assert ran.take() == ["inner()", "outer()"]
    assert ran.take_backdated() == ["outer()"]


@pytest.mark.spec("memo.backdate", "memo.equality")
def test_a_function_decides_what_is_equal(db: incr.Database, ran: Recorder) -> None:
    asked = list[tuple[float, float]]()

    def close(before: float, after: float) -> bool:
        asked.append((before, after))
        return abs(before - after) < 0.5

    @incr.query(eq=close)
    def measure(db: incr.View) -> float:
        return float(db[Source, "a"].text)

    @incr.query
    def shown(db: incr.View) -> str:
        return f"{measure(db):.1f}"

    db.set(Source("a", "1.0"))
    assert shown(db) == "1.0"
    db.set(Source("a", "1.25"))
    assert shown(db) == "1.0"
    assert measure(db) == 1.0  # the old value is kept, so that all who ask see the same one
    db.set(Source("a", "2.0"))
    assert shown(db) == "2.0"
    assert asked == [(1.0, 1.25), (1.0, 2.0)]
    assert ran.take() == ["measure()", "shown()", "measure()", "measure()", "shown()"]


@pytest.mark.spec("memo.equality")
@pytest.mark.parametrize("answer", [None, 1, "yes", ValueError("no")])
def test_a_function_that_gives_no_plain_truth_says_different(db: incr.Database, ran: Recorder, answer: Any) -> None:
    def odd(before: Any, after: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    @incr.query(eq=odd)
    def inner(db: incr.View) -> int:
        return len(db[Source, "a"].text)

    @incr.query
    def outer(db: incr.View) -> int:
        return inner(db)

    db.set(Source("a", "x"))
    outer(db)
    ran.take()
    db.set(Source("a", "y"))
    assert outer(db) == 1
    assert ran.take() == ["inner()", "outer()"]


class Raising:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("cannot be compared")

    __hash__ = None  # type: ignore[assignment]  # as with arrays


class ArrayLike:
    """As arrays do: the comparison gives one answer for each item, and that has no truth."""

    def __eq__(self, other: object) -> Any:
        return NoTruth()

    __hash__ = None  # type: ignore[assignment]  # as with arrays


class NoTruth:
    def __bool__(self) -> bool:
        raise ValueError("the truth value of an array is ambiguous")


class Truthy:
    def __eq__(self, other: object) -> Any:
        return 1

    __hash__ = None  # type: ignore[assignment]  # like the others


@pytest.mark.spec("memo.equality", "memo.backdate")
@pytest.mark.parametrize("make", [Raising, ArrayLike, Truthy, lambda: [ArrayLike()], lambda: ((Raising(),),), object])
def test_values_that_cannot_be_compared_have_changed(db: incr.Database, ran: Recorder, make: Callable[[], Any]) -> None:
    @incr.query
    def inner(db: incr.View) -> Any:
        len(db[Source, "a"].text)
        return make()

    @incr.query
    def outer(db: incr.View) -> str:
        return type(inner(db)).__name__

    db.set(Source("a", "x"))
    expected = type(make()).__name__
    assert outer(db) == expected
    ran.take()
    db.set(Source("a", "y"))
    assert outer(db) == expected
    assert ran.take() == ["inner()", "outer()"]
    assert ran.take_backdated() == ["outer()"]


@pytest.mark.spec("memo.equality", "memo.backdate")
def test_identity_is_asked_first(db: incr.Database, ran: Recorder) -> None:
    value = Raising()

    @incr.query
    def inner(db: incr.View) -> Raising:
        len(db[Source, "a"].text)
        return value

    @incr.query
    def outer(db: incr.View) -> bool:
        return inner(db) is value

    db.set(Source("a", "x"))
    assert outer(db)
    ran.take()
    db.set(Source("a", "y"))
    assert outer(db)
    assert ran.take() == ran.take_backdated() == ["inner()"]


@pytest.mark.spec("memo.equality", "memo.consistency")
@pytest.mark.parametrize(
    "values",
    [
        (1, True, 1.0),
        (0.0, -0.0),
        ((1,), (True,), [1]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1: 2}, {1: 2.0}, {True: 2}),
        ({1, 2}, {1.0, 2.0}, frozenset({1, 2})),
        (None, False, 0),
    ],
    ids=repr,
)
def test_what_one_can_tell_apart_reaches_whoever_used_it(db: incr.Database, values: tuple[Any, ...]) -> None:
    @incr.query
    def pick(db: incr.View) -> Any:
        return values[int(db[Source, "a"].text)]

    @incr.query
    def shown(db: incr.View) -> str:
        return repr(pick(db))

    for place in [*range(len(values)), *reversed(range(len(values)))]:
        db.set(Source("a", str(place)))
        assert shown(db) == repr(values[place])


@pytest.mark.spec("memo.backdate", "memo.equality")
def test_equal_nans_and_containers_are_backdated(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def made(db: incr.View) -> Any:
        len(db[Source, "a"].text)
        return {"nan": [float("nan"), -0.0], "set": {1.5}, "record": Settings("x")}

    @incr.query
    def outer(db: incr.View) -> str:
        return repr(made(db))

    db.set(Source("a", "x"))
    outer(db)
    ran.take()
    db.set(Source("a", "y"))
    outer(db)
    assert ran.take() == ran.take_backdated() == ["made()"]


@pytest.mark.spec("memo.backdate", "memo.consistency")
@pytest.mark.parametrize("seed", range(20))
def test_layers_that_backdate_at_random_agree_with_no_memos_at_all(seed: int) -> None:
    chance = random.Random(seed)

    @incr.query
    def layer(db: incr.View, depth: int, place: int) -> int:
        if not depth:
            return len(db[Source, str(place % 4)].text) // 2
        below = layer(db, depth - 1, place)
        return (below + layer(db, depth - 1, place + below % 3)) // 2

    db = incr.Database()
    for place in range(4):
        db.set(Source(str(place), "x" * chance.randrange(9)))
    for _ in range(40):
        db.set(Source(str(chance.randrange(4)), "x" * chance.randrange(9)))
        if chance.random() < 0.6:
            fresh = incr.Database()
            for path in db.keys(Source):
                fresh.set(db[Source, path])
            depth, place = chance.randrange(5), chance.randrange(4)
            assert layer(db, depth, place) == layer(fresh, depth, place)
            db.check_invariant()
