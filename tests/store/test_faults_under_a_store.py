"""Whatever call of the disk fails, once or for ever: a typed error, and a store that has what was acknowledged."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import get_args

import pytest

from file_store_workloads import LIMITS, Known, delta, everything, expected, open_store, recovered
from incr import StoreBrokenError, StoreError
from incr.store.file_store import FileStore
from incr.testing import FakeDirectory
from incr.testing._disk import Call

ERRORS = [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EMFILE]
STEPS = [
    "synced", "unsynced", "checkpoint", "reopen", "synced", "checkpoint", "synced", "straight", "unsynced", "reopen",
    "synced",
]  # fmt: skip
#: How many of the errors, and of the samples of what a crash may leave, are tried; all of them if the lane is deep.
DEEP = os.environ.get("INCR_HYPOTHESIS_PROFILE") == "deep"
PREALLOCATED = LIMITS._replace(preallocate=500)


class FaultyRun:
    """A workload that goes on after each error as a program would, and notes what it was told."""

    def __init__(self, disk: FakeDirectory) -> None:
        self.disk = disk
        self.store: FileStore | None = None
        self.acknowledged = self.attempted = 0
        self.errors: list[StoreError] = []

    def run(self) -> None:
        for step in STEPS:
            try:
                self.do(step)
            except StoreError as error:
                self.errors.append(error)
                self.look()
        with suppress(StoreError):
            self.close()

    def look(self) -> None:
        """Whatever failed, what is read is a state that was there, if it can be read at all."""
        if self.store is not None:
            with suppress(StoreError):
                assert everything(self.store) == expected(self.store.head().revision)

    def close(self) -> None:
        store, self.store = self.store, None
        if store is not None:
            store.close()
            self.acknowledged = store._current.head.revision

    def do(self, step: str) -> None:
        if step in ("reopen", "straight"):
            self.close()
        if self.store is None:
            limits = PREALLOCATED._replace(entry_bytes=10) if step == "straight" else PREALLOCATED
            self.store = open_store(self.disk, limits=limits)
            assert self.store.head().last >= self.acknowledged
        store = self.store
        if step == "checkpoint":
            store.checkpoint()
            self.acknowledged = store.head().last
        elif step != "reopen":
            number = store.head().last + 1
            self.attempted = max(self.attempted, number)
            assert store.append(delta(number)) == number
            if step != "unsynced":
                self.acknowledged = store.sync()


def clean_counts() -> dict[str, int]:
    disk = FakeDirectory()
    run = FaultyRun(disk)
    run.run()
    assert run.errors == []
    assert run.attempted == 7
    return disk.counts


COUNTS = clean_counts()


def check_everything_that_may_be_left(disk: FakeDirectory, run: FaultyRun, known: Known) -> int:
    states = [disk.files(), disk.after_power_loss().files(), *(disk.crash_states(samples=1) if DEEP else ())]
    for state in states:
        assert run.acknowledged <= recovered(state, known=known) <= run.attempted
    return len(states)


@pytest.mark.spec("store.append", "store.take-back", "store.checkpoint", "store.open", "store.durable")
@pytest.mark.parametrize("times", [1, None])
def test_each_call_fails_with_each_error(times: int | None) -> None:
    known: Known = {}
    states = runs = 0
    failed = set()
    for call in get_args(Call):
        for skip in range(COUNTS.get(call, 0)):
            errors = ERRORS if DEEP else [ERRORS[(skip + runs) % len(ERRORS)]]
            for error in errors:
                disk = FakeDirectory()
                disk.fail(call, error, skip=skip, times=times)
                run = FaultyRun(disk)
                run.run()
                runs += 1
                failed |= {call} if run.errors else set()
                disk.heal()
                states += check_everything_that_may_be_left(disk, run, known)
    print(runs, states, len(known), set(COUNTS) - failed)
    assert (runs > 150, states > 600) == (True, True)
    # The others are optional: room in advance, the lock's text, and what is only let go of.
    assert set(COUNTS) - failed <= {"allocate", "truncate", "unlock", "close"}


@pytest.mark.spec("store.append", "store.take-back", "store.checkpoint")
@pytest.mark.parametrize("error", [None, errno.ENOSPC])
def test_writes_that_take_only_a_part(error: int | None) -> None:
    known: Known = {}
    for skip in range(COUNTS["pwrite"]):
        disk = FakeDirectory()
        disk.shorten("pwrite", skip=skip)
        if error is not None:
            disk.fail("pwrite", error, skip=skip + 1)
        run = FaultyRun(disk)
        run.run()
        assert not [found for found in run.errors if isinstance(found, StoreBrokenError)]
        assert error is not None or run.errors == []
        check_everything_that_may_be_left(disk, run, known)


@pytest.mark.spec("store.open")
def test_reads_that_give_only_a_part() -> None:
    for times in (1, None):
        for skip in range(0, COUNTS["pread"], 1 if DEEP else 5):
            disk = FakeDirectory()
            disk.shorten("pread", skip=skip, times=times)
            run = FaultyRun(disk)
            run.run()
            assert (run.errors, run.attempted) == ([], 7)
