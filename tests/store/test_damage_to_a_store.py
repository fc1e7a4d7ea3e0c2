"""Whatever was done to its files, a store has a state that was there, or says what is damaged; never anything else."""

from __future__ import annotations

import os
from array import array
from functools import cache
from typing import Literal

import pytest

from file_store_workloads import Run, delta, everything, expected, open_store
from incr import CorruptError, StoreError, VersionError
from incr.store.delta import _little, pack_delta, unpack_delta
from incr.store.file_store import FileStore
from incr.store.opening import OnCorrupt
from incr.store.rows import Delta
from incr.testing import FakeDirectory

DEEP = os.environ.get("INCR_HYPOTHESIS_PROFILE") == "deep"
LAST = 7


@cache
def _closed_store() -> dict[str, bytes]:
    run = Run()
    for step in ("synced", "rotate", "checkpoint", "synced", "rotate", "checkpoint", "synced", "unsynced", "synced"):
        run.do(step)
    run.close()
    files = run.disk.files()
    del files["LOCK"]
    assert [name[:4] for name in files] == ["FORM", "base", "base", "log-", "log-"]
    assert run.attempted == LAST
    return files


def closed_store() -> dict[str, bytes]:
    """A store with two bases, of 2 and 4 deltas, and the log from delta 3 to delta 7, in two files; it was closed."""
    return dict(_closed_store())


def found(files: dict[str, bytes], on_corrupt: OnCorrupt = "error") -> int | None:
    """The revision that a store has with these files; None if it is refused. What it has was there."""
    last = None
    try:
        with open_store(FakeDirectory(files), on_corrupt) as store:
            assert everything(store) == expected(store.head().revision)
            last = store.head().revision
    except CorruptError:
        assert on_corrupt == "error"
    try:
        with FileStore.open(FakeDirectory(files), mode="ro", on_corrupt=on_corrupt) as reader:
            assert everything(reader) == expected(reader.head().revision)
            assert reader.head().revision == last
    except CorruptError:
        assert last is None
    return last


def found_without_reading(files: dict[str, bytes]) -> int | None:
    """As `found`, but damage may also be met when something is read."""
    try:
        return found(files)
    except CorruptError:
        return None


@pytest.mark.spec("store.open", "store.verdict", "store.fallback", "store.identity")
@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit(bit: int) -> None:
    files = closed_store()
    bases = sorted(name for name in files if name.startswith("base-"))
    logs = sorted(name for name in files if name.startswith("log-"))
    count = 0
    for name in (*bases[1:], *logs):
        content = files[name]
        for place in range(2 * bit, len(content), 1 if DEEP else 17):
            damaged = content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]
            last = found_without_reading({**files, name: damaged})
            # A base that does not open can be done without; only the mark of a clean end can go unnoticed in a log.
            assert last in (None, LAST)
            assert last is None or name in bases or name == logs[0] or place >= len(content) - 48
            count += 1
    assert count > 150


@pytest.mark.spec("store.fallback")
def test_who_reads_all_of_a_base_first_misses_nothing() -> None:
    files = closed_store()
    newest = max(name for name in files if name.startswith("base-"))
    content = files[newest]
    for place in range(0, len(content), 1 if DEEP else 19):
        damaged = content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]
        modes: tuple[Literal["ro", "rw"], ...] = ("ro", "rw")
        for mode in modes:
            disk = FakeDirectory({**files, newest: damaged})
            try:
                with FileStore.open(disk, mode=mode, thorough=True) as store:
                    assert everything(store) == expected(LAST)
                    assert len(store.findings) == 1
                    if mode == "rw":
                        assert store.verify(deep=True).bases == 1
            except VersionError:
                assert place in (8, 9)


@pytest.mark.spec("store.format")
def test_every_flipped_bit_of_what_says_that_it_is_a_store() -> None:
    files = closed_store()
    for bit in range(8 * len(files["FORMAT"])):
        content = bytearray(files["FORMAT"])
        content[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StoreError):
            open_store(FakeDirectory({**files, "FORMAT": bytes(content)}))


@pytest.mark.spec("store.open", "store.fallback")
def test_every_cut() -> None:
    files = closed_store()
    newest = max(name for name in files if name.startswith("log-"))
    for name in sorted(files)[1:]:
        for size in range(0, len(files[name]), 1 if DEEP else 23):
            last = found({**files, name: files[name][:size]})
            if name == newest:  # as if the rest had not been on the disk yet
                assert last is None or 4 <= last <= LAST
            else:
                assert last == LAST


@pytest.mark.spec("store.verdict", "store.fallback", "store.identity")
def test_files_that_are_missing_swapped_doubled_or_renamed() -> None:
    files = closed_store()
    names = sorted(files)[1:]
    bases, logs = names[:2], names[2:]

    def without(*gone: str) -> dict[str, bytes]:
        return {name: content for name, content in files.items() if name not in gone}

    assert found(without(bases[0])) == LAST
    assert found(without(bases[1])) == LAST
    assert found(without(*bases)) is None
    assert found(without(logs[0])) == LAST
    assert found(without(logs[0], bases[1])) is None
    # As if its name had never been on the disk: the state before.
    assert found(without(logs[1])) == 4
    assert found(without(*logs)) == 4
    for one in names:
        for other in names:
            if one != other:
                swapped = {**files, one: files[other], other: files[one]}
                assert found({**files, one: files[other]}) in (None, LAST)
                assert found(swapped) in (None, LAST)
    for name, new in [(bases[1], f"base-{9:016x}.incr"), (bases[0], f"base-{9:016x}.incr")]:
        with open_store(FakeDirectory({**files, new: files[name]})) as store:
            assert any("renamed" in finding.reason for finding in store.findings)
        assert found({**files, new: files[name]}) == LAST
        assert found({**without(name), new: files[name]}) == LAST
    assert found({**files, f"log-{9:016x}.incr": files[logs[1]]}) is None


@pytest.mark.spec("store.identity")
def test_files_of_two_stores() -> None:
    files = closed_store()
    run = Run(random=lambda count: bytes(range(1, count + 1)))
    for step in ("synced", "rotate", "checkpoint", "synced", "rotate", "checkpoint", "synced", "checkpoint", "synced"):
        run.do(step)
    run.close()
    other = run.disk.files()
    del other["LOCK"]
    for name, content in other.items():
        if name != "FORMAT":
            expect = LAST if name < max(base for base in files if base.startswith("base-")) else None
            assert found({**files, name: content}) in (expect, None)
    logs = {name: content for name, content in other.items() if name.startswith("log-")}
    bases = {name: content for name, content in files.items() if not name.startswith("log-")}
    assert found({**bases, **logs}) is None
    # A base of another store is newer by its number only.
    newest = max(name for name in other if name.startswith("base-"))
    with pytest.raises(CorruptError, match="another store"):
        open_store(FakeDirectory({**files, newest: other[newest]}))
    disk = FakeDirectory({**files, newest: other[newest]})
    with open_store(disk, "quarantine") as store:
        assert everything(store) == expected(LAST)
        assert store.findings[0].kept == f"fake:quarantine-{newest}"
    assert disk.files()[f"quarantine-{newest}"] == other[newest]
    assert b"another store" in disk.files()[f"quarantine-{newest}.txt"]


@pytest.mark.spec("store.fallback", "store.verdict", "store.quarantine")
@pytest.mark.parametrize("on_corrupt", ["error", "ignore", "quarantine", "delete"])
def test_what_becomes_of_damaged_files(on_corrupt: OnCorrupt) -> None:
    files = closed_store()
    names = sorted(files)[1:]
    bases, logs = names[:2], names[2:]

    def damaged(*which: str) -> FakeDirectory:
        return FakeDirectory(
            {
                name: content[:90] + b"?" + content[91:-9] + b"?" + content[-8:] if name in which else content
                for name, content in files.items()
            }
        )

    disk = damaged(bases[1])
    with open_store(disk, on_corrupt) as store:
        (finding,) = store.findings
        assert finding.path == f"fake:{bases[1]}"
        assert store.stat().findings == 1
        assert everything(store) == expected(LAST)
        store.append(delta(LAST + 1))
        store.checkpoint()
        # It never gets the number of one that was there.
        assert store.stat().bases[0].number == 3
    assert (finding.kept is None) == (on_corrupt == "delete")
    assert (f"quarantine-{bases[1]}" in disk.files()) == (on_corrupt != "delete")

    for which, last in [((logs[1],), 4), (bases, 0), ((bases[1], logs[0]), 2), ((*bases, *logs), 0)]:
        disk = damaged(*which)
        if on_corrupt == "error":
            before = disk.files()
            with pytest.raises(CorruptError):
                open_store(disk)
            assert {name: content for name, content in disk.files().items() if name != "LOCK"} == before
            continue
        with FileStore.open(disk, mode="ro", on_corrupt=on_corrupt) as reader:
            assert (everything(reader), len(reader.findings) > 0) == (expected(reader.head().revision), True)
            assert reader.head().revision <= last
        with open_store(disk, on_corrupt) as store:
            assert everything(store) == expected(last)
            assert (store.cut, store.findings) != (None, ())
            store.append(delta(last + 1))
            store.checkpoint()
        with open_store(disk) as store:
            assert (everything(store), store.findings) == (expected(last + 1), ())
        aside = [name for name in disk.files() if name.startswith(("torn-", "quarantine-"))]
        assert (aside == []) == (on_corrupt == "delete")


@pytest.mark.spec("store.verdict", "log.covered")
@pytest.mark.parametrize("place", [5, -60])
def test_what_a_base_has_does_not_take_the_store_back(place: int) -> None:
    files = closed_store()
    first, second = sorted(name for name in files if name.startswith("log-"))
    content = bytearray(files[first])
    content[place] ^= 1
    last = len(files[second]) - 60
    torn = files[second][:last] + b"?" + files[second][last + 1 :]
    disk = FakeDirectory({**files, first: bytes(content), second: torn})
    with open_store(disk, "quarantine") as store:
        assert everything(store) == expected(LAST - 1)
        assert disk.files()[first] == bytes(content)
        # It is not one of those that are known, and goes when the bases do not need it any more.
        for number in range(LAST, LAST + 4):
            store.append(delta(number))
            store.checkpoint()
        assert first not in disk.files()


@pytest.mark.spec("store.quarantine")
def test_what_is_kept_is_bounded() -> None:
    disk = FakeDirectory(closed_store())
    for _ in range(12):
        with open_store(disk) as store:
            store.append(delta(store.head().revision + 1))
            store.checkpoint()
        newest = max(name for name in disk.files() if name.startswith("base-"))
        disk = FakeDirectory({**disk.files(), newest: disk.files()[newest][:-1]})
    open_store(disk).close()
    assert len([name for name in disk.files() if name.startswith("quarantine-")]) == 16
    # No room for the reason is no reason not to start.
    newest = max(name for name in disk.files() if name.startswith("base-"))
    disk = FakeDirectory({**disk.files(), newest: disk.files()[newest][:-1], f"quarantine-{newest}.txt": b"old"})
    disk.fail("create")
    with pytest.raises(CorruptError):
        open_store(disk)


@pytest.mark.spec("store.quarantine")
def test_another_release_is_not_damage() -> None:
    from binascii import crc32

    files = closed_store()
    for name in (max(files), max(name for name in files if name.startswith("base-"))):
        prologue = files[name][:8] + b"\x63\0" + files[name][10:12]
        newer = {**files, name: prologue + crc32(prologue).to_bytes(4, "little") + files[name][16:]}
        for mode in ("rw", "ro"):
            disk = FakeDirectory(newer)
            with pytest.raises(VersionError):
                FileStore.open(disk, mode="rw" if mode == "rw" else "ro", on_corrupt="delete")
            assert {key: value for key, value in disk.files().items() if key != "LOCK"} == newer


@pytest.mark.spec("store.delta")
def test_every_damage_to_a_delta() -> None:
    """Checksums aside: a delta is taken apart only as far as it makes sense."""
    packed = pack_delta(delta(5))
    assert unpack_delta("path", packed).revision == 5
    for size in range(len(packed)):
        with pytest.raises(CorruptError, match="path"):
            unpack_delta("path", packed[:size])
    with pytest.raises(CorruptError, match="behind the end"):
        unpack_delta("path", packed + b"\0")
    with pytest.raises(StoreError, match="does not know"):
        unpack_delta("path", b"\x80" + packed[1:])
    assert list(_little(array("H", [1, 258]), "big")) == [256, 513]
    assert unpack_delta("path", pack_delta(Delta(1, [], None, 0, {}, [], [], []))).rows == {}
    refused = 0
    for place in range(len(packed)):
        for bit in range(8):
            damaged = packed[:place] + bytes([packed[place] ^ 1 << bit]) + packed[place + 1 :]
            try:
                assert pack_delta(unpack_delta("path", damaged))
            except StoreError:
                refused += 1
    assert refused > 500
