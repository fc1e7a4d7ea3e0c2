"""What the system is asked for, in which order: the promises of a log stand on it. Seen from outside, by strace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kill_loop
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


@pytest.mark.spec("store.append", "store.durable", "store.checkpoint", "store.prune", "store.format", "paged.write")
def test_commit_rotate_and_checkpoint_of_a_store(tmp_path: Path, trace: Path) -> None:
    program = f"""
import sys
from incr.store.file_store import FileStore
from incr.store.options import StoreLimits

sys.path.insert(0, {str(Path(kill_loop.__file__).parent)!r})
from kill_loop import delta

with FileStore.open(sys.argv[1], limits=StoreLimits(segment_bytes=600)) as store:
    for number in (1, 2, 3):
        store.append(delta(number))
    store.checkpoint()
    store.append(delta(4))
    store.checkpoint()
"""
    calls = [
        re.sub(r"tmp-[0-9]+-[0-9a-f]{16}", "tmp", call) for call in system_calls(program, tmp_path / "store", trace)
    ]
    three, four = "log-0000000000000003.incr", "log-0000000000000004.incr"
    first, second = "base-0000000000000001.incr", "base-0000000000000002.incr"
    assert calls == [
        "mkdir .",
        "fsync ..",
        *LOCKED,
        # What says that this is a store is there before anything of it is.
        "create FORMAT.new",
        "pwrite64 FORMAT.new",
        "fsync FORMAT.new",
        "rename FORMAT.new FORMAT",
        "fsync .",
        *begun(ONE),
        *committed(ONE) * 2,
        *begun(TWO),
        *committed(TWO),
        # The log goes on in a new segment while the base is written.
        *begun(three),
        *published(first),
        *committed(three),
        *begun(four),
        *published(second),
        # What only the oldest kept base does not have goes last of all.
        f"unlink {ONE}",
        "fsync .",
        f"unlink {TWO}",
        "fsync .",
        f"pwrite64 {four}",
        f"fsync {four}",
        *UNLOCKED,
    ]


def committed(name: str) -> list[str]:
    return [f"pwrite64 {name}", f"fdatasync {name}"]


def published(name: str) -> list[str]:
    """A base: whole and on the disk before it has its name, and that is on the disk before anything is given up."""
    return ["create tmp.incr", "pwrite64 tmp.incr", "fsync tmp.incr", f"rename tmp.incr {name}", "fsync ."]
