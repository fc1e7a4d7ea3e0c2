"""No damage to a base ever becomes an answer: what is asked gets the right one, or an error."""

from __future__ import annotations

from binascii import crc32
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from incr import Database, StoreError, VersionError
from incr.store import FileDirectory, MemoryDirectory
from incr.store.overlay import Overlay
from incr.store.paged import PagedBase
from incr.store.rows import CALLS, GOOD, NEVER, RECORDS, Content, Row, SectionInfo
from paged_bases import STORE_ID, base_of, head_of, overlay_of

SECTIONS = (
    SectionInfo(0, RECORDS, "records", b"", ("key",), 2),
    SectionInfo(1, CALLS, "calls", b"code", ("a", "b"), 513),
)
#: Two pages with an empty one between them; all kinds of blocks.
ROWS = {
    0: (Row(0, b"in", 3, 0, 0, ()), Content(b"record", b"")),
    1: (Row(0, b"put", 4, 0, 2, ()), Content(b"", b"")),
    512: (Row(1, b"", 5, NEVER, 0, (0, 1)), Content(b"value", b"pushed")),
    513: (Row(1, b"call", 6, 7, GOOD, (512, 1)), Content(b"", b"only pushed")),
}
DEPENDENTS = {0: [512], 1: [512, 513], 512: [513], 513: []}
ABSENT = (2, 300, 511, 600, 5_000)


@cache
def small_base() -> bytes:
    directory = MemoryDirectory()
    base_of(directory, "base", head_of(*SECTIONS), None, overlay_of(ROWS))
    return directory.files()["base"]


def answers(base: PagedBase) -> list[Callable[[], object]]:
    """All that can be asked, each with an answer that does not change."""
    asked: list[Callable[[], object]] = [base.head, lambda: base.header, lambda: len(base)]
    for number, (row, _) in ROWS.items():
        asked += [
            lambda row=row: base.find(row.section, row.key),
            lambda row=row: base.find(1 - row.section, row.key),
            lambda number=number: base.row(number),
            lambda number=number: base.content(number),
            lambda number=number: list(base.dependents(number)),
            lambda number=number: base.has(number),
        ]
    asked += [lambda number=number: base.has(number) for number in ABSENT]
    asked += [lambda section=section: list(base.rows_of(section)) for section in range(3)]
    return [*asked, base.verify]


EXPECTED = [answer() for answer in answers(PagedBase.open(MemoryDirectory({"base": small_base()}), "base"))]


def outcome(content: bytes) -> int:
    """How many questions had no answer; all others have the right one, whatever was asked before."""
    try:
        base = PagedBase.open(MemoryDirectory({"base": content}), "base", cache_bytes=0)
    except StoreError:
        return len(EXPECTED)
    refused = 0
    for at, (answer, expected) in enumerate(zip(answers(base), EXPECTED, strict=True)):
        try:
            right = answer() == expected
        except StoreError:
            refused += 1
        else:
            assert right, f"question {at}"
    return refused


def test_what_is_expected_is_what_was_written() -> None:
    base = PagedBase.open(MemoryDirectory({"base": small_base()}), "base")
    for number, (row, content) in ROWS.items():
        assert (base.row(number), base.content(number)) == (row, content)
        assert list(base.dependents(number)) == DEPENDENTS[number]
        assert base.find(row.section, row.key) == number
        assert base.find(1 - row.section, row.key) is None
    assert [base.has(number) for number in ABSENT] == [False] * 5
    assert [list(base.rows_of(section)) for section in range(3)] == [[0, 1], [512, 513], []]
    assert outcome(small_base()) == 0


@pytest.mark.spec("paged.checksum", "paged.bounded", "paged.open", "paged.verify")
@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_is_found(bit: int) -> None:
    content = small_base()
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 1 << bit
        refused = outcome(bytes(damaged))
        assert refused >= 1, f"bit {bit} of byte {at}"  # by `verify`, whatever else was asked


def places(content: bytes) -> list[tuple[int, int]]:
    """Where each list, block and bucket of a base begins and ends."""
    base = PagedBase.open(MemoryDirectory({"base": content}), "base")
    found: list[tuple[int, int]] = []
    for number in range(base.table.pages):
        entry = base.table.page(number)
        if entry is not None:
            streams = base.streams(number, entry)
            found.append((entry.start, streams[0].offsets[0]))
            for stream in streams:
                found += pairwise(stream.offsets)
    found += [base.table.bucket(number)[:2] for number in range(base.table.buckets)]
    assert [end for _, end in found[:-1]] == [start for start, _ in found[1:]]
    return found


@pytest.mark.spec("paged.checksum", "paged.bounded")
def test_every_cut_is_found() -> None:
    content = small_base()
    for size in range(len(content)):
        assert outcome(content[:size]) == len(EXPECTED), f"{size} bytes of {len(content)}"
    for more in (b"\0", b"\0" * 32, content[-32:]):
        assert outcome(content + more) == len(EXPECTED)


@pytest.mark.spec("paged.checksum")
def test_a_block_in_the_place_of_another_is_found() -> None:
    content = small_base()
    swapped = 0
    for start, end in places(content):
        for other, stop in places(content):
            if start != other and end - start <= stop - other:
                damaged = bytearray(content)
                damaged[start:end] = content[other : other + end - start]
                assert outcome(bytes(damaged)) >= 1
                swapped += 1
    assert swapped > 20


@pytest.mark.spec("paged.checksum")
@pytest.mark.parametrize("what", ["another store", "an older base"])
def test_a_block_that_was_good_elsewhere_is_found(what: str) -> None:
    """Whole blocks, lists and buckets of the same length and the same place."""
    if what == "another store":
        rows, store_id = ROWS, b"another store..."
    else:
        rows, store_id = {number: older(row, content) for number, (row, content) in ROWS.items()}, STORE_ID
    directory = MemoryDirectory()
    base_of(directory, "base", head_of(*SECTIONS), None, overlay_of(rows), store_id=store_id)
    content, foreign = small_base(), directory.files()["base"]
    assert places(content) == places(foreign)
    different = 0
    for start, end in places(content):
        damaged = content[:start] + foreign[start:end] + content[end:]
        if damaged == content:
            continue
        different += 1
        assert outcome(damaged) >= 1
    assert different >= (4 if what == "an older base" else 2)
    # Nor does all but the header and the table of contents make it a base of this store.
    first, last = places(content)[0][0], places(content)[-1][1]
    assert outcome(content[:first] + foreign[first:last] + content[last:]) >= len(ROWS)


def older(row: Row, content: Content) -> tuple[Row, Content]:
    """The row as it may have been."""
    return row._replace(changed_at=1), Content(content.value.upper(), content.pushes.upper())


@pytest.mark.spec("paged.copy", "paged.checksum")
@pytest.mark.parametrize("what", ["nothing", "a content", "a row", "everything"])
def test_damage_is_not_carried_on(what: str) -> None:
    """The next base of a damaged one is right, or it is not written."""
    overlay = {
        "nothing": Overlay(),
        "a content": overlay_of({512: (ROWS[512][0], Content(b"new", b""))}),
        "a row": overlay_of({1: (ROWS[1][0]._replace(flags=0), None)}),
        "everything": overlay_of({number: (row, Content(b"new", b"")) for number, (row, _) in ROWS.items()}),
    }[what]
    expected = {number: (row, ROWS[number][1]) for number, (row, _) in ROWS.items()}
    for number, (row, content) in overlay.rows.items():
        expected[number] = (row, content or ROWS[number][1])
    content, refused = small_base(), 0
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 1 << at % 8
        directory = MemoryDirectory({"base": bytes(damaged)})
        try:
            old = PagedBase.open(directory, "base")
            base = base_of(directory, "next", head_of(*SECTIONS), old, overlay)
        except StoreError:
            refused += 1
            assert list(directory.files()) == ["base"]
            continue
        base.verify()
        assert {number: (base.row(number), base.content(number)) for number in ROWS} == expected
        assert {number: list(base.dependents(number)) for number in ROWS} == DEPENDENTS
    assert refused > (len(content) // 2 if what == "everything" else len(content) - 100)


@pytest.mark.spec("paged.open")
def test_another_release_is_not_damage() -> None:
    content = bytearray(small_base())
    content[8] = 3
    content[12:16] = crc32(bytes(content[:12])).to_bytes(4, "little")
    with pytest.raises(VersionError) as caught:
        PagedBase.open(MemoryDirectory({"base": bytes(content)}), "base")
    assert (caught.value.found, caught.value.supported) == (3, 2)


@pytest.mark.spec("paged.open")
def test_the_two_kinds_of_base_refuse_each_other(tmp_path: Path) -> None:
    db = Database()
    db.save(tmp_path / "saved")
    with pytest.raises(VersionError, match="has format 1, this release reads format 2"):
        PagedBase.open(FileDirectory(tmp_path), "saved")
    (tmp_path / "base").write_bytes(small_base())
    with pytest.raises(VersionError, match="has format 2, this release reads format 1"):
        db.load(tmp_path / "base")
