"""Whenever the power goes, a log has what was acknowledged, nothing that was not written, and no half of a batch."""

from __future__ import annotations

import pytest

from log_workloads import Known, Run, crash_everywhere, workloads


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
    assert (states > 50_000, len(known) > 3_000) == (True, True)
