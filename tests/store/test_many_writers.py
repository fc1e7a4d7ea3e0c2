"""Many callers, one writer: shared syncs, a bounded queue, callbacks, and an end that loses nothing."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from queue import Queue

import pytest

from incr import StoreBrokenError, StoreError
from incr.store import Flush, Log, MemoryDirectory
from incr.store import writer as writer_module
from incr.store.appender import Appender
from incr.store.lock import Lock
from incr.store.memory import MemoryFile
from incr.store.repair import recover
from incr.store.writer import Ticket, Writer
from incr.testing import FakeDirectory

PATIENCE = 60  # seconds, for what must happen


class Gate:
    """Syncs that wait until they may go on."""

    def __init__(self) -> None:
        self.entered: Queue[None] = Queue()
        self.open = threading.Event()
        self.syncs = 0

    def sync(self, file: MemoryFile) -> None:
        self.syncs += 1
        self.entered.put(None)
        assert self.open.wait(PATIENCE)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    monkeypatch.setattr(MemoryFile, "sync_data", lambda file: gate.sync(file))
    yield gate
    gate.open.set()


def new_writer(flush: Flush | None = None, disk: MemoryDirectory | FakeDirectory | None = None) -> Writer:
    disk = disk or MemoryDirectory()
    return Writer(Appender(disk, recover(disk, 0)), Lock(disk), flush or Flush.each())


@pytest.mark.spec("log.group")
def test_what_is_queued_during_a_sync_shares_the_next_one(gate: Gate) -> None:
    writer = new_writer()
    done: Queue[Ticket] = Queue()
    writer.put(Ticket([b"first"], done.put))
    gate.entered.get(timeout=PATIENCE)
    for number in range(64):
        writer.put(Ticket([b"%d" % number, b"."], done.put))
    gate.open.set()
    tickets = [done.get(timeout=PATIENCE) for _ in range(65)]
    assert [ticket.result()[0] for ticket in tickets] == [1, *range(2, 130, 2)]
    assert gate.syncs == 2
    writer.close()


@pytest.mark.spec("log.group")
def test_who_is_faster_than_the_disk_waits(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "QUEUE_BYTES", 100)
    writer = new_writer()
    done: Queue[Ticket] = Queue()
    writer.put(Ticket([b"first"], done.put))
    gate.entered.get(timeout=PATIENCE)
    most = 0

    def submit() -> None:
        nonlocal most
        for size in (60, 60, 500, 60):
            writer.put(Ticket([bytes(size)], done.put))
            most = max(most, writer._queued_bytes)

    thread = threading.Thread(target=submit)
    thread.start()
    gate.open.set()
    thread.join(PATIENCE)
    assert [len(done.get(timeout=PATIENCE).entries[0]) for _ in range(5)] == [5, 60, 60, 500, 60]
    assert most <= 500
    writer.close()


@pytest.mark.spec("log.group")
def test_a_caller_makes_room_himself_where_no_thread_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "QUEUE_BYTES", 10)
    writer = new_writer(Flush.by_hand())
    with writer._changed:
        writer._queue.append(Ticket([bytes(8)]))
        writer._queued_bytes = 8
    assert writer.commit([bytes(8)]) == range(2, 3)
    assert writer.flush() == 2
    writer.close()


@pytest.mark.spec("log.group")
def test_a_callback_may_raise_and_may_write(capsys: pytest.CaptureFixture[str]) -> None:
    writer = new_writer()
    done: Queue[range] = Queue()

    def write_again(ticket: Ticket) -> None:
        done.put(ticket.result())
        done.put(writer.commit([b"again"]))
        raise RuntimeError("on purpose")

    writer.put(Ticket([b"a"], write_again))
    assert [done.get(timeout=PATIENCE) for _ in range(2)] == [range(1, 2), range(2, 3)]
    writer.put(Ticket([b"b"], lambda ticket: done.put(ticket.result())))
    assert done.get(timeout=PATIENCE) == range(3, 4)
    writer.close()
    assert "on purpose" in capsys.readouterr().err


@pytest.mark.spec("log.broken", "log.durable")
def test_a_failed_sync_is_told_to_all_who_wait(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FakeDirectory()
    writer = new_writer(disk=disk)
    gate.open.set()
    writer.commit([b"a"])
    gate.open.clear()
    gate.entered.get(timeout=PATIENCE)
    done: Queue[Ticket] = Queue()
    writer.put(Ticket([b"b"], done.put))
    gate.entered.get(timeout=PATIENCE)
    for _ in range(3):
        writer.put(Ticket([b"c"], done.put))
    waiting = threading.Thread(target=lambda: raised.append(broken(writer)))
    raised: list[bool] = []
    waiting.start()
    disk.fail("sync_data")
    gate.open.set()
    first, *others = [done.get(timeout=PATIENCE) for _ in range(4)]
    assert first.result() == range(2, 3)
    for ticket in others:
        with pytest.raises(StoreBrokenError):
            ticket.result()
    waiting.join(PATIENCE)
    assert raised == [True]
    with pytest.raises(StoreBrokenError):
        writer.put(Ticket([b"d"], done.put))
    with pytest.raises(StoreBrokenError):
        writer.close()


def broken(writer: Writer) -> bool:
    try:
        return writer.durable(100, PATIENCE)
    except StoreBrokenError:
        return True


@pytest.mark.spec("log.flush", "log.broken")
def test_the_timer_brings_entries_to_the_disk_and_a_failure_of_it_is_told() -> None:
    disk = FakeDirectory()
    log = Log(disk, encode=str.encode, decode=bytes.decode, flush=Flush.after(0.001))
    for number in range(1, 6):
        log.append("x")
        assert log.durable(number, PATIENCE)
    disk.fail("sync_data")
    log.append("y")
    with pytest.raises(StoreBrokenError):
        log.durable(6)
    with pytest.raises(StoreBrokenError):
        log.close()
    log.close()


@pytest.mark.spec("log.broken")
def test_an_interrupt_in_the_middle_breaks_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = MemoryDirectory()
    log = Log(disk, encode=str.encode, decode=bytes.decode)
    log.append("a")
    with monkeypatch.context() as patch:

        def interrupted(file: MemoryFile) -> None:
            raise KeyboardInterrupt

        patch.setattr(MemoryFile, "sync_data", interrupted)
        with pytest.raises(KeyboardInterrupt):
            log.append("b")
    with pytest.raises(StoreBrokenError, match="was interrupted"):
        log.append("c")
    with pytest.raises(StoreBrokenError, match="was interrupted"):
        log.close()
    with Log(disk, encode=str.encode, decode=bytes.decode) as log:
        assert list(log.replay()) == [(1, "a"), (2, "b")]


def test_a_closed_log_says_so() -> None:
    log = Log(MemoryDirectory(), encode=str.encode, decode=bytes.decode, flush=Flush.by_hand())
    log.append("a")
    log.close()
    log.close()
    for call in (lambda: log.append("b"), log.flush, log.entry_count, lambda: list(log.replay())):
        with pytest.raises(StoreError, match="is closed"):
            call()
    assert log.durable(1)
    with pytest.raises(StoreError, match="is closed"):
        log.durable(2)


def test_closing_writes_what_is_queued(gate: Gate) -> None:
    disk = MemoryDirectory()
    writer = new_writer(disk=disk)
    done: Queue[Ticket] = Queue()
    writer.put(Ticket([b"a"], done.put))
    gate.entered.get(timeout=PATIENCE)
    writer.put(Ticket([b"b"], done.put))
    closing = threading.Thread(target=writer.close)
    closing.start()
    gate.open.set()
    closing.join(PATIENCE)
    assert [done.get(timeout=PATIENCE).result() for _ in range(2)] == [range(1, 2), range(2, 3)]


def test_a_log_that_was_not_closed_is_reported() -> None:
    log = Log(MemoryDirectory(), encode=str.encode, decode=bytes.decode)
    with pytest.warns(ResourceWarning, match="was not closed"):
        log.__del__()
    log.close()


def test_an_error_in_the_block_is_the_one_that_is_raised() -> None:
    disk = FakeDirectory()
    with pytest.raises(ZeroDivisionError), Log(disk, encode=str.encode, decode=bytes.decode) as log:
        disk.fail("sync_data", times=None)
        with pytest.raises(StoreBrokenError):
            log.append("a")
        raise ZeroDivisionError


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="on_corrupt must be"):
        Log(MemoryDirectory(), encode=bytes, decode=bytes, on_corrupt="delete")  # type: ignore[arg-type]


@pytest.mark.spec("log.order")
def test_a_writer_that_keeps_an_order_stops_where_it_breaks() -> None:
    disk = FakeDirectory()
    writer = Writer(Appender(disk, recover(disk, 0)), Lock(disk), Flush.by_hand(), in_order=True)
    writer.commit([b"a"])
    tickets = [Ticket([name]) for name in (b"b", b"c")]
    for ticket in tickets:
        writer.put(ticket)
    disk.fail("pwrite", errno.ENOSPC)
    with pytest.raises(StoreError, match="make room"):
        writer.finish(tickets[0])
    with pytest.raises(StoreError, match="something before it could not be"):
        writer.finish(tickets[1])
    assert writer.is_stopped
    with pytest.raises(StoreError, match="something before it could not be"):
        writer.commit([b"d"])
    writer.resume()
    late = Ticket([b"e"])
    writer.put(late)
    writer.resume()
    assert (late.done, late.result(), writer.flush()) == (True, range(2, 3), 2)
    writer.close()
