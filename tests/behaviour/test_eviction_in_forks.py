"""What the origin has dropped and computed again is still what a fork's calls were made from."""

from __future__ import annotations

import pytest

import incr
from incr.testing import Recorder


@incr.input
class Cell:
    number: int = incr.key()
    value: int


@incr.query(lru=1)
def leaf(db: incr.View, number: int) -> int:
    return db[Cell, number].value


@incr.query
def root(db: incr.View, number: int) -> int:
    return leaf(db, number) * 10


@pytest.fixture
def filled(db: incr.Database) -> incr.Database:
    """A database in which the value of ``leaf(1)`` was dropped."""
    db.set(Cell(1, value=1))
    db.set(Cell(2, value=1))
    assert (root(db, 1), leaf(db, 2)) == (10, 1)
    assert db.statistics().queries["leaf"].evicted == 1
    return db


def histories(db: incr.Database) -> int:
    return sum(len(node.history or ()) for table in db._graph.tables for node in table.values())


@pytest.mark.spec("fork.isolated", "memory.evicted", "memo.consistency")
def test_a_write_of_a_fork_goes_through_a_call_whose_value_was_dropped_and_that_ran_again(
    filled: incr.Database,
) -> None:
    with filled.snapshot() as view, view.fork() as fork, view.fork() as untouched:
        assert (root(fork, 1), root(untouched, 1)) == (10, 10)
        filled.set(Cell(1, value=2))
        assert root(filled, 1) == 20  # what `leaf(1)` was for the snapshot is only in the history from now on
        fork.set(Cell(2, value=5))
        with Recorder(fork) as ran:
            assert (root(fork, 1), ran.take()) == (10, [])
        fork.check_invariant()
        fork.set(Cell(1, value=7))
        with Recorder(fork) as ran:
            assert (root(fork, 1), ran.take()) == (70, ["leaf(1)", "root(1)"])
        fork.check_invariant()
        with fork.snapshot() as later, later.fork() as inner:
            inner.set(Cell(1, value=8))
            assert (root(inner, 1), root(later, 1)) == (80, 70)
        with Recorder(untouched) as ran:
            assert (leaf(untouched, 1), ran.take()) == (1, ["leaf(1)"])
            assert (root(untouched, 1), root(view, 1), root(filled, 1)) == (10, 10, 20)


@pytest.mark.spec("fork.shared", "memory.evicted", "history.snapshot")
def test_a_dropped_value_that_is_found_again_for_the_snapshot_is_there_for_its_forks(filled: incr.Database) -> None:
    with filled.snapshot() as view, view.fork() as fork:
        assert root(fork, 1) == 10
        filled.set(Cell(1, value=2))
        assert root(filled, 1) == 20
        with Recorder(filled) as ran:
            assert (leaf(view, 1), leaf(view, 1), ran.take()) == (1, 1, ["leaf(1)"])
        with Recorder(fork) as ran:
            assert (leaf(fork, 1), ran.take()) == (1, [])
        fork.set(Cell(1, value=7))
        assert root(fork, 1) == 70
        fork.check_invariant()
        filled.check_invariant()
    assert histories(filled) == 0


@pytest.mark.spec("history.prune", "memory.evicted")
def test_without_forks_nothing_is_kept_of_a_value_that_was_dropped(filled: incr.Database) -> None:
    with filled.snapshot() as view:
        before = histories(filled)
        filled.set(Cell(1, value=2))
        assert (leaf(filled, 1), histories(filled)) == (2, before + 1), "the slot's old record alone"
        assert leaf(view, 1) == 1
