"""The log that a program can use by itself: what is appended is there again, in order."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from incr import CorruptError, LimitExceededError, StoreBrokenError, StoreError, StoreLockedError
from incr.store import FileDirectory, Flush, Log, LogReader, MemoryDirectory
from incr.store import segment as segment_module
from incr.testing import FakeDirectory
from log_workloads import LIMITS, entry, open_log


def opened(place: object, **options: object) -> Log[str]:
    return Log(place, encode=str.encode, decode=bytes.decode, **options)  # type: ignore[arg-type]


@pytest.mark.spec("log.append", "log.replay", "log.batch")
def test_what_is_appended_is_there_again(tmp_path: Path) -> None:
    with opened(tmp_path / "new") as log:
        assert (log.last_id, log.synced_through, list(log.replay()), log.entry_count()) == (0, 0, [], 0)
        assert log.append("a") == 1
        assert log.append_batch(["b", "c"]) == range(2, 4)
        assert log.append_batch([]) == range(4, 4)
        assert (log.last_id, log.synced_through) == (3, 3)
    with opened(tmp_path / "new") as log:
        assert log.cut is None
        assert log.append("") == 4
        assert list(log.replay()) == [(1, "a"), (2, "b"), (3, "c"), (4, "")]
        assert list(log.replay(2)) == [(3, "c"), (4, "")]
        assert list(log.replay(4)) == []
        assert next(log.replay_best_effort()) == (1, "a")
    assert sorted(os.listdir(tmp_path / "new")) == ["LOCK", "log-0000000000000001.incr"]


@pytest.mark.spec("log.ranges", "log.prune")
def test_old_entries_go_in_whole_files() -> None:
    disk = FakeDirectory()
    log = open_log(disk)
    for number in range(1, 13):
        log.append(entry(number))
    found = log.segment_ranges()
    assert [(part.first, part.last) for part in found] == [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12)]
    assert [len(disk.files()[f"log-{part.number:016x}.incr"]) for part in found] == [part.size for part in found]
    assert "pread" not in disk.counts
    assert (log.prune(5), log.prune(5), log.prune(6), log.prune(100)) == (2, 0, 1, 2)
    assert (log.entry_count(), log.last_id) == (2, 12)
    assert "pread" not in disk.counts
    assert [found for found, _ in log.replay()] == [11, 12]
    log.close()
    reader = LogReader(FakeDirectory(disk.files()), decode=bytes)
    assert (reader.entry_count(), [part.first for part in reader.segment_ranges()]) == (2, [11])


@pytest.mark.spec("log.lock")
def test_a_second_writer_is_told_who_the_first_one_is(tmp_path: Path) -> None:
    with opened(tmp_path) as log, pytest.raises(StoreLockedError, match=f"process {os.getpid()} on ") as caught:
        assert log.last_id == 0
        opened(tmp_path)
    assert caught.value.path == str(tmp_path / "LOCK")
    with opened(tmp_path):
        pass
    assert (tmp_path / "LOCK").read_bytes() == b""


@pytest.mark.spec("log.fork")
def test_a_forked_child_does_not_have_the_log(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.append("parent")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for call in (lambda: log.append("child"), log.flush, log.entry_count, lambda: log.durable(1)):
                try:
                    call()
                except StoreBrokenError:
                    status += 1
            log.close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    log.close()
    with opened(tmp_path) as log:
        assert list(log.replay()) == [(1, "parent")]


@pytest.mark.spec("log.broken", "log.group")
def test_after_a_failed_sync_nothing_is_promised_any_more() -> None:
    disk = FakeDirectory()
    log = opened(disk)
    log.append("a")
    disk.fail("sync_data")
    with pytest.raises(StoreBrokenError, match="could not be synced"):
        log.append("b")
    for call in (lambda: log.append("c"), log.flush, log.entry_count, lambda: log.durable(2), log.close):
        with pytest.raises(StoreBrokenError, match="could not be synced"):
            call()
    assert log.synced_through == 1


@pytest.mark.spec("log.append")
def test_a_full_disk_fails_one_append_alone() -> None:
    disk = FakeDirectory()
    with opened(disk) as log:
        log.append("a")
        disk.shorten("pwrite")
        disk.fail("pwrite", 28, skip=1)
        with pytest.raises(StoreError, match="make room on the disk"):
            log.append("lost")
        assert len(disk.files()["log-0000000000000001.incr"]) == 96 + 53
        assert log.append("b") == 2
        assert list(log.replay()) == [(1, "a"), (2, "b")]
        disk.fail("pwrite", 28)
        disk.fail("truncate")
        with pytest.raises(StoreBrokenError, match="nor could what was written be taken back"):
            log.append("lost")
        with pytest.raises(StoreBrokenError):
            log.append("c")
        with pytest.raises(StoreBrokenError):
            log.close()


@pytest.mark.spec("log.bounded")
def test_what_is_too_long_to_be_read_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incr.store.appender.LONGEST_PAYLOAD", 100)
    with opened(MemoryDirectory()) as log:
        with pytest.raises(LimitExceededError, match="100 is the most"):
            log.append("." * 97)
        assert log.append("." * 96) == 1
    assert segment_module.LONGEST_PAYLOAD == 1 << 28


@pytest.mark.spec("log.flush", "log.durable", "log.seal")
def test_when_entries_are_brought_to_the_disk() -> None:
    disk = FakeDirectory()
    with opened(disk, flush=Flush.every(3)) as log:
        assert [log.append("x") and log.synced_through for _ in range(7)] == [0, 0, 3, 3, 3, 6, 6]
        assert (log.durable(6, 0), log.durable(7, 0)) == (True, False)
        assert (log.flush(), log.synced_through, log.flush()) == (7, 7, 7)
    with opened(disk, flush=Flush.by_hand()) as log:
        syncs = disk.counts["sync_data"]
        log.append("y")
        assert (disk.counts["sync_data"], log.synced_through) == (syncs, 7)
    with opened(disk.after_power_loss(), flush=Flush.after(0.001)) as log:
        assert log.entry_count() == 8
        log.append("z")
        assert log.durable(9, 60)
    for wrong in (lambda: Flush.every(0), lambda: Flush.after(0), lambda: Flush.after(float("nan"))):
        with pytest.raises(ValueError, match="must be"):
            wrong()


@pytest.mark.spec("log.group")
def test_appends_at_the_same_time_share_syncs(tmp_path: Path) -> None:
    ids: list[int] = []
    with opened(FileDirectory(tmp_path)) as log:
        threads = [threading.Thread(target=lambda: ids.extend(log.append("x") for _ in range(10))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert log.synced_through == 80
    assert sorted(ids) == list(range(1, 81))


@pytest.mark.spec("log.verdict", "log.recover", "log.rollback", "log.best-effort", "log.read-only")
def test_a_torn_tail_and_damage() -> None:
    disk = FakeDirectory()
    log = open_log(disk)
    for number in range(1, 6):
        log.append(entry(number))
    log.flush()
    log.append(entry(6))
    torn = {name: content for name, content in disk.files().items() if name != "LOCK"}
    log.close()
    last = max(torn)
    torn[last] = torn[last][:-1]
    with open_log(FakeDirectory(torn)) as log:
        assert log.cut is not None
        assert (log.cut.reason, len(log.cut.kept), log.entry_count()) == ("ends within a frame", 1, 5)
    assert LogReader(FakeDirectory(torn), decode=bytes).entry_count() == 5
    for name in torn:
        damaged = dict(disk.files())
        damaged[name] = damaged[name][:150] + b"?" + damaged[name][151:]
        reader = LogReader(FakeDirectory(damaged), decode=bytes).replay_best_effort()
        found = [number for number, _ in reader]
        assert isinstance(reader.stopped, CorruptError)
        with pytest.raises(CorruptError), open_log(FakeDirectory(damaged)) as log:
            list(log.replay())
        place = FakeDirectory(damaged)
        with Log(place, encode=bytes, decode=bytes, on_corrupt="rollback", limits=LIMITS) as log:
            assert [number for number, _ in log.replay()] == found
            assert log.append(b"new") == len(found) + 1
            assert log.cut is not None
        with open_log(FakeDirectory(place.files())) as log:
            assert log.entry_count() == len(found) + 1
