"""A base is written whole or not at all, whatever the disk does; and what cannot be written is refused."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, get_args

import pytest

from incr import StoreBrokenError, StoreError
from incr.store import MemoryDirectory
from incr.store.contents import BaseHeader
from incr.store.directory import Directory, File
from incr.store.overlay import Overlay
from incr.store.paged import PagedBase
from incr.store.paged_write import TEMPORARY, write_base
from incr.store.rows import CALLS, GOOD, RECORDS, Content, Head, Row, SectionInfo
from incr.testing import Crashed, FakeDirectory
from paged_bases import STORE_ID, base_of, head_of, overlay_of

SECTION = SectionInfo(0, CALLS, "calls", b"", (), 300)
HEAD = head_of(SECTION)
HEADER = BaseHeader(STORE_ID, 2, 7, 3)
ROWS = {
    number: (Row(0, b"%d" % number, 1, 1, GOOD, (number - 1,) if number else ()), Content(b"value", b""))
    for number in range(300)
}
CHANGED = {7: (ROWS[7][0], Content(b"changed", b""))}
Calls = Literal["create", "open_to_read", "rename", "sync_names", "size", "pread", "pwrite", "sync", "close"]


def first_base() -> dict[str, bytes]:
    directory = MemoryDirectory()
    base_of(directory, "base", HEAD, None, overlay_of(ROWS))
    return directory.files()


FIRST = first_base()


def write_next(directory: Directory, name: str = "next") -> None:
    old = PagedBase.open(directory, "base")
    try:
        write_base(directory, name, HEADER, HEAD, old, overlay_of(CHANGED))
    finally:
        with suppress(StoreError):
            old.close()


def value_of(directory: Directory, name: str) -> bytes:
    base = PagedBase.open(directory, name)
    base.verify()
    value = base.content(7).value
    base.close()
    return value


@pytest.mark.spec("paged.write")
@pytest.mark.parametrize("times", [1, None])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("call", get_args(Calls))
def test_a_call_that_fails_leaves_nothing_behind(call: Calls, error: int, times: int | None) -> None:
    failed = 0
    for skip in range(100):
        directory = FakeDirectory(FIRST)
        directory.fail(call, error, skip=skip, times=times)
        try:
            write_next(directory)
        except StoreError:
            failed += 1
        else:
            break
        finally:
            directory.heal()
        names = sorted(directory.files())
        assert names in (["base"], ["base", "next"])
        # Once it has its name, it is whole.
        assert (names == ["base"]) or (call, value_of(directory, "next")) == ("sync_names", b"changed")
        assert value_of(directory, "base") == b"value"
    assert 0 < failed < 100
    assert value_of(directory, "next") == b"changed"


@pytest.mark.spec("paged.write")
def test_a_crash_leaves_the_old_base_or_the_new_one() -> None:
    """Under the name of the old one, too."""
    states = 0
    for at in range(1, 200):
        directory = FakeDirectory(FIRST)
        directory.crash_at(at)
        try:
            write_next(directory, "base")
            done = True
        except Crashed:
            done = False
        for state in directory.crash_states(seed=at):
            states += 1
            assert all(name == "base" or name.startswith(TEMPORARY) for name in state)
            value = value_of(MemoryDirectory(state), "base")
            assert value == b"changed" if done else value in (b"value", b"changed")
        if done:
            break
    assert states > 30


@pytest.mark.spec("paged.write")
def test_short_reads_and_writes_are_gone_on_with() -> None:
    directory = FakeDirectory(FIRST)
    directory.shorten("pread", times=None)
    directory.shorten("pwrite", times=3)
    write_next(directory)
    assert value_of(directory, "next") == b"changed"


class Forgetful:
    """A disk that changes a bit of a file when the file is synced."""

    def __init__(self, directory: MemoryDirectory, place: Callable[[int], int]) -> None:
        self._directory = directory
        self._place = place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._directory, name)

    def create(self, name: str) -> File:
        return ForgetfulFile(self._directory.create(name), self._place)


class ForgetfulFile:
    def __init__(self, file: File, place: Callable[[int], int]) -> None:
        self._file = file
        self._place = place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def sync(self) -> None:
        at = self._place(self._file.size())
        self._file.pwrite(bytes([self._file.pread(1, at)[0] ^ 1]), at)
        self._file.sync()


@pytest.mark.spec("paged.write")
@pytest.mark.parametrize("place", [lambda size: 20, lambda size: size - 100, lambda size: size - 1])
def test_what_reads_back_differently_gets_no_name(place: Callable[[int], int]) -> None:
    memory = MemoryDirectory(FIRST)
    with pytest.raises(StoreBrokenError, match="reads back differently; check the disk"):
        write_next(Forgetful(memory, place))
    assert memory.files() == FIRST


def refused(head: Head, old: PagedBase | None, overlay: Overlay, header: BaseHeader = HEADER) -> str:
    directory = MemoryDirectory()
    with pytest.raises(StoreError) as caught:
        write_base(directory, "next", header, head, old, overlay)
    assert directory.files() == {}
    return str(caught.value)


@pytest.mark.spec("paged.write")
@pytest.mark.parametrize(
    ("row", "head", "header"),
    [
        (ROWS[0][0]._replace(changed_at=1 << 63), HEAD, HEADER),
        (ROWS[0][0]._replace(valid_from=-(1 << 63) - 1), HEAD, HEADER),
        (ROWS[0][0]._replace(flags=256), HEAD, HEADER),
        (ROWS[0][0]._replace(dependencies=(1 << 32,)), HEAD, HEADER),
        (ROWS[0][0]._replace(section=1 << 32), HEAD, HEADER),
        (ROWS[0][0], HEAD._replace(next_page=1 << 32), HEADER),
        (ROWS[0][0], HEAD._replace(sections=[SECTION._replace(kind=256)]), HEADER),
        (ROWS[0][0], HEAD, HEADER._replace(revision=1 << 64)),
    ],
)
def test_what_has_no_place_in_the_format_is_refused(row: Row, head: Head, header: BaseHeader) -> None:
    said = refused(head, None, overlay_of({0: (row, Content(b"", b""))}), header)
    assert "has no place in it" in said


@pytest.mark.spec("paged.write")
def test_rows_of_two_sections_have_no_page_together() -> None:
    mixed = {0: ROWS[0], 1: (ROWS[1][0]._replace(section=1), ROWS[1][1])}
    two = head_of(SECTION, SectionInfo(1, RECORDS, "records", b"", (), 2))
    assert "two sections in one page" in refused(two, None, overlay_of(mixed))
    old = PagedBase.open(MemoryDirectory(FIRST), "base")
    assert "two sections in one page" in refused(two, old, overlay_of({299: mixed[1]}))


@pytest.mark.spec("paged.write")
def test_pages_that_were_never_given_out_are_refused() -> None:
    assert "page 2 was not given out" in refused(HEAD._replace(next_page=2), None, overlay_of({512: ROWS[0]}))


@pytest.mark.spec("paged.write")
def test_a_content_of_four_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incr.store.rewrite.LONGEST_STREAM", 10)
    assert "row 299 is 4 GiB long" in refused(
        HEAD, None, overlay_of({299: (ROWS[299][0], Content(b"12345", b"67890"))})
    )


@pytest.mark.spec("paged.copy")
@pytest.mark.parametrize("changed", [{}, CHANGED])
def test_a_base_is_copied_to_another_store(changed: dict[int, tuple[Row, Content]]) -> None:
    old = PagedBase.open(MemoryDirectory(FIRST), "base")
    assert old.size == len(FIRST["base"])
    base = base_of(MemoryDirectory(), "base", HEAD, old, overlay_of(changed), store_id=bytes(16))
    base.verify()
    assert {number: (base.row(number), base.content(number)) for number in ROWS} == ROWS | changed


@pytest.mark.spec("paged.copy")
def test_damage_is_not_carried_on_to_another_store() -> None:
    # What is not looked at by reading rows is compared, too.
    whole, refused_at = FIRST["base"], 0
    for place in range(64, len(whole), 11):
        damaged = MemoryDirectory({"base": whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]})
        with suppress(StoreError):
            other = PagedBase.open(damaged, "base")
            with pytest.raises(StoreError):
                base_of(MemoryDirectory(), "base", HEAD, other, Overlay(), store_id=bytes(16))
            refused_at += 1
    assert refused_at > 10
