"""No damage to a base ever becomes an answer: whatever is asked, the right answer comes, or an error that says where."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from incr import StoreError
from incr.store import MemoryDirectory
from incr.store.paged import PagedBase
from incr.store.rows import CALLS, GOOD, NEVER, RECORDS, Content, Row, SectionInfo
from paged_bases import base_of, head_of, overlay_of

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
    """How many questions had no answer; all others have the right one, each with nothing read before."""
    directory = MemoryDirectory({"base": content})
    refused = 0
    for at, expected in enumerate(EXPECTED):
        try:
            base = PagedBase.open(directory, "base")
        except StoreError:
            return len(EXPECTED)
        try:
            right = answers(base)[at]() == expected
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


@pytest.mark.spec("paged.checksum", "paged.bounded")
def test_every_cut_is_found() -> None:
    content = small_base()
    for size in range(len(content)):
        assert outcome(content[:size]) == len(EXPECTED), f"{size} bytes of {len(content)}"
    for more in (b"\0", b"\0" * 32, content[-32:]):
        assert outcome(content + more) == len(EXPECTED)
