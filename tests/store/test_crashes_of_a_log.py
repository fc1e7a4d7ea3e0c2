"""Whenever the power goes, a log has what was acknowledged, nothing that was not written, and no half of a batch."""

from __future__ import annotations

import pytest

import crash_counts
from incr import CorruptError
from incr.testing import Crashed, FakeDirectory
from log_workloads import LIMITS, Known, Run, check, crash_everywhere, open_log, recovered, workloads


@pytest.mark.spec("log.recover", "log.synced", "log.batch", "log.rotate", "log.prune", "log.append")
def test_every_crash_of_every_short_workload() -> None:
    states = 0
    known: Known = {}
    for steps in workloads(3):
        run = Run()
        for step in steps:
            run.do(step)
        run.close()
        states += crash_everywhere(run, known)
    assert (states > crash_counts.LOG_SHORT, len(known) > 3_000) == (True, True)


@pytest.mark.spec("log.room", "log.recover")
def test_every_crash_of_workloads_with_room_made_in_advance() -> None:
    states = 0
    known: Known = {}
    for steps in workloads(2):
        run = Run(limits=LIMITS._replace(preallocate=100))
        for step in steps:
            run.do(step)
        assert run.disk.counts.get("allocate") or "synced" not in steps
        run.close()
        states += crash_everywhere(run, known)
    assert (states > crash_counts.LOG_ROOM, len(known) > 1_000) == (True, True)


@pytest.mark.spec("log.recover", "log.rollback")
@pytest.mark.parametrize("mode", ["torn", "rollback"])
def test_a_crash_while_a_log_is_opened(mode: str) -> None:
    run = Run()
    for step in ("synced", "rotate", "synced", "rotate", "batch"):
        run.do(step)
    files = run.disk.files()
    run.close()
    segments = sorted(name for name in files if name.startswith("log-"))
    states = 0
    for name, place in [(segments[-1], -1), (segments[1], 130), (segments[0], 5)]:
        content = bytearray(files[name])
        content[place] ^= 1
        begun = {**files, name: bytes(content)}
        try:
            expected = recovered(begun, mode)
        except CorruptError:
            assert mode == "torn"
            continue
        disk = FakeDirectory(begun)
        open_log(disk, mode=mode).close()
        for calls in range(disk.calls + 1):
            for state in disk.crash_states(calls):
                states += 1
                assert recovered(state, mode) == expected
    assert states > crash_counts.LOG_OPENED


@pytest.mark.spec("log.recover")
@pytest.mark.filterwarnings("ignore:.*was not closed:ResourceWarning")
def test_a_crash_in_every_call_of_a_process() -> None:
    """Calls stop in the middle of what they do; nothing that runs on the way out makes it worse."""
    whole = Run()
    steps = ("synced", "batch", "rotate", "prune", "reopen", "synced")
    for step in steps:
        whole.do(step)
    whole.close()
    states = 0
    known: Known = {}
    for call in range(1, whole.disk.calls + 1):
        disk = FakeDirectory()
        disk.crash_at(call)
        with pytest.raises(Crashed):
            run = Run(disk)
            for step in steps:
                run.do(step)
            run.close()
        before = [moment for moment in whole.moments if moment.calls < call][-1]
        entries, last = recovered(disk.files())
        check(entries, before, last)
        # What the next process finds may not be on the disk yet; what it builds on it has to be.
        disk.restart()
        begin = disk.calls
        again = Run(disk, before._replace(attempted=last))
        for step in ("unsynced", "synced"):
            again.do(step)
        again.close()
        states += crash_everywhere(again, known, begin)
    assert states > crash_counts.LOG_PROCESS
