"""Random lives of a store: deltas, checkpoints, failing disks, crashes, healing, in any order; nothing is ever lost."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from random import Random
from typing import get_args

import pytest

from file_store_workloads import LIMITS, delta, everything, expected, open_store, recovered
from incr import StoreError
from incr.store.file_store import FileStore
from incr.testing import FakeDirectory
from incr.testing._disk import Call

LIVES = 3_000 if os.environ.get("INCR_HYPOTHESIS_PROFILE") == "deep" else 25
CALLS = [call for call in get_args(Call) if call not in ("make", "lock", "unlock", "close", "allocate")]


class Life:
    """One store from its beginning, through whatever happens to it."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.disk = FakeDirectory()
        self.acknowledged = self.attempted = 0
        self.store = self.opened()

    def opened(self) -> FileStore:
        limits = LIMITS._replace(entry_bytes=self.random.choice([1 << 20, 1 << 20, 10]))
        store = open_store(self.disk, keep_bases=self.random.choice([1, 2, 3]), limits=limits)
        assert everything(store) == expected(store.head().revision)
        assert self.acknowledged <= store.head().revision <= self.attempted
        return store

    def live(self, steps: int) -> None:
        for _ in range(steps):
            if self.random.random() < 0.15:
                times = self.random.choice([1, 2, None])
                error = self.random.choice([errno.EIO, errno.ENOSPC])
                self.disk.fail(self.random.choice(CALLS), error, skip=self.random.randrange(4), times=times)
            try:
                self.step(self.random.random())
            except StoreError:
                if self.random.random() < 0.5:
                    with suppress(StoreError):
                        self.store.heal()
                self.disk.heal()
                self.store.heal()
        self.end()
        assert self.acknowledged <= recovered(self.disk.files()) <= self.attempted

    def step(self, which: float) -> None:
        store = self.store
        if which < 0.6:
            number = store.head().revision + 1
            self.attempted = max(self.attempted, number)
            store.append(delta(number))
            if which < 0.3:
                store.sync()
                self.acknowledged = number
        elif which < 0.8:
            store.checkpoint()
            self.acknowledged = store.head().revision
        elif which < 0.9:
            self.end()
            self.store = self.opened()
        else:  # the power goes
            states = list(self.disk.crash_states(samples=2, seed=self.random.randrange(1 << 30)))
            known = self.acknowledged, self.attempted
            self.end()
            self.acknowledged, self.attempted = known
            self.disk = FakeDirectory(self.random.choice(states))
            self.store = self.opened()

    def end(self) -> None:
        self.disk.heal()
        self.store.heal()
        self.store.close()
        self.acknowledged = self.store._current.head.revision


@pytest.mark.spec("store.open", "store.append", "store.take-back", "store.checkpoint", "store.heal", "store.close")
def test_random_lives() -> None:
    begin = 0 if LIVES == 25 else Random().randrange(1 << 30)
    for seed in range(begin, begin + LIVES):
        print("seed", seed)  # shown if it fails
        Life(seed).live(30)
