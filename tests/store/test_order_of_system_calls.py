"""What the system is asked for, in which order: the promises of a log stand on it. Seen from outside, by strace."""

from __future__ import annotations

from pathlib import Path

import pytest

from system_calls import system_calls, why_not_traced

ONE, TWO = "log-0000000000000001.incr", "log-0000000000000002.incr"

LOCKED = ["create LOCK", "flock LOCK", "ftruncate LOCK 0", "pwrite64 LOCK"]
UNLOCKED = ["ftruncate LOCK 0", "pwrite64 LOCK", "flock LOCK"]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    why = why_not_traced(tmp_path)
    if why is not None:
        pytest.skip(why)
    return tmp_path / "trace"


def begun(name: str) -> list[str]:
    """A new segment: whole and named on the disk before anything is written to it."""
    return [f"create {name}", f"pwrite64 {name}", f"fsync {name}", "fsync ."]


@pytest.mark.spec("log.append", "log.synced", "log.rotate", "log.prune", "log.seal", "log.lock", "directory.durable")
def test_append_rotate_prune_and_close(tmp_path: Path, trace: Path) -> None:
    program = """
import sys
from incr.store import Flush, Limits, Log

limits = Limits(segment_bytes=400)
with Log(sys.argv[1], encode=bytes, decode=bytes, limits=limits, flush=Flush.by_hand()) as log:
    log.append(bytes(60))
    log.flush()
    log.append_batch([bytes(20), bytes(20)])
    log.append(bytes(200))
    log.flush()
    log.prune(3)
"""
    assert system_calls(program, tmp_path / "log", trace) == [
        "mkdir .",
        "fsync ..",
        *LOCKED,
        *begun(ONE),
        f"pwrite64 {ONE}",
        f"fdatasync {ONE}",
        f"pwrite64 {ONE}",
        # The old segment is on the disk before the new one is there.
        f"fdatasync {ONE}",
        *begun(TWO),
        f"pwrite64 {TWO}",
        f"fdatasync {TWO}",
        f"unlink {ONE}",
        "fsync .",
        # Everything is synced before the mark that says so.
        f"pwrite64 {TWO}",
        f"fsync {TWO}",
        *UNLOCKED,
    ]


@pytest.mark.spec("log.recover", "log.room")
def test_a_torn_tail_is_kept_aside_before_it_is_cut(tmp_path: Path, trace: Path) -> None:
    first = """
import os, sys
from incr.store import Limits, Log

log = Log(sys.argv[1], encode=bytes, decode=bytes, limits=Limits(preallocate=4096))
log.append(b"whole")
with open(os.path.join(sys.argv[1], "log-0000000000000001.incr"), "r+b") as file:
    file.seek(153)
    file.write(b"torn")
os._exit(0)
"""
    room = [f"fallocate {ONE}", f"pwrite64 {ONE}", f"fdatasync {ONE}"]
    begin = ["mkdir .", "fsync ..", *LOCKED, *begun(ONE)]
    assert system_calls(first, tmp_path / "log", trace) == [*begin, *room]
    second = """
import sys
from incr.store import Log

with Log(sys.argv[1], encode=bytes, decode=bytes) as log:
    log.append(b"new")
"""
    torn = "torn-0000000000000001-00000099.incr"
    assert system_calls(second, tmp_path / "log", trace) == [
        *LOCKED[1:],
        f"create {torn}",
        f"pwrite64 {torn}",
        f"fsync {torn}",
        f"ftruncate {ONE} 153",
        f"fsync {ONE}",
        "fsync .",
        f"pwrite64 {ONE}",
        f"fdatasync {ONE}",
        f"pwrite64 {ONE}",
        f"fsync {ONE}",
        *UNLOCKED,
    ]
