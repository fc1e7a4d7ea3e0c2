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
from random import Random

from incr.store import Directory, EncryptedDirectory, FileDirectory, Flush, Limits, Log, LogReader

_PROMISE = struct.Struct("<Q")
#: How many entries a child writes at most at once.
BATCH = 4


def directory(path: str, kind: str) -> Directory:
    """Where the log is."""
    files = FileDirectory(path)
    return EncryptedDirectory(files, bytes(32)) if kind == "encrypted" else files


def opened(path: str, kind: str) -> Log[bytes]:
    """The log; small segments, so that many are begun."""
    limits = Limits(segment_bytes=2000, preallocate=700 if kind == "room" else 0)
    flush = Flush.every(3) if kind == "seldom" else Flush.each()
    return Log(directory(path, kind), encode=bytes, decode=bytes, limits=limits, flush=flush)


def entry(number: int) -> bytes:
    """What entry *number* is."""
    return b"%d " % number * (number % 9 + 1)


def write(path: str, kind: str, random: Random, promises: int) -> None:
    """Write for ever. What is promised is what the log says is on the disk."""
    log = opened(path, kind)
    while True:
        count = random.choice((1, 1, BATCH))
        first = log.last_id + 1
        log.append_batch([entry(number) for number in range(first, first + count)])
        os.write(promises, _PROMISE.pack(log.last_id))
        if random.random() < 0.1:
            log.prune(log.last_id - 40)
        if random.random() < 0.05:
            log.close()
            log = opened(path, kind)


def kill_once(path: str, kind: str, random: Random) -> int:
    """Let a child write, kill it; the newest entry that it had been promised, 0 if there was none."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write(path, kind, random, writing)
        finally:
            os._exit(1)
    os.close(writing)
    wanted = random.randrange(0, 12) * _PROMISE.size
    said = b""
    while len(said) < wanted:
        said += os.read(reading, wanted - len(said))
    os.kill(child, signal.SIGKILL)
    while more := os.read(reading, 1 << 16):
        said += more
    os.close(reading)
    status = os.waitpid(child, 0)[1]
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "the child did not live to be killed"
    whole = len(said) // _PROMISE.size * _PROMISE.size
    return max((number for (number,) in _PROMISE.iter_unpack(said[:whole])), default=0)


def main(path: str, kind: str, loops: int, random: Random) -> int:
    """How many entries were promised in all."""
    last = 0
    for _ in range(loops):
        promised = max(last, kill_once(path, kind, random))
        if not os.path.isdir(path):  # it was killed before it began
            continue
        read = list(LogReader(directory(path, kind), decode=bytes).replay())
        with opened(path, kind) as log:
            found = list(log.replay())
            last = log.last_id
        assert found == read, "a reader sees something else"
        # The machine goes on: what was written is there, synced or not. One append may be under way.
        assert promised <= last <= promised + BATCH, (promised, last)
        assert found == [(number, entry(number)) for number in range(last - len(found) + 1, last + 1)]
    return last


if __name__ == "__main__":
    _, place, sort, times, seed = sys.argv
    print(main(place, sort, int(times), Random(int(seed))))
