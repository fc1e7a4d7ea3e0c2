"""Whatever was done to its files, a log gives what was written, up to some entry, or says that it is damaged."""

from __future__ import annotations

import pytest

from incr import CorruptError, StoreError, VersionError
from incr.store import LogReader
from incr.testing import FakeDirectory
from log_workloads import Run, entry, open_log


def closed_log() -> dict[str, bytes]:
    """A log of three segments that was closed."""
    run = Run()
    for step in ("batch", "synced", "rotate", "synced", "rotate", "unsynced"):
        run.do(step)
    run.close()
    files = run.disk.files()
    del files["LOCK"]
    assert len(files) >= 3
    return files


def found(files: dict[str, bytes]) -> list[int] | None:
    """The ids that a log has with these files; None if it is refused. What it has is what was written."""
    try:
        with open_log(FakeDirectory(files)) as log:
            entries = list(log.replay())
    except CorruptError:
        entries = None
    try:
        read = list(LogReader(FakeDirectory(files), decode=bytes).replay())
    except CorruptError:
        assert entries is None
        return None
    assert all(content == entry(number) for number, content in read)
    assert entries in (None, read)
    return None if entries is None else [number for number, _ in entries]


@pytest.mark.spec("log.chain", "log.segment", "log.seal", "log.verdict")
@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_is_found(bit: int) -> None:
    files = closed_log()
    whole = found(files)
    assert whole is not None
    last = max(files)
    count = 0
    for name, content in files.items():
        for place in range(len(content)):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            ids = found({**files, name: bytes(damaged)})
            # Only the mark of a clean end, the last frame, can go unnoticed: nothing else is lost with it.
            assert ids is None or (ids == whole and name == last and place >= len(content) - 48)
            count += 1
    assert count > 600


@pytest.mark.spec("log.chain", "log.recover")
def test_every_cut_gives_a_prefix_or_an_error() -> None:
    files = closed_log()
    whole = found(files)
    assert whole is not None
    last = max(files)
    for name, content in files.items():
        for size in range(len(content)):
            ids = found({**files, name: content[:size]})
            assert ids is None or (name == last and ids == whole[: len(ids)])


@pytest.mark.spec("log.segment")
def test_files_that_are_missing_swapped_or_doubled() -> None:
    files = closed_log()
    whole = found(files)
    assert whole is not None
    names = sorted(files)
    other = Run()
    for step in ("synced", "rotate", "rotate"):
        other.do(step)
    other.close()
    for at, name in enumerate(names):
        without = {key: value for key, value in files.items() if key != name}
        if at == len(names) - 1:  # as if its name had never been synced: an earlier state
            ids = found(without)
            assert ids is not None
            assert ids == whole[: len(ids)]
        elif at:
            assert found(without) is None
        for second in names:
            if second != name:
                assert found({**files, name: files[second]}) is None
                assert found({**files, name: files[second], second: files[name]}) is None
    doubled = f"log-{len(names) + 1:016x}.incr"
    assert found({**files, doubled: files[names[-1]]}) is None


@pytest.mark.spec("log.segment")
def test_another_release_is_not_damage() -> None:
    from binascii import crc32

    files = closed_log()
    name = min(files)
    prologue = files[name][:8] + b"\x02\0" + files[name][10:12]
    newer = {**files, name: prologue + crc32(prologue).to_bytes(4, "little") + files[name][16:]}
    for call in (lambda: open_log(FakeDirectory(newer)), lambda: LogReader(FakeDirectory(newer), decode=bytes)):
        with pytest.raises(VersionError):
            call()
    assert issubclass(VersionError, StoreError)
