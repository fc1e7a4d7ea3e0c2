"""What is wrong in a base although its digests are right is found, too, and no count in it is believed.

The digests are those of a writer with an error in it, or of somebody who has the store's id.
"""

from __future__ import annotations

import random
import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest

from incr import CorruptError, StoreError
from incr.store import FileDirectory, MemoryDirectory
from incr.store.block import (
    DEPENDENTS,
    HEAD,
    LISTED_BYTES,
    VALUES,
    ZSTD,
    Listed,
    Proof,
    Zstd,
    pack_list,
    raw_block,
    unpack_block,
    unpack_list,
)
from incr.store.checksum import preferred_checksum
from incr.store.columns import pack_numbers
from incr.store.contents import BaseHeader, Table, pack_table
from incr.store.index import Bucket, pack_bucket
from incr.store.overlay import Layer, NoRows, Overlay
from incr.store.page import PageHead, pack_head, unpack_head
from incr.store.paged import PagedBase
from incr.store.rows import CALLS, GOOD, Content, Delta, Row, SectionInfo
from paged_bases import STORE_ID, base_of, head_of, overlay_of

SECTION = SectionInfo(0, CALLS, "calls \ud800", b"code", ("a", "é"), 300)
HEAD_OF_ONE = head_of(SECTION)
ROWS = {
    number: (Row(0, b"%d" % number, 1, 1, GOOD, (number - 1,) if number else ()), Content(b"value", b"p"))
    for number in range(300)
}
CHECKSUM = preferred_checksum()
PROOF = Proof(CHECKSUM, STORE_ID)
HEADER = BaseHeader(STORE_ID, 1, 7, 3)


# --- a table of contents ------------------------------------------------------------------------------------------


def table_of(data: bytes) -> Table:
    return Table("file", 10_000, memoryview(data), HEADER)


GOOD_TABLE = pack_table(HEAD_OF_ONE, 300, bytes(26) * 2, bytes(16) * 2)


@pytest.mark.spec("paged.bounded")
def test_a_table_that_is_cut_or_longer_is_refused() -> None:
    table = table_of(GOOD_TABLE)
    assert (table.head, table.rows, table.pages, table.buckets) == (HEAD_OF_ONE, 300, 2, 2)
    for size in range(len(GOOD_TABLE)):
        with pytest.raises(CorruptError):
            table_of(GOOD_TABLE[:size])
    with pytest.raises(CorruptError, match="bytes behind the last section"):
        table_of(GOOD_TABLE + b"\0")


@pytest.mark.spec("paged.bounded")
def test_no_count_in_a_table_is_believed() -> None:
    for at in range(12, len(GOOD_TABLE) - 3):
        data = bytearray(GOOD_TABLE)
        data[at : at + 4] = b"\xff" * 4
        try:
            table = table_of(bytes(data))
        except CorruptError:
            continue
        assert (table.pages, table.buckets, len(table.head.sections), len(table.head.classes)) == (2, 2, 1, 7)


@pytest.mark.spec("paged.bounded", "paged.open")
@pytest.mark.parametrize(
    ("at", "value", "error", "said"),
    [
        (0, 1, StoreError, "features that this release does not know"),
        (4, 1, CorruptError, "numbers of pages or buckets cannot be"),
        (12, 200, CorruptError, "claims more"),
        (16, 0, CorruptError, "cannot be"),
        (len(GOOD_TABLE) - 1, 0xFF, CorruptError, "UTF-8"),
    ],
)
def test_what_a_table_cannot_say(at: int, value: int, error: type[StoreError], said: str) -> None:
    data = bytearray(GOOD_TABLE)
    data[at] = value
    with pytest.raises(error, match=said):
        table_of(bytes(data))


@pytest.mark.spec("paged.bounded")
def test_pages_and_buckets_lie_in_the_file_and_in_order() -> None:
    pages = struct.pack("<Q8sIIH", 500, bytes(8), 0, 1, 1) + struct.pack("<Q8sIIH", 400, bytes(8), 0, 1, 1)
    buckets = struct.pack("<Q8s", 300, bytes(8)) + struct.pack("<Q8s", 20_000, bytes(8))
    table = table_of(pack_table(HEAD_OF_ONE, 2, pages, buckets))
    assert table.page(0) is not None
    assert table.page(2) is None
    for ask in (lambda: table.page(1), lambda: table.bucket(0), lambda: table.bucket(1)):
        with pytest.raises(CorruptError, match="lies where it cannot be"):
            ask()


# --- lists, heads, buckets ----------------------------------------------------------------------------------------


def listed(*fields: tuple[int, int, int, int, int]) -> bytes:
    return pack_list([Listed(kind, codec, part, raw, stored, bytes(8)) for kind, codec, part, raw, stored in fields])


@pytest.mark.spec("paged.bounded")
@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([(HEAD, 0, 0, 5, 4), (VALUES, 0, 0, 6, 6)], "two lengths"),
        ([(HEAD, 0, 0, 5, 5)], "longer or shorter"),
        ([(VALUES, 0, 0, 5, 5), (HEAD, 0, 0, 5, 5)], "out of order"),
        ([(HEAD, 0, 0, 5, 5), (HEAD, 0, 0, 5, 5)], "out of order"),
        ([(0, 0, 0, 5, 5), (HEAD, 0, 0, 5, 5)], "cannot be"),
        ([(HEAD, 0, 0, 5, 5), (4, 0, 0, 5, 5)], "cannot be"),
        ([(HEAD, 0, 0, 10, 10), (VALUES, 0, 0, 0, 0)], "cannot be"),
        ([(HEAD, 1, 0, 65_537, 10)], "cannot be"),
        ([(HEAD, 1, 0, 9, 10)], "cannot be"),
    ],
)
def test_a_list_of_blocks_that_cannot_be(blocks: list[tuple[int, int, int, int, int]], said: str) -> None:
    with pytest.raises(CorruptError, match=said):
        unpack_list("file", 64, memoryview(listed(*blocks)), 10)


@pytest.mark.spec("paged.bounded")
def test_a_head_is_exactly_as_long_as_it_says() -> None:
    rows = {3: (1, 5, 6, b"key", (7, 8), 10, 2), 9: (0, 1, -1, b"", (), 0, 0)}
    data = pack_head(rows)
    assert unpack_head("file", 0, 4, 2, data).rows() == {
        3: (1, 5, 6, b"key", unpacked(7, 8), 10, 2),
        9: (0, 1, -1, b"", unpacked(), 0, 0),
    }
    for size in range(len(data)):
        with pytest.raises(CorruptError, match="the head of a page is not one"):
            unpack_head("file", 0, 4, 2, data[:size])
    for wrong in (data + b"\0", data + bytes(4), bytes([9, 3]) + data[2:], bytes([3, 3]) + data[2:]):
        with pytest.raises(CorruptError, match="the head of a page is not one"):
            unpack_head("file", 0, 4, 2, wrong)
    for at in range(2 + 2 + 32, len(data) - 3):
        changed = data[:at] + b"\xff" * 4 + data[at + 4 :]
        try:
            head = unpack_head("file", 0, 4, 2, changed)
        except CorruptError:
            continue
        assert sum(len(head.row(index).key) + 4 * len(head.row(index).dependencies) for index in (0, 1)) == 11


def unpacked(*numbers: int) -> Any:
    return PageHead(0, 1, memoryview(pack_head({0: (0, 0, 0, b"", numbers, 0, 0)}))).dependencies(0)


@pytest.mark.spec("paged.bounded", "paged.find")
def test_a_bucket_is_whole_and_in_order() -> None:
    data = pack_bucket([5 << 32 | 1, 3 << 32 | 9, 5 << 32 | 0])
    bucket = Bucket.unpack("file", 0, data)
    assert [list(bucket.candidates(hashed)) for hashed in (2, 3, 4, 5, 6)] == [[], [9], [], [0, 1], []]
    assert sorted(bucket.entries()) == [3 << 32 | 9, 5 << 32 | 0, 5 << 32 | 1]
    for wrong in (data[:-1], data + b"\0", pack_numbers("Q", [5, 3]) + bytes(8)):
        with pytest.raises(CorruptError, match="a bucket of the index"):
            Bucket.unpack("file", 0, wrong)


# --- a writer with an error ---------------------------------------------------------------------------------------


def mistaken(monkeypatch: pytest.MonkeyPatch, where: str, mistake: Callable[[Any], Any]) -> PagedBase:
    """A base from a writer in which a function's result is not what it should be."""
    module, _, name = where.rpartition(".")
    with monkeypatch.context() as patch:
        real = getattr(__import__(module, fromlist=[name]), name)
        patch.setattr(where, lambda *arguments: mistake(real(*arguments)))
        return base_of(MemoryDirectory(), "base", HEAD_OF_ONE, None, overlay_of(ROWS))


def longer(data: bytes) -> bytes:
    """A head whose first row says of its value that it is longer than it is."""
    rows = 256 if data[:256] == bytes(range(256)) else 44
    return data[: 26 * rows] + pack_numbers("I", [6]) + data[26 * rows + 4 :]


def turned(data: bytes) -> bytes:
    """A list with its first block behind the second one."""
    return data[LISTED_BYTES : 2 * LISTED_BYTES] + data[:LISTED_BYTES] + data[2 * LISTED_BYTES :]


@pytest.mark.spec("paged.bounded", "paged.verify")
@pytest.mark.parametrize(
    ("where", "mistake", "said"),
    [
        ("incr.store.rewrite.pack_head", lambda data: data[:-4], "the head of a page"),
        ("incr.store.rewrite.pack_head", lambda data: b"", "the head of a page"),
        ("incr.store.rewrite.pack_dependents", lambda data: data[:-4], "dependents of page 0 are missing"),
        ("incr.store.rewrite.pack_dependents", lambda data: data[:9], "claims more than is there"),
        ("incr.store.rewrite.pack_head", longer, "contents of page 0 are not as long"),
        ("incr.store.paged_write.pack_list", turned, "the blocks of a page are out of order"),
        ("incr.store.paged_write.pack_bucket", lambda data: b"", "0 in its index"),
        ("incr.store.paged_write.pack_bucket", lambda data: data[:-1], "a bucket of the index"),
    ],
)
def test_verify_finds_what_does_not_fit_together(
    monkeypatch: pytest.MonkeyPatch, where: str, mistake: Callable[[Any], Any], said: str
) -> None:
    base = mistaken(monkeypatch, where, mistake)
    with pytest.raises(CorruptError, match=said):
        base.verify()


@pytest.mark.spec("paged.bounded", "paged.copy")
def test_what_does_not_fit_together_is_not_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = overlay_of({1: (ROWS[1][0], Content(b"new", b"")), 0: (ROWS[0][0]._replace(dependencies=(5,)), None)})
    for where, mistake, said in (
        ("incr.store.rewrite.pack_dependents", lambda data: data[:-4], "dependents of page 0 are missing"),
        ("incr.store.rewrite.raw_block", shifted, "contents of page 0 are not cut between rows"),
    ):
        base = mistaken(monkeypatch, where, mistake)
        with pytest.raises(CorruptError, match=said):
            base_of(MemoryDirectory(), "next", HEAD_OF_ONE, base, changes)


def shifted(block: Listed) -> Listed:
    """The block as if it began with another row."""
    if block.kind != VALUES:
        return block
    block = block._replace(part=block.part + 65_536)
    return block._replace(digest=b"")


@pytest.mark.spec("paged.bounded")
def test_a_page_with_more_blocks_than_bytes_is_refused() -> None:
    directory = MemoryDirectory()
    base = base_of(directory, "base", HEAD_OF_ONE, None, overlay_of(ROWS))
    entry = base.table.page(0)
    assert entry is not None
    with pytest.raises(CorruptError, match="is longer than it"):
        base.streams(0, entry._replace(blocks=1 << 31))


@pytest.mark.spec("paged.find")
def test_a_hash_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incr.store.changes.entries_of", lambda _, __, rows: [5 << 32 | row for row, _ in rows])
    monkeypatch.setattr("incr.store.paged.hash_of", lambda *_: 5)
    base = base_of(MemoryDirectory(), "base", HEAD_OF_ONE, None, overlay_of(ROWS))
    base.verify()
    for number, (row, _) in ROWS.items():
        assert base.find(0, row.key) == number
        assert base.find(1, row.key) is None
    assert base.find(0, b"300") is None


# --- compression --------------------------------------------------------------------------------------------------


LONG = {
    number: (Row(0, b"%d" % number, 1, 1, GOOD, ()), Content(b"again " * 300, random.Random(number).randbytes(20)))
    for number in range(300)
}


@pytest.mark.spec("paged.zstd")
def test_a_compressed_base_is_shorter_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = MemoryDirectory()
    plain = base_of(directory, "plain", HEAD_OF_ONE, None, overlay_of(LONG))
    base = base_of(directory, "base", HEAD_OF_ONE, None, overlay_of(LONG), compress=True)
    files = directory.files()
    assert len(files["base"]) < len(files["plain"]) // 10
    base.verify()
    for number, (row, content) in LONG.items():
        assert (base.row(number), base.content(number)) == (row, content)
    # Either may be made from the other; what is copied stays as it is.
    changes = overlay_of({7: ROWS[7]})
    for old, compress in ((base, False), (plain, True)):
        new = base_of(directory, f"from {old.path[7:]}", HEAD_OF_ONE, old, changes, compress=compress)
        assert [new.content(number) for number in (6, 7, 299)] == [LONG[6][1], ROWS[7][1], LONG[299][1]]
        new.verify()
    # Without the package: a base with such blocks is opened, and copied, but not read.
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    base = PagedBase.open(directory, "base")
    with pytest.raises(StoreError, match="install the package zstandard"):
        base.row(0)
    base_of(directory, "copy", HEAD_OF_ONE, base, Overlay())
    assert directory.files()["copy"] == files["base"]
    with pytest.raises(StoreError, match="install the package zstandard"):
        base_of(directory, "never", HEAD_OF_ONE, None, overlay_of(LONG), compress=True)
    assert "never" not in directory.files()


@pytest.mark.spec("paged.zstd")
def test_a_block_that_does_not_get_shorter_is_stored_as_it_is() -> None:
    noise = random.Random(1).randbytes(1_000)
    assert Zstd("file").compress(noise) is None
    base = base_of(
        MemoryDirectory(), "base", HEAD_OF_ONE, None, overlay_of({0: (LONG[0][0], Content(noise, b""))}), compress=True
    )
    page = base.page(0)
    assert page is not None
    assert [block.codec for block in page.values.blocks] == [0]
    assert base.content(0).value == noise


@pytest.mark.spec("paged.zstd", "paged.bounded")
def test_a_frame_that_states_another_length_is_not_decompressed() -> None:
    """The package would allocate what the frame states."""
    zstd = Zstd("file")
    frame = zstd.compress(bytes(1 << 20))
    assert frame is not None
    assert zstd.decompress(frame, 1 << 20) == bytes(1 << 20)
    for wrong, size in ((frame, 65_536), (frame + b"\0", 1 << 20), (frame[:-1], 1 << 20), (b"", 1), (b"garbage", 7)):
        assert zstd.decompress(wrong, size) is None
    # So much there is in no machine.
    bomb = b"\x28\xb5\x2f\xfd\xe0" + (1 << 60).to_bytes(8, "little") + frame[13:]
    assert zstd.decompress(bomb, 65_536) is None
    block = Listed(VALUES, ZSTD, 0, 65_536, len(frame), b"")
    block = block._replace(digest=PROOF.of_block(3, block, frame))
    with pytest.raises(CorruptError, match="a block of page 3 does not decompress to 65536 bytes"):
        unpack_block("file", 64, PROOF, 3, block, frame)


@pytest.mark.spec("paged.zstd")
def test_an_unknown_codec_is_not_damage() -> None:
    block = raw_block(PROOF, 3, DEPENDENTS, 0, b"stored")._replace(codec=2)
    block = block._replace(digest=PROOF.of_block(3, block, b"stored"))
    with pytest.raises(StoreError, match="codec 2") as caught:
        unpack_block("file", 64, PROOF, 3, block, b"stored")
    assert type(caught.value) is StoreError


# --- the rest -----------------------------------------------------------------------------------------------------


@pytest.mark.spec("paged.cache")
def test_prefetch_reads_pages_as_far_as_they_are_kept() -> None:
    directory = MemoryDirectory()
    base_of(directory, "base", HEAD_OF_ONE, None, overlay_of(ROWS)).close()
    base = PagedBase.open(directory, "base")
    base.prefetch([299, 0, 1, 5_000])
    assert base.decoded == 2
    assert (base.row(0), base.row(299)) == (ROWS[0][0], ROWS[299][0])
    assert base.decoded == 2
    small = PagedBase.open(directory, "base", cache_bytes=1_000)
    small.prefetch(range(300))
    assert small.decoded == 1
    assert (list(base.rows_in(1)), list(base.rows_in(7))) == (list(range(256, 300)), [])


@pytest.mark.spec("paged.open")
def test_a_base_that_is_closed_answers_no_more(tmp_path: Any) -> None:
    directory = FileDirectory(tmp_path)
    base = base_of(directory, "base", HEAD_OF_ONE, None, overlay_of(ROWS))
    base.close()
    base.close()
    with pytest.raises(StoreError, match="cannot be read"):
        base.row(0)
    with pytest.raises(StoreError, match="cannot be opened: No such file"):
        PagedBase.open(directory, "never there")


@pytest.mark.spec("paged.bounded")
def test_a_file_that_is_cut_while_it_is_open_is_damaged() -> None:
    directory = MemoryDirectory()
    base = base_of(directory, "base", HEAD_OF_ONE, None, overlay_of(ROWS))
    file = directory.open("base")
    file.truncate(100)
    with pytest.raises(CorruptError, match="damaged at byte 100: ends where more should be"):
        base.row(0)


@pytest.mark.spec("paged.find", "paged.overlay")
def test_what_is_said_about_a_row_that_is_not_there_changes_nothing() -> None:
    base = base_of(MemoryDirectory(), "base", HEAD_OF_ONE, None, overlay_of(ROWS))
    for number in (300, 5_000):
        with pytest.raises(CorruptError, match=f"row {number} is not there"):
            base.row(number)
    overlay = Overlay()
    overlay.apply(Delta(9, [], None, 8, {}, [299, 300], [301, 1_000], [302]))
    overlay.apply(Delta(9, [], None, 8, {1: (ROWS[1][0]._replace(dependencies=[298, 700]), None)}, [], [], []))
    new = base_of(MemoryDirectory(), "next", HEAD_OF_ONE, base, overlay)
    new.verify()
    assert [new.has(number) for number in (299, 300, 301, 302, 700, 1_000)] == [True, *[False] * 5]
    assert (new.row(299).valid_from, new.row(1).dependencies, list(new.dependents(298))) == (9, (298, 700), [1, 299])


@pytest.mark.spec("paged.open")
def test_many_threads_read_one_base() -> None:
    directory = MemoryDirectory()
    base_of(directory, "base", HEAD_OF_ONE, None, overlay_of(ROWS)).close()
    base = PagedBase.open(directory, "base", cache_bytes=40_000)
    wrong: list[object] = []

    def read(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(300):
            number = dice.randrange(300)
            row, content = ROWS[number]
            found = (base.find(0, row.key), base.row(number), base.content(number), list(base.dependents(number)))
            if found != (number, row, content, [number + 1] * (number < 299)):
                wrong.append((seed, number, found))

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.spec("paged.overlay")
def test_nothing_is_below_the_first_overlay() -> None:
    nothing = NoRows("place")
    assert (nothing.find(0, b""), nothing.has(0), list(nothing.rows_of(0))) == (None, False, [])
    overlay = Overlay()
    layer = Layer("place", nothing, overlay)
    for rows in (nothing, layer):
        for ask in (rows.row, rows.content, rows.dependents):
            with pytest.raises(CorruptError, match="row 5 is not there"):
                ask(5)
    overlay.apply(Delta(1, [], None, 1, {5: (ROWS[0][0], None)}, [], [], []))
    assert (layer.content(5), list(layer.dependents(5)), len(overlay)) == (Content(b"", b""), [], 1)
    overlay.apply(Delta(1, [], None, 1, {}, [], [], [5]))
    for ask in (layer.row, layer.content, layer.dependents):
        with pytest.raises(CorruptError, match="row 5 is not there"):
            ask(5)
