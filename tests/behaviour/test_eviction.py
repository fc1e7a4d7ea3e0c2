"""Values are dropped when there are too many of them; only how long answers take tells of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

import incr
from incr.testing import Recorder


@incr.input
class Number:
    key: int = incr.key()
    value: int


@incr.query(lru=2)
def double(db: incr.View, key: int) -> int:
    return 2 * db[Number, key].value


@incr.query(lru=2)
def inverse(db: incr.View, key: int) -> float:
    return 1 / db[Number, key].value


@incr.query(lru=1)
def entry(db: incr.View, key: int) -> int:
    return db[Number, key].value


@incr.query
def pair(db: incr.View, left: int, right: int) -> tuple[int, int]:
    return double(db, left), double(db, right)


@incr.query
def positive(db: incr.View, key: int) -> bool:
    return db[Number, key].value > 0


@incr.query(lru=1)
def label(db: incr.View, key: int) -> str:
    return "+" if positive(db, key) else "-"


@incr.query
def page(db: incr.View, key: int) -> str:
    return f"<{label(db, key)}>"


@incr.query
def block(db: incr.View, key: int) -> bytes:
    return bytes(1000) + bytes([db[Number, key].value])


@incr.query(lru=3)
async def later(db: incr.View, key: int) -> int:
    return db[Number, key].value + 1


@incr.query(lru=1)
def told(db: incr.View, key: int) -> int:
    db.untracked("the world")
    return _world[0] + key


@incr.query(lru=4)
def kept(db: incr.View, key: int) -> tuple[int]:
    return (key,)


_world = [0]


@pytest.fixture
def numbers(db: incr.Database) -> incr.Database:
    with db.batch() as batch:
        for key in range(10):
            batch.set(Number(key, key))
    return db


@pytest.mark.spec("memory.lru")
def test_at_most_so_many_values_are_kept(numbers: incr.Database, ran: Recorder) -> None:
    db = numbers
    assert [double(db, key) for key in range(5)] == [0, 2, 4, 6, 8]
    found = db.statistics().queries["double"]
    assert (found.memos, found.values, found.edges, found.evicted) == (5, 2, 5, 3)
    ran.take()
    assert double(db, 0) == 0
    assert ran.take() == ["double(0)"]
    db.check_invariant()


@pytest.mark.spec("memory.lru", "memory.sieve")
def test_a_call_whose_error_was_read_and_then_its_value_makes_room(numbers: incr.Database) -> None:
    db = numbers
    for _ in range(2):
        with pytest.raises(LookupError):
            entry(db, 20)
    db.set(Number(20, 0))
    assert [entry(db, 20) for _ in range(2)] == [0, 0]
    assert entry(db, 1) == 1
    found = db.statistics().queries["entry"]
    assert (found.memos, found.values, found.executed, found.evicted) == (2, 1, 3, 1)
    db.check_invariant()
    assert (entry(db, 1), entry(db, 20)) == (1, 0)
    assert db.statistics().queries["entry"].executed == 4


@pytest.mark.spec("memory.evicted")
def test_an_evicted_value_is_told_and_explained(numbers: incr.Database) -> None:
    db = numbers
    told: list[incr.Event] = []
    with db.subscribe(told.append):
        for key in range(3):
            double(db, key)
    assert [event for event in told if isinstance(event, incr.QueryEvicted)] == [incr.QueryEvicted("double", (0,))]
    assert db.explain(double, 0).decision == "evicted"
    assert db.explain(double, 2).decision == "executed"


@pytest.mark.spec("memory.evicted")
def test_a_value_that_is_computed_again_moves_no_stamp_and_runs_nobody(numbers: incr.Database, ran: Recorder) -> None:
    db = numbers
    assert pair(db, 1, 2) == (2, 4)
    double(db, 3)
    double(db, 4)
    before = db.explain(double, 1)
    assert before.decision == "evicted"
    ran.take()
    assert double(db, 1) == 2
    after = db.explain(double, 1)
    assert (after.changed_at, after.verified_at) == (before.changed_at, before.verified_at)
    assert pair(db, 1, 2) == (2, 4)
    assert ran.take() == ["double(1)"]


@pytest.mark.spec("memory.evicted")
def test_a_suspect_without_a_value_is_verified_without_running(numbers: incr.Database, ran: Recorder) -> None:
    db = numbers
    assert (label(db, 1), page(db, 1)) == ("+", "<+>")
    label(db, 2)
    assert db.explain(label, 1).decision == "evicted"
    before = db.explain(label, 1).changed_at
    ran.take()
    db.set(Number(1, 100))
    assert page(db, 1) == "<+>"
    assert ran.take() == ["positive(1)"]
    assert (db.explain(label, 1).decision, db.explain(label, 1).changed_at) == ("evicted", before)
    assert label(db, 1) == "+"
    assert ran.take() == ["label(1)"]
    assert db.explain(label, 1).changed_at == before
    db.set(Number(1, -1))
    assert page(db, 1) == "<->"
    assert ran.take() == ["positive(1)", "label(1)", "page(1)"]
    db.check_invariant()


@pytest.mark.spec("memory.lru")
def test_errors_count_and_are_evicted(numbers: incr.Database, ran: Recorder) -> None:
    db = numbers
    db.set(Number(1, 0))
    for _ in range(2):
        for key in (0, 1):
            with pytest.raises(ZeroDivisionError):
                inverse(db, key)
    assert ran.take() == ["inverse(0)", "inverse(1)"]
    assert inverse(db, 2) == 0.5
    assert db.statistics().queries["inverse"].values == 2
    with pytest.raises(ZeroDivisionError) as caught:
        inverse(db, 0)
    assert ran.take() == ["inverse(2)", "inverse(0)"]
    assert len(caught.value.__notes__) == 1
    db.check_invariant()


@pytest.mark.spec("memory.sieve")
@pytest.mark.parametrize("seed", range(10))
def test_who_goes_is_what_the_published_algorithm_says(seed: int, db: incr.Database, ran: Recorder) -> None:
    choose = random.Random(seed)
    cache: list[int] = []  # from old to new
    visited: set[int] = set()
    hand: int | None = None  # the key that it points to
    for _ in range(400):
        key = min(choose.randrange(12), choose.randrange(12))
        assert kept(db, key) == (key,)
        hit = key in cache
        assert ran.take() == ([] if hit else [f"kept({key})"]), f"seed {seed}"
        if hit:
            visited.add(key)
            continue
        if len(cache) == 4:
            place = 0 if hand is None else cache.index(hand)
            while cache[place] in visited:
                visited.discard(cache[place])
                place = (place + 1) % len(cache)
            hand = cache[place + 1] if place + 1 < len(cache) else None
            del cache[place]
        cache.append(key)
    db.check_invariant()


@pytest.mark.spec("memory.limit")
def test_all_values_together_take_at_most_so_many_bytes() -> None:
    db = incr.Database(max_memory=5000)
    for key in range(10):
        db.set(Number(key, key))
    with Recorder(db) as ran:
        for key in range(10):
            assert block(db, key)[-1] == key
            assert (db.statistics(sizes=True).queries["block"].estimated_bytes or 0) <= 5000
        found = db.statistics().queries["block"]
        assert (found.memos, found.values, found.evicted) == (10, 4, 6)
        assert block(db, 9)[-1] == 9
        assert ran.take() == [f"block({key})" for key in range(10)]
        assert block(db, 0)[-1] == 0
        assert ran.take() == ["block(0)"]
    db.check_invariant()


@pytest.mark.spec("memory.limit")
def test_a_value_that_is_larger_than_the_limit_is_not_kept_and_drives_nobody_out() -> None:
    db = incr.Database(max_memory=500)
    db.set(Number(1, 7))
    with Recorder(db) as ran:
        double(db, 1)
        assert block(db, 1)[-1] == 7
        assert block(db, 1)[-1] == 7
        assert double(db, 1) == 14
        assert ran.take() == ["double(1)", "block(1)", "block(1)"]
    assert db.explain(block, 1).decision == "evicted"


@pytest.mark.spec("memory.limit")
def test_what_is_kept_for_snapshots_counts_and_goes_with_them() -> None:
    db = incr.Database(max_memory=4500)
    db.set(Number(1, 1))
    db.set(Number(2, 2))
    block(db, 1)
    with db.snapshot() as snapshot:
        db.set(Number(1, 3))
        assert block(db, 1)[-1] == 3
        assert block(db, 2)[-1] == 2
        assert db.statistics().kept > 0
        assert block(snapshot, 1)[-1] == 1
        for key in (4, 5, 6):
            db.set(Number(key, key))
            block(db, key)
        assert db.statistics().queries["block"].values < 4
        assert block(snapshot, 1)[-1] == 1
        db.check_invariant()
    assert db.statistics().kept == 0
    for key in (1, 2, 4, 5, 6):
        block(db, key)
    assert db.statistics().queries["block"].values == 4
    db.check_invariant()


@pytest.mark.spec("memory.limit")
def test_nothing_is_evicted_by_a_write() -> None:
    db = incr.Database(max_memory=2500)
    for key in range(3):
        db.set(Number(key, key))
        block(db, key)
    evicted = db.statistics().evicted
    with db.snapshot():
        for value in range(100, 120):
            db.set(Number(2, value))
        assert db.statistics().evicted == evicted


@pytest.mark.spec("memory.evicted")
def test_a_snapshot_computes_again_what_was_evicted(numbers: incr.Database, ran: Recorder) -> None:
    db = numbers
    assert pair(db, 1, 2) == (2, 4)
    with db.snapshot() as snapshot:
        db.set(Number(1, 50))
        for key in (1, 3, 4, 5):
            double(db, key)
        ran.take()
        assert pair(snapshot, 1, 2) == (2, 4)
        assert ran.take() == []
        assert double(snapshot, 1) == 2
        assert double(snapshot, 2) == 4
        assert pair(snapshot, 1, 2) == (2, 4)
        assert "pair(1, 2)" not in ran.take()
        assert pair(db, 1, 2) == (100, 4)
    db.check_invariant()


@pytest.mark.spec("memory.untracked")
def test_what_the_database_cannot_see_is_not_asked_twice_in_one_revision(db: incr.Database, ran: Recorder) -> None:
    _world[0] = 0
    assert [told(db, key) for key in range(4)] == [0, 1, 2, 3]
    _world[0] = 10
    assert [told(db, key) for key in range(4)] == [0, 1, 2, 3]
    assert ran.take() == [f"told({key})" for key in range(4)]
    db.set(Number(0, 0))
    assert told(db, 1) == 11


@pytest.mark.spec("memory.lru")
def test_awaited_calls_are_limited_too(numbers: incr.Database, ran: Recorder) -> None:
    import trio

    async def main() -> list[int]:
        return [await later(numbers, key) for key in (1, 2, 3, 4, 1)]

    assert trio.run(main) == [2, 3, 4, 5, 2]
    assert ran.take() == ["later(1)", "later(2)", "later(3)", "later(4)", "later(1)"]
    assert numbers.statistics().queries["later"].values == 3


@pytest.mark.spec("memory.evicted")
def test_an_evicted_value_that_a_file_has_is_read_again(numbers: incr.Database, tmp_path: Path, ran: Recorder) -> None:
    for key in range(5):
        double(numbers, key)
    db = incr.Database()
    for key in (0, 1, 2):
        double(numbers, key)
    numbers.save(tmp_path / "state")
    assert db.load(tmp_path / "state")
    stored = [key for key in range(5) if numbers.explain(double, key).decision != "evicted"]
    assert len(stored) == 2
    with Recorder(db) as recorder:
        for _ in range(3):
            for key in stored:
                assert double(db, key) == 2 * key
        assert recorder.take() == []
        for key in range(5, 8):
            assert double(db, key) == 2 * key
        assert recorder.take() == ["double(5)", "double(6)", "double(7)"]
        assert db.statistics().queries["double"].values == 2
        for key in stored:
            assert double(db, key) == 2 * key
        assert recorder.take() == []
    db.check_invariant()


@pytest.mark.spec("memory.lru")
def test_a_value_that_changes_keeps_its_place(numbers: incr.Database, ran: Recorder) -> None:
    db = numbers
    for round in range(20):
        db.set(Number(1, 100 + round))
        assert double(db, 1) == 200 + 2 * round
        assert double(db, 2) == 4
        db.check_invariant()
    assert db.statistics().evicted == 0


@pytest.mark.spec("memory.lru")
@pytest.mark.parametrize("lru", [0, -1, 1.5, True, "2"])
def test_a_limit_is_a_positive_number(lru: object) -> None:
    declare: Callable[..., object] = incr.query
    with pytest.raises(TypeError, match="wants a positive int"):
        declare(lru=lru)
    make: Callable[..., object] = incr.Database
    with pytest.raises(TypeError, match=r"Database\(max_memory=...\) wants a positive int"):
        make(max_memory=lru)
    with pytest.raises(TypeError, match=r"Database\(max_state_bytes=...\) wants a positive int"):
        make(max_state_bytes=lru)
