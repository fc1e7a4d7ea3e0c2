"""A column comes back as it was packed, and bytes that nobody packed are refused."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incr.store.columns import OpaqueColumn, pack_column, pack_numbers, split, unpack_column, unpack_numbers

ANY_TEXT = st.text(st.characters())  # lone surrogates too: file names have them
NUMBERS = st.integers(-(2**63), 2**63 - 1)


def columns(rows: int) -> st.SearchStrategy[Any]:
    flat = (
        st.lists(ANY_TEXT, min_size=rows, max_size=rows)
        | st.lists(NUMBERS, min_size=rows, max_size=rows)
        | st.lists(st.binary(), min_size=rows, max_size=rows).map(OpaqueColumn)
    )
    return flat | st.lists(flat, max_size=3).map(tuple) | st.lists(st.lists(flat, max_size=2).map(tuple)).map(tuple)


@given(st.integers(0, 5).flatmap(lambda rows: st.tuples(st.just(rows), columns(rows))))
def test_a_column_comes_back(case: tuple[int, Any]) -> None:
    rows, column = case
    again = unpack_column(memoryview(pack_column(column)), rows)
    assert again == column
    assert type(again) is type(column)


def test_texts_that_meet_in_a_surrogate_pair_stay_apart() -> None:
    assert unpack_column(memoryview(pack_column(["\ud83d", "\ude00"])), 2) == ["\ud83d", "\ude00"]


@given(st.binary(max_size=40), st.integers(0, 2**32 - 1))
@pytest.mark.spec("base.bounded")
def test_any_other_bytes_are_refused_or_are_a_column(data: bytes, rows: int) -> None:
    try:
        column = unpack_column(memoryview(data), rows)
    except ValueError:
        return
    assert unpack_column(memoryview(pack_column(column)), rows) == column


@given(st.integers(1, 4).flatmap(columns), st.data())
@pytest.mark.spec("base.bounded")
def test_a_cut_column_is_refused(column: Any, data: st.DataObject) -> None:
    packed = pack_column(column)
    rows = len(column)
    while isinstance(column, tuple):
        if not column:
            return
        column = column[0]
        rows = len(column)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(ValueError):  # noqa: PT011 - it is the law of the module
        unpack_column(memoryview(packed[:cut]), rows)


@pytest.mark.spec("base.bounded")
def test_a_claimed_number_of_rows_is_not_believed() -> None:
    packed = memoryview(pack_column(["a", "b"]))
    for rows in (0, 1, 3, 2**31):
        with pytest.raises(ValueError, match=r"rows|behind"):
            unpack_column(packed, rows)


def test_tuples_in_tuples_are_bounded() -> None:
    deep: Any = ["a"]
    for _ in range(100):
        deep = (deep,)
    with pytest.raises(ValueError, match="too many tuples"):
        unpack_column(memoryview(pack_column(deep)), 1)


@pytest.mark.parametrize(("code", "numbers"), [("B", [0, 255]), ("I", [0, 2**32 - 1]), ("Q", [2**64 - 1]), ("q", [-1])])
def test_numbers_are_little_endian(code: str, numbers: list[int]) -> None:
    packed = pack_numbers(code, numbers)
    width = len(packed) // len(numbers)
    assert packed == b"".join(number.to_bytes(width, "little", signed=code == "q") for number in numbers)
    assert list(unpack_numbers(code, memoryview(packed))) == numbers


def test_a_number_that_does_not_fit_is_refused() -> None:
    with pytest.raises(OverflowError):
        pack_numbers("I", [2**32])
    with pytest.raises(ValueError, match="cut short"):
        unpack_numbers("I", memoryview(b"123"))


def test_rows_that_do_not_add_up_are_refused() -> None:
    assert split([2, 0, 3], 5) == [0, 2, 2, 5]
    with pytest.raises(ValueError, match="6 are there"):
        split([2, 3], 6)


@pytest.mark.parametrize("code", ["B", "I", "Q", "q"])
def test_numbers_are_little_endian_on_any_machine(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    width = {"B": 1, "I": 4, "Q": 8, "q": 8}[code]
    numbers = [0, 1, 200, 255]
    packed = pack_numbers(code, numbers)
    assert packed == b"".join(number.to_bytes(width, "little") for number in numbers)
    other = {"little": "big", "big": "little"}[sys.byteorder]
    monkeypatch.setattr(sys, "byteorder", other)
    # Such a machine has the bytes of each number the other way round, and turns them as this one does not.
    assert pack_numbers(code, numbers) == b"".join(number.to_bytes(width, "big") for number in numbers)
    assert list(unpack_numbers(code, memoryview(pack_numbers(code, numbers)))) == numbers


@pytest.mark.parametrize("column", [[1, 2], (["a", "b"], [3, 4])])
@pytest.mark.spec("base.bounded")
def test_bytes_behind_a_column_are_refused(column: Any) -> None:
    packed = pack_column(column)
    assert unpack_column(memoryview(packed), 2) == column
    with pytest.raises(ValueError, match="bytes behind the last"):
        unpack_column(memoryview(packed + b"\0"), 2)


@pytest.mark.parametrize(
    ("column", "rows"), [(["a", "bc"], 2), ([1, 2], 2), ((["a", "b"], [3, 4]), 2), (([1], ([2], ["x"])), 1)]
)
@pytest.mark.spec("base.bounded")
def test_every_cut_of_a_column_is_refused(column: Any, rows: int) -> None:
    packed = pack_column(column)
    assert unpack_column(memoryview(packed), rows) == column
    for size in range(len(packed)):
        with pytest.raises(ValueError):  # noqa: PT011 - it is the law of the module
            unpack_column(memoryview(packed[:size]), rows)
