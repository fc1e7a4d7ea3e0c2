"""The codec: what it refuses, in which words, and what it never constructs."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

import cbor2
import pytest

import incr
from incr._codec import ClassTable, Decoder, Encoder, UnknownTypeError, declared_types


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: Any


@dataclasses.dataclass
class Tree:
    name: str
    children: tuple[Tree, ...] = ()
    size: int = dataclasses.field(init=False, default=0)


class Colour(enum.Enum):
    RED = 1


class Text(str):
    __slots__ = ()


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


@incr.interned
class Name:
    text: str


def there_and_back(value: Any, *hints: Any) -> Any:
    table = ClassTable()
    data = Encoder(table).encode(value)
    return Decoder(ClassTable.from_list(table.to_list()), declared_types(*hints)).decode(data)


@pytest.mark.spec("codec.exact")
def test_fields_come_back_as_they_were_and_constructors_do_not_run() -> None:
    tree = Tree("root", (Tree("leaf"),))
    tree.size = 7
    back = there_and_back(tree, Tree)
    assert back == tree
    assert back.size == 7
    assert type(back.children[0]) is Tree


@pytest.mark.spec("codec.exact")
def test_interned_values_become_the_instance_of_the_database() -> None:
    table = ClassTable()
    data = Encoder(table).encode((Name("a"), Name("a")))
    db = incr.Database()
    one, other = Decoder(table, declared_types(Name), db.intern).decode(data)
    assert one is other
    assert one is db.intern(Name("a"))


@pytest.mark.spec("codec.error")
@pytest.mark.parametrize(
    ("value", "where"),
    [
        (object(), ""),
        ([1, {"x": (1, object())}], "[1]['x'][1]"),
        (Point(1, [object()]), ".y[0]"),
        ({(1, Text("a")): 1}, ".keys()[0][1]"),
    ],
)
def test_a_value_that_cannot_be_stored_is_named_with_the_way_to_it(value: Any, where: str) -> None:
    with pytest.raises(incr.EncodeError) as caught:
        Encoder(ClassTable(), owner="words").encode(value)
    assert caught.value.owner == "words"
    assert caught.value.where == where
    assert "register_codec" in str(caught.value)


@pytest.mark.spec("codec.error")
def test_a_subclass_is_not_turned_into_its_base() -> None:
    with pytest.raises(incr.EncodeError, match="Text"):
        Encoder(ClassTable()).encode(Text("a"))


def nested(depth: int) -> Any:
    value: Any = ()
    for _ in range(depth - 1):
        value = (value,)
    return value


@pytest.mark.spec("codec.depth")
def test_two_hundred_levels_go_and_one_more_does_not() -> None:
    assert there_and_back(nested(200)) == nested(200)
    with pytest.raises(incr.EncodeError, match="nests deeper than 200"):
        Encoder(ClassTable()).encode(nested(201))


@pytest.mark.spec("codec.depth")
def test_a_value_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(incr.EncodeError, match="contains itself"):
        Encoder(ClassTable()).encode(endless)


@pytest.mark.spec("codec.depth")
def test_bytes_that_nest_too_deep_are_refused() -> None:
    lowered: Any = [0]
    for _ in range(200):
        lowered = [0, lowered]
    with pytest.raises(ValueError, match="nests deeper"):
        Decoder(ClassTable(), {}).decode(cbor2.dumps(lowered))
    with pytest.raises(ValueError, match="not a stored value"):
        Decoder(ClassTable(), {}).decode(b"\x81" * 100_000 + b"\x00")


@pytest.mark.spec("codec.allow")
def test_a_class_that_is_not_declared_is_not_constructed() -> None:
    with pytest.raises(UnknownTypeError, match="Point is not declared"):
        there_and_back(Point(1, 2))


@pytest.mark.spec("codec.allow")
def test_a_class_of_another_shape_is_not_constructed() -> None:
    table = ClassTable()
    name = f"{Point.__module__}:{Point.__qualname__}"
    number = table.number(name, "object", ("x", "z"))
    with pytest.raises(UnknownTypeError, match="other fields"):
        Decoder(table, declared_types(Point)).decode(cbor2.dumps([10, number, 1, 2]))


@pytest.mark.spec("codec.allow")
def test_a_member_that_an_enum_has_lost_is_unknown() -> None:
    table = ClassTable()
    number = table.number(f"{Colour.__module__}:{Colour.__qualname__}", "enum", ())
    decoder = Decoder(table, declared_types(Colour))
    assert decoder.decode(cbor2.dumps([12, number, "RED"])) is Colour.RED
    with pytest.raises(UnknownTypeError, match="no member 'BLUE'"):
        decoder.decode(cbor2.dumps([12, number, "BLUE"]))


@pytest.mark.spec("codec.allow")
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (cbor2.dumps([0, 1]) + b"\xf6", "go on behind it"),
        (b"\xc0\x60", "it has a tag"),
        (b"\x82\x00\xd8\x23\x61a", "it has a tag"),
        (b"\x9f\x00\xff\xc0", "indefinite length"),
        (cbor2.dumps({1: 2}), "an item of type dict"),
        (cbor2.dumps([2, 1, 1, 1, 2]), "a key twice"),
        (cbor2.dumps([2, 1]), "a key without a value"),
        (cbor2.dumps([4, 1, 1]), "a member twice"),
        (cbor2.dumps([99]), "unknown mark 99"),
        (cbor2.dumps([]), "unknown mark None"),
        (cbor2.dumps([10, 0]), "there is no class 0"),
        (cbor2.dumps([7, b"short"]), "expected"),
        (cbor2.dumps([13, 5, 2020, 13, 45]), "not a stored value|month"),
        (cbor2.dumps([0, 1])[:-1], "not a stored value"),
        (b"", "not a stored value"),
    ],
)
def test_what_is_not_a_value_is_a_value_error(data: bytes, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Decoder(ClassTable(), {}).decode(data)


@pytest.mark.spec("codec.register")
def test_a_registered_class_is_written_through_its_functions() -> None:
    incr.register_codec(Money, name="test money", encode=lambda money: money.cents, decode=Money)
    assert there_and_back([Money(5)])[0].cents == 5


@pytest.mark.spec("codec.register")
def test_registering_without_functions_declares_the_class() -> None:
    @dataclasses.dataclass(frozen=True)
    class Local:
        x: int

    incr.register_codec(Local)
    assert there_and_back(Local(1)) == Local(1)


@pytest.mark.spec("codec.register")
def test_wrong_registrations_say_what_is_wanted() -> None:
    with pytest.raises(TypeError, match="wants a class"):
        incr.register_codec("Money")  # type: ignore[arg-type]  # the wrong program
    with pytest.raises(TypeError, match="both encode= and decode="):
        incr.register_codec(Money, encode=lambda money: money.cents)
    incr.register_codec(Money, name="taken", encode=lambda money: money.cents, decode=Money)
    with pytest.raises(ValueError, match="is registered for"):
        incr.register_codec(Text, name="taken")
