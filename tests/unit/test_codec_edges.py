"""The codec at its limits: the last level of nesting, classes met in sets, shapes that look like others."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import math
import os
import struct
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import attrs
import cbor2
import pytest

import incr
from incr._codec import ClassTable, Decoder, Encoder, UnknownTypeError, declared_types

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]


class Mode(enum.Flag):
    READ = 1
    WRITE = 2


class Loose(enum.IntFlag):
    ONE = 1


class Half(float, enum.Enum):
    ONE = 0.5


class Shade(enum.StrEnum):
    DARK = "dark"


class Row(NamedTuple):
    key: int
    text: str = ""


class MoreThanRow(Row):
    pass


@dataclasses.dataclass
class Base:
    first: int


@dataclasses.dataclass(slots=True)
class Slotted(Generic[T]):
    content: T
    later: int = dataclasses.field(init=False)


@dataclasses.dataclass
class Child(Base):
    second: int = 2
    start: dataclasses.InitVar[int] = 3
    total: typing.ClassVar[int] = 4


class Undecorated(Base):
    pass


@attrs.define
class Attrs:
    _hidden: int


@attrs.define
class MoreAttrs(Attrs):
    shown: Any = None


class Amount:
    def __init__(self, cents: int) -> None:
        self.cents = cents


ALLOWED = declared_types(Mode, Loose, Half, Shade, Row, Base, Slotted, Child, Attrs, MoreAttrs)


def there_and_back(value: Any) -> Any:
    table = ClassTable()
    data = Encoder(table).encode(value)
    # The table goes through the codec itself, as in a file.
    stored = Decoder(ClassTable(), {}).decode(Encoder(ClassTable()).encode(table.to_list()))
    return Decoder(ClassTable.from_list(stored), ALLOWED).decode(data)


def slotted() -> Slotted[Any]:
    value = Slotted[Any]([1])
    value.later = 5
    return value


def wrapped(value: Any, levels: int) -> Any:
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.spec("codec.exact")
@pytest.mark.parametrize(
    "value",
    [
        *(Mode(0), Mode.READ, Mode.READ | Mode.WRITE, Loose(8), Loose(9), Half.ONE, Shade.DARK),
        *(Row(1), Base(1), Child(1, 5), slotted(), Attrs(1), MoreAttrs(1, Row(2))),
        *(1 << 63, -(1 << 63), (1 << 64) - 1, 1 << 64, -(1 << 64), -(1 << 64) - 1, -(1 << 71), 10**60),
        *(0.0, -0.0, math.inf, -math.inf, 5e-324, complex(0.0, -0.0), "\ud800", ["\udfff", {"\ud800": "a"}]),
        *(datetime.UTC, datetime.timezone(datetime.timedelta(0), "Z"), datetime.time(1, fold=1)),
        *(datetime.timedelta.min, datetime.datetime.max, datetime.timezone(datetime.timedelta(seconds=-1))),
    ],
    ids=repr,
)
def test_odd_values_come_back_as_they_were(value: Any) -> None:
    back = there_and_back(value)
    assert type(back) is type(value)
    assert back == value
    assert repr(back) == repr(value)


@pytest.mark.spec("codec.exact")
@pytest.mark.parametrize("bits", [0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000123])
def test_a_float_that_is_no_number_keeps_its_bits(bits: int) -> None:
    (value,) = struct.unpack("<d", struct.pack("<Q", bits))
    assert struct.pack("<d", there_and_back(value)) == struct.pack("<Q", bits)


@pytest.mark.spec("codec.error")
@pytest.mark.parametrize("value", [Undecorated(1), MoreThanRow(1), ValueError("x"), int, len, memoryview(b"x")])
def test_what_has_more_to_it_than_its_declared_parts_is_refused(value: Any) -> None:
    with pytest.raises(incr.EncodeError, match=r"at \['k'\] cannot be stored"):
        Encoder(ClassTable()).encode({"k": value})


@pytest.mark.spec("codec.error")
def test_a_field_that_was_never_set_is_refused() -> None:
    with pytest.raises(incr.EncodeError, match="a field was never set"):
        Encoder(ClassTable()).encode((Slotted(1),))


@pytest.mark.spec("codec.error")
def test_a_refused_value_leaves_no_class_behind() -> None:
    table = ClassTable()
    encoder = Encoder(table)
    encoder.encode(Base(1))
    before = table.to_list()
    with pytest.raises(incr.EncodeError):
        encoder.encode([Row(1), Attrs(1), object()])
    assert table.to_list() == before
    data = encoder.encode([Attrs(1), Row(1)])
    assert Decoder(table, ALLOWED).decode(data) == [Attrs(1), Row(1)]


@pytest.mark.spec("codec.depth")
@pytest.mark.parametrize("value", [1, 1.5, math.inf, "text", b"bytes", None, True])
def test_what_is_no_container_has_no_depth(value: Any) -> None:
    # The text with a surrogate makes the encoder look at every text.
    assert there_and_back(["\ud800", wrapped(value, 199)]) == ["\ud800", wrapped(value, 199)]


@pytest.mark.spec("codec.depth")
@pytest.mark.parametrize("value", [Mode.READ, Mode.READ | Mode.WRITE, 1 << 70, (), Row(1), datetime.UTC], ids=repr)
def test_both_directions_have_one_limit(value: Any) -> None:
    refused = 0
    for levels in range(196, 201):
        try:
            back = there_and_back(wrapped(value, levels))
        except incr.EncodeError:
            refused += 1
        else:
            assert refused == 0
            assert back == wrapped(value, levels)
    assert 0 < refused < 5


@pytest.mark.spec("codec.depth")
@pytest.mark.parametrize(
    "head", [b"\x9f", b"\x82\x00", b"\xa1\x00", b"\x9a\xff\xff\xff\xff", b"\x5b\x7f" + b"\xff" * 7]
)
@pytest.mark.parametrize("times", [1, 300, 50_000])
def test_lengths_and_depths_in_damaged_bytes_cost_nothing(head: bytes, times: int) -> None:
    with pytest.raises(ValueError, match="not a stored value"):
        Decoder(ClassTable(), {}).decode(head * times)


@pytest.mark.spec("codec.allow")
def test_a_time_zone_that_this_system_lacks_is_no_damage() -> None:
    with pytest.raises(UnknownTypeError, match="No/Where"):
        Decoder(ClassTable(), {}).decode(cbor2.dumps([13, 10, "No/Where"]))


@pytest.mark.spec("codec.allow")
@pytest.mark.parametrize("fields", [("first",), ("second", "first"), ()])
def test_fields_in_another_order_are_another_shape(fields: tuple[str, ...]) -> None:
    table = ClassTable()
    table.number(f"{Child.__module__}:{Child.__qualname__}", "object", fields)
    with pytest.raises(UnknownTypeError, match="has other fields now"):
        Decoder(table, ALLOWED).decode(cbor2.dumps([10, 0, *fields]))


@pytest.mark.spec("codec.allow")
def test_a_class_of_one_kind_is_not_made_as_another() -> None:
    table = ClassTable()
    table.number(f"{Row.__module__}:{Row.__qualname__}", "named tuple", ("key", "text"))
    for item in ([10, 0, 1, "a"], [12, 0, "key"], [14, 0, 1], [11, 0, 1], [11, -1, 1], [11, True, 1], [11]):
        with pytest.raises(ValueError, match="not a stored value"):
            Decoder(table, ALLOWED).decode(cbor2.dumps(item))


@pytest.mark.spec("codec.allow")
@pytest.mark.parametrize(
    "entries",
    [
        [("a:B", "object", ()), ("a:B", "object", ())],
        [("a:B", "pickle", ())],
        [("a:B", "object", (1,))],
        [("a:B", "object", ["x"])],
        [("a:B", "object")],
        ["a:B"],
        [None],
    ],
)
def test_a_damaged_table_of_classes_is_a_value_error(entries: list[Any]) -> None:
    with pytest.raises(ValueError, match="table of classes"):
        ClassTable.from_list(entries)


@pytest.mark.spec("codec.register")
def test_functions_that_raise_are_told_of() -> None:
    def broken(_: Any) -> Any:
        raise LookupError("no such coin")

    incr.register_codec(Amount, name="edge amount", encode=broken, decode=broken)
    with pytest.raises(incr.EncodeError, match=r"at \[0\] .*its registered encode function raised .*no such coin"):
        Encoder(ClassTable()).encode([Amount(1)])
    table = ClassTable()
    table.number("edge amount", "registered", ())
    with pytest.raises(ValueError, match=r"not a stored value: LookupError: .*no such coin"):
        Decoder(table, {}).decode(cbor2.dumps([14, 0, 1]))


@pytest.mark.spec("codec.register")
def test_a_function_that_gives_the_value_itself_is_stopped() -> None:
    incr.register_codec(Amount, name="endless amount", encode=lambda value: value, decode=lambda value: value)
    with pytest.raises(incr.EncodeError, match="or contains itself"):
        Encoder(ClassTable()).encode(Amount(1))


@pytest.mark.spec("codec.exact")
def test_classes_first_met_in_a_set_get_the_same_numbers_in_every_process() -> None:
    program = """
import dataclasses
from incr._codec import ClassTable, Encoder

@dataclasses.dataclass(frozen=True)
class A:
    x: object

@dataclasses.dataclass(frozen=True)
class B:
    x: object

@dataclasses.dataclass(frozen=True)
class C:
    x: object

table = ClassTable()
encoder = Encoder(table)
try:
    encoder.encode([{C("a"), B("b"), A("c")}, object()])
except TypeError:
    pass
print(encoder.encode([C("first"), {A("a"), B("b"), A(frozenset({B("c"), C("d"), "e"}))}]).hex(), table.to_list())
"""
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in range(4)
    }
    assert len(printed) == 1
