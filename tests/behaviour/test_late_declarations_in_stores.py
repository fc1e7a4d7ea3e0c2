"""Queries and inputs that a program declares after it has opened a store: their classes are as good as any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

import incr
from incr.store import MemoryStore
from incr.testing import Recorder
from stored_worlds import database_on


class Module(NamedTuple):
    """What a module declares that is imported late."""

    mirrored: Any
    Mark: Any
    Place: Any
    Point: Any


@incr.input
class Scale:
    factor: int


def module(more: bool = False) -> Module:
    """One version of the module: points of two numbers, or of one."""
    if more:

        @dataclass(frozen=True)
        class Point:
            x: int
            y: int = 0
    else:

        @dataclass(frozen=True)
        class Point:
            x: int

    @incr.input
    class Place:
        point: Point = incr.key()
        name: str

    @incr.input
    class Mark:
        number: int = incr.key()
        point: Point

    @incr.query(name="a query of a late module")
    def mirrored(db: incr.View, point: Point) -> Point:
        return Point(db[Scale].factor * point.x)

    return Module(mirrored, Mark, Place, Point)


_imported: list[Module] = []


@incr.query
def uses(db: incr.View, x: int) -> int:
    late = _imported[-1]
    return int(late.mirrored(db, late.Point(x)).x)


@incr.query
def named(db: incr.View, x: int) -> bool:
    late = _imported[-1]
    return (late.Place, late.Point(x)) in db


@incr.query
def how_many(db: incr.View) -> int:
    return len(list(db.keys(_imported[-1].Place)))


@pytest.fixture(autouse=True)
def imported() -> Iterator[list[Module]]:
    yield _imported
    _imported.clear()


def opened(place: MemoryStore, *late: Any, code: bytes = b"one") -> incr.Database:
    """Opened by a process that has declared *late* before; with another *code*, queries are other ones."""
    return database_on(place.open(), [one.__incr__ for one in (Scale, uses, named, how_many, *late)], lambda one: code)


@pytest.fixture
def place(imported: list[Module]) -> MemoryStore:
    """A store that the module has been used with."""
    place = MemoryStore()
    late = module()
    imported.append(late)
    db = opened(place, late.mirrored, late.Mark, late.Place)
    db.set(Scale(3))
    db.set(late.Place(late.Point(1), name="one"))
    db.set(late.Mark(1, late.Point(1)))
    assert (uses(db, 1), uses(db, 2)) == (3, 6)
    assert (named(db, 1), named(db, 2), how_many(db)) == (True, False, 1)
    db.commit()
    db.close()
    return place


@pytest.mark.spec("load.late")
def test_what_a_query_declared_later_names_is_read_as_if_it_had_been_there(
    place: MemoryStore, imported: list[Module]
) -> None:
    db = opened(place)
    imported.append(late := module())
    with Recorder(db) as ran:
        assert late.mirrored(db, late.Point(1)) == late.Point(3)
        assert db[late.Place, late.Point(1)] == late.Place(late.Point(1), name="one")
        assert uses(db, 2) == 6
        assert ran.take() == []
        db.set(Scale(4))
        assert uses(db, 2) == 8
        assert len(ran.take()) == 2
    db.commit()
    db.check_invariant()


@pytest.mark.spec("load.late")
def test_what_was_reached_before_its_query_was_declared_runs_again(place: MemoryStore, imported: list[Module]) -> None:
    db = opened(place)
    with Recorder(db) as ran:
        db.set(Scale(4))
        assert db[Scale] == Scale(4)  # what depends on it is not known yet
        imported.append(late := module())
        assert late.mirrored(db, late.Point(1)) == late.Point(4)
        assert uses(db, 2) == 8
        assert len(ran.take()) == 3
    db.commit()
    db.close()
    db = opened(place, late.mirrored, late.Mark, late.Place)
    with Recorder(db) as ran:
        assert (uses(db, 2), uses(db, 1)) == (8, 4)
        assert ran.take() == ["uses(1)"]


@pytest.mark.spec("load.late")
@pytest.mark.parametrize("early", [True, False])
def test_keys_of_a_class_that_has_other_fields_now_are_nobodys(
    place: MemoryStore, imported: list[Module], early: bool
) -> None:
    late = module(more=True)
    imported.append(late)
    db = opened(place, late.mirrored, late.Mark, late.Place) if early else opened(place)
    assert db.get(late.Place, late.Point(1)) is None
    assert (named(db, 1), named(db, 2), how_many(db)) == (False, False, 0)
    assert (uses(db, 1), uses(db, 2)) == (3, 6)
    db.commit()
    db.set(late.Place(late.Point(2), name="two"))
    assert (named(db, 1), named(db, 2), how_many(db)) == (False, True, 1)
    db.commit()
    db.check_invariant()
    db.close()
    db = opened(place, late.mirrored, late.Mark, late.Place)
    assert (named(db, 1), named(db, 2), how_many(db)) == (False, True, 1)
    assert list(db.keys(late.Place)) == [late.Point(2)]


@pytest.mark.spec("load.late", "history.snapshot")
def test_a_snapshot_from_before_reads_that_they_are_not_there(place: MemoryStore, imported: list[Module]) -> None:
    db = opened(place)
    with db.snapshot() as before:
        db.set(Scale(5))
        imported.append(late := module(more=True))
        with db.snapshot() as between:
            for view in (db, before, between):
                assert view.get(late.Mark, 1) is None
                assert (late.Mark, 1) not in view
                assert list(view.keys(late.Mark)) == []
    db.check_invariant()


@pytest.mark.spec("load.late", "load.code")
def test_what_ran_while_other_code_was_found_need_not_run_again(place: MemoryStore, imported: list[Module]) -> None:
    db = opened(place, code=b"two")
    imported.append(late := module())
    with Recorder(db) as ran:
        assert (uses(db, 1), uses(db, 2)) == (3, 6)  # this is where its query is met, in the middle of a call
        assert len(ran.take()) == 4
    db.commit()
    db.close()
    db = opened(place, late.mirrored, late.Mark, late.Place, code=b"two")
    with Recorder(db) as ran:
        assert (late.mirrored(db, late.Point(1)), uses(db, 2), uses(db, 1)) == (late.Point(3), 6, 3)
        assert ran.take() == []
