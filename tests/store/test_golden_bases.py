"""Bases as releases have written them are read for ever, and are written the same as long as the format is."""

from __future__ import annotations

from pathlib import Path

import pytest

from incr.store import MemoryDirectory
from incr.store.checksum import BLAKE2B, XXH3, checksum_of_kind
from incr.store.contents import BaseHeader
from incr.store.overlay import Overlay
from incr.store.paged import PagedBase
from incr.store.paged_write import write_base
from incr.store.rows import CALLS, GOOD, HIGH, LOST_PUSHES, NEVER, RECORDS, Content, Delta, Head, Row, SectionInfo

GOLDEN = Path(__file__).parent / "golden"
KINDS = {"base-2-xxh3": XXH3, "base-2-blake2b": BLAKE2B}
SECTIONS = (
    SectionInfo(0, RECORDS, "module:Record", b"", ("key",), 3, 1),
    SectionInfo(2, CALLS, "query \u00e9\ud800", bytes(range(16)), ("a", "b"), 515, 2, (0, 2), 7, 9),
)
HEAD = Head(9, SECTIONS, b"table of classes", 4, 21)
ROWS = {
    0: (Row(0, b"one", 3, 3, HIGH, ()), Content(b"record", b"")),
    2: (Row(0, b"", 9, NEVER, 0, ()), Content(b"", b"")),
    512: (Row(2, b"call", 4, 9, GOOD, (0, 2)), Content(b"long", b"")),
    513: (Row(2, bytes(range(256)), 1 << 40, 9, GOOD, (512,)), Content(b"value", b"pushed")),
    514: (Row(2, b"lost", 4, 5, LOST_PUSHES, (513, 512, 0)), Content(b"", b"")),
}
DEPENDENTS = {0: [512, 514], 2: [512], 512: [513, 514], 513: [514], 514: []}
#: Longer than a block, where that makes no long file.
LONG = (ROWS[512][0], Content(b"long " * 14_000, b""))
#: What the second base has in place of that, made from the first one.
CHANGED = {2: ROWS[2], 513: (ROWS[513][0]._replace(valid_from=10, dependencies=(2,)), Content(b"changed", b""))}


def written(kind: int, monkeypatch: pytest.MonkeyPatch, *, compress: bool = False) -> dict[str, bytes]:
    """Two bases, the second one made from the first."""
    monkeypatch.setattr("incr.store.paged_write.preferred_checksum", lambda: checksum_of_kind(kind))
    directory = MemoryDirectory()
    old: PagedBase | None = None
    for generation, rows in enumerate((ROWS | {512: LONG} if compress else ROWS, CHANGED), 1):
        overlay = Overlay()
        overlay.apply(Delta(9, [], None, 4, rows, [], [], []))
        header = BaseHeader(bytes(range(100, 116)), generation, 9, 20 + generation)
        name = f"base-{generation:016x}.incr"
        write_base(directory, name, header, HEAD._replace(last=header.last), old, overlay, compress=compress)
        old = PagedBase.open(directory, name)
    return directory.files()


def check(base: PagedBase, generation: int, *, long: bool = False) -> None:
    rows = ROWS | ({512: LONG} if long else {}) | (CHANGED if generation == 2 else {})
    assert base.header == (bytes(range(100, 116)), generation, 9, 20 + generation)
    assert base.head() == HEAD._replace(last=20 + generation)
    for number, (row, content) in rows.items():
        assert (base.row(number), base.content(number)) == (row, content)
        assert base.find(row.section, row.key) == number
    dependents = DEPENDENTS if generation == 1 else DEPENDENTS | {2: [512, 513], 512: [514]}
    assert {number: list(base.dependents(number)) for number in rows} == dependents
    assert [list(base.rows_of(section)) for section in (0, 1, 2)] == [[0, 2], [], [512, 513, 514]]
    base.verify()


def golden(name: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((GOLDEN / name).iterdir())}


@pytest.mark.spec("paged.open", "paged.checksum")
@pytest.mark.parametrize("name", [*KINDS, "base-2-zstd"])
def test_a_base_of_this_format_is_read(name: str) -> None:
    files = golden(name)
    assert len(files) == 2
    for generation, file in enumerate(files, 1):
        check(PagedBase.open(MemoryDirectory(files), file), generation, long=name.endswith("zstd"))


@pytest.mark.spec("paged.write")
@pytest.mark.parametrize("name", KINDS)
def test_a_base_is_written_as_it_always_was(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(KINDS[name], monkeypatch) == golden(name)


@pytest.mark.spec("paged.zstd")
def test_a_compressed_base_says_the_same_whatever_its_bytes_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another release of zstd may find other bytes."""
    files = written(XXH3, monkeypatch, compress=True)
    for generation, file in enumerate(files, 1):
        check(PagedBase.open(MemoryDirectory(files), file), generation, long=True)
    assert max(map(len, files.values())) < 3_000
