"""Dropped databases, dead snapshots and many edits leave nothing behind."""

from __future__ import annotations

import gc
import tracemalloc
import weakref

import pytest

import incr


@incr.input
class Source:
    key: int = incr.key()
    text: str


@incr.query
def size(db: incr.View, key: int) -> int:
    return len(db[Source, key].text)


@incr.query
def total(db: incr.View) -> int:
    return sum(size(db, key) for key in db.keys(Source))


@pytest.mark.spec("history.lost")
def test_a_snapshot_that_nobody_has_is_as_good_as_closed(db: incr.Database) -> None:
    db.set(Source(1, "a"))
    assert total(db) == 1
    snapshot = db.snapshot()
    db.set(Source(1, "ab"))
    assert (total(db), total(snapshot), db.statistics().pinned) == (2, 1, 1)
    assert db.statistics().kept > 0
    del snapshot
    gc.collect()
    db.set(Source(2, "c"))
    assert total(db) == 3
    assert (db.statistics().pinned, db.statistics().kept) == (0, 0)
    db.check_invariant()


@pytest.mark.spec("history.lost")
def test_a_snapshot_may_die_while_the_lock_is_held(db: incr.Database) -> None:
    db.set(Source(1, "a"))
    total(db)
    snapshot = db.snapshot()
    db.set(Source(1, "ab"))
    total(db)
    graph = db._graph
    with graph.lock:
        pins = list(graph.pins)
        del snapshot
        gc.collect()
        assert graph.pins == pins
    assert total(db) == 2
    assert db.snapshot().revision == db.revision
    assert graph.pins == []


@pytest.mark.spec("history.lost")
def test_memory_is_flat_under_edits_with_snapshots_coming_and_going(db: incr.Database) -> None:
    for key in range(20):
        db.set(Source(key, "x"))
    live: list[incr.Snapshot] = []

    def edit(times: int) -> None:
        for number in range(times):
            db.set(Source(number % 20, "x" * (number % 7)))
            if number % 3 == 0:
                live.append(db.snapshot())
            if number % 10 == 0:
                assert total(db) >= 0
                assert total(live[0]) >= 0
            if len(live) > 5:
                dead = live.pop(number % 5)
                if number % 2:
                    dead.close()

    edit(1000)
    gc.collect()
    tracemalloc.start()
    edit(100)
    before = tracemalloc.get_traced_memory()[0]
    edit(10_000)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 50_000
    live.clear()
    total(db)
    assert (db.statistics().pinned, db.statistics().kept) == (0, 0)
    db.check_invariant()


@pytest.mark.spec("history.lost")
def test_a_dropped_database_is_gone_with_all_that_it_held() -> None:
    db = incr.Database(max_memory=1_000_000, max_state_bytes=1_000_000)
    events: list[incr.Event] = []
    db.subscribe(events.append)
    db.set(Source(1, "abc"))
    snapshot = db.snapshot()
    assert total(db) == total(snapshot) == 3
    gone = [weakref.ref(db), weakref.ref(snapshot), weakref.ref(db._graph.tables[size.__incr__.index][1])]
    del db, snapshot
    gc.collect()
    assert [one() for one in gone] == [None, None, None]
