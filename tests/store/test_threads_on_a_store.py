"""Many threads append to one store, read it and make checkpoints: nothing is lost, and nobody sees a mixture."""

from __future__ import annotations

import threading

import pytest

from incr import IncrError, StoreError
from incr.store import MemoryDirectory
from incr.store.file_store import FileStore
from incr.store.options import Durability, StoreLimits
from incr.store.rows import GOOD, RECORDS, Content, Delta, Row, SectionInfo

WRITERS, DELTAS = 4, 40
#: Both rows of a writer always have the same value.
SECTION = SectionInfo(0, RECORDS, "rows", b"", (), 2 * WRITERS)


def delta(writer: int, number: int) -> Delta:
    value = Content(b"%d" % number, b"")
    rows = {2 * writer + one: (Row(0, b"%d %d" % (writer, one), number, number, GOOD, ()), value) for one in (0, 1)}
    return Delta(number, [SECTION], None, 1, rows, [], [], [])


class Threads:
    """Threads of a test; what one of them raises is raised in the end."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.threads: list[threading.Thread] = []

    def start(self, action: object, *arguments: object) -> None:
        def run() -> None:
            try:
                assert callable(action)
                action(*arguments)
            except BaseException as error:
                self.errors.append(error)

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def join(self) -> None:
        for thread in self.threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in self.threads), "somebody waits for ever"
        if self.errors:
            raise self.errors[0]


@pytest.mark.spec("store.overlay", "store.append", "store.checkpoint", "log.group")
@pytest.mark.parametrize("durability", ["commit", "interval", "relaxed"])
def test_many_writers_readers_and_checkpoints(durability: Durability) -> None:
    disk = MemoryDirectory()
    store = FileStore.open(disk, durability=durability, limits=StoreLimits(segment_bytes=3_000, entry_bytes=250))
    heard: list[IncrError | None] = []
    numbers: list[int] = []
    done = threading.Event()
    threads = Threads()

    def write(writer: int) -> None:
        for number in range(1, DELTAS + 1):
            change = delta(writer, number)
            if number % 10 == writer:  # too long for the log
                change = change._replace(classes=bytes(300))
            numbers.append(store.append(change, heard.append if number % 2 else None))

    def read() -> None:
        while not done.is_set():
            for row in list(store.rows_of(0)):
                found = store.row(row)
                assert store.find(0, found.key) == row
                assert store.content(row).value

    def checkpoint() -> None:
        while not done.is_set():
            store.checkpoint()

    for writer in range(WRITERS):
        threads.start(write, writer)
    writers = threads.threads[:]
    for action in (read, read, checkpoint):
        threads.start(action)
    for thread in writers:
        thread.join(120)
    done.set()
    threads.join()
    assert store.sync() == WRITERS * DELTAS
    assert sorted(numbers) == list(range(1, WRITERS * DELTAS + 1))
    assert heard == [None] * (WRITERS * DELTAS // 2)
    store.close()
    with FileStore.open(disk) as again:
        assert again.head().last == WRITERS * DELTAS
        assert [again.content(row).value for row in again.rows_of(0)] == [b"%d" % DELTAS] * 2 * WRITERS
        assert again.verify(deep=True).rows == 2 * WRITERS


@pytest.mark.spec("store.close")
def test_a_store_is_closed_while_others_use_it() -> None:
    for _ in range(10):
        disk = MemoryDirectory()
        store = FileStore.open(disk, durability="relaxed")
        threads = Threads()
        appended: list[int] = []
        begun = threading.Event()

        def write(store: FileStore, appended: list[int], begun: threading.Event) -> None:
            with pytest.raises(StoreError):
                for number in range(1, 100_000):
                    appended.append(store.append(delta(0, number)))
                    begun.set()

        def checkpoint(store: FileStore) -> None:
            with pytest.raises(StoreError):
                while True:
                    store.checkpoint()

        threads.start(write, store, appended, begun)
        threads.start(checkpoint, store)
        assert begun.wait(60)
        store.close()
        threads.join()
        with FileStore.open(disk) as again:
            assert again.head().last == appended[-1]
