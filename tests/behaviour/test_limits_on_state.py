"""A database can refuse to hold more than so many bytes of what cannot be computed again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import incr
from incr._estimate import estimate, measure


@incr.input
class Text:
    key: int = incr.key()
    text: str


@incr.interned
class Word:
    text: str


@incr.query
def size(db: incr.View, key: int) -> int:
    return len(db[Text, key].text)


@incr.query
def lines(db: incr.View, key: int) -> tuple[str, ...]:
    return tuple(db[Text, key].text.split())


LARGE = "x" * 2000


@pytest.mark.spec("memory.state")
def test_a_record_that_is_too_much_is_refused_without_effect() -> None:
    db = incr.Database(max_state_bytes=5000)
    db.set(Text(1, LARGE))
    db.set(Text(2, LARGE))
    before = db.revision
    with pytest.raises(incr.LimitExceededError, match="max_state_bytes=5000"):
        db.set(Text(3, LARGE))
    assert (db.revision, sorted(db.keys(Text)), size(db, 2)) == (before, [1, 2], 2000)
    assert db.set(Text(2, LARGE)) == before
    db.set(Text(2, "short"))
    db.set(Text(3, LARGE))
    db.remove(Text, 1)
    db.set(Text(4, LARGE))
    assert sorted(db.keys(Text)) == [2, 3, 4]
    db.check_invariant()


@pytest.mark.spec("memory.state")
def test_a_batch_is_refused_as_a_whole() -> None:
    db = incr.Database(max_state_bytes=5000)
    db.set(Text(1, LARGE))
    before = db.revision
    with pytest.raises(incr.LimitExceededError), db.batch() as batch:
        batch.set(Text(2, "short"))
        batch.set(Text(3, LARGE))
        batch.set(Text(4, LARGE))
    assert (db.revision, list(db.keys(Text))) == (before, [1])
    with db.batch() as batch:  # what goes makes room for what comes
        batch.remove(Text, 1)
        batch.set(Text(3, LARGE))
        batch.set(Text(4, LARGE))
    assert list(db.keys(Text)) == [3, 4]


@pytest.mark.spec("memory.state")
def test_interned_values_count() -> None:
    db = incr.Database(max_state_bytes=5000)
    first = db.intern(Word(LARGE))
    db.intern(Word(LARGE + "y"))
    with pytest.raises(incr.LimitExceededError):
        db.intern(Word(LARGE + "z"))
    assert db.intern(Word(LARGE)) is first
    assert db.statistics().interned == 2
    with pytest.raises(incr.LimitExceededError):
        db.set(Text(1, LARGE))


@pytest.mark.spec("memory.state")
def test_what_a_file_brings_counts(tmp_path: Path) -> None:
    full = incr.Database()
    full.set(Text(1, LARGE))
    full.set(Text(2, LARGE))
    full.save(tmp_path / "state")
    db = incr.Database(max_state_bytes=5000)
    assert db.load(tmp_path / "state")
    with pytest.raises(incr.LimitExceededError):
        db.set(Text(3, LARGE))
    db.remove(Text, 1)
    db.set(Text(3, LARGE))


class Lying:
    def __init__(self) -> None:
        self.text = LARGE

    def __sizeof__(self) -> int:
        raise AssertionError("code of the program ran")


@pytest.mark.spec("memory.estimate")
def test_an_estimate_counts_what_can_be_reached_once_and_runs_nothing() -> None:
    assert estimate("abc") == sys.getsizeof("abc")
    assert estimate([LARGE, LARGE]) < 2 * sys.getsizeof(LARGE)
    assert estimate([LARGE, LARGE + "y"]) > 2 * sys.getsizeof(LARGE)
    assert estimate({"a": {LARGE}}) > sys.getsizeof(LARGE)
    assert estimate(Text(1, LARGE)) > sys.getsizeof(LARGE)
    assert 2000 < estimate(Lying()) < 3000
    assert estimate([Word(LARGE)]) < 200


@pytest.mark.spec("memory.estimate")
def test_the_rest_of_a_large_value_counts_as_its_beginning() -> None:
    value = [str(number) + "x" * 50 for number in range(100_000)]
    assert 0.9 < estimate(value) / measure([value]) < 1.1


@pytest.mark.spec("statistics.bytes")
def test_sizes_are_reported_if_asked_for(db: incr.Database) -> None:
    db.set(Text(1, "a b"))
    db.set(Text(2, "a b"))
    lines(db, 1)
    lines(db, 2)
    plain = db.statistics()
    assert (plain.state_bytes, plain.queries["lines"].estimated_bytes) == (None, None)
    assert plain.queries["lines"].measured_bytes is None
    found = db.statistics(sizes=True)
    one = found.queries["lines"]
    assert one.values == 2
    assert one.estimated_bytes == estimate(("a", "b")) * 2
    # The letters are the same objects in both tuples.
    assert one.measured_bytes == one.estimated_bytes - estimate("a") - estimate("b")
    assert found.state_bytes == estimate(Text(1, "a b")) * 2


@pytest.mark.spec("statistics.hits")
def test_hits_and_misses_are_counted_if_asked_for() -> None:
    db = incr.Database(count_hits=True)
    db.set(Text(1, "a"))
    for _ in range(3):
        assert size(db, 1) == 1
    db.set(Text(1, "ab"))
    assert size(db, 1) == 2
    found = db.statistics().queries["size"]
    assert (found.hits, found.misses, found.executed) == (2, 2, 2)
    silent = incr.Database()
    silent.set(Text(1, "a"))
    size(silent, 1)
    assert silent.statistics().queries["size"].hits is None
    assert silent.statistics().queries["size"].misses is None
