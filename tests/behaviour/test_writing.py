"""`set`, `remove` and `batch`: one revision for each change that is one, and none else."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import struct
from collections.abc import Callable
from typing import Any

import pytest

import incr
from incr.testing import Recorder


@incr.input
class Cell:
    name: str = incr.key()
    value: Any


@incr.input
class Settings:
    root: str


@incr.query
def value(db: incr.View, name: str) -> Any:
    return db[Cell, name].value


class Color(str, enum.Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Point:
    x: Any


class Uncomparable:
    def __eq__(self, other: object) -> bool:
        raise ValueError("no")

    __hash__ = None  # type: ignore[assignment]  # as with arrays


class Array:
    def __init__(self, *items: int) -> None:
        self.items = items

    def __eq__(self, other: object) -> Any:
        return Array(1)

    __hash__ = None  # type: ignore[assignment]  # as with arrays


NAN = float("nan")
NOON = datetime.datetime(2020, 1, 2, 12, tzinfo=datetime.UTC)
OTHER_NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_0001))[0]


@pytest.mark.spec("write.set")
def test_set_gives_the_new_revision(db: incr.Database) -> None:
    assert db.set(Cell("a", 1)) == 1
    assert db.set(Cell("a", 2)) == 2
    assert db.set(Cell("b", 2)) == db.revision == 3
    assert isinstance(db.set(Settings(".")), incr.Revision)


@pytest.mark.spec("write.set", "suspect.deferred")
def test_set_runs_nothing_and_the_next_read_sees_it(db: incr.Database, ran: Recorder) -> None:
    db.set(Cell("a", 1))
    assert value(db, "a") == 1
    ran.take()
    for number in range(2, 102):
        db.set(Cell("a", number))
    assert ran.take() == []
    assert value(db, "a") == 101
    assert ran.take() == ["value('a')"]


@pytest.mark.spec("write.equal", "memo.equality")
@pytest.mark.parametrize(
    "make",
    [
        lambda: 1,
        lambda: "text",
        lambda: NAN,
        lambda: float("nan"),
        lambda: -0.0,
        lambda: 1.5 + 0j,
        lambda: (1, ("a", 2.5)),
        lambda: [1, [2, None]],
        lambda: {"a": 1, "b": [2]},
        lambda: {1, "a"},
        lambda: frozenset({1.0}),
        lambda: Color.RED,
        lambda: Point((1, [2])),
        lambda: Settings("x"),
        lambda: bytearray(b"x"),
        lambda: range(3),
    ],
)
def test_an_equal_set_is_nothing(db: incr.Database, make: Callable[[], Any]) -> None:
    events = list[incr.Event]()
    db.set(Cell("a", make()))
    with db.subscribe(events.append):
        assert db.set(Cell("a", make())) == db.revision == 1
        with db.batch() as batch:
            batch.set(Cell("a", make()))
    assert db.revision == 1
    assert events == []


@pytest.mark.spec("write.equal", "memo.equality")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1, True),
        (1, 1.0),
        (True, 1.0),
        (1.0, 1 + 0j),
        (0, False),
        (0.0, -0.0),
        (0.0 + 0j, complex(0.0, -0.0)),
        (NAN, OTHER_NAN),
        (NAN, None),
        ("red", Color.RED),
        ((1, (2, 3)), (1, (2, 3.0))),
        ([1], [True]),
        ([1], (1,)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1: "a"}, {True: "a"}),
        ({1: "a"}, {1: b"a"}),
        ({1}, {True}),
        (frozenset({1}), frozenset({1.0})),
        ({1}, frozenset({1})),
        (Point(1), Point(True)),
        (Point((1,)), Point((1.0,))),
        (Settings("a"), Settings("b")),
        ("a", b"a"),
        (bytearray(b"a"), b"a"),
        (None, False),
        (decimal.Decimal("1"), decimal.Decimal("1.0")),
        ([decimal.Decimal("0")], [decimal.Decimal("-0")]),
        (NOON, NOON.astimezone(datetime.timezone(datetime.timedelta(hours=1)))),
        ({"at": NOON.replace(tzinfo=None)}, {"at": NOON.replace(tzinfo=None, fold=1)}),
        ((), []),
    ],
)
def test_a_set_that_one_can_tell_apart_is_a_change(db: incr.Database, before: Any, after: Any) -> None:
    db.set(Cell("a", before))
    assert repr(value(db, "a")) == repr(before)
    assert db.set(Cell("a", after)) == 2
    assert value(db, "a") is after
    assert db.set(Cell("a", before)) == 3
    assert value(db, "a") is before


@pytest.mark.spec("write.equal", "memo.equality")
@pytest.mark.parametrize("make", [Uncomparable, Array, object])
def test_what_cannot_be_compared_is_a_change_unless_identical(db: incr.Database, make: Callable[[], Any]) -> None:
    one = make()
    db.set(Cell("a", one))
    assert db.set(Cell("a", one)) == 1
    assert db.set(Cell("a", make())) == 2
    assert value(db, "a") is not one


@pytest.mark.spec("write.equal", "suspect.push")
def test_an_equal_set_suspects_nothing(db: incr.Database, ran: Recorder) -> None:
    db.set(Cell("a", (1, 2)))
    assert value(db, "a") == (1, 2)
    ran.take()
    assert db.set(Cell("a", (1, 2))) == 1
    assert db.explain(value, "a").decision == "executed"
    assert value(db, "a") == (1, 2)
    assert ran.take() == ran.take_verified() == []


@pytest.mark.spec("write.remove")
def test_remove_empties_a_slot_once(db: incr.Database) -> None:
    db.set(Cell("a", 1))
    assert db.remove(Cell, "a") == 2
    assert db.remove(Cell, "a") == 2
    assert db.remove(Cell, "never") == 2
    assert db.remove(Settings) == 2
    assert (Cell, "a") not in db
    db.set(Cell("a", 1))
    assert db[Cell, "a"].value == 1


@pytest.mark.spec("write.batch", "event.order")
def test_a_batch_is_one_revision(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def total(db: incr.View) -> int:
        return sum(db[Cell, name].value for name in db.keys(Cell))

    db.set(Cell("gone", 5))
    assert total(db) == 5
    events = list[incr.Event]()
    with db.subscribe(events.append):
        with db.batch() as batch:
            batch.set(Cell("a", 1))
            batch.set(Cell("b", 2))
            batch.remove(Cell, "gone")
            assert (db.revision, total(db)) == (1, 5)  # nothing is visible before the end
        assert db.revision == 2
    assert [type(event).__name__ for event in events] == ["InputSet", "InputSet", "InputRemoved", "RevisionAdvanced"]
    ran.take()
    assert total(db) == 3
    assert ran.take() == ["total()"]


@pytest.mark.spec("write.batch")
def test_the_later_write_of_a_slot_wins(db: incr.Database) -> None:
    db.set(Cell("a", 0))
    with db.batch() as batch:
        batch.set(Cell("a", 1))
        batch.set(Cell("b", 1))
        batch.remove(Cell, "b")
        batch.remove(Cell, "a")
        batch.set(Cell("a", 2))
    assert (db.revision, db[Cell, "a"].value, (Cell, "b") in db) == (2, 2, False)


@pytest.mark.spec("write.batch", "write.equal")
def test_a_batch_that_changes_nothing_is_no_revision(db: incr.Database) -> None:
    db.set(Cell("a", 1))
    with db.batch():
        pass
    with db.batch() as batch:
        batch.set(Cell("a", 1))
        batch.remove(Cell, "b")
        batch.set(Cell("c", 1))
        batch.remove(Cell, "c")
        batch.set(Cell("a", 2))
        batch.set(Cell("a", 1))
    assert db.revision == 1


@pytest.mark.spec("write.batch")
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_a_batch_that_raises_writes_nothing(db: incr.Database, kind: type[BaseException]) -> None:
    db.set(Cell("a", 1))
    with pytest.raises(kind), db.batch() as batch:
        batch.set(Cell("a", 2))
        batch.set(Settings("x"))
        raise kind
    assert (db.revision, db[Cell, "a"].value, Settings in db) == (1, 1, False)
    with pytest.raises(incr.WriteInQueryError, match="batch has ended"):
        batch.set(Cell("a", 3))
    with pytest.raises(incr.WriteInQueryError, match="batch has ended"):
        batch.remove(Cell, "a")
    assert db.revision == 1


@pytest.mark.spec("write.batch")
def test_a_batch_compares_with_what_is_there_at_its_end(db: incr.Database) -> None:
    db.set(Cell("a", 1))
    with db.batch() as batch:
        batch.set(Cell("a", 1))
        batch.set(Cell("b", 1))
        db.set(Cell("a", 2))
    assert (db.revision, db[Cell, "a"].value, db[Cell, "b"].value) == (3, 1, 1)


@pytest.mark.spec("write.batch")
def test_two_batches_may_be_open(db: incr.Database) -> None:
    with db.batch() as outer:
        outer.set(Cell("a", 1))
        with db.batch() as inner:
            inner.set(Cell("a", 2))
        assert (db.revision, db[Cell, "a"].value) == (1, 2)
    assert (db.revision, db[Cell, "a"].value) == (2, 1)


WRITES: list[Callable[[incr.Database], object]] = [
    lambda db: db.set(Cell("a", 2)),
    lambda db: db.set(Cell("a", 1)),  # although it would change nothing
    lambda db: db.remove(Cell, "a"),
    lambda db: db.remove(Cell, "never"),
    lambda db: db.batch(),
]


@pytest.mark.spec("write.in-query")
@pytest.mark.parametrize("write", WRITES)
def test_a_query_cannot_write(db: incr.Database, write: Callable[[incr.Database], object]) -> None:
    @incr.query
    def inner(view: incr.View) -> None:
        write(db)

    @incr.query
    def outer(view: incr.View) -> str:
        try:
            inner(view)
        except incr.WriteInQueryError as error:
            return str(error)
        return "it could write"

    db.set(Cell("a", 1))
    assert outer(db) == ("inner() is a query and cannot change inputs; return what is to be set, and set it outside")
    assert (db.revision, db[Cell, "a"].value) == (1, 1)
    db.set(Cell("a", 3))
    assert db.revision == 2


@pytest.mark.spec("write.in-query", "write.batch")
@pytest.mark.parametrize("remove", [False, True])
def test_a_query_cannot_write_through_a_batch_of_its_caller(db: incr.Database, remove: bool) -> None:
    db.set(Cell("a", 1))
    with db.batch() as batch:

        @incr.query
        def sneaky(db: incr.View) -> None:
            if remove:
                batch.remove(Cell, "a")
            else:
                batch.set(Cell("a", 2))

        with pytest.raises(incr.WriteInQueryError, match=r"sneaky\(\) is a query and cannot change inputs"):
            sneaky(db)
    assert (db.revision, db[Cell, "a"].value) == (1, 1)


@pytest.mark.spec("write.in-query", "write.batch")
def test_a_query_cannot_end_a_batch(db: incr.Database) -> None:
    batch = db.batch()
    with batch as writes:
        writes.set(Cell("a", 1))

        @incr.query
        def sneaky(db: incr.View) -> None:
            batch.__exit__(None, None, None)

        with pytest.raises(incr.WriteInQueryError):
            sneaky(db)
        assert db.revision == 0


@pytest.mark.spec("write.in-query", "frame.databases")
def test_a_query_may_write_to_another_database_but_not_back_from_there(db: incr.Database) -> None:
    other = incr.Database()
    db.set(Cell("a", 1))

    @incr.query
    def there(view: incr.View) -> str:
        try:
            db.set(Cell("a", 2))
        except incr.WriteInQueryError:
            return "refused"
        return "written"

    @incr.query
    def here(view: incr.View) -> str:
        other.set(Cell("b", 1))
        return there(other)

    assert here(db) == "refused"
    assert (db.revision, other.revision) == (1, 1)


@pytest.mark.spec("write.set", "memo.equality")
def test_setting_equal_nans_is_told_by_their_bits(db: incr.Database) -> None:
    db.set(Cell("a", NAN))
    assert db.set(Cell("a", math.nan)) == 1
    assert db.set(Cell("a", -NAN)) == 2


@pytest.mark.spec("write.set")
def test_a_failing_comparison_of_a_program_is_not_seen(db: incr.Database) -> None:
    db.set(Cell("a", Uncomparable()))
    assert db.set(Cell("a", [Uncomparable()])) == 2
    assert db.set(Cell("a", [Uncomparable()])) == 3
