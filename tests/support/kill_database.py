"""Kills a process that works on a database again and again, and looks at what is left: run as a program of its own.

    python kill_database.py DIRECTORY LOOPS SEED

A child writes, asks and commits, and says through a pipe which writes were committed; it is killed at any moment. What
is there then must be all that was promised, whole, and every memo right without a look.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from collections.abc import Callable
from random import Random

import incr
from cells import CELLS, Cell, everything, pair

_PROMISE = struct.Struct("<Q")


@incr.input(durability=incr.Durability.HIGH)
class Step:
    number: int


def inputs_at(step: int) -> dict[int, int]:
    """The cells behind write number *step*: each write sets one of them, and takes another one away."""
    found: dict[int, int] = {}
    for number in range(max(1, step - 3 * CELLS), step + 1):
        found[number % CELLS] = number * 7 % 5
        found.pop(number * 5 % CELLS, None)
    return found


def write(db: incr.Database, step: int) -> None:
    """Write number *step*."""
    now = inputs_at(step)
    with db.batch() as batch:
        batch.set(Step(step))
        for number in range(CELLS):
            if number in now:
                batch.set(Cell(number, now[number]))
            elif (Cell, number) in db:
                batch.remove(Cell, number)


def work(path: str, random: Random, promise: Callable[[int], object]) -> None:
    """Go on for ever."""
    while True:
        with incr.open(path) as db:
            step = db[Step].number if Step in db else 0
            for _ in range(random.randrange(5, 60)):
                step += 1
                write(db, step)
                chance = random.random()
                if chance < 0.5:
                    everything(db)
                elif chance < 0.8:
                    pair(db, random.randrange(CELLS))
                if chance < 0.06:
                    db.checkpoint()
                else:
                    db.commit()
                promise(step)


def look(path: str) -> int:
    """The last write, after a look at all that is trusted."""
    with incr.open(path) as db:
        step = db[Step].number if Step in db else 0
        inputs = inputs_at(step)
        assert {number: db[Cell, number].value for number in db.keys(Cell)} == inputs
        fresh = incr.Database()
        for number, value in inputs.items():
            fresh.set(Cell(number, value))
        assert [pair(db, number) for number in range(CELLS)] == [pair(fresh, number) for number in range(CELLS)]
        assert everything(db) == everything(fresh)
        db.check_invariant()
    return step


def kill_once(path: str, random: Random) -> int:
    """Let a child work, kill it; the last write that it was promised, 0 if there was none."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work(path, random, lambda number: os.write(writing, _PROMISE.pack(number)))
        finally:
            os._exit(1)
    os.close(writing)
    wanted = random.randrange(0, 40) * _PROMISE.size
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


def main(path: str, loops: int, random: Random) -> int:
    """How many writes there were in all."""
    last = 0
    for loop in range(loops):
        promised = max(last, kill_once(path, Random(f"{loop} {random.random()}")))
        if os.path.isdir(path):  # it may have been killed before it began
            last = look(path)
            assert promised <= last <= promised + 1, (promised, last)
    return last


if __name__ == "__main__":
    _, place, times, seed = sys.argv
    print(main(place, int(times), Random(int(seed))))
