"""Whole stores, as releases have left them in a directory, are opened for ever; and as long as the format is what it
is, the same deltas make the same bytes of each file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from incr.maintenance import compare
from incr.store import MemoryDirectory, MemoryStore
from incr.store.checksum import BLAKE2B, XXH3, checksum_of_kind
from incr.store.file_store import FileStore
from incr.store.options import StoreLimits
from incr.store.rows import CALLS, GOOD, HIGH, LOST_PUSHES, NEVER, RECORDS, Content, Delta, Row, SectionInfo, Store

GOLDEN = Path(__file__).parent / "golden"
KINDS = {"store-1-xxh3": XXH3, "store-1-blake2b": BLAKE2B}
#: What a process leaves that has ended: nothing of it is asked for again.
LOCK = "LOCK"
CHECKPOINTS = (3, 5)
#: The row of the call of each revision. 513 is removed, and its number is not given again.
CALLS_MADE = (257, 512, 513, 514, 256, 257, 512, 515, 514, 256, 257)


def sections(revision: int) -> list[SectionInfo]:
    parts, since = ("a", "b"), (revision // 3, revision // 2)
    return [
        SectionInfo(0, RECORDS, "module:Source", b"", ("path",), 3, 1),
        SectionInfo(2, CALLS, "m:\u00e9\ud800", bytes(range(16)), parts, 516, 2, (0, 2), *since),
    ]


def delta(revision: int) -> Delta:
    """A record is set, a call made of it, another one is changed in its stamps only, verified, suspected or removed."""
    record, call = revision % 3, CALLS_MADE[revision - 1]
    value = Content(b"value %d" % revision * revision, b"")
    dependencies = (record, 256) if call != 256 and revision > 6 else (record,)
    key = bytes(range(256)) if call == 514 else b"call %d" % call
    flags = (GOOD, GOOD | HIGH, LOST_PUSHES)[revision % 3]
    rows: dict[int, tuple[Row, Content | None]] = {
        record: (Row(0, b"source %d" % record, revision, revision, GOOD, ()), value),
        call: (
            Row(2, key, revision, NEVER if revision == 4 else revision, flags, dependencies),
            Content(b"answer", b"pushed %d" % revision) if revision % 2 else Content(b"", b""),
        ),
    }
    return Delta(
        revision,
        sections(revision) if revision % 2 else [],
        b"classes %d" % revision if revision in (1, 6) else None,
        3,
        rows,
        [257] if revision == 3 else [],
        [512] if revision == 4 else [],
        [513] if revision == 5 else [],
    )


LAST = 10


def fill(store: Store) -> None:
    for revision in range(1, LAST + 1):
        assert store.append(delta(revision)) == revision
        if revision in CHECKPOINTS:
            store.checkpoint()


def expected() -> MemoryStore:
    store = MemoryStore().open()
    fill(store)
    return store


def written(kind: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    for module in ("appender", "paged_write"):
        monkeypatch.setattr(f"incr.store.{module}.preferred_checksum", lambda: checksum_of_kind(kind))
    directory = MemoryDirectory()
    limits = StoreLimits(segment_bytes=800)
    with FileStore.open(
        directory, durability="relaxed", limits=limits, random=lambda count: bytes(range(100, 100 + count))
    ) as store:
        fill(store)
    return {name: content for name, content in directory.files().items() if name != LOCK}


def golden(name: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((GOLDEN / name).iterdir())}


@pytest.mark.spec("store.open", "store.format", "store.alike")
@pytest.mark.parametrize("name", KINDS)
def test_a_store_of_this_format_is_read(name: str, tmp_path: Path) -> None:
    place = shutil.copytree(GOLDEN / name, tmp_path / "store")
    with FileStore.open(place, mode="ro") as reader:
        compare(expected(), reader)
        assert (reader.cut, reader.findings) == (None, ())
    assert {file.name: file.read_bytes() for file in sorted(place.iterdir())} == golden(name)
    with FileStore.open(place) as store:
        assert (store.cut, store.findings, store.head().last) == (None, (), LAST)
        compare(expected(), store)
        assert store.verify(deep=True).bases == 2
        assert store.append(delta(LAST + 1)) == LAST + 1
        store.checkpoint()
    other = expected()
    other.append(delta(LAST + 1))
    with FileStore.open(place) as again:
        compare(other, again)
        assert again.verify(deep=True).bases == 2


@pytest.mark.spec("store.format", "store.append", "store.checkpoint")
@pytest.mark.parametrize("name", KINDS)
def test_a_store_is_written_as_it_always_was(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = golden(name)
    assert sorted(file[:4] for file in files) == ["FORM", "base", "base", *["log-"] * 6]
    assert written(KINDS[name], monkeypatch) == files
