"""Which calls are one call: by bound arguments, compared exactly."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import struct
from typing import Any, NamedTuple

import pytest

import incr
from incr.testing import Recorder


@incr.query
def kind(db: incr.View, value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


@incr.query
def typed(db: incr.View, number: int, text: str, data: bytes) -> str:
    return f"{number!r} {text!r} {data!r}"


@incr.query
def scaled(db: incr.View, number: int, factor: int = 2, *, offset: int = 0) -> int:
    return number * factor + offset


@incr.query
def everything(db: incr.View, *args: Any, **kwargs: Any) -> Any:
    return args, tuple(kwargs.items())


class Color(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    ONE = 1


class Text(str):
    pass


class Number(int):
    pass


@dataclasses.dataclass(frozen=True)
class Point:
    x: Any
    y: Any = 0


@dataclasses.dataclass(frozen=True)
class Place:
    x: Any
    y: Any = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Identity:
    x: int


class Pair(NamedTuple):
    x: Any
    y: Any


@incr.interned
class Symbol:
    name: Any


@incr.input
class Slot:
    name: Any = incr.key()
    text: str = ""


NAN = float("nan")
OTHER_NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_0001))[0]


@pytest.mark.spec("call.key", "call.hit")
def test_keywords_and_defaults_are_one_key(db: incr.Database, ran: Recorder) -> None:
    calls = [
        scaled(db, 3),
        scaled(db, 3, 2),
        scaled(db, number=3),
        scaled(db, factor=2, number=3),
        scaled(db, 3, factor=2, offset=0),
        scaled(db, 3, 2, offset=0),
    ]
    assert calls == [6] * 6
    assert ran.take() == ["scaled(3, 2, 0)"]
    assert scaled(db, 3, offset=1) == 7
    assert ran.take() == ["scaled(3, 2, 1)"]
    assert db.statistics().queries["scaled"].memos == 2


@pytest.mark.spec("call.key")
def test_starred_arguments_are_part_of_the_key(db: incr.Database, ran: Recorder) -> None:
    assert everything(db) == ((), ())
    assert everything(db, 1, 2) == ((1, 2), ())
    assert everything(db, (1, 2)) == (((1, 2),), ())
    assert everything(db, b=2, a=1) == everything(db, a=1, b=2) == ((), (("a", 1), ("b", 2)))
    assert everything(db, a=True) == ((), (("a", True),))
    assert repr(everything(db, a=1)) == "((), (('a', 1),))"
    assert repr(everything(db, 1.0)) == "((1.0,), ())"
    assert len(ran.take()) == 7


@pytest.mark.spec("call.key", "error.note")
def test_a_call_has_one_name_however_it_is_written(db: incr.Database) -> None:
    for explanation in (db.explain(scaled, 3), db.explain(scaled, number=3, offset=0)):
        assert explanation.call == "scaled(3, 2, 0)"
        assert explanation.decision == "never asked"
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'number'"):
        scaled(db)  # type: ignore[call-arg]  # wrong on purpose
    with pytest.raises(TypeError, match="multiple values"):
        scaled(db, 3, number=3)  # type: ignore[misc]  # wrong on purpose
    with pytest.raises(TypeError, match="unexpected keyword"):
        scaled(db, 3, scale=3)  # type: ignore[call-arg]  # wrong on purpose
    assert db.statistics().memos == 0


HOUR_EAST = datetime.timezone(datetime.timedelta(hours=1))
NOON = datetime.datetime(2020, 1, 2, 12, tzinfo=datetime.UTC)
DIFFERENT = [
    [0, False, 0.0, -0.0, 0j, complex(0.0, -0.0), complex(-0.0, 0.0), decimal.Decimal(0), fractions.Fraction(0)],
    [1, True, 1.0, 1 + 0j, Level.ONE, Number(1), decimal.Decimal("1"), fractions.Fraction(1)],
    ["red", Color.RED, Text("red"), b"red"],
    [(1,), (True,), (1.0,), ((1,),), frozenset({1}), frozenset({True}), frozenset({1.0}), Point(1), Point(True)],
    [(1, (2, (3,))), (1, (2, (3.0,))), (1, (2, (True,)))],
    [(1, 2), Pair(1, 2), Point(1, 2), Place(1, 2), Pair(1, 2.0), Point(1.0, 2)],
    [Point((1,)), Point((1.0,)), Point(Point(1)), Point(Place(1))],
    [Symbol(1), Symbol(True), Symbol(1.0), Symbol("1")],
    [Slot(1), Slot(True), Slot(1.0)],
    [NAN, OTHER_NAN, -NAN, float("inf"), None],
    [frozenset({frozenset({1})}), frozenset({frozenset({True})})],
    [(), frozenset(), "", b"", None],
    [int, bool, str],
    [decimal.Decimal("1"), decimal.Decimal("1.0"), decimal.Decimal("0"), decimal.Decimal("-0")],
    [NOON, NOON.astimezone(HOUR_EAST), NOON.replace(tzinfo=None), NOON.replace(tzinfo=None, fold=1)],
    [(NOON.timetz(),), (NOON.timetz().replace(fold=1),), (NOON.time(),)],
]


@pytest.mark.spec("call.exact", "memo.consistency")
@pytest.mark.parametrize("values", DIFFERENT, ids=repr)
@pytest.mark.parametrize("turn", [1, -1])
def test_values_that_a_body_can_tell_apart_are_different_calls(db: incr.Database, values: list[Any], turn: int) -> None:
    values = values[::turn]
    assert [kind(db, value) for value in values] == [f"{type(value).__name__} {value!r}" for value in values]
    assert [kind(db, value) for value in values] == [f"{type(value).__name__} {value!r}" for value in values]


@pytest.mark.spec("call.exact", "call.hit")
@pytest.mark.parametrize(
    "make",
    [
        lambda: 10**20,
        lambda: "te" + "xt",
        lambda: float("1.5"),
        lambda: float("nan"),
        lambda: (1.5, (True, None), "x"),
        lambda: frozenset({1.5, ("x",)}),
        lambda: Point(Point((1.5,)), NAN),
        lambda: Pair(1, True),
        lambda: Symbol(Point(1.0)),
        lambda: Slot((1, True)),
        lambda: Color("red"),
        lambda: Number(3),
        lambda: datetime.date(2020, 1, 2),
        lambda: decimal.Decimal("1.50"),
        lambda: range(3),
    ],
)
def test_the_same_value_made_twice_is_the_same_call(db: incr.Database, ran: Recorder, make: Any) -> None:
    assert kind(db, make()) == kind(db, make())
    assert len(ran.take()) == 1


@pytest.mark.spec("call.exact")
@pytest.mark.parametrize("wrong", [True, 1.0, Level.ONE, Number(1)])
def test_annotations_do_not_make_arguments_less_exact(db: incr.Database, wrong: Any) -> None:
    assert typed(db, 1, "a", b"a") == "1 'a' b'a'"
    assert typed(db, wrong, "a", b"a") == f"{wrong!r} 'a' b'a'"
    text: Any = Text("a")
    assert typed(db, 1, Color.RED, b"a") == f"1 {Color.RED!r} b'a'"
    assert typed(db, 1, text, b"a") == "1 'a' b'a'"
    assert db.statistics().queries["typed"].memos == 4


@pytest.mark.spec("call.exact")
def test_a_body_gets_what_it_was_called_with(db: incr.Database) -> None:
    @incr.query
    def given(db: incr.View, value: Any, *more: Any, key: Any) -> Any:
        return value, more, key

    point = Point(1.0, (True,))
    value, more, key = given(db, point, 1.0, True, key=Color.RED)
    assert value is point
    assert more == (1.0, True)
    assert [type(item) for item in more] == [float, bool]
    assert key is Color.RED


@pytest.mark.spec("call.exact")
def test_objects_that_are_equal_by_identity_are_told_apart_by_it(db: incr.Database, ran: Recorder) -> None:
    one, two = Identity(1), Identity(1)
    assert kind(db, one) == kind(db, two) == kind(db, one)
    assert len(ran.take()) == 2


@pytest.mark.spec("call.unhashable")
@pytest.mark.parametrize(
    ("value", "kind_name"),
    [(["a"], "list"), ({"a": 1}, "dict"), ({1}, "set"), ((1, ["a"]), "list"), (bytearray(), "bytearray")],
)
def test_an_unhashable_argument_is_named(db: incr.Database, ran: Recorder, value: Any, kind_name: str) -> None:
    with pytest.raises(TypeError) as caught:
        scaled(db, 1, offset=value)
    text = str(caught.value)
    assert text.startswith(f"scaled(): the argument offset={value!r} is not hashable (unhashable type: '{kind_name}'")
    assert text.endswith(
        "a call is remembered by its arguments, so pass a tuple, a frozenset, a frozen data class, or a key to an input"
    )
    assert ran.take() == []
    db.check_invariant()


@pytest.mark.spec("call.unhashable")
def test_unhashable_arguments_in_every_place(db: incr.Database) -> None:
    value: Any = []
    for call, name in (
        (lambda: kind(db, value), "kind(): the argument value=[]"),
        (lambda: scaled(db, value), "scaled(): the argument number=[]"),
        (lambda: everything(db, 1, value), "everything(): the argument args=(1, [])"),
        (lambda: everything(db, a=value), "everything(): the argument kwargs={'a': []}"),
        (lambda: kind(db, Point([])), "kind(): the argument value=Point(x=[], y=0)"),
        (lambda: db.explain(kind, value), "kind(): the argument value=[]"),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value).startswith(name + " is not hashable")

    @incr.query
    def outer(db: incr.View) -> str:
        return kind(db, [])

    with pytest.raises(TypeError, match=r"kind\(\): the argument value=\[\]"):
        outer(db)


@pytest.mark.spec("call.unhashable")
def test_a_mutable_data_class_and_an_unhashable_default_are_refused(db: incr.Database) -> None:
    @dataclasses.dataclass
    class Mutable:
        x: int

    with pytest.raises(TypeError, match=r"the argument value=.*Mutabl.* is not hashable \(unhashable type: .Mutable"):
        kind(db, Mutable(1))

    @incr.query
    def with_default(db: incr.View, names: Any = []) -> int:  # noqa: B006 - wrong on purpose
        return len(names)

    with pytest.raises(TypeError, match=r"with_default\(\): the argument names=\[\] is not hashable"):
        with_default(db)
    assert with_default(db, ()) == 0


@pytest.mark.spec("call.unhashable")
def test_a_hash_that_fails_otherwise_comes_out_as_it_is(db: incr.Database, ran: Recorder) -> None:
    class Bad:
        def __hash__(self) -> int:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        kind(db, Bad())
    assert ran.take() == []


@pytest.mark.spec("call.hit")
def test_a_hit_runs_nothing_and_makes_no_event(db: incr.Database) -> None:
    assert scaled(db, 3) == 6
    events = list[incr.Event]()
    with db.subscribe(events.append):
        for _ in range(3):
            assert scaled(db, 3) == 6
    assert events == []
    assert db.statistics().executed == 1


@pytest.mark.spec("call.hit", "memo.dynamic")
def test_a_hit_inside_a_query_is_a_dependency(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def inner(db: incr.View) -> str:
        return db[Slot, "a"].text

    @incr.query
    def outer(db: incr.View) -> str:
        return inner(db) + "!"

    db.set(Slot("a", "x"))
    assert inner(db) == "x"
    assert outer(db) == "x!"
    db.set(Slot("a", "y"))
    assert outer(db) == "y!"
    assert ran.take() == ["inner()", "outer()", "inner()", "outer()"]


@pytest.mark.spec("call.colour")
def test_a_sync_query_cannot_call_an_async_one(db: incr.Database) -> None:
    @incr.query
    async def later(db: incr.View, number: int) -> int:
        return number

    @incr.query
    def now(db: incr.View, text: str) -> Any:
        return later(db, 3)

    said = r"now\('x'\) is a plain `def` query and cannot call the async query later\(3\): make it `async def`"
    with pytest.raises(TypeError, match=said):
        now(db, "x")

    @incr.query
    def through_the_database(view: incr.View) -> Any:
        return later(db, 3)

    with pytest.raises(TypeError, match=r"through_the_database\(\) is a plain `def` query"):
        through_the_database(db)
    db.check_invariant()
