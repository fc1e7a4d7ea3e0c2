"""A value by itself: its bytes need nothing beside them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import incr
from incr.codec import Codec


@dataclass(frozen=True)
class Inner:
    number: int


@dataclass(frozen=True)
class Added:
    name: str
    inner: Inner | None = None


@dataclass(frozen=True)
class Other:
    name: str


CODEC: Codec[Added] = Codec(Added)


@pytest.mark.spec("codec.single")
@pytest.mark.parametrize("value", [Added("a"), Added("b", Inner(3)), Added("\ud800"), (1, 1.0, True, [b"x"], None)])
def test_what_comes_out_is_what_went_in(value: Added) -> None:
    data = CODEC.encode(value)
    assert (CODEC.decode(data), type(CODEC.decode(data))) == (value, type(value))
    assert CODEC.encode(value) == data


@pytest.mark.spec("codec.single")
def test_only_what_the_codec_knows_is_made() -> None:
    with pytest.raises(ValueError, match="Other is not declared"):
        CODEC.decode(Codec(Other).encode(Other("x")))
    with pytest.raises(incr.EncodeError, match="entry: a object"):
        CODEC.encode(object())  # type: ignore[arg-type]


@pytest.mark.spec("codec.single")
def test_bytes_that_are_no_value() -> None:
    data = CODEC.encode(Added("a", Inner(1)))
    assert [size for size in range(len(data)) if not refused(data[:size])] == []
    plain = Codec(int).encode(7)
    table = len(plain[4:]).to_bytes(4, "little")
    for wrong in (b"\xff\xff\xff\xff" + data[4:], data + b"x", table + plain[4:] + plain[4:]):
        assert refused(wrong)


def refused(data: bytes) -> bool:
    try:
        CODEC.decode(data)
    except ValueError:
        return True
    return False
