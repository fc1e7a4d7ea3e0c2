"""Chains of sync calls that are deeper than any stack, under Python's default recursion limit."""

from __future__ import annotations

import contextvars
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import incr
from incr.testing import Recorder
from tasks import no_trace

DEPTH = 100_000
DEEP = os.environ.get("INCR_HYPOTHESIS_PROFILE") == "deep"


@incr.input
class Leaf:
    value: int


@incr.input
class Switch:
    on: bool


@incr.query
def chain(db: incr.View, number: int) -> int:
    return chain(db, number - 1) + 1 if number else db[Leaf].value


@incr.query
def flat(db: incr.View, number: int) -> int:
    """The same at every height, so that a change stops at the bottom."""
    return flat(db, number - 1) if number else abs(db[Leaf].value)


@pytest.fixture(autouse=True)
def default_limit() -> Any:
    """Whoever made the chain possible has not done it by raising the limit."""
    assert sys.getrecursionlimit() == 1_000
    yield
    assert sys.getrecursionlimit() == 1_000


@pytest.mark.spec("depth.sync", "memo.backdate")
def test_a_chain_of_100_000_calls_cold_after_a_change_and_after_an_equal_one(db: incr.Database) -> None:
    db.set(Leaf(1))
    assert chain(db, DEPTH) == DEPTH + 1
    db.set(Leaf(2))
    assert chain(db, DEPTH) == DEPTH + 2
    db.set(Switch(True))
    assert chain(db, DEPTH) == DEPTH + 2
    found = db.statistics().queries["chain"]
    assert (found.memos, found.executed, found.verified) == (DEPTH + 1, 2 * (DEPTH + 1), 0)


@pytest.mark.spec("depth.sync", "memo.backdate", "memo.minimal")
def test_a_deep_chain_is_verified_without_running(db: incr.Database) -> None:
    db.set(Leaf(1))
    assert flat(db, DEPTH) == 1
    db.set(Leaf(-1))
    assert flat(db, DEPTH) == 1
    found = db.statistics().queries["flat"]
    assert (found.executed, found.verified, found.backdated) == (DEPTH + 2, DEPTH, 1)
    no_trace(db)


@pytest.mark.spec("depth.sync", "history.snapshot")
def test_a_deep_chain_as_of_a_snapshot(db: incr.Database) -> None:
    depth = 20_000 if DEEP else 5_000
    db.set(Leaf(1))
    with db.snapshot() as before:
        db.set(Leaf(2))
        with db.snapshot() as view:
            db.set(Leaf(3))
            assert chain(db, depth) == depth + 3
            assert chain(view, depth) == depth + 2
            assert (chain(before, depth), flat(before, depth)) == (depth + 1, 1)
    no_trace(db)


@pytest.mark.spec("depth.sync")
def test_bodies_that_use_twenty_frames_of_their_own(db: incr.Database) -> None:
    def through(frames: int, call: Callable[[], int]) -> int:
        return call() if not frames else through(frames - 1, call)

    @incr.query
    def wide(db: incr.View, number: int) -> int:
        return through(18, lambda: wide(db, number - 1) + 1) if number else db[Leaf].value

    db.set(Leaf(1))
    assert wide(db, 5_000) == 5_001
    db.set(Leaf(2))
    assert wide(db, 5_000) == 5_002


@pytest.mark.spec("depth.sync", "error.note", "error.traceback")
def test_an_error_at_the_bottom_comes_out_at_the_top(db: incr.Database) -> None:
    db.set(Switch(True))
    for _ in range(2):
        with pytest.raises(incr.MissingInputError) as caught:
            chain(db, 3_000)
        assert caught.value.slot == (Leaf, ())
        assert caught.value.__notes__ == ["in the query call chain(0)"]
    db.set(Leaf(1))
    assert chain(db, 3_000) == 3_001


@pytest.mark.spec("depth.sync", "error.interrupt")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_helper_threads_body_comes_out(
    db: incr.Database, ran: Recorder, kind: type[BaseException]
) -> None:
    threads = set[int]()

    @incr.query
    def interrupted(db: incr.View, number: int) -> int:
        threads.add(threading.get_ident())
        if number:
            return interrupted(db, number - 1)
        if db[Switch].on:
            raise kind
        return 0

    db.set(Switch(True))
    with pytest.raises(kind):
        interrupted(db, 1_000)
    assert len(threads) > 1
    assert ran.take() == []
    no_trace(db)
    db.set(Switch(False))
    assert interrupted(db, 1_000) == 0


@pytest.mark.spec("depth.sync", "error.interrupt")
def test_a_signal_reaches_the_body_that_runs_in_a_helper_thread(db: incr.Database) -> None:
    working = [True]

    @incr.query
    def endless(db: incr.View, number: int) -> int:
        if number:
            return endless(db, number - 1)
        assert threading.current_thread() is not threading.main_thread()
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)  # as Ctrl-C does; the main thread waits for this one
        while working[0]:
            pass
        return 0

    with pytest.raises(KeyboardInterrupt):
        endless(db, 1_000)
    no_trace(db)
    working[0] = False
    assert db.statistics().memos == 0


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


@pytest.mark.spec("depth.sync")
def test_context_variables_are_visible_in_deep_calls(db: incr.Database) -> None:
    @incr.query
    def read(db: incr.View, number: int) -> str:
        return read(db, number - 1) if number else VARIABLE.get()

    token = VARIABLE.set("set by the caller")
    try:
        assert read(db, 2_000) == "set by the caller"
    finally:
        VARIABLE.reset(token)


@pytest.mark.spec("depth.sync", "frame.outer", "write.in-query")
def test_deep_calls_know_that_they_are_in_a_query(db: incr.Database) -> None:
    @incr.query
    def sneaky(view: incr.View, number: int) -> int:
        if number:
            return sneaky(view, number - 1)
        with pytest.raises(incr.WriteInQueryError):
            db.set(Leaf(5))
        return db[Leaf].value  # through the outer handle

    db.set(Leaf(1))
    assert sneaky(db, 2_000) == 1
    db.set(Leaf(2))
    assert sneaky(db, 2_000) == 2


@pytest.mark.spec("depth.sync")
def test_a_deep_chain_that_starts_on_a_deep_stack(db: incr.Database) -> None:
    def deeper(frames: int) -> int:
        return chain(db, 2_000) if not frames else deeper(frames - 1)

    db.set(Leaf(1))
    assert deeper(600) == 2_001


@pytest.mark.spec("depth.sync", "error.interrupt")
def test_a_body_that_recurses_without_end_is_the_bodys_own_error(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def runaway(db: incr.View) -> int:
        def forever() -> int:
            return forever() + 1

        return forever()

    for _ in range(2):
        with pytest.raises(RecursionError):
            runaway(db)
    assert ran.take() == []
    no_trace(db)


@pytest.mark.spec("depth.sync")
def test_no_helper_thread_is_left_behind(db: incr.Database) -> None:
    before = threading.active_count()
    db.set(Leaf(1))
    chain(db, 5_000)
    assert threading.active_count() == before


@pytest.mark.spec("depth.sync")
def test_a_deep_chain_is_dropped_without_deep_recursion() -> None:
    db = incr.Database()
    db.set(Leaf(1))
    chain(db, 30_000)
    del db  # the memos refer to each other: freeing them must not use the stack
