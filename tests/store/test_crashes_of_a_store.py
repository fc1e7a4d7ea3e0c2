"""Whenever the power goes, a store has what was acknowledged, nothing that nobody appended, and no half of a delta."""

from __future__ import annotations

import os

import pytest

import crash_counts
from file_store_workloads import (
    CALL,
    Known,
    Moment,
    Run,
    crash_everywhere,
    everything,
    expected,
    key_of,
    open_store,
    recovered,
    workloads,
)
from incr import CorruptError
from incr.store.opening import OnCorrupt
from incr.testing import Crashed, FakeDirectory

DEEP = os.environ.get("INCR_HYPOTHESIS_PROFILE") == "deep"
LENGTH = 4 if DEEP else 3
SAMPLES = 4 if DEEP else 0


@pytest.mark.spec("store.open", "store.checkpoint", "store.append", "store.durable", "store.prune", "store.close")
def test_every_crash_of_every_short_workload() -> None:
    states = 0
    known: Known = {}
    for steps in workloads(LENGTH):
        run = Run()
        for step in steps:
            run.do(step)
        run.close()
        states += crash_everywhere(run, known, samples=SAMPLES)
    assert (states > crash_counts.STORE_SHORT, len(known) > 2_000) == (True, True)


@pytest.mark.spec("store.append", "store.checkpoint", "store.heal", "store.prune")
@pytest.mark.parametrize(
    "steps",
    [
        ("synced", "straight", "synced", "checkpoint", "unsynced"),
        ("straight", "straight", "reopen", "straight"),
        ("synced", "checkpoint", "unsynced", "broken", "synced", "checkpoint"),
        ("broken", "reopen", "broken", "synced"),
        ("rotate", "checkpoint", "synced", "checkpoint", "rotate", "checkpoint", "synced", "checkpoint"),
    ],
)
def test_every_crash_of_what_is_rare(steps: tuple[str, ...]) -> None:
    run = Run()
    for step in steps:
        run.do(step)
    run.close()
    assert crash_everywhere(run, {}, samples=SAMPLES) > 300


@pytest.mark.spec("store.open", "store.fallback", "store.verdict", "store.quarantine")
@pytest.mark.parametrize("on_corrupt", ["error", "quarantine", "delete"])
def test_a_crash_while_a_store_is_opened(on_corrupt: OnCorrupt) -> None:
    run = Run()
    for step in ("synced", "checkpoint", "synced", "rotate", "checkpoint", "rotate", "unsynced", "synced"):
        run.do(step)
    files = run.disk.files()
    run.close()
    bases = sorted(name for name in files if name.startswith("base-"))
    segments = sorted(name for name in files if name.startswith("log-"))
    states = 0
    known: Known = {}
    for name, place in [(bases[-1], -1), (bases[0], -1), (segments[-1], -1), (segments[-2], 130), (segments[0], 5)]:
        content = bytearray(files[name])
        content[place] ^= 1
        begun = {**files, name: bytes(content)}
        try:
            last = recovered(begun, on_corrupt)
        except CorruptError:
            assert on_corrupt == "error"
            continue
        disk = FakeDirectory(begun)
        open_store(disk, on_corrupt).close()
        for calls in range(disk.calls + 1):
            for state in disk.crash_states(calls, samples=SAMPLES):
                states += 1
                assert recovered(state, on_corrupt, known) == last
    assert states > crash_counts.STORE_OPENED


@pytest.mark.spec("store.open", "store.checkpoint")
@pytest.mark.filterwarnings("ignore:.*was not closed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a base that is let go of
def test_a_crash_in_every_call_of_a_process() -> None:
    """Calls stop in the middle of what they do; nothing that runs on the way out makes it worse."""
    steps = ("synced", "unsynced", "checkpoint", "rotate", "reopen", "synced", "checkpoint")
    whole = Run()
    for step in steps:
        whole.do(step)
    whole.close()
    states = 0
    known: Known = {}
    for call in range(1, whole.disk.calls + 1):
        if not DEEP and call > 12 and call % 29:
            continue
        disk = FakeDirectory()
        disk.crash_at(call)
        with pytest.raises(Crashed):
            run = Run(disk)
            for step in steps:
                run.do(step)
            run.close()
        before = [moment for moment in whole.moments if moment.calls < call][-1]
        last = recovered(disk.files())
        assert before.acknowledged <= last <= before.attempted
        # What the next process finds may not be on the disk yet; what it builds on it has to be.
        disk.restart()
        begin = disk.calls
        again = Run(disk, Moment(0, before.acknowledged, last))
        for step in ("unsynced", "checkpoint") if call % 2 else ("unsynced", "synced"):
            again.do(step)
        again.close()
        states += crash_everywhere(again, known, begin, samples=0)
    assert states > crash_counts.STORE_PROCESS


def test_so_many_states_are_looked_at() -> None:
    assert crash_counts.TOTAL >= 100_000


@pytest.mark.spec("store.open")
def test_the_test_sees_what_it_looks_for() -> None:
    run = Run()
    run.do("synced")
    run.do("checkpoint")
    state = run.disk.files()
    assert everything(run.store) == expected(1)
    assert run.store.row(CALL + 1).key == b"call 1"
    run.close()
    assert key_of({"tmp-1": b"a"}) == key_of({"tmp-2": b"a"})
    log = max(name for name in state if name.startswith("log-"))
    run.moments[-1] = run.moments[-1]._replace(acknowledged=2)
    with pytest.raises(AssertionError, match="acknowledged"):
        crash_everywhere(run, {}, run.disk.calls)
    with open_store(FakeDirectory()) as store:
        assert expected(0) == everything(store)
    assert recovered({name: content for name, content in state.items() if name != log}) == 1
