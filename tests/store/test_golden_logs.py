"""Logs as releases have written them are read for ever, and are written the same as long as the format is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from incr.store import FileDirectory, Flush, Limits, Log, LogReader, MemoryDirectory
from incr.store.checksum import BLAKE2B, XXH3, checksum_of_kind
from incr.store.lock import LOCK_NAME

GOLDEN = Path(__file__).parent / "golden"
KINDS = {"log-1-xxh3": XXH3, "log-1-blake2b": BLAKE2B}
ENTRIES = [b"", b"one", b"two", bytes(range(256)), b"in", b"one", b"batch", b"last"]


def written(kind: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Three segments, with a batch, an entry that is longer than a segment should be, and two marks of a clean end."""
    monkeypatch.setattr("incr.store.appender.preferred_checksum", lambda: checksum_of_kind(kind))
    directory = MemoryDirectory()
    for entries in ([ENTRIES[:1], ENTRIES[1:2], ENTRIES[2:3], ENTRIES[3:4], ENTRIES[4:7]], [ENTRIES[7:]]):
        with Log(
            directory,
            encode=bytes,
            decode=bytes,
            flush=Flush.every(2),
            limits=Limits(segment_bytes=300),
            random=lambda count: bytes(range(100, 100 + count)),
        ) as log:
            for batch in entries:
                log.append_batch(batch)
    return {name: content for name, content in directory.files().items() if name != LOCK_NAME}


@pytest.mark.spec("log.segment", "log.chain", "log.replay")
@pytest.mark.parametrize("name", KINDS)
def test_a_log_of_this_format_is_read(name: str, tmp_path: Path) -> None:
    place = shutil.copytree(GOLDEN / name, tmp_path / "log")
    expected = list(enumerate(ENTRIES, 1))
    reader = LogReader(FileDirectory(place), decode=bytes)
    assert (list(reader.replay()), reader.entry_count()) == (expected, 8)
    assert list(reader.replay(5)) == expected[5:]
    with Log(place, encode=bytes, decode=bytes) as log:
        assert log.cut is None
        log.append(b"new")
        assert list(log.replay()) == [*expected, (9, b"new")]


@pytest.mark.spec("log.segment", "log.chain", "log.seal")
@pytest.mark.parametrize("name", KINDS)
def test_a_log_is_written_as_it_always_was(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = {file.name: file.read_bytes() for file in sorted((GOLDEN / name).iterdir())}
    assert len(golden) == 3
    assert written(KINDS[name], monkeypatch) == golden
