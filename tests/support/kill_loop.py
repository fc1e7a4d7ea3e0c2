"""Kills a writer again and again, at any moment, and looks at what is left: run as a program of its own.

    python kill_loop.py DIRECTORY KIND LOOPS SEED

A child writes and says through a pipe what it was promised; it is killed after a random number of promises, while it
goes on. What is there then must be all that was promised, and nothing that was not attempted. Forked from one process
that has everything imported, a loop takes some milliseconds.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from collections.abc import Callable
from random import Random

from incr.store import Directory, EncryptedDirectory, FileDirectory, Flush, Limits, Log, LogReader
from incr.store.file_store import FileStore
from incr.store.options import StoreLimits
from incr.store.rows import CALLS, GOOD, RECORDS, Content, Delta, Row, SectionInfo

_PROMISE = struct.Struct("<Q")
#: How many entries or deltas a child writes at most without a promise.
BATCH = 4
#: How many slots, and as many calls, the deltas of a store are about.
SLOTS = 40
CALL = 256

#: Says what was promised.
Promise = Callable[[int], object]


def directory(path: str, kind: str) -> Directory:
    """Where everything is."""
    files = FileDirectory(path)
    return EncryptedDirectory(files, bytes(32)) if kind.endswith("encrypted") else files


# --- a log --------------------------------------------------------------------------------------------------------


def open_log(path: str, kind: str) -> Log[bytes]:
    """The log; small segments, so that many are begun."""
    limits = Limits(segment_bytes=2000, preallocate=700 if kind == "room" else 0)
    flush = Flush.every(3) if kind == "seldom" else Flush.each()
    return Log(directory(path, kind), encode=bytes, decode=bytes, limits=limits, flush=flush)


def entry(number: int) -> bytes:
    """What entry *number* is."""
    return b"%d " % number * (number % 9 + 1)


def write_log(path: str, kind: str, random: Random, promise: Promise) -> None:
    """Write for ever."""
    log = open_log(path, kind)
    while True:
        count = random.choice((1, 1, BATCH))
        first = log.last_id + 1
        log.append_batch([entry(number) for number in range(first, first + count)])
        promise(log.last_id)
        if random.random() < 0.1:
            log.prune(log.last_id - 40)
        if random.random() < 0.05:
            log.close()
            log = open_log(path, kind)


def look_at_log(path: str, kind: str) -> int:
    """The last entry, after a look at all of them."""
    read = list(LogReader(directory(path, kind), decode=bytes).replay())
    with open_log(path, kind) as log:
        found = list(log.replay())
        last = log.last_id
    assert found == read, "a reader sees something else"
    assert found == [(number, entry(number)) for number in range(last - len(found) + 1, last + 1)]
    return last


# --- a store ------------------------------------------------------------------------------------------------------


def open_store(path: str, kind: str, random: Random) -> FileStore:
    """The store; some of the time with room in advance."""
    room = random.choice((0, 1000))
    durability = "relaxed" if "seldom" in kind else "commit"
    limits = StoreLimits(segment_bytes=4000, preallocate=room)
    return FileStore.open(directory(path, kind), durability=durability, limits=limits)


def row_of(number: int, at: int) -> tuple[Row, Content]:
    """What delta *number* makes of a slot or of a call."""
    stamps = (number, number, GOOD)
    if at < CALL:
        return Row(0, b"slot %d" % at, *stamps, ()), Content(b"value %d " % number * (number % 30), b"")
    return Row(1, b"call %d" % at, *stamps, (at - CALL,)), Content(b"answer %d" % number, b"pushes")


def delta(number: int) -> Delta:
    """Sets a slot, and what the call behind it came to."""
    slot = number % SLOTS
    sections = [
        SectionInfo(0, RECORDS, "slots", b"", ("key",), SLOTS, 1),
        SectionInfo(1, CALLS, "calls", b"", (), CALL + SLOTS, 1, (0,)),
    ]
    rows = {at: row_of(number, at) for at in (slot, CALL + slot)}
    return Delta(number, sections if number == 1 else [], b"classes" if number == 1 else None, 2, rows, [], [], [])


def write_store(path: str, kind: str, random: Random, promise: Promise) -> None:
    """Write for ever."""
    store = open_store(path, kind, random)
    while True:
        number = store.head().last + 1
        assert store.append(delta(number)) == number
        promise(number)
        chance = random.random()
        if chance < 0.07:
            store.checkpoint()
        elif chance < 0.1:
            store.close()
            store = open_store(path, kind, random)


def look_at_store(path: str, kind: str) -> int:
    """The last delta, after a look at all rows, as a reader and as the next writer sees them."""
    lasts = set()
    for mode in ("ro", "rw"):
        if mode == "ro" and not os.path.exists(os.path.join(path, "FORMAT")):
            continue
        with FileStore.open(directory(path, kind), mode="ro" if mode == "ro" else "rw") as store:
            last = store.head().last
            assert store.findings == ()
            newest = {number % SLOTS: number for number in range(max(1, last - SLOTS + 1), last + 1)}
            for section, begin in ((0, 0), (1, CALL)):
                assert list(store.rows_of(section)) == sorted(begin + slot for slot in newest)
            for slot, number in newest.items():
                for at in (slot, CALL + slot):
                    row, content = row_of(number, at)
                    assert store.row(at)._replace(dependencies=tuple(store.row(at).dependencies)) == row
                    assert (store.content(at), store.find(row.section, row.key)) == (content, at)
                assert list(store.dependents(slot)) == [CALL + slot]
        lasts.add(last)
    assert len(lasts) == 1, "a reader sees something else"
    return lasts.pop()


# --- killing ------------------------------------------------------------------------------------------------------


def kill_once(path: str, kind: str, random: Random) -> int:
    """Let a child write, kill it; the newest number that it had been promised, 0 if there was none."""
    write = write_store if kind.startswith("store") else write_log
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write(path, kind, random, lambda number: os.write(writing, _PROMISE.pack(number)))
        finally:
            os._exit(1)
    os.close(writing)
    wanted = random.randrange(0, 12) * _PROMISE.size
    said = b""
    while len(said) < wanted and (more := os.read(reading, wanted - len(said))):
        said += more
    os.kill(child, signal.SIGKILL)
    while more := os.read(reading, 1 << 16):
        said += more
    os.close(reading)
    status = os.waitpid(child, 0)[1]
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "the child did not live to be killed"
    whole = len(said) // _PROMISE.size * _PROMISE.size
    return max((number for (number,) in _PROMISE.iter_unpack(said[:whole])), default=0)


def main(path: str, kind: str, loops: int, random: Random) -> int:
    """How much was promised in all."""
    look = look_at_store if kind.startswith("store") else look_at_log
    last = 0
    for _ in range(loops):
        promised = max(last, kill_once(path, kind, random))
        if os.path.isdir(path):  # it may have been killed before it began
            last = look(path, kind)
            # The machine goes on: what was written is there, synced or not. One write may be under way.
            assert promised <= last <= promised + BATCH, (promised, last)
    return last


if __name__ == "__main__":
    _, place, sort, times, seed = sys.argv
    print(main(place, sort, int(times), Random(int(seed))))
