"""`same`, `exact_key` and `same_error`: they agree with each other, and doubt means "different"."""

from __future__ import annotations

import collections
import dataclasses
import enum
import itertools
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incr._exact import Exact, exact_key, plain_value, same, same_error

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf"), 0j, 1 + 0j, complex(0.0, -0.0)]),
    st.sampled_from(["", "a", b"", b"a"]),
)
HASHABLE = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=2).map(tuple), st.frozensets(inner, max_size=2)),
    max_leaves=4,
)
ANY = st.recursive(
    HASHABLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(SCALARS, inner, max_size=2), st.lists(inner, max_size=2).map(tuple)
    ),
    max_leaves=5,
)


def shape(value: Any) -> Any:
    """What the rule says, written down another way: a text from which the value could be made again."""
    kind = type(value).__name__
    if isinstance(value, float):
        return kind, struct.pack("<d", value)
    if isinstance(value, complex):
        return kind, shape(value.real), shape(value.imag)
    if isinstance(value, (tuple, list)):
        return kind, *map(shape, value)
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(map(shape, value))
    if isinstance(value, dict):
        return kind, *((shape(key), shape(item)) for key, item in value.items())
    return kind, value


@pytest.mark.spec("memo.equality")
@given(ANY, ANY)
def test_same_says_what_the_rule_says(left: Any, right: Any) -> None:
    assert same(left, right) == same(right, left) == (shape(left) == shape(right))
    assert same(left, left)


@pytest.mark.spec("call.exact")
@given(HASHABLE, HASHABLE)
def test_keys_are_equal_if_values_are_the_same(left: Any, right: Any) -> None:
    one, two = exact_key(left), exact_key(right)
    assert (one == two) == same(left, right)
    if one == two:
        assert hash(one) == hash(two)
    assert plain_value(one) is left


class Color(str, enum.Enum):
    RED = "red"


class MyTuple(tuple[Any, ...]):
    pass


class MyList(list[Any]):
    def __init__(self, items: list[Any], extra: Any = None) -> None:
        super().__init__(items)
        self.extra = extra


@dataclasses.dataclass(frozen=True)
class Point:
    x: Any
    note: str = dataclasses.field(default="", compare=False)


@dataclasses.dataclass
class Mutable:
    x: Any


@dataclasses.dataclass(eq=False)
class ByIdentity:
    x: Any


@dataclasses.dataclass
class Child(Mutable):
    y: Any = 0


@pytest.mark.spec("memo.equality")
@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (Point(1), Point(1, "a note"), True),  # what the class leaves out of its equality is left out
        (Point(1), Point(True), False),
        (Mutable([1]), Mutable([1]), True),
        (Mutable([1]), Mutable([1.0]), False),
        (Child(1), Mutable(1), False),
        (Child(1, 2), Child(1, 2), True),
        (ByIdentity(1), ByIdentity(1), False),
        (MyTuple((1,)), (1,), False),
        (MyTuple((1,)), MyTuple((1,)), True),
        (MyList([1], 2), MyList([1], 2), True),
        (MyList([1], 2), MyList([1], 3), False),
        (collections.OrderedDict(a=1), {"a": 1}, False),
        (collections.OrderedDict(a=1), collections.OrderedDict(a=1), True),
        (collections.defaultdict(int, a=1), collections.defaultdict(int, a=1), True),
        (collections.defaultdict(int, a=1), collections.defaultdict(bool, a=1), False),
        (collections.deque([1]), collections.deque([1]), True),
        (Color.RED, Color.RED, True),
        (Color.RED, "red", False),
        ([1, 2], [1, 2, 3], False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1}, {"b": 1}, False),
        ({1, 2}, {1, 3}, False),
        ({(1,)}, {(True,)}, False),
        ({"a", b"a"}, {"a", b"a"}, True),
        (range(3), range(3), True),
        (range(3), range(4), False),
        (object(), object(), False),
        (int, int, True),
        (int, bool, False),
    ],
)
def test_same(left: Any, right: Any, expected: bool) -> None:
    assert same(left, right) is same(right, left) is expected
    assert same([left], [right]) is expected
    assert same({"key": (left,)}, {"key": (right,)}) is expected


@pytest.mark.spec("memo.equality")
def test_same_survives_what_refers_to_itself() -> None:
    left: list[Any] = [1]
    right: list[Any] = [1]
    left.append(left)
    right.append(right)
    assert same(left, left)
    assert not same(left, right)  # in doubt, different


@pytest.mark.spec("call.exact")
def test_plain_values_are_their_own_keys() -> None:
    values: list[Any] = ["a", 1, b"a", None, int, len, shape, ("a", (1,)), frozenset({"a"})]
    assert [exact_key(value) for value in values] == values
    assert all(exact_key(value) is value for value in values)
    for value in (True, 1.0, 1j, (True,), Point(1), MyTuple((1,)), Color.RED, frozenset({1.0})):
        key = exact_key(value)
        assert type(key) is Exact
        assert repr(key) == repr(value)
        assert key != value


@pytest.mark.spec("call.exact")
def test_exact_keys_do_not_meet_plain_ones() -> None:
    values: list[Any] = [1, True, 1.0, (1,), (True,), (1.0,), MyTuple((1,)), Point(1), Point(True), Color.RED, "red"]
    for left, right in itertools.combinations(values, 2):
        assert len({exact_key(left), exact_key(right)}) == 2


@pytest.mark.spec("call.unhashable")
@pytest.mark.parametrize("value", [[], {}, set(), Mutable(1), ([],), Point([]), (1.5, [])], ids=repr)
def test_what_is_not_hashable_has_no_key(value: Any) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(exact_key(value))


class CodeError(Exception):
    def __init__(self, text: str, code: Any) -> None:
        super().__init__(text)
        self.code = code


@pytest.mark.spec("memo.backdate", "error.outcome")
@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (ValueError("a"), ValueError("a"), True),
        (ValueError("a"), ValueError("a", 1), False),
        (ValueError(1), ValueError(True), False),
        (ValueError("a"), UnicodeError("a"), False),
        (CodeError("a", 1), CodeError("a", 1), True),
        (CodeError("a", 1), CodeError("a", 1.0), False),
        (ExceptionGroup("g", [KeyError(1), OSError()]), ExceptionGroup("g", [KeyError(1), OSError()]), True),
        (ExceptionGroup("g", [ValueError("a")]), ExceptionGroup("h", [ValueError("a")]), False),
        (ExceptionGroup("g", [ValueError("a")]), ExceptionGroup("g", [TypeError("a")]), False),
        (ExceptionGroup("g", [CodeError("a", 1)]), ExceptionGroup("g", [CodeError("a", 2)]), False),
    ],
)
def test_same_error(left: BaseException, right: BaseException, expected: bool) -> None:
    assert same_error(left, right) is same_error(right, left) is expected
    left.add_note("notes and tracebacks are no difference")
    assert same_error(left, right) is expected
