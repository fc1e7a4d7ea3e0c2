"""Whatever call of the disk fails while a database works in a store: it goes on answering, nothing that was committed
is lost, and the next commit that comes through has everything."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import get_args

import pytest
import trio

import incr
from incr.store import MemoryStore
from incr.testing import FakeDirectory
from incr.testing._disk import Call
from interruptions import Interruption

#: With this profile at each line, otherwise at one of three, and at the next one where more is known.
DEEP = os.environ.get("INCR_HYPOTHESIS_PROFILE") == "deep"
ERRORS = [errno.ENOSPC, errno.EIO, errno.EDQUOT]


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
    return sum(half(db, number) * (number + 1) for number in range(4)) + 100 * len(list(db.keys(Cell)))


def from_scratch(inputs: dict[int, int]) -> int:
    halves = [inputs[number] // 2 if number in inputs else -1 for number in range(4)]
    return sum(value * (number + 1) for number, value in enumerate(halves)) + 100 * len(inputs)


def inputs_of(db: incr.Database) -> dict[int, int]:
    return {number: db[Cell, number].value for number in db.keys(Cell)}


STEPS = ["write", "commit", "write", "checkpoint", "write", "commit", "write", "commit", "checkpoint"]


class Life:
    """A database that goes on after each error, and what it was promised."""

    def __init__(self, disk: FakeDirectory) -> None:
        self.inputs: dict[int, int] = {}
        self.acknowledged: dict[int, int] = {}
        #: All that a store may have.
        self.attempted: list[dict[int, int]] = [{}]
        self.errors: list[incr.StoreError] = []
        self.disk = disk

    def run(self) -> None:
        try:
            with incr.open(self.disk) as db:
                for number, step in enumerate(STEPS):
                    self.step(db, number, step)
        except incr.StoreError as error:
            self.errors.append(error)

    def step(self, db: incr.Database, number: int, step: str) -> None:
        if step == "write":
            self.inputs = self.inputs | {number % 4: number, 3: number + 1}
            with db.batch() as batch:
                for key, value in self.inputs.items():
                    batch.set(Cell(key, value))
        else:
            self.attempted.append(self.inputs)
            try:
                db.commit() if step == "commit" else db.checkpoint()
                self.acknowledged = self.inputs
            except incr.StoreError as error:
                self.errors.append(error)
        assert (inputs_of(db), total(db)) == (self.inputs, from_scratch(self.inputs))
        db.check_invariant()

    def check(self, disk: FakeDirectory) -> None:
        since = max(place for place, inputs in enumerate(self.attempted) if inputs == self.acknowledged)
        with incr.open(disk) as db:
            found = inputs_of(db)
            assert found in self.attempted[since:], (found, self.acknowledged)
            assert total(db) == from_scratch(found)
            db.check_invariant()


def calls() -> Iterator[tuple[Call, int]]:
    disk = FakeDirectory()
    life = Life(disk)
    life.run()
    assert life.errors == []
    for call in get_args(Call):
        for skip in range(disk.counts.get(call, 0)):
            yield call, skip


@pytest.mark.spec("commit.failed", "commit.durable", "commit.atomic")
@pytest.mark.parametrize("times", [1, None])
def test_a_database_goes_on_whatever_call_of_the_disk_fails(times: int | None) -> None:
    failed = 0
    for number, (call, skip) in enumerate(calls()):
        error = ERRORS[number % len(ERRORS)]
        disk = FakeDirectory()
        disk.fail(call, error, skip=skip, times=times)
        life = Life(disk)
        try:
            life.run()
            disk.heal()
            for state in (disk.files(), disk.after_power_loss().files()):
                life.check(FakeDirectory(state))
        except BaseException as found:
            found.add_note(f"{call} number {skip}, error {error}, times {times}")
            raise
        failed += bool(life.errors)
    assert failed > 30


@pytest.mark.spec("commit.failed", "commit.group")
def test_a_full_disk_fails_one_commit_and_the_next_one_has_everything() -> None:
    disk = FakeDirectory()
    with incr.open(disk) as db:
        db.set(Cell(0, 2))
        assert total(db) == 98 - 6
        db.commit()
        db.set(Cell(1, 8))
        assert total(db) == from_scratch({0: 2, 1: 8})
        disk.fail("pwrite", errno.ENOSPC)
        with pytest.raises(incr.StoreError, match="No space left"):
            db.commit()
        db.set(Cell(2, 5))
        db.commit()
    with incr.open(FakeDirectory(disk.files())) as db:
        assert inputs_of(db) == {0: 2, 1: 8, 2: 5}
        assert total(db) == from_scratch({0: 2, 1: 8, 2: 5})


@pytest.mark.spec("commit.failed", "commit.heal", "store.heal")
def test_a_database_whose_store_is_broken_goes_on_in_memory_and_can_be_healed() -> None:
    disk = FakeDirectory()
    with incr.open(disk) as db:
        db.set(Cell(0, 2))
        db.commit()
        db.set(Cell(1, 8))
        disk.fail("sync_data", errno.EIO)
        with pytest.raises(incr.StoreBrokenError, match=r"log-.*: .*; a database is written anew by its heal\(\)"):
            db.commit()
        assert total(db) == from_scratch({0: 2, 1: 8})
        with pytest.raises(incr.StoreBrokenError):
            db.commit()
        db.set(Cell(2, 5))
        assert db.heal() == db.revision
        assert total(db) == from_scratch({0: 2, 1: 8, 2: 5})
    with incr.open(disk.after_power_loss()) as db:
        assert inputs_of(db) == {0: 2, 1: 8, 2: 5}
        assert total(db) == from_scratch({0: 2, 1: 8, 2: 5})


@pytest.mark.spec("commit.atomic", "commit.failed", "error.interrupt")
@pytest.mark.parametrize("known", [False, True])
def test_a_commit_that_is_interrupted_at_any_line_is_whole_or_nothing_and_the_next_has_everything(known: bool) -> None:
    for at in range(1 + known, 10_000, 1 if DEEP else 3):
        place = MemoryStore()
        before = {0: 2, 1: 8}
        after = {0: 2, 1: 5, 2: 7}
        with incr.open(place) as db:
            for number, value in before.items():
                db.set(Cell(number, value))
            total(db)
            db.commit()
            with db.batch() as batch:
                batch.set(Cell(1, 5))
                batch.set(Cell(2, 7))
            if known:
                total(db)
            interruption = Interruption(at, "_durable", with_lines=False)
            interrupted = interruption.interrupts(db.commit)
            where = f"interrupted at {interruption.place}, the {at}th line"
            assert total(db) == from_scratch(after), where
            db.check_invariant()
            db.commit()
        with incr.open(place) as db:
            assert (inputs_of(db), total(db)) == (after, from_scratch(after)), where
            db.check_invariant()
            db.set(Cell(0, 9))
            assert total(db) == from_scratch(after | {0: 9}), where
            db.check_invariant()
        if not interrupted:
            assert at > 100
            return
    raise AssertionError("the commit never came to its end")


@pytest.mark.spec("store.finish", "commit.group", "error.interrupt")
def test_what_an_interrupted_commit_left_behind_is_written_for_whoever_waits() -> None:
    for at in range(1, 1_000):
        disk = FakeDirectory()
        with incr.open(disk) as db:
            db.set(Cell(0, 2))
            db.commit()
            db.set(Cell(0, 3))
            interruption = Interruption(at, "_durable/_session", with_lines=False)
            interrupted = interruption.interrupts(db.commit)
            # It finds nothing that is new where the delta was appended before, and nobody else writes.
            assert trio.run(db.acommit) == db.revision, interruption.place
            with incr.open(disk.after_power_loss()) as again:
                assert inputs_of(again) == {0: 3}, interruption.place
        if not interrupted:
            assert at > 10
            return
    raise AssertionError("the commit never came to its end")
