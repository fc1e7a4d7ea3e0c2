"""What happens seldom: other files between the log's own, entries that cannot be decoded, holders that are gone."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from random import Random

import pytest

import incr
from incr import CorruptError, StoreBrokenError, StoreError, StoreLockedError
from incr.store import FileDirectory, Flush, Limits, Log, LogReader, MemoryDirectory
from incr.store.checksum import preferred_checksum
from incr.store.lock import LOCK_NAME, Lock, _forget_all
from incr.store.scan import Scan
from incr.store.segment import (
    ENTRIES,
    FRAME_BYTES,
    FRAME_MAGIC,
    SEAL,
    Chain,
    FrameHeader,
    SegmentHeader,
    join_entries,
    pack_segment_header,
    unpack_segment_header,
)
from incr.testing import FakeDirectory
from log_workloads import Run, entry, open_log


def log_files(*steps: str) -> dict[str, bytes]:
    run = Run()
    for step in steps:
        run.do(step)
    files = run.disk.files()
    run.close()
    return {name: content for name, content in files.items() if name != LOCK_NAME}


def test_a_reader_of_nothing() -> None:
    for place in (MemoryDirectory(), FileDirectory("missing")):
        reader = LogReader(place, decode=bytes)
        assert (reader.segment_ranges(), reader.entry_count(), list(reader.replay())) == ([], 0, [])


@pytest.mark.spec("log.replay")
def test_a_replay_has_the_entries_that_were_there_when_it_began() -> None:
    with open_log(FakeDirectory()) as log:
        for number in range(1, 8):
            log.append(entry(number))
        replay = log.replay(1)
        assert next(replay) == (2, entry(2))
        log.append(b"later")
        assert [number for number, _ in replay] == [3, 4, 5, 6, 7]
        assert list(LogReader(log._directory, decode=bytes).replay(6)) == [(7, entry(7)), (8, b"later")]


@pytest.mark.spec("log.replay")
def test_what_somebody_else_cuts_off_while_the_log_is_open_is_missed() -> None:
    disk = FakeDirectory()
    with open_log(disk) as log:
        log.append(entry(1))
        log.append(entry(2))
        file = disk.open("log-0000000000000001.incr")
        file.truncate(file.size() - 1)
        with pytest.raises(CorruptError, match="ends with entry 1; 2 was written"):
            list(log.replay())


@pytest.mark.spec("log.replay")
def test_an_entry_that_cannot_be_decoded_is_named() -> None:
    disk = FakeDirectory()
    with Log(disk, encode=str.encode, decode=bytes.decode) as log:
        log.append("a")
    with Log(disk, encode=str, decode=int) as log:  # type: ignore[type-var,arg-type]
        with pytest.raises(ValueError, match="invalid literal") as caught:
            list(log.replay_best_effort())
        assert caught.value.__notes__ == ["fake:log-0000000000000001.incr: while entry 1 was decoded"]


@pytest.mark.spec("log.batch")
def test_a_batch_of_which_one_entry_cannot_be_encoded() -> None:
    with Log(MemoryDirectory(), encode=str.encode, decode=bytes.decode) as log:
        with pytest.raises(UnicodeEncodeError):
            log.append_batch(["a", "\ud800", "b"])
        assert log.last_id == 0


@pytest.mark.spec("log.segment", "log.rollback")
def test_segments_of_another_log() -> None:
    one = log_files("synced", "rotate", "rotate")
    disk = FakeDirectory()
    log = Log(disk, encode=bytes, decode=bytes, limits=Limits(segment_bytes=240))
    for number in range(1, 7):
        log.append(entry(number))
    log.close()
    names = sorted(one)
    mixed = {**one, names[1]: disk.files()[names[1]]}
    for call in (lambda: open_log(FakeDirectory(mixed)), lambda: LogReader(FakeDirectory(mixed), decode=bytes)):
        with pytest.raises(CorruptError, match="does not follow log-0000000000000001"):
            call()
    disk = FakeDirectory(mixed)
    with open_log(disk, mode="rollback") as log:
        assert [number for number, _ in log.replay()] == [1, 2]
        assert log.cut is not None
        assert [Path(path).name for path in log.cut.kept] == [
            f"fake:torn-{number:016x}-00000000.incr" for number in range(len(names), 1, -1)
        ]


@pytest.mark.spec("log.rollback")
def test_going_back_makes_a_new_epoch_and_no_room_is_no_reason_not_to() -> None:
    files = log_files("synced", "rotate", "rotate")
    names = sorted(files)
    damaged = {**files, names[0]: files[names[0]][:120] + b"?" + files[names[0]][121:]}
    disk = FakeDirectory(damaged)
    disk.fail("create", errno.ENOSPC, skip=1, times=None)
    with open_log(disk, mode="rollback") as log:
        assert log.cut is not None
        assert (log.cut.kept, log.cut.path, log.last_id) == ((), "fake:" + names[0], 0)
        disk.heal()
        log.append(entry(1))
    header, _ = unpack_segment_header("", 2, memoryview(disk.files()[names[1]]))
    assert header.epoch == 2
    # A segment from before that comes back is of the old epoch.
    with pytest.raises(CorruptError):
        open_log(FakeDirectory({**disk.files(), names[2]: files[names[2]]}))


@pytest.mark.spec("log.rollback", "log.recover")
@pytest.mark.parametrize("mode", ["torn", "rollback"])
@pytest.mark.parametrize("left", [b"", bytes(96), bytes(500), b"garbage", b"\x89ilog\r\n\x1a" + bytes(200)])
def test_a_segment_that_was_never_begun(mode: str, left: bytes) -> None:
    for files in ({}, log_files("synced", "rotate")):
        number = len(files) + 1
        disk = FakeDirectory({**files, f"log-{number:016x}.incr": left})
        with open_log(disk, mode=mode) as log:
            assert log.entry_count() == log.last_id
            assert (log.cut is None) == (not any(left))
            assert log.append(b"on") == log.last_id
    # If it is the only one that is left, ids have been given before it.
    with pytest.raises(CorruptError):
        open_log(FakeDirectory({"log-0000000000000007.incr": left}))


@pytest.mark.spec("log.recover")
def test_what_is_kept_aside_is_bounded() -> None:
    files = log_files("synced", "synced", "synced")
    (name,) = sorted(files)[-1:]
    old = {f"torn-{number:016x}-00000000.incr": b"" for number in range(20)}
    disk = FakeDirectory({**files, **old, name: files[name][:-1]})
    with open_log(disk) as log:
        assert log.cut is not None
    kept = [found for found in disk.files() if found.startswith("torn-")]
    assert (len(kept), max(old) in kept, min(old) in kept) == (8, True, False)


def crafted(frame: FrameHeader, payload: bytes) -> Scan:
    """A segment with one frame that checks, whatever it says."""
    checksum = preferred_checksum()
    header = SegmentHeader(bytes(16), 1, 1, 1, bytes(16), bytes(8))
    packed = pack_segment_header(header, checksum)
    chain = Chain(checksum, header, packed[-8:])
    front = chain.pack(len(packed), frame)
    return Scan("path", 1, packed + front + payload + chain.link(chain.first_link, front, payload), 0)


@pytest.mark.spec("log.bounded", "log.chain")
def test_frames_that_check_and_make_no_sense() -> None:
    payload = join_entries([b"a", b"b"])
    good = FrameHeader(ENTRIES, len(payload), 2, 1, 0)
    assert [list(map(bytes, frame.entries)) for frame in crafted(good, payload).frames()] == [[b"a", b"b"]]
    for frame, content, reason in [
        (good._replace(entries=1), payload, "not what its header says"),
        (good._replace(entries=3), payload, "not what its header says"),
        (good._replace(kind=3), payload, "not what its header says"),
        (good._replace(kind=SEAL), payload, "not what its header says"),
        (FrameHeader(ENTRIES, 0, 0, 1, 0), b"", "not what its header says"),
        (good, payload[:-1] + b"", "ends within a frame"),
        (good._replace(payload_bytes=len(payload) - 1), payload[:-1], "not what its header says"),
        (good._replace(payload_bytes=3, entries=1), b"\1\0\0", "not what its header says"),
        (good._replace(first_id=2), payload, "holds entry 2 next"),
    ]:
        scan = crafted(frame, content)
        assert list(scan.frames()) == []
        assert reason in str(scan.damage())


@pytest.mark.spec("log.chain", "log.covered")
def test_ids_never_go_back() -> None:
    """Not even where somebody has made up a frame that stands behind a damaged one."""
    checksum = preferred_checksum()
    header = SegmentHeader(bytes(16), 1, 1, 1, bytes(16), bytes(8))
    content = pack_segment_header(header, checksum)
    chain = Chain(checksum, header, content[-8:])
    link, payload = chain.first_link, join_entries([b"a"])
    for first_id in (1, 2, 1):
        front = chain.pack(len(content), FrameHeader(ENTRIES, len(payload), 1, first_id, 0))
        link = chain.link(link, front, payload)
        content += front + payload + link
    size = FRAME_BYTES + len(payload)
    damaged = bytearray(content)
    damaged[-size - 10] ^= 1
    scan = Scan("path", 1, bytes(damaged), 0)
    assert [frame.first_id for frame in scan.frames()] == [1]
    assert (scan.at.next_id, scan.torn()) == (2, True)


@pytest.mark.spec("log.segment")
def test_features_of_a_later_release_are_no_damage() -> None:
    checksum = preferred_checksum()
    packed = bytearray(pack_segment_header(SegmentHeader(bytes(16), 1, 1, 1, bytes(16), bytes(8)), checksum))
    packed[56] = 1
    packed[-8:] = checksum.digest(b"", bytes(packed[:-8]))
    with pytest.raises(StoreError, match="features that this release does not know") as caught:
        open_log(FakeDirectory({"log-0000000000000001.incr": bytes(packed)}))
    assert not isinstance(caught.value, CorruptError)


@pytest.mark.spec("log.verdict", "log.chain")
def test_entries_may_look_like_frames() -> None:
    disk = FakeDirectory()
    with open_log(disk) as log:
        log.append(FRAME_MAGIC * 4)
        log.append(FRAME_MAGIC + b"\1" * 100)
        files = disk.files()
    name = max(files)
    with open_log(FakeDirectory({**files, name: files[name][:-3]})) as log:
        assert (log.cut is not None, log.entry_count()) == (True, 1)


@pytest.mark.spec("log.verdict", "log.segment")
def test_what_an_older_file_has_left_on_the_disk_says_nothing() -> None:
    logs: list[dict[str, bytes]] = []
    for seed in range(2):  # by chance, a frame of one may end with the byte that one of the other ends with
        disk = FakeDirectory()
        with Log(disk, encode=bytes, decode=bytes, random=Random(seed).randbytes) as log:
            for number in range(5):
                log.append(b"%d" % number)
        logs.append(disk.files())
    (name,) = (found for found in logs[0] if found != LOCK_NAME)
    new, old = (files[name] for files in logs)
    for size in range(96 + 53, len(new) - 48):
        with open_log(FakeDirectory({name: new[:size] + old[size:]})) as log:
            assert log.entry_count() == (size - 96) // 53
            assert log.cut is not None


@pytest.mark.spec("log.chain")
def test_a_frame_behind_another_one_than_when_it_was_written() -> None:
    logs: list[dict[str, bytes]] = []
    for first in (b"a", b"b"):
        disk = FakeDirectory()
        with open_log(disk, Limits()) as log:
            log.append(first)
            log.append(b"c")
            log.append(b"d")
        logs.append(disk.files())
    (name,) = (found for found in logs[0] if found != LOCK_NAME)
    one, other = (files[name] for files in logs)
    assert one[:96] == other[:96]
    with pytest.raises(CorruptError), open_log(FakeDirectory({name: one[: 96 + 53] + other[96 + 53 :]})):
        pass


@pytest.mark.spec("log.segment")
def test_opening_alone_finds_files_that_are_missing_or_renamed() -> None:
    files = log_files("synced", "rotate", "rotate")
    names = sorted(files)
    without = {name: content for name, content in files.items() if name != names[1]}
    renamed = {"log-0000000000000002.incr": files[names[0]]}
    for found in (without, renamed):
        for call in (lambda: open_log(FakeDirectory(found)), lambda: LogReader(FakeDirectory(found), decode=bytes)):  # noqa: B023  called at once
            with pytest.raises(CorruptError):
                call()


@pytest.mark.spec("log.seal")
def test_a_closed_log_is_on_the_disk_as_it_is() -> None:
    for steps in [("unsynced",), ("synced",), ("rotate", "unsynced"), ("prune",), ("reopen", "reopen")]:
        run = Run()
        for step in steps:
            run.do(step)
        run.close()
        left = run.disk.after_power_loss().files()
        assert {**left, LOCK_NAME: b""} == run.disk.files()
        assert run.acknowledged == run.attempted


@pytest.mark.spec("log.room", "log.seal")
def test_room_is_made_in_advance_and_given_back() -> None:
    disk = FakeDirectory()
    limits = Limits(segment_bytes=600, preallocate=250)
    name = "log-0000000000000001.incr"
    log = open_log(disk, limits)
    sizes = []
    for number in range(1, 9):
        log.append(entry(number))
        sizes.append(len(disk.files()[name]))
    assert sizes == [250, 250, 500, 500, 500, 500, 600, 600]
    assert disk.counts["allocate"] == 3
    killed = FakeDirectory(disk.files())
    log.flush()
    log.append(entry(9))
    assert len(disk.files()[name]) == 96 + sum(48 + 4 + len(entry(number)) for number in range(1, 9))
    log.close()
    assert len(disk.files()["log-0000000000000002.incr"]) == 96 + 48 + 4 + len(entry(9)) + 48
    with open_log(killed, limits) as log:
        assert (log.cut, log.entry_count()) == (None, 8)
        log.append(entry(9))
    # A frame that is longer than a segment has the room that it needs.
    disk = FakeDirectory()
    with open_log(disk, limits) as log:
        log.append(bytes(1000))
        assert len(disk.files()[name]) == 96 + 48 + 4 + 1000


@pytest.mark.spec("log.room")
def test_room_that_cannot_be_made_is_not_needed() -> None:
    disk = FakeDirectory()
    disk.fail("allocate", errno.EOPNOTSUPP, times=None)
    limits = Limits(segment_bytes=300, preallocate=100)
    with open_log(disk, limits) as log:
        for number in range(1, 9):
            log.append(entry(number))
        assert disk.counts["allocate"] == len(log.segment_ranges()) > 1
    # After a write that failed there is none.
    disk = FakeDirectory()
    with open_log(disk, Limits(preallocate=300)) as log:
        log.append(entry(1))
        disk.fail("pwrite", errno.ENOSPC)
        with pytest.raises(StoreError, match="No space"):
            log.append(entry(2))
        assert len(disk.files()["log-0000000000000001.incr"]) < 200
        log.append(entry(2))
        assert disk.counts["allocate"] == 2


@pytest.mark.spec("log.rotate")
def test_a_leftover_of_a_failed_attempt_is_no_obstacle() -> None:
    disk = FakeDirectory()
    with open_log(disk) as log:
        disk.fail("pwrite", errno.ENOSPC)
        disk.fail("unlink", errno.EIO)
        with pytest.raises(StoreError, match="cannot be created"):
            log.append(entry(1))
        assert disk.names() == ["LOCK", "log-0000000000000001.incr"]
        assert log.append(entry(1)) == 1


@pytest.mark.spec("log.lock")
def test_the_text_of_the_lock_is_for_people_only() -> None:
    for text, said in [
        (b"", "has not written who it is"),
        (b"\xff\x07 one\n", "is held by '\ufffd\\x07 one'"),
        (b"somebody " * 99, "is held by somebody somebody"),
    ]:
        disk = FakeDirectory({"LOCK": text})
        assert disk.open("LOCK").lock()
        with pytest.raises(StoreLockedError) as caught:
            Lock(disk)
        assert said in str(caught.value)
        assert len(str(caught.value)) < 300
    disk.fail("pread", times=None)
    with pytest.raises(StoreLockedError, match="has not written"):
        Lock(disk)
    full = FakeDirectory()
    full.fail("pwrite", errno.ENOSPC, times=None)
    Lock(full).release()
    full.fail("lock", errno.ENOLCK)
    with pytest.raises(StoreError, match="cannot be locked: No locks available"):
        Lock(full)
    Lock(full).release()


class Hurried:
    """A directory in which somebody else makes the lock's file at the worst moment."""

    def __init__(self) -> None:
        self.real = MemoryDirectory()
        self.path_of = self.real.path_of
        self.open = self.real.open

    def create(self, name: str) -> None:
        self.real.create(name)
        self.real.create(name)


@pytest.mark.spec("log.lock")
def test_two_make_the_lock_file_at_the_same_time() -> None:
    Lock(Hurried()).release()  # type: ignore[arg-type]


@pytest.mark.spec("log.fork")
def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    begun, begins = os.pipe()
    opener = os.fork()
    if opener == 0:
        log = Log(tmp_path, encode=str.encode, decode=bytes.decode)
        log.append("a")
        if os.fork() == 0:
            os.close(writing)
            os.write(begins, b".")
            os.read(reading, 1)  # lives until the test lets it go
        else:
            os.read(begun, 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(opener, 0)[1]) == 0
    with Log(tmp_path, encode=str.encode, decode=bytes.decode) as log:
        assert list(log.replay()) == [(1, "a")]
    for descriptor in (reading, writing, begun, begins):
        os.close(descriptor)


@pytest.mark.spec("log.fork")
def test_what_a_forked_child_does_as_seen_from_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FakeDirectory()
    log = open_log(disk)
    log.append(entry(1))
    before = disk.files()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        _forget_all()
        with pytest.raises(StoreBrokenError, match="open it here anew"):
            log.append(entry(2))
        log.close()
        log._writer._lock.release()
    assert disk.files() == before
    with open_log(disk):
        pass
    log.close()


def test_the_text_of_a_policy() -> None:
    assert Flush.every(3) == Flush(3, None)
    assert Flush.each() == Flush.every(1)


@pytest.mark.spec("log.lock")
def test_the_directory_of_a_database_is_no_log(tmp_path: Path) -> None:
    with incr.open(tmp_path / "state") as db:
        db.commit()
        db.checkpoint()
    before = {file.name: file.read_bytes() for file in (tmp_path / "state").iterdir()}
    for on_corrupt in ("error", "rollback"):
        with pytest.raises(StoreError, match=r"state/: is the store of a database; give the log a directory"):
            Log(
                tmp_path / "state",
                encode=bytes,
                decode=bytes,
                on_corrupt="error" if on_corrupt == "error" else "rollback",
            )
    assert {file.name: file.read_bytes() for file in (tmp_path / "state").iterdir()} == before
    with incr.open(tmp_path / "state"):  # nobody has it
        pass
