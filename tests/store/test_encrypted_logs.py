"""A log in an encrypted directory keeps its word as a plain one does: crashes, faults, damage, wrong keys."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from itertools import count, pairwise
from random import Random

import pytest

from incr import CorruptError, StoreBrokenError, StoreError
from incr.store import Directory, EncryptedDirectory, Limits, Log, LogReader
from incr.testing import Crashed, FakeDirectory
from log_workloads import STEPS, Known, Run, check, crash_everywhere, entry, open_log, recovered, workloads

#: All sizes are larger then.
DEEP = os.environ.get("INCR_HYPOTHESIS_PROFILE") == "deep"
KEY = bytes(range(32))
_SEEDS = count(1)


def encrypted(disk: FakeDirectory) -> Directory:
    """Other random bytes each time; but what begins with an empty disk begins with the same ones."""
    seed = next(_SEEDS) if disk.files() else 0
    return EncryptedDirectory(disk, KEY, random=Random(seed).randbytes)


def encrypted_run(*steps: str) -> Run:
    run = Run(through=encrypted)
    for step in steps:
        run.do(step)
    return run


@pytest.mark.spec("crypto.crash")
def test_every_crash_of_short_workloads() -> None:
    states = 0
    known: Known = {}
    longer = [(*steps, last) for steps in (("unsynced", "rotate"), ("batch", "reopen")) for last in STEPS]
    for steps in workloads(3) if DEEP else [*workloads(1), *longer, ("rotate", "prune"), ("reopen", "synced")]:
        run = encrypted_run(*steps)
        run.close()
        states += crash_everywhere(run, known)
    assert (states > 2_000, len(known) > 1_000) == (True, True)


@pytest.mark.spec("crypto.crash")
@pytest.mark.filterwarnings("ignore:.*was not closed:ResourceWarning")
def test_a_crash_in_every_call_of_a_process() -> None:
    steps = ("synced", "batch", "rotate", "prune", "reopen", "synced")
    whole = encrypted_run(*steps)
    whole.close()
    states = 0
    known: Known = {}
    for call in range(1, whole.disk.calls + 1, 1 if DEEP else 20):
        disk = FakeDirectory()
        disk.crash_at(call)
        with pytest.raises(Crashed):
            run = Run(disk, through=encrypted)
            for step in steps:
                run.do(step)
            run.close()
        before = [moment for moment in whole.moments if moment.calls < call][-1]
        entries, last = recovered(disk.files(), through=encrypted)
        check(entries, before, last)
        disk.restart()
        begin = disk.calls
        again = Run(disk, before._replace(attempted=last), encrypted)
        again.do("synced")
        again.close()
        states += crash_everywhere(again, known, begin)
    assert states > 50


@pytest.mark.spec("crypto.crash", "crypto.nonce")
@pytest.mark.parametrize("call", ["create", "pwrite", "truncate", "sync", "sync_data", "sync_names", "pread", "rename"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_each_call_fails_once(call: str, error: int) -> None:
    steps = ("synced", "batch", "reopen", "unsynced", "rotate", "synced")
    for skip in range(0, 60, 1 if DEEP else 4):
        disk = FakeDirectory()
        disk.fail(call, error, skip=skip)  # type: ignore[arg-type]  # the names are those of the calls
        through = encrypted(disk)
        acknowledged = attempted = 0
        log: Log[bytes] | None = None
        failed: list[StoreError] = []
        for step in steps:
            try:
                if log is None or step == "reopen":
                    if log is not None:
                        log.close()
                    log = None
                    log = open_log(through)
                first = log.last_id + 1
                attempted = max(attempted, first + 2)
                log.append_batch([entry(number) for number in range(first, first + 3)])
                if step == "synced":
                    acknowledged = log.flush()
            except StoreError as found:
                failed.append(found)
                if isinstance(found, StoreBrokenError):
                    log = _given_up(log)
        _given_up(log)
        disk.heal()
        for state in [disk.files(), *disk.crash_states(samples=2)]:
            entries, last = recovered(state, through=encrypted)
            assert all(content == entry(number) for number, content in entries)
            assert acknowledged <= last <= attempted
        assert not [found for found in failed if isinstance(found, CorruptError)]
        if disk.counts.get(call, 0) <= skip:
            assert failed == []
            break


def _given_up(log: Log[bytes] | None) -> None:
    if log is not None:
        with suppress(StoreError):
            log.close()


def closed_log() -> dict[str, bytes]:
    run = encrypted_run("batch", "rotate", "rotate", "unsynced")
    run.close()
    files = run.disk.files()
    del files["LOCK"]
    assert len(files) >= 3
    return files


def found(files: dict[str, bytes]) -> list[int] | None:
    """The ids that a log has with these files; None if it is refused. What it has is what was written."""
    try:
        with open_log(encrypted(FakeDirectory(files))) as log:
            entries = list(log.replay())
    except CorruptError:
        entries = None
    try:
        read = list(LogReader(encrypted(FakeDirectory(files)), decode=bytes).replay())
    except CorruptError:
        assert entries is None
        return None
    assert all(content == entry(number) for number, content in read)
    assert entries in (None, read)
    return None if entries is None else [number for number, _ in entries]


@pytest.mark.spec("crypto.damage", "crypto.bound")
def test_every_flipped_bit_is_found() -> None:
    files = closed_log()
    whole = found(files)
    assert whole is not None
    last = max(files)
    noticed = 0
    for name, content in files.items():
        for place in range(len(content)):
            for bit in range(8) if DEEP else (place % 8,):
                damaged = bytearray(content)
                damaged[place] ^= 1 << bit
                ids = found({**files, name: bytes(damaged)})
                # Only the mark of a clean end, the last record, can go unnoticed: nothing else is lost with it.
                assert ids is None or (ids == whole and name == last and place >= len(content) - 48 - 84)
                noticed += ids is None
    assert noticed > 1_000


@pytest.mark.spec("crypto.damage")
def test_every_cut_gives_a_prefix_or_an_error() -> None:
    files = closed_log()
    whole = found(files)
    assert whole is not None
    last = max(files)
    for name, content in files.items():
        for size in range(0, len(content), 1 if DEEP else 3):
            ids = found({**files, name: content[:size]})
            assert ids is None or (name == last and ids == whole[: len(ids)])


@pytest.mark.spec("crypto.name")
def test_files_that_are_missing_swapped_or_doubled() -> None:
    files = closed_log()
    names = sorted(files)
    for at, name in enumerate(names):
        if 0 < at < len(names) - 1:
            assert found({key: value for key, value in files.items() if key != name}) is None
        for second in names:
            if second != name:
                assert found({**files, name: files[second]}) is None
                assert found({**files, name: files[second], second: files[name]}) is None
    with pytest.raises(CorruptError, match="another name by its content; somebody has renamed or copied it"):
        open_log(encrypted(FakeDirectory({**files, f"log-{len(names) + 1:016x}.incr": files[names[-1]]})))


@pytest.mark.spec("crypto.bound")
def test_records_that_were_moved_repeated_or_taken_out_are_found() -> None:
    """Whole records, at the borders where they begin: the only pieces that could fit."""
    run = encrypted_run("synced", "synced", "rotate")
    run.close()
    files = {name: content for name, content in run.disk.files().items() if name != "LOCK"}
    whole = found(files)
    name = min(files)
    content = files[name]
    borders = [at for at in range(100, len(content)) if content[at : at + 4] == b"\xf2ec\x1a"] + [len(content)]
    pieces = [content[begin:end] for begin, end in pairwise(borders)]
    assert len(pieces) >= 3
    tried = 0
    for one in range(len(pieces)):
        for other in range(len(pieces)):
            if one != other:
                changed = list(pieces)
                changed[one], changed[other] = pieces[other], pieces[one]
                doubled = [*pieces[: one + 1], pieces[other], *pieces[one + 1 :]]
                for made in (changed, doubled, pieces[:one] + pieces[one + 1 :]):
                    ids = found({**files, name: content[: borders[0]] + b"".join(made)})
                    # Behind the last record nothing is looked at that is not the next one.
                    assert ids is None or (ids == whole and made[: len(pieces)] == pieces)
                    tried += 1
    assert tried >= 18


@pytest.mark.spec("crypto.key")
def test_a_wrong_key_and_a_missing_one_are_errors_of_their_own() -> None:
    files = closed_log()
    disk = FakeDirectory(files)
    wrong = EncryptedDirectory(disk, bytes(32))
    for call in (
        lambda: open_log(wrong),
        lambda: open_log(wrong, mode="rollback"),
        lambda: LogReader(wrong, decode=bytes),
    ):
        with pytest.raises(StoreError, match="encrypted with another key; give the one") as caught:
            call()
        assert type(caught.value) is StoreError
    for mode in ("torn", "rollback"):
        with pytest.raises(StoreError, match="is encrypted; open it with the key") as caught:
            open_log(disk, mode=mode)
        assert type(caught.value) is StoreError
    assert {name: content for name, content in disk.files().items() if name != "LOCK"} == files
    plain = Run()
    plain.do("synced")
    plain.close()
    with pytest.raises(StoreError, match="is not encrypted; open it without a key") as caught:
        open_log(encrypted(plain.disk))
    assert type(caught.value) is StoreError


@pytest.mark.spec("log.rollback", "crypto.damage")
def test_a_damaged_log_can_be_taken_back() -> None:
    files = closed_log()
    whole = found(files)
    assert whole is not None
    names = sorted(files)
    for name, place in [(names[0], 300), (names[1], 40), (names[1], 300), (names[2], 60)]:
        damaged = bytearray(files[name])
        damaged[place] ^= 1
        disk = FakeDirectory({**files, name: bytes(damaged)})
        with open_log(encrypted(disk), mode="rollback") as log:
            assert log.cut is not None
            assert log.cut.kept
            ids = [number for number, _ in log.replay()]
            assert ids == whole[: len(ids)]
            log.append(entry(log.last_id + 1))
        assert found({key: value for key, value in disk.files().items() if key != "LOCK"}) == [*ids, len(ids) + 1]


@pytest.mark.spec("crypto.file")
def test_a_log_with_room_made_in_advance() -> None:
    disk = FakeDirectory()
    for _ in range(3):
        log = Log(encrypted(disk), encode=bytes, decode=bytes, limits=Limits(segment_bytes=700, preallocate=300))
        for _ in range(10):
            log.append(entry(log.last_id + 1))
        files = disk.files()
        entries, _ = recovered(files, through=encrypted)
        assert entries == [(number, entry(number)) for number in range(1, log.last_id + 1)]
        log.close()
    assert disk.counts["allocate"] >= 3


@pytest.mark.spec("log.rollback", "crypto.crash")
@pytest.mark.parametrize(("segment", "place"), [(0, 300), (1, 40), (-1, 5)])
def test_a_crash_while_a_log_is_taken_back(segment: int, place: int) -> None:
    run = encrypted_run("synced", "rotate", "synced", "rotate", "batch")
    files = run.disk.files()
    run.close()
    name = sorted(found for found in files if found.startswith("log-"))[segment]
    damaged = bytearray(files[name])
    damaged[place] ^= 1
    begun = {**files, name: bytes(damaged)}
    expected = recovered(begun, "rollback", encrypted)
    disk = FakeDirectory(begun)
    open_log(encrypted(disk), mode="rollback").close()
    states = 0
    for calls in range(0, disk.calls + 1, 1 if DEEP else 3):
        for state in disk.crash_states(calls):
            states += 1
            assert recovered(state, "rollback", encrypted) == expected
    assert states > 10
