"""Whatever goes through the codec comes back equal, and of the same type at every level."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import os
import subprocess
import sys
import zoneinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Generic, NamedTuple, TypeVar

import attrs
import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incr._codec import ClassTable, Decoder, Encoder, declared_types
from incr._exact import same

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Box(Generic[T]):
    content: T


@attrs.frozen
class Pair:
    left: Any
    right: Any


class Place(NamedTuple):
    line: int
    column: Any


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


class Word(str, enum.Enum):
    YES = "yes"


ALLOWED = declared_types(Box, Pair, Place, Level, Mode, Word)

times = st.datetimes(timezones=st.sampled_from([None, datetime.UTC, zoneinfo.ZoneInfo("UTC")]))
atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(),
    st.text(st.characters()),
    st.just("lone \ud800 surrogate"),
    st.binary(max_size=20),
    st.binary(max_size=20).map(bytearray),
    st.complex_numbers(),
    st.sampled_from([*Level, *Word, Mode.READ, Mode.READ | Mode.RUN, Mode(0), ..., range(3), range(9, 0, -2)]),
    st.uuids(),
    times,
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(),
    st.fractions(),
    st.sampled_from([PurePosixPath("a/b"), PureWindowsPath("c:/x"), slice(1, None, 2), Fraction(1, 3)]),
)
keys = st.one_of(
    st.text(max_size=5), st.integers(), st.booleans(), st.none(), st.tuples(st.integers(), st.text(max_size=3))
)
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.sets(keys, max_size=4),
        st.frozensets(keys, max_size=4),
        inner.map(Box),
        st.builds(Pair, inner, inner),
        st.builds(Place, st.integers(), inner),
    ),
    max_leaves=12,
)


def exactly(left: Any, right: Any) -> bool:
    """As `same`, and for the types whose equality says too little (signalling decimals raise) by their text, or by
    their bytes, where the text has a set in it, whose order may be any."""
    if same(left, right):
        return True
    return type(left) is type(right) and (
        repr(left) == repr(right) or Encoder(ClassTable()).encode(left) == Encoder(ClassTable()).encode(right)
    )


@pytest.mark.spec("codec.exact")
@given(values)
def test_a_value_comes_back_exactly(value: Any) -> None:
    table = ClassTable()
    data = Encoder(table).encode(value)
    assert exactly(Decoder(table, ALLOWED).decode(data), value)
    assert Encoder(ClassTable.from_list(table.to_list())).encode(value) == data


@pytest.mark.spec("codec.exact")
@given(values)
def test_the_bytes_are_those_of_the_lowered_tree(value: Any) -> None:
    data = Encoder(ClassTable()).encode(value)
    assert cbor2.dumps(cbor2.loads(data)) == data


@pytest.mark.spec("codec.allow")
@given(values, st.data())
def test_damaged_bytes_are_a_value_or_a_value_error(value: Any, data: st.DataObject) -> None:
    table = ClassTable()
    encoded = Encoder(table).encode(value)
    decoder = Decoder(table, ALLOWED)
    bit = data.draw(st.integers(0, len(encoded) * 8 - 1))
    damaged = bytearray(encoded)
    damaged[bit // 8] ^= 1 << bit % 8
    for wrong in (bytes(damaged), encoded[: bit // 8]):
        try:
            decoder.decode(wrong)
        except ValueError:
            continue


@pytest.mark.spec("codec.exact")
def test_a_signalling_decimal_comes_back() -> None:
    table = ClassTable()
    back = Decoder(table, {}).decode(Encoder(table).encode(Decimal("-sNaN12")))
    assert repr(back) == "Decimal('-sNaN12')"


@pytest.mark.spec("codec.exact")
def test_the_bytes_do_not_depend_on_the_hash_seed() -> None:
    program = (
        "from incr._codec import *\n"
        "print(Encoder(ClassTable()).encode({'a', 'bc', 'def', ('x', 1), frozenset({'y', 'z'})}).hex())"
    )
    results = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(results) == 1
