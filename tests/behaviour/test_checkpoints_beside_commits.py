"""Checkpoints in the background while threads write, ask and commit: whenever the power goes, what was committed is
there, and answers what a computation from scratch gives. And however long that goes on, nothing grows without end."""

from __future__ import annotations

import gc
import os
import random
import threading
from collections import Counter
from collections.abc import Callable

import pytest

import incr
from cells import CELLS, Cell, Inputs, everything, from_scratch
from incr.store import MemoryDirectory, file_store

DEEP = os.environ.get("INCR_HYPOTHESIS_PROFILE") == "deep"


class Life:
    """A database that several threads use, and what it was at each revision."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.disk = MemoryDirectory()
        self.history: dict[int, Inputs] = {0: {}}
        self.writing = threading.Lock()
        self.failures: list[BaseException] = []
        self.counts: Counter[str] = Counter()
        #: The newest revision of which somebody was told that it is on the disk.
        self.promised = 0

    def write(self, db: incr.Database, chance: random.Random) -> None:
        with self.writing:
            inputs = dict(self.history[int(db.revision)])
            with db.batch() as batch:
                for number in chance.sample(range(CELLS), 2):
                    if chance.random() < 0.3:
                        inputs.pop(number, None)
                        batch.remove(Cell, number)
                    else:
                        inputs[number] = chance.randrange(50)
                        batch.set(Cell(number, inputs[number]))
            self.history[int(db.revision)] = inputs

    def commit(self, commit: Callable[[], incr.Revision]) -> None:
        revision = int(commit())
        with self.writing:
            self.promised = max(self.promised, revision)

    def check_power_loss(self) -> None:
        """What another process finds if the power goes now."""
        with self.writing:
            promised = self.promised
            disk = self.disk.after_power_loss()
        with incr.open(disk) as db:
            revision = int(db.revision)
            assert revision >= promised
            with self.writing:
                inputs = self.history[revision]
            assert {number: db[Cell, number].value for number in db.keys(Cell)} == inputs
            assert everything(db) == from_scratch(inputs)
            db.check_invariant()

    def work(self, db: incr.Database, number: int) -> None:
        chance = random.Random(f"{self.seed} {number}")
        for _ in range(80):
            kind = chance.choices(["write", "ask", "commit", "checkpoint", "power"], [5, 4, 3, 1, 1])[0]
            self.counts[kind] += 1
            match kind:
                case "write":
                    self.write(db, chance)
                case "ask":
                    everything(db)
                case "commit":
                    self.commit(db.commit)
                case "checkpoint":
                    self.commit(db.checkpoint)
                case _:
                    self.check_power_loss()

    def run(self, threads: int) -> None:
        with incr.open(self.disk) as db:

            def work(number: int) -> None:
                try:
                    self.work(db, number)
                except BaseException as error:
                    self.failures.append(error)

            workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join(240)
            assert self.failures == []
            with db.snapshot() as view:
                assert everything(view) == from_scratch(self.history[int(view.revision)])
            self.commit(db.commit)
            assert self.promised == db.revision
            db.check_invariant()
        self.check_power_loss()


@pytest.mark.spec("checkpoint.automatic", "store.checkpoint", "commit.durable", "commit.atomic", "commit.group")
@pytest.mark.parametrize("seed", range(40 if DEEP else 4))
def test_checkpoints_beside_writes_and_commits_of_threads(
    seed: int, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_store, "_WORTH_BYTES", 2_000)  # so that they come by themselves, too
    life = Life(seed)
    try:
        life.run(4)
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise
    assert min(life.counts[kind] for kind in ("write", "ask", "commit", "checkpoint", "power")) > 1
    assert max(name for name in life.disk.names() if name.startswith("base-")) >= f"base-{3:016x}.incr"


# --- for a long time ----------------------------------------------------------------------------------------------


def objects() -> int:
    gc.collect()
    return len(gc.get_objects())


@pytest.mark.spec("checkpoint.automatic", "commit.journal", "store.overlay")
@pytest.mark.parametrize("automatic", [True, False])
def test_many_edits_with_commits_take_no_more_memory_than_a_few(
    automatic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With checkpoints that come by themselves the files are bounded, too. Without, the log grows and nothing else."""
    worth = 1 << 16 if automatic else 1 << 40
    monkeypatch.setattr(file_store, "_WORTH_BYTES", worth)
    edits, each = 20_000 if automatic or DEEP else 5_000, 1 if DEEP else 16
    disk = MemoryDirectory()
    seen: list[tuple[int, int, int]] = []
    inputs: Inputs = {}
    with incr.open(disk, durability="relaxed") as db:
        session = db._session
        for number in range(edits):
            inputs[number % CELLS] = number
            db.set(Cell(number % CELLS, number))
            if number % each == 0:
                assert everything(db) == from_scratch(inputs)
                db.commit()
                assert session.backing.journal.size == 0
            if number % (edits // 8) == edits // 8 - 1:
                assert everything(db) == from_scratch(inputs)
                db.commit()
                session.store.sync()
                stat = session.store.stat()
                seen.append((objects(), session.store._current.changed_rows, sum(map(len, disk.files().values()))))
                assert db.statistics().memos == 2 * CELLS + 1
                assert stat.base_rows <= 5 * CELLS
        revision = db.revision
    first, last = seen[1], seen[-1]
    assert last[0] <= first[0] + 300, seen
    assert max(rows for _, rows, _ in seen) <= 2 * 5 * CELLS, seen
    if automatic:
        assert max(size for _, _, size in seen) < 6 * worth, seen
        assert len([name for name in disk.names() if name.startswith("base-")]) <= 3
    else:
        # In proportion to the edits: entries do not become longer.
        assert last[2] < seen[0][2] * len(seen) * 1.2, seen
    with incr.open(disk.after_power_loss()) as db:
        assert (db.revision, everything(db)) == (revision, from_scratch(inputs))
        assert db.statistics().queries["everything"].executed == 0
