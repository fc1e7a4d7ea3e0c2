"""Whatever call of the disk fails, once or for ever: a typed error, and a log that has what was acknowledged."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import get_args

import pytest

from incr import StoreBrokenError, StoreError
from incr.store import Limits, Log
from incr.testing import FakeDirectory
from incr.testing._disk import Call
from log_workloads import Known, Moment, check, entry, open_log, recovered

ERRORS = [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EMFILE]
STEPS = ["synced", "batch", "reopen", "unsynced", "batch", "synced", "prune", "reopen", "unsynced", "reopen"]
LIMITS = Limits(segment_bytes=330, preallocate=150)


class FaultyRun:
    """A workload that goes on after each error as a program would, and notes what it was told."""

    def __init__(self, disk: FakeDirectory) -> None:
        self.disk = disk
        self.log: Log[bytes] | None = None
        self.acknowledged = self.attempted = self.pruned = 0
        self.errors: list[StoreError] = []

    def run(self) -> None:
        for step in STEPS:
            try:
                self.do(step)
            except StoreError as error:
                self.errors.append(error)
        with suppress(StoreError):
            self.close()

    def close(self) -> None:
        log, self.log = self.log, None
        if log is not None:
            log.close()

    def do(self, step: str) -> None:
        if step == "reopen":
            self.close()
        if self.log is None:
            self.log = open_log(self.disk, LIMITS)
            assert self.log.last_id >= self.acknowledged
        first = self.log.last_id + 1
        match step:
            case "batch":
                self.attempted = max(self.attempted, first + 2)
                self.log.append_batch([entry(number) for number in range(first, first + 3)])
            case "prune":
                self.pruned = self.log.last_id
                self.log.prune(self.pruned)
            case _:
                self.attempted = max(self.attempted, first)
                self.log.append(entry(first))
        if step == "synced":
            self.acknowledged = self.log.flush()

    def moment(self) -> Moment:
        return Moment(0, self.acknowledged, self.attempted, self.pruned, ())


def clean_counts() -> dict[str, int]:
    disk = FakeDirectory()
    run = FaultyRun(disk)
    run.run()
    assert run.errors == []
    assert run.attempted == 13
    return disk.counts


COUNTS = clean_counts()


def check_everything_that_may_be_left(disk: FakeDirectory, run: FaultyRun, known: Known) -> int:
    states = [disk.files(), *disk.crash_states(samples=2)]
    for state in states:
        key = tuple(sorted(state.items()))
        if key not in known:
            known[key] = recovered(state)
        entries, last = known[key]
        check(entries, run.moment(), last)
    return len(states)


@pytest.mark.spec("log.append", "log.broken", "log.recover", "log.synced")
@pytest.mark.parametrize("times", [1, None])
def test_each_call_fails_with_each_error(times: int | None) -> None:
    known: Known = {}
    states = runs = 0
    failed = set()
    for call in get_args(Call):
        for skip in range(COUNTS.get(call, 0)):
            for error in ERRORS:
                disk = FakeDirectory()
                disk.fail(call, error, skip=skip, times=times)
                run = FaultyRun(disk)
                run.run()
                runs += 1
                failed |= {call} if run.errors else set()
                disk.heal()
                states += check_everything_that_may_be_left(disk, run, known)
    assert (runs > 300, states > 1_500) == (True, True)
    # The others are optional: room in advance, the lock's text, and what is only let go of.
    assert set(COUNTS) - failed <= {"allocate", "truncate", "unlock", "close", "size"}


@pytest.mark.spec("log.append")
@pytest.mark.parametrize("error", [None, errno.ENOSPC, errno.EIO])
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


@pytest.mark.spec("log.recover")
def test_reads_that_give_only_a_part() -> None:
    for times in (1, None):
        for skip in range(COUNTS["pread"]):
            disk = FakeDirectory()
            disk.shorten("pread", skip=skip, times=times)
            run = FaultyRun(disk)
            run.run()
            assert (run.errors, run.attempted) == ([], 13)
