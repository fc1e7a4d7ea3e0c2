"""`incr.fold`: one value of many calls, through a tree of combinations."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import trio

import incr
from incr import _fold
from incr.testing import Recorder


@incr.input
class Cell:
    name: str = incr.key()
    value: int


@incr.query
def value(db: incr.View, name: str) -> tuple[int, ...]:
    return (db[Cell, name].value,)


@incr.query
async def avalue(db: incr.View, name: str) -> tuple[int, ...]:
    return value(db, name)


combined: list[int] = []


def join(parts: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    combined.append(len(parts))
    return tuple(number for part in parts for number in part)


def largest(parts: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    combined.append(len(parts))
    return max(parts, default=())


@incr.query
def everything(db: incr.View) -> tuple[int, ...]:
    return incr.fold(db, value, db.keys(Cell), join)


@incr.query
def maximum(db: incr.View) -> tuple[int, ...]:
    return incr.fold(db, value, db.keys(Cell), largest)


@incr.query
async def aeverything(db: incr.View) -> tuple[int, ...]:
    return await incr.fold(db, avalue, db.keys(Cell), join)


def fill(db: incr.Database, size: int) -> list[str]:
    names = [f"cell-{number:06}" for number in range(size)]
    with db.batch() as batch:
        for number, name in enumerate(names):
            batch.set(Cell(name, value=number))
    combined.clear()
    return names


def taken() -> list[int]:
    found = combined[:]
    combined.clear()
    return found


@pytest.mark.spec("fold.tree")
@pytest.mark.parametrize("size", [0, 1, 2, 31, 32, 33, 128, 129, 1000, 10_000])
def test_the_order_of_the_keys_is_kept(db: incr.Database, size: int) -> None:
    fill(db, size)
    assert everything(db) == tuple(range(size))
    assert max(taken()) <= 128
    assert trio.run(aeverything, db) == tuple(range(size))
    assert incr.fold(db, value, [], join) == ()


@pytest.mark.spec("fold.tree")
def test_one_changed_value_of_ten_thousand_combines_few_times(db: incr.Database, ran: Recorder) -> None:
    names = fill(db, 10_000)
    assert everything(db) == tuple(range(10_000))
    assert len(taken()) < 1000
    for number in (0, 4321, 9_999):
        ran.take()
        db.set(Cell(names[number], value=-1))
        assert everything(db)[number] == -1
        assert 1 <= len(taken()) <= 5
        calls = ran.take()
        assert len(calls) <= 7
        assert f"value('{names[number]}')" in calls


@pytest.mark.spec("fold.tree")
def test_a_combination_that_comes_out_the_same_stops_the_change(db: incr.Database, ran: Recorder) -> None:
    names = fill(db, 10_000)
    assert maximum(db) == (9_999,)
    taken()
    ran.take()
    db.set(Cell(names[17], value=18))
    assert maximum(db) == (9_999,)
    assert len(taken()) == 1
    assert "maximum()" not in ran.take()


@pytest.mark.spec("fold.borders")
def test_a_key_that_comes_or_goes_combines_few_times(db: incr.Database) -> None:
    names = fill(db, 10_000)
    everything(db)
    taken()
    db.set(Cell("cell-004321b", value=-5))
    assert everything(db) == (*range(4322), -5, *range(4322, 10_000))
    assert len(taken()) <= 8
    db.remove(Cell, names[7000])
    assert -5 in everything(db)
    assert 7000 not in everything(db)
    assert len(taken()) <= 8


@pytest.mark.spec("fold.borders")
def test_parts_are_cut_where_no_key_ends_one() -> None:
    class Same:
        def __repr__(self) -> str:
            return "the same"

    keys = tuple(Same() for _ in range(5000))
    parts = list(_fold._cut(keys))
    assert [key for part in parts for key in part] == list(keys)
    assert len(parts) > 1
    assert max(map(len, parts)) <= 128 * 32


@pytest.mark.spec("fold.tree")
def test_any_edits_give_what_a_fresh_database_gives(db: incr.Database) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    cells: dict[str, int] = {}
    for _ in range(60):
        with db.batch() as batch:
            for _ in range(draw.randrange(40)):
                name = f"{draw.randrange(600)}"
                if name in cells and draw.random() < 0.3:
                    del cells[name]
                    batch.remove(Cell, name)
                else:
                    cells[name] = draw.randrange(5)
                    batch.set(Cell(name, value=cells[name]))
        expected = tuple(cells[name] for name in sorted(cells))
        assert everything(db) == expected
        assert trio.run(aeverything, db) == expected
        with db.snapshot() as view:
            assert maximum(view) == ((max(expected),) if expected else ())
    db.check_invariant()


@pytest.mark.spec("fold.tree")
def test_keys_may_be_any_iterable(db: incr.Database) -> None:
    fill(db, 40)
    started = db.keys(Cell)
    next(started)
    assert incr.fold(db, value, started, join) == tuple(range(1, 40))
    assert incr.fold(db, value, (f"cell-{number:06}" for number in (3, 2)), join) == (3, 2)
    assert incr.fold(db, value, {"cell-000007": None}, join) == (7,)


@pytest.mark.spec("fold.tree")
def test_an_error_of_a_call_is_the_folds(db: incr.Database) -> None:
    names = fill(db, 300)
    with pytest.raises(incr.MissingInputError):
        incr.fold(db, value, [*names, "missing"], join)
    db.set(Cell("missing", value=1))
    assert incr.fold(db, value, [*names, "missing"], join) == (*range(300), 1)


@pytest.mark.spec("fold.associative")
def test_wrong_arguments_are_named(db: incr.Database) -> None:
    wrong: Any = None
    with pytest.raises(TypeError, match=r"fold\(\) wants a function of a tuple of values, not None"):
        incr.fold(db, value, [], wrong)
    with pytest.raises(TypeError, match="is not a function declared with"):
        incr.fold(db, wrong, [], join)
    unhashable: Any = [[]]
    with pytest.raises(TypeError, match=r"fold\(\) wants keys that are hashable"):
        incr.fold(db, value, unhashable, join)


@pytest.mark.spec("fold.tree")
def test_a_loaded_state_folds_to_the_same(tmp_path: Path) -> None:
    before = incr.Database()
    fill(before, 500)
    assert everything(before) == tuple(range(500))
    before.save(tmp_path / "state")
    db = incr.Database()
    assert db.load(tmp_path / "state")
    with Recorder(db) as recorder:
        assert everything(db) == tuple(range(500))
        assert not [call for call in recorder.take() if call.startswith("value(")]
    db.check_invariant()
