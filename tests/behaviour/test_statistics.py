"""`db.statistics()`: what is there, and what was done."""

from __future__ import annotations

import pytest

import incr
from incr.testing import Recorder


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.interned
class Symbol:
    name: str


@incr.query
def words(db: incr.View, path: str) -> tuple[Symbol, ...]:
    return tuple(db.intern(Symbol(word)) for word in db[Source, path].text.split())


@incr.query
def total(db: incr.View) -> int:
    return sum(len(words(db, path)) for path in db.keys(Source))


@pytest.mark.spec("statistics.counts")
def test_what_is_there_and_what_was_done(db: incr.Database, ran: Recorder) -> None:
    found = db.statistics()
    assert (found.revision, found.inputs, found.interned, found.memos, found.edges) == (0, 0, 0, 0, 0)
    assert (found.executed, found.verified, found.pinned, dict(found.queries)) == (0, 0, 0, {})
    db.set(Source("a", "x y x"))
    db.set(Source("b", "z"))
    db.set(Source("gone", ""))
    db.remove(Source, "gone")
    assert total(db) == 4
    db.set(Source("a", "x y  x"))
    assert total(db) == 4
    found = db.statistics()
    assert (found.revision, found.inputs, found.interned) == (5, 2, 3)
    assert (found.memos, found.edges) == (3, 5)
    assert (found.executed, found.verified) == (4, 1)
    one = found.queries["words"]
    assert (one.memos, one.edges, one.executed, one.verified, one.backdated, one.joined, one.cancelled) == (
        2, 2, 3, 0, 1, 0, 0,
    )  # fmt: skip
    assert found.queries["total"].verified == 1
    assert ran.take() == ["words('a')", "words('b')", "total()", "words('a')"]


@pytest.mark.spec("statistics.counts")
def test_counting_runs_nothing_and_is_a_copy(db: incr.Database, ran: Recorder) -> None:
    db.set(Source("a", "x"))
    total(db)
    before = db.statistics()
    db.set(Source("a", "y"))
    ran.take()
    db.statistics()
    assert ran.take() == ran.take_verified() == []
    assert (before.revision, before.executed) == (1, 2)
    total(db)
    assert (before.executed, db.statistics().executed) == (2, 4)


@pytest.mark.spec("statistics.counts")
@pytest.mark.parametrize("count", [2, 3, 5])
def test_queries_of_one_name_are_counted_apart(db: incr.Database, count: int) -> None:
    def make(value: int) -> incr.Query[[], int]:
        @incr.query
        def same(db: incr.View) -> int:
            return value

        return same

    queries = [make(value) for value in range(count)]
    assert [query(db) for query in queries] == list(range(count))
    found = db.statistics()
    assert (found.memos, found.executed, len(found.queries)) == (count, count, count)
    assert [name for name in found.queries if name.endswith("same")]


@pytest.mark.spec("statistics.counts")
def test_statistics_can_be_read_by_people(db: incr.Database) -> None:
    db.set(Source("a", "x"))
    total(db)
    text = repr(db.statistics())
    assert "revision=Revision(1)" in text
    assert "inputs=1" in text
    one = text[text.index("QueryStatistics(") :]
    assert one.startswith("QueryStatistics(backdated=0, cancelled=0, edges=1, estimated_bytes=None, evicted=0, exec")
