"""What a commit takes is one revision, whatever is written and asked while it looks at the graph."""

from __future__ import annotations

import copy
import random
import threading
from typing import Any

import pytest

import incr
from cells import CELLS, Cell, everything, from_scratch, half, pair
from incr._durable import _drafts
from incr.store import MemoryStore


def image(place: MemoryStore) -> MemoryStore:
    """What a crash at this moment would leave."""
    found = MemoryStore()
    for name in MemoryStore.__slots__:
        if name not in ("_lock", "_open"):
            setattr(found, name, copy.deepcopy(getattr(place, name)))
    return found


@pytest.mark.spec("commit.atomic", "commit.journal")
@pytest.mark.parametrize("stretch", [1, 3, 256])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_committed_is_one_revision(
    stretch: int, seed: int, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_drafts, "_STRETCH", stretch)
    place = MemoryStore()
    history: dict[int, dict[int, int]] = {0: {}}
    writing = threading.Lock()
    done = threading.Event()
    failures: list[BaseException] = []

    def work(chance: random.Random, db: incr.Database) -> None:
        try:
            while not done.is_set():
                if chance.random() < 0.4:
                    with writing:
                        inputs = dict(history[int(db.revision)])
                        with db.batch() as batch:
                            for number in chance.sample(range(CELLS), 2):
                                if chance.random() < 0.3:
                                    inputs.pop(number, None)
                                    batch.remove(Cell, number)
                                else:
                                    inputs[number] = chance.randrange(6)
                                    batch.set(Cell(number, inputs[number]))
                        history[int(db.revision)] = inputs
                else:
                    query = chance.choice([everything, pair, half])
                    if query is everything:
                        everything(db)
                    else:
                        query(db, chance.randrange(CELLS))
        except BaseException as error:
            failures.append(error)
            done.set()

    with incr.open(place) as db:
        workers: list[Any] = [
            threading.Thread(target=work, args=(random.Random(f"{seed} {number}"), db)) for number in range(2)
        ]
        for worker in workers:
            worker.start()
        try:
            for _ in range(12):
                with writing:  # a write is in the history as soon as it is there
                    pass
                revision = db.commit()
                with incr.open(image(place)) as again:
                    assert again.revision == revision
                    with writing:
                        inputs = history[int(revision)]
                    assert {number: again[Cell, number].value for number in again.keys(Cell)} == inputs
                    assert everything(again) == from_scratch(inputs)
                    again.check_invariant()
        finally:
            done.set()
            for worker in workers:
                worker.join()
    assert failures == []
