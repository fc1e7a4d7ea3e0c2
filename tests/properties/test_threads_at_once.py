"""Eight threads that read and write one database at the same time: every answer was right at its revision.

In the usual profile a few rounds of some thousand actions; INCR_STRESS_SECONDS=60 (`nox -s stress`) makes rounds until
then. What the threads do follows from the seed, what comes of it does not: see `test_threads_in_any_order` for that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from free_threads import FreeCrew
from thread_stress import Stress

SECONDS = float(os.environ.get("INCR_STRESS_SECONDS", "0"))
FIRST = int(os.environ.get("INCR_SEED", "0"))
ROUNDS = 6


def turns(count: int) -> Callable[[], bool]:
    left = iter(range(count))
    return lambda: next(left, None) is not None


def stress(seed: int, count: int) -> int:
    """One round: six readers and two writers; the number of answers that were compared."""
    random = Random(seed)
    crew = FreeCrew()
    try:
        one = Stress(random, crew, size=random.randint(4, 12), files=True)
        readers = [partial(one.reader, Random(random.random()), turns(count)) for _ in range(6)]
        writers = [partial(one.writer, Random(random.random()), turns(count // 2)) for _ in range(2)]
        crew.run([*readers, *writers])
        crew.run([one.check])
    except BaseException as error:
        error.add_note(f"INCR_SEED={seed}")
        raise
    return one.claimed


@pytest.mark.spec("thread.single", "thread.wait", "thread.write", "thread.read", "thread.lock")
@pytest.mark.spec("memo.consistency", "history.snapshot", "history.prune", "flight.handover", "event.order")
@pytest.mark.timeout(SECONDS + 300)
def test_threads_that_read_and_write_at_once_are_told_what_a_database_without_memos_would_tell() -> None:
    end = time.monotonic() + SECONDS
    seed, claimed = FIRST, 0
    while seed < FIRST + ROUNDS or time.monotonic() < end:
        claimed += stress(seed, 60)
        seed += 1
    print(f"seeds {FIRST} to {seed - 1}: {claimed} answers were right")
    assert claimed > 100
