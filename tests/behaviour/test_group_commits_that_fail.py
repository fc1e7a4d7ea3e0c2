"""Tasks and threads that commit at the same time, and a disk of which one call fails: everybody who waits hears of it,
or his promise is kept; nothing is lost, and the database can be healed."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from random import Random

import anyio
import pytest

import incr
from incr.testing import FakeDirectory
from incr.testing._disk import Call
from tasks import no_trace

TASKS = 6
TURNS = 3
CALLS: list[Call] = ["pwrite", "sync_data", "sync_names", "create", "rename", "sync", "size", "unlink", "open"]


@incr.input
class Cell:
    number: int = incr.key()
    value: int


@incr.query
def half(db: incr.View, number: int) -> int:
    cell = db.get(Cell, number)
    return -1 if cell is None else cell.value // 2


@incr.query
def total(db: incr.View) -> int:
    return sum(half(db, number) * (number + 1) for number in range(TASKS)) + 100 * len(list(db.keys(Cell)))


def from_scratch(inputs: dict[int, int]) -> int:
    halves = [inputs[number] // 2 if number in inputs else -1 for number in range(TASKS)]
    return sum(value * (number + 1) for number, value in enumerate(halves)) + 100 * len(inputs)


def inputs_of(db: incr.Database) -> dict[int, int]:
    return {number: db[Cell, number].value for number in db.keys(Cell)}


class Life:
    """What everybody has written, and what he was promised."""

    def __init__(self, disk: FakeDirectory) -> None:
        self.disk = disk
        self.written: dict[int, int] = {}
        self.promised: dict[int, int] = {}
        self.errors: list[incr.StoreError] = []
        self.ended = 0

    def write(self, db: incr.Database, number: int, turn: int) -> None:
        db.set(Cell(number, 10 * turn + number))
        self.written[number] = 10 * turn + number

    def check_disk(self) -> None:
        """Nobody's promise was broken by a loss of power now, and what is there is right."""
        with incr.open(self.disk.after_power_loss()) as db:
            found = inputs_of(db)
            assert total(db) == from_scratch(found)
            db.check_invariant()
        for number, value in self.promised.items():
            assert number in found, (number, found)
            assert value <= found[number] <= self.written[number], (number, found, self.promised)

    def check_healed(self, db: incr.Database) -> None:
        assert self.ended == TASKS
        no_trace(db)
        assert (inputs_of(db), total(db)) == (self.written, from_scratch(self.written))
        self.disk.heal()
        self.check_disk()
        assert db.heal() == db.revision
        self.promised = self.written
        self.check_disk()

    async def run_tasks(self, random: Random, call: Call, skip: int, times: int | None) -> None:
        async def one(db: incr.Database, number: int) -> None:
            for turn in range(TURNS):
                for _ in range(random.randrange(4)):
                    await anyio.lowlevel.checkpoint()
                self.write(db, number, turn)
                value = self.written[number]
                if random.random() < 0.5:
                    assert total(db) == from_scratch(self.written)
                try:
                    await (db.acheckpoint() if random.random() < 0.15 else db.acommit())
                    self.promised[number] = value
                except incr.StoreError as error:
                    self.errors.append(error)
            self.ended += 1

        async with incr.open(self.disk) as db:
            self.disk.fail(call, errno.EIO, skip=skip, times=times)
            async with anyio.create_task_group() as group:
                for number in range(TASKS):
                    group.start_soon(one, db, number)
            self.check_healed(db)

    def run_threads(self, call: Call, skip: int) -> None:
        writing = threading.Lock()
        ready = threading.Barrier(TASKS)
        unexpected: list[BaseException] = []

        def one(number: int) -> None:
            try:
                ready.wait()
                for turn in range(TURNS):
                    with writing:
                        self.write(db, number, turn)
                    try:
                        db.commit()
                        self.promised[number] = 10 * turn + number
                    except incr.StoreError as error:
                        self.errors.append(error)
                self.ended += 1
            except BaseException as error:
                unexpected.append(error)

        with incr.open(self.disk) as db:
            self.disk.fail(call, errno.EIO, skip=skip)
            threads = [threading.Thread(target=one, args=(number,)) for number in range(TASKS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(120)
            assert unexpected == []
            self.check_healed(db)


def failures() -> Iterator[tuple[Call, int]]:
    yield from ((call, skip) for call in CALLS for skip in range(12 if call in ("pwrite", "sync_data") else 5))


@pytest.mark.anyio
@pytest.mark.spec("commit.group", "commit.failed", "commit.heal", "commit.durable")
@pytest.mark.parametrize("times", [1, None])
async def test_tasks_that_commit_at_the_same_time(times: int | None) -> None:
    failed = 0
    for seed, (call, skip) in enumerate(failures()):
        life = Life(FakeDirectory())
        try:
            with anyio.fail_after(120):
                await life.run_tasks(Random(seed), call, skip, times)
        except BaseException as error:
            error.add_note(f"{call} number {skip}, seed {seed}, times {times}")
            raise
        failed += bool(life.errors)
    assert failed > 15


@pytest.mark.anyio
@pytest.mark.spec("commit.group", "commit.failed", "commit.heal")
async def test_one_sync_that_fails_is_the_error_of_all_who_wait_for_it() -> None:
    life = Life(FakeDirectory())
    async with incr.open(life.disk) as db:
        life.disk.fail("sync_data", errno.EIO)

        async def one(number: int) -> None:
            life.write(db, number, 1)
            try:
                await db.acommit()
            except incr.StoreBrokenError as error:
                life.errors.append(error)
            life.ended += 1

        async with anyio.create_task_group() as group:
            for number in range(TASKS):
                group.start_soon(one, number)
        assert len(life.errors) == TASKS
        assert life.disk.counts["sync_data"] == 1
        life.check_healed(db)


@pytest.mark.spec("commit.group", "commit.failed", "commit.heal", "commit.durable")
@pytest.mark.parametrize("call", ["pwrite", "sync_data"])
def test_threads_that_commit_at_the_same_time(call: Call) -> None:
    failed = 0
    for skip in range(8):
        life = Life(FakeDirectory())
        life.run_threads(call, skip)
        failed += bool(life.errors)
    assert failed
