"""Values are shared; `check_values=True` finds who changes them in place."""

from __future__ import annotations

from typing import Any

import pytest

import incr
from incr.testing import Recorder


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.query
def words(db: incr.View, path: str) -> list[str]:
    return db[Source, path].text.split()


@incr.query
def count(db: incr.View, path: str) -> int:
    return len(words(db, path))


@pytest.mark.spec("memo.shared", "call.hit")
def test_a_hit_gives_the_very_object(db: incr.Database) -> None:
    db.set(Source("a", "x y"))
    assert words(db, "a") is words(db, "a")
    with db.snapshot() as view:
        assert words(view, "a") is words(db, "a")


@pytest.mark.spec("memo.shared")
@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside a query"])
def test_a_value_that_was_changed_is_found_and_named(inside: bool) -> None:
    db = incr.Database(check_values=True)
    db.set(Source("a", "x y"))
    assert words(db, "a") == ["x", "y"]
    assert words(db, "a") == ["x", "y"]
    words(db, "a").append("offender")
    with pytest.raises(incr.MutatedValueError) as caught:
        count(db, "a") if inside else words(db, "a")
    assert str(caught.value).startswith("the value of words('a') was changed in place after the call had returned it")
    db.set(Source("a", "z"))
    assert (words(db, "a"), count(db, "a")) == (["z"], 1)


@pytest.mark.spec("memo.shared")
def test_a_body_that_changes_what_it_called_is_found() -> None:
    db = incr.Database(check_values=True)

    @incr.query
    def offender(db: incr.View) -> int:
        found = words(db, "a")
        found.sort()
        return len(found)

    db.set(Source("a", "y x"))
    assert offender(db) == 2
    with pytest.raises(incr.MutatedValueError, match=r"words\('a'\)"):
        count(db, "a")


@pytest.mark.spec("memo.shared", "memo.minimal")
def test_checking_changes_no_answer_and_runs_nothing_more() -> None:
    db = incr.Database(check_values=True)
    db.set(Source("a", "x y"))
    with Recorder(db) as ran:
        assert count(db, "a") == 2
        assert count(db, "a") == 2
        assert ran.take() == ["words('a')", "count('a')"]
        db.set(Source("a", "x  y"))
        assert count(db, "a") == 2
        assert ran.take() == ["words('a')"]
    db.check_invariant()


class Uncopyable:
    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("no copies")


class Unequal:
    """As `object()`: a copy of it is not equal to it."""


@pytest.mark.spec("memo.shared")
@pytest.mark.parametrize("make", [Uncopyable, Unequal, lambda: [Uncopyable()], lambda: (Unequal(),)])
def test_what_cannot_be_copied_or_compared_is_not_checked(make: Any) -> None:
    db = incr.Database(check_values=True)

    @incr.query
    def made(db: incr.View) -> Any:
        return make()

    assert made(db) is made(db)


@pytest.mark.spec("memo.shared", "error.outcome")
def test_errors_are_not_checked() -> None:
    db = incr.Database(check_values=True)
    for _ in range(2):
        with pytest.raises(incr.MissingInputError):
            count(db, "a")


@pytest.mark.spec("memo.shared")
def test_without_checking_a_changed_value_is_served_as_it_is(db: incr.Database) -> None:
    db.set(Source("a", "x"))
    words(db, "a").append("y")
    assert words(db, "a") == ["x", "y"]
