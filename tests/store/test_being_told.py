"""Whoever appends hears of his delta, also if an interrupt comes; a store that only reads has nobody to tell."""

from __future__ import annotations

import threading

import pytest

import incr.store
from file_store_workloads import delta, everything, expected
from incr import IncrError
from incr.store import MemoryDirectory, MemoryStore
from incr.store.file_store import FileStore
from incr.store.options import StoreLimits


class Interrupted:
    """Hears of a delta; a Ctrl-C comes the first time."""

    def __init__(self) -> None:
        self.calls: list[IncrError | None] = []
        self.done = threading.Event()

    def __call__(self, error: IncrError | None) -> None:
        self.calls.append(error)
        if len(self.calls) == 1:
            raise KeyboardInterrupt
        self.done.set()


@pytest.mark.spec("store.finish", "store.append")
def test_an_interrupt_while_somebody_is_told_has_him_told_again_by_the_writer() -> None:
    disk = MemoryDirectory()
    told = Interrupted()
    with FileStore.open(disk, durability="relaxed") as store:
        number = store.append(delta(1), told, later=True)
        with pytest.raises(KeyboardInterrupt):
            store.finish(number)
        store.wake()
        assert told.done.wait(60)
        assert told.calls == [None, None]
        assert store.append(delta(2)) == 2
    with FileStore.open(disk) as again:
        assert everything(again) == expected(2)


@pytest.mark.spec("store.append")
@pytest.mark.parametrize("kind", ["memory", "long deltas"])
def test_an_interrupt_where_a_delta_is_there_at_once_has_him_told_again(kind: str) -> None:
    store: MemoryStore | FileStore
    if kind == "memory":
        store = MemoryStore().open()
    else:
        store = FileStore.open(MemoryDirectory(), durability="relaxed", limits=StoreLimits(entry_bytes=10))
    told = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        store.append(delta(1), told)
    assert told.calls == [None, None]
    assert everything(store) == expected(1)
    store.close()


@pytest.mark.spec("store.finish")
def test_a_store_that_only_reads_has_nothing_to_finish() -> None:
    disk = MemoryDirectory()
    with FileStore.open(disk) as store:
        store.append(delta(1))
        with FileStore.open(disk, mode="ro") as reader:
            reader.finish(1)
            reader.wake()
            assert everything(reader) == expected(1)
        assert everything(store) == expected(1)


def test_what_the_package_does_not_have_is_named() -> None:
    with pytest.raises(AttributeError, match=r"incr\.store.*nothing"):
        incr.store.nothing  # noqa: B018 - to look it up is what is tested
