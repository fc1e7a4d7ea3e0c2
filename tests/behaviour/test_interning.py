"""Equal interned values become one object, and never stand for another one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

import incr
from incr.testing import Recorder


@incr.interned
class Symbol:
    name: Any


@incr.interned
class Name:
    space: Symbol
    text: str
    tags: tuple[Any, ...] = ()


@incr.input
class Source:
    path: str = incr.key()
    text: str


@pytest.mark.spec("intern.identity")
def test_equal_values_become_the_first_one(db: incr.Database) -> None:
    first, second = Symbol("a"), Symbol("a")
    assert first is not second
    assert first == second
    assert db.intern(first) is first
    assert db.intern(second) is first
    assert db.intern(Symbol("b")) is not first
    assert db.intern(first) is first
    assert db.statistics().interned == 2


@pytest.mark.spec("intern.identity", "history.snapshot")
def test_all_views_share_the_instance(db: incr.Database) -> None:
    @incr.query
    def symbol(db: incr.View) -> Symbol:
        return db.intern(Symbol("a"))

    with db.snapshot() as view:
        one = view.intern(Symbol("a"))
    db.set(Source("a", "x"))
    assert symbol(db) is db.intern(Symbol("a")) is one


@pytest.mark.spec("intern.identity", "frame.databases")
def test_each_database_has_its_own_instance(db: incr.Database) -> None:
    other = incr.Database()
    one, two = Symbol("a"), Symbol("a")
    assert db.intern(one) is one
    assert other.intern(two) is two
    assert one == two


@pytest.mark.spec("intern.identity", "memo.minimal")
def test_interning_is_no_dependency_and_no_revision(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def symbols(db: incr.View) -> tuple[Symbol, ...]:
        return tuple(db.intern(Symbol(word)) for word in db[Source, "a"].text.split())

    db.set(Source("a", "x y x"))
    found = symbols(db)
    assert found[0] is found[2]
    assert db.revision == 1
    db.intern(Symbol("x"))
    db.intern(Symbol("z"))
    assert symbols(db) is found
    assert ran.take() == ["symbols()"]
    db.set(Source("a", " x y x"))
    assert symbols(db) is found
    assert ran.take_backdated() == ["symbols()"]
    assert db.statistics().queries["symbols"].edges == 1


VALUES: list[Any] = [
    1,
    True,
    1.0,
    1 + 0j,
    "1",
    b"1",
    (1,),
    (True,),
    (1.0,),
    frozenset({1}),
    frozenset({1.0}),
    0.0,
    -0.0,
]


@pytest.mark.spec("intern.exact", "memo.equality")
@pytest.mark.parametrize(("left", "right"), list(itertools.combinations(VALUES, 2)), ids=repr)
def test_values_that_one_can_tell_apart_are_two(db: incr.Database, left: Any, right: Any) -> None:
    for make in (Symbol, lambda value: Name(Symbol("a"), "b", (value,)), lambda value: Symbol(Symbol(value))):
        one, two = db.intern(make(left)), db.intern(make(right))
        assert one != two
        assert one is not two
        assert db.intern(make(left)) is one
        assert db.intern(make(right)) is two


@pytest.mark.spec("intern.exact")
@pytest.mark.parametrize("value", [*VALUES, float("nan"), (float("nan"),), Symbol("x"), Source("a", "x")], ids=repr)
def test_hash_and_equality_agree(db: incr.Database, value: Any) -> None:
    one, two = Symbol(value), Symbol(value)
    assert one == two
    assert hash(one) == hash(two)
    assert db.intern(one) is db.intern(two)


@pytest.mark.spec("intern.exact", "memo.equality")
@pytest.mark.parametrize("make", [lambda: float("nan"), lambda: (float("nan"), 1), lambda: complex(0, float("nan"))])
def test_nans_with_equal_bits_are_one(db: incr.Database, make: Callable[[], Any]) -> None:
    """Python hashes each nan object differently."""
    one, two = Symbol(make()), Symbol(make())
    assert one == two
    assert hash(one) == hash(two)
    assert db.intern(one) is db.intern(two)


@pytest.mark.spec("intern.exact")
def test_classes_are_not_mixed_up(db: incr.Database) -> None:
    @incr.interned
    class Other:
        name: Any

    one: Any = Symbol("a")
    other: Any = Other("a")
    assert one != other
    assert one != "a"
    assert db.intern(one) is one
    assert db.intern(other) is other


@pytest.mark.spec("intern.identity", "call.exact")
def test_interned_values_in_interned_values_and_as_arguments(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def shown(db: incr.View, name: Name) -> str:
        return f"{name.space.name}.{name.text}"

    name = db.intern(Name(db.intern(Symbol("a")), "b"))
    assert db.intern(Name(Symbol("a"), "b")) is name
    assert shown(db, name) == shown(db, Name(Symbol("a"), "b")) == "a.b"
    assert len(ran.take()) == 1
