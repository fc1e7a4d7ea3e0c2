"""Workloads for a log on a fake disk, and what has to hold for each state that a crash may leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

from incr.store import Directory, Flush, Limits, Log
from incr.testing import FakeDirectory

#: Small, so that a few entries fill a segment.
LIMITS = Limits(segment_bytes=240)
STEPS = ("synced", "unsynced", "batch", "rotate", "prune", "reopen")


#: What is put in front of the disk.
Through = Callable[[FakeDirectory], Directory]


def as_it_is(disk: FakeDirectory) -> Directory:
    """Nothing in front of the disk."""
    return disk


def fixed_random(count: int) -> bytes:
    """Ids and salts that are the same in each run. Two segments never get the same salt: their numbers differ."""
    return bytes(range(count))


def entry(number: int) -> bytes:
    """What entry *number* of every workload is."""
    return b"entry %d " % number + b"." * (number % 7)


class Moment(NamedTuple):
    """What somebody knew after so many calls."""

    calls: int
    #: The newest entry that was said to be on the disk, and the newest one that was handed over.
    acknowledged: int
    attempted: int
    #: Entries up to this one were given up.
    pruned: int
    #: Whole batches: first and last ids.
    batches: tuple[tuple[int, int], ...]


class Run:
    """A workload on a fake disk, and what was known at each of its moments."""

    def __init__(
        self,
        disk: FakeDirectory | None = None,
        known: Moment | None = None,
        through: Through = as_it_is,
        limits: Limits = LIMITS,
    ) -> None:
        self.disk = disk or FakeDirectory()
        self.through = through
        self.limits = limits
        self.place = through(self.disk)
        self.moments: list[Moment] = []
        _, self.acknowledged, self.attempted, self.pruned, _ = known or Moment(0, 0, 0, 0, ())
        self.batches: list[tuple[int, int]] = []
        self.note()
        self.log = self.opened()

    def opened(self) -> Log[bytes]:
        return open_log(self.place, self.limits)

    def note(self) -> None:
        self.moments.append(
            Moment(self.disk.calls, self.acknowledged, self.attempted, self.pruned, tuple(self.batches))
        )

    def attempt(self, count: int) -> list[bytes]:
        first = self.attempted + 1
        self.attempted += count
        self.note()
        return [entry(number) for number in range(first, first + count)]

    def acknowledge(self) -> None:
        self.acknowledged = self.log.synced_through
        self.note()

    def close(self) -> None:
        self.log.close()
        self.acknowledge()

    def do(self, step: str) -> None:
        match step:
            case "synced":
                self.log.append(self.attempt(1)[0])
                self.log.flush()
            case "unsynced":
                self.log.append(self.attempt(1)[0])
            case "batch":
                self.batches.append((self.attempted + 1, self.attempted + 3))
                self.log.append_batch(self.attempt(3))
            case "rotate":
                before = len(self.log.segment_ranges())
                while len(self.log.segment_ranges()) <= max(before, 1):
                    self.log.append(self.attempt(1)[0])
            case "prune":
                self.pruned = max(self.pruned, self.log.last_id - 1)
                self.note()
                self.log.prune(self.log.last_id - 1)
            case _:
                self.close()
                self.log = self.opened()
        self.acknowledge()


def open_log(disk: Directory, limits: Limits = LIMITS, mode: str = "torn") -> Log[bytes]:
    """The log on a disk; *mode* "rollback" takes it back before damage."""
    return Log(
        disk,
        encode=bytes,
        decode=bytes,
        flush=Flush.by_hand(),
        limits=limits,
        random=fixed_random,
        on_corrupt="rollback" if mode == "rollback" else "error",
    )


def workloads(length: int) -> Iterator[tuple[str, ...]]:
    """Every sequence of steps up to this length."""
    for count in range(1, length + 1):
        yield from product(STEPS, repeat=count)


Recovered = tuple[list[tuple[int, bytes]], int]


def recovered(state: dict[str, bytes], mode: str = "torn", through: Through = as_it_is) -> Recovered:
    """The entries and the last id of a log in this state; it has the same when opened again, and goes on."""
    disk = FakeDirectory(state)
    with open_log(through(disk), mode=mode) as log:
        entries = list(log.replay())
        assert log.entry_count() == len(entries)
        last = log.last_id
        assert log.append(b"new") == last + 1
    with open_log(through(FakeDirectory(disk.files()))) as log:
        assert log.cut is None
        assert list(log.replay()) == [*entries, (last + 1, b"new")]
    return entries, last


def check(entries: Sequence[tuple[int, bytes]], moment: Moment, last: int) -> None:
    """What was found is what was written, from no later than what was pruned to no earlier than what was promised."""
    ids = [number for number, _ in entries]
    assert all(found == entry(number) for number, found in entries), "an entry that nobody wrote"
    assert moment.acknowledged <= last <= moment.attempted, "an acknowledged entry is lost"
    assert ids == list(range(last - len(ids) + 1, last + 1)), "a gap"
    assert last - len(ids) <= moment.pruned, "an entry is missing at the beginning"
    assert not any(first <= last < end for first, end in moment.batches), "half of a batch"


Known = dict[tuple[tuple[str, bytes], ...], Recovered]


def crash_everywhere(run: Run, known: Known, begin: int = 0) -> int:
    """Check each state that a crash during the run may leave, from call *begin* on; how many there were.

    *known* keeps what was recovered from a state.
    """
    count = 0
    for calls in range(begin, run.disk.calls + 1):
        before = [moment for moment in run.moments if moment.calls <= calls][-1]
        # A call that was under way may have done what is only known later.
        for state in run.disk.crash_states(calls):
            count += 1
            key = tuple(sorted(state.items()))
            if key not in known:
                known[key] = recovered(state, through=run.through)
            entries, last = known[key]
            check(entries, before, last)
    return count
