"""Workloads for a store in a directory on a fake disk, and what has to hold for each state that a crash may leave.

Delta *n*, of revision n, is the same in each workload, and so is the state after it: what was found is compared with
what deltas 1 to n make of a store in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

import pytest

from incr import StoreBrokenError
from incr.store import MemoryStore
from incr.store.appender import Appender
from incr.store.file_store import FileStore
from incr.store.opening import OnCorrupt
from incr.store.options import StoreLimits
from incr.store.rows import CALLS, GOOD, NEVER, RECORDS, Content, Delta, Head, Row, SectionInfo, Store
from incr.testing import FakeDirectory

#: Small, so that a few deltas fill a segment.
LIMITS = StoreLimits(segment_bytes=1_350)
STEPS = ("synced", "unsynced", "checkpoint", "rotate", "reopen")
SLOTS = 5
#: The page of the second section.
CALL = 256

Everything = tuple[Head, dict[int, tuple[Row, Content, list[int]]]]


def fixed_random(count: int) -> bytes:
    """Ids and salts that are the same in each run."""
    return bytes(range(count))


def delta(number: int) -> Delta:
    """What delta *number* of every workload is: a slot is set, a call made, another one gone, some are stamped."""
    slot = number % SLOTS
    slots = sorted({n % SLOTS for n in range(1, number + 1)})
    rows = {
        slot: (Row(0, b"slot %d" % slot, number, number, GOOD, ()), Content(b"value %d " % number + b"." * 40, b"")),
        CALL + number: (
            Row(1, b"call %d" % number, number, NEVER if number % 2 else number, GOOD, tuple(slots)),
            Content(b"answer %d" % number, b"pushes"),
        ),
    }
    if number > 3:  # one that is changed in part: it has the content that it had
        row = Row(1, b"call %d" % (number - 1), number, number, 0, (slot,))
        rows[CALL + number - 1] = (row, None)
    sections = [
        SectionInfo(0, RECORDS, "slots", b"", ("key",), SLOTS, 1),
        SectionInfo(1, CALLS, "calls", b"code", (), CALL + number + 1, 1, (0, 1), number // 4, number // 2),
    ]
    return Delta(
        number,
        sections if number % 3 == 1 else sections[1:],
        b"classes %d" % number if number % 4 == 1 else None,
        2,
        rows,
        [CALL + number - 2] if number > 4 and number % 2 else [],
        [CALL + number - 2] if number > 4 and not number % 2 else [],
        [CALL + number - 3] if number > 4 else [],
    )


def everything(store: Store) -> Everything:
    """All that a store says."""
    found = {}
    for section in (0, 1, 2):
        for number in store.rows_of(section):
            row = store.row(number)
            assert (row.section, store.find(section, row.key)) == (section, number)
            plain = row._replace(dependencies=tuple(row.dependencies))
            found[number] = (plain, store.content(number), sorted(store.dependents(number)))
    head = store.head()
    assert head.last >= head.revision  # some numbers may have been given up
    return head._replace(sections=tuple(head.sections), last=head.revision), found


@cache
def expected(last: int) -> Everything:
    """What a store says after so many deltas."""
    store = MemoryStore().open()
    for number in range(1, last + 1):
        store.append(delta(number))
    return everything(store)


def open_store(
    disk: FakeDirectory,
    on_corrupt: OnCorrupt = "error",
    keep_bases: int = 2,
    limits: StoreLimits = LIMITS,
    random: Callable[[int], bytes] = fixed_random,
) -> FileStore:
    """The store on a disk."""
    return FileStore.open(
        disk,
        durability="relaxed",
        on_corrupt=on_corrupt,
        limits=limits,
        keep_bases=keep_bases,
        random=random,
    )


class Moment(NamedTuple):
    """What somebody knew after so many calls."""

    calls: int
    #: The newest delta that was said to be on the disk, and the newest one that was handed over.
    acknowledged: int
    attempted: int


class Run:
    """A workload on a fake disk, and what was known at each of its moments."""

    def __init__(
        self,
        disk: FakeDirectory | None = None,
        known: Moment | None = None,
        random: Callable[[int], bytes] = fixed_random,
        keep_bases: int = 2,
    ) -> None:
        self.disk = disk or FakeDirectory()
        self._random = random
        self._keep_bases = keep_bases
        self.moments: list[Moment] = []
        _, self.acknowledged, self.attempted = known or Moment(0, 0, 0)
        self.note()
        self.store = self.opened()

    def opened(self) -> FileStore:
        return open_store(self.disk, keep_bases=self._keep_bases, random=self._random)

    def note(self) -> None:
        self.moments.append(Moment(self.disk.calls, self.acknowledged, self.attempted))

    def append(self) -> None:
        self.attempted += 1
        self.note()
        assert self.store.append(delta(self.attempted)) >= self.attempted

    def acknowledge(self, number: int) -> None:
        self.acknowledged = number
        self.note()

    def close(self) -> None:
        self.store.close()
        self.acknowledge(self.attempted)

    def do(self, step: str) -> None:
        match step:
            case "synced":
                self.append()
                assert self.store.sync() >= self.attempted
                self.acknowledge(self.attempted)
            case "unsynced":
                self.append()
            case "checkpoint":
                self.store.checkpoint()
                self.acknowledge(self.attempted)
            case "rotate":
                self.append()
                pipeline = self.store._pipeline
                assert pipeline is not None
                pipeline.writer.alone(Appender.rotate)
                self.acknowledge(self.attempted)
            case "broken":  # a sync has failed
                self.append()
                self.disk.fail("sync_data")
                with pytest.raises(StoreBrokenError):
                    self.store.sync()
                self.store.heal()
                self.acknowledge(self.attempted)
            case "straight":  # into a base, not through the log
                self.store.close()
                self.store = open_store(self.disk, limits=LIMITS._replace(entry_bytes=10))
                self.append()
                self.acknowledge(self.attempted)
            case _:
                self.close()
                self.store = self.opened()


def workloads(length: int) -> Iterator[tuple[str, ...]]:
    """Every sequence of steps up to this length."""
    for count in range(1, length + 1):
        yield from product(STEPS, repeat=count)


def key_of(state: dict[str, bytes]) -> tuple[tuple[str, bytes], ...]:
    """What tells states apart; names that are made up anew each time do not."""
    return tuple(sorted(("tmp-" if name.startswith("tmp-") else name, content) for name, content in state.items()))


Known = dict[tuple[tuple[str, bytes], ...], int]
#: Which stores were opened once more, by their files and revisions.
reopened: set[tuple[int, tuple[tuple[str, bytes], ...]]] = set()


def recovered(
    state: dict[str, bytes], on_corrupt: OnCorrupt = "error", known: Known | None = None, *, clean: bool = False
) -> int:
    """The revision of a store in this state, which has all up to it; when opened again too, and it goes on.

    *known* keeps what was recovered from a state. *clean*: nothing is damaged.
    """
    known = {} if known is None else known
    key = key_of(state)
    if key not in known:
        known[key] = _recovered(state, on_corrupt, clean)
    return known[key]


def _recovered(state: dict[str, bytes], on_corrupt: OnCorrupt, clean: bool) -> int:
    disk = FakeDirectory(state)
    with open_store(disk, on_corrupt) as store:
        assert not (clean and store.findings), "a crash has left a damaged base"
        last = store.head().revision
        assert everything(store) == expected(last), "a state that nobody had"
        assert store.append(delta(last + 1)) == store.head().last
    left = {name: content for name, content in disk.files().items() if not name.startswith(("torn-", "tmp-"))}
    if (key := (last, key_of(left))) not in reopened:
        reopened.add(key)
        with open_store(FakeDirectory(disk.files())) as store:
            assert (store.cut, store.findings) == (None, ())
            assert everything(store) == expected(last + 1)
    return last


def crash_everywhere(run: Run, known: Known, begin: int = 0, samples: int = 0) -> int:
    """Check each state that a crash during the run may leave, from call *begin* on; how many there were."""
    count = 0
    for calls in range(begin, run.disk.calls + 1):
        before = [moment for moment in run.moments if moment.calls <= calls][-1]
        for state in run.disk.crash_states(calls, samples=samples):
            count += 1
            last = recovered(state, known=known, clean=True)
            assert before.acknowledged <= last <= before.attempted, "an acknowledged delta is lost"
    return count
