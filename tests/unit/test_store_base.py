"""A base file gives back what was written into it, in a form that does not depend on who wrote it or when."""

from __future__ import annotations

import sys
from binascii import crc32
from pathlib import Path

import pytest

from incr._errors import CorruptError, StoreError, VersionError
from incr.store.base import Base, Draft, base_image, cut, gather, read_base, write_base
from incr.store.checksum import BLAKE2B, XXH3, checksum_of_kind, preferred_checksum
from incr.store.layout import BLOCK_BYTES, FORMAT, HEADER_BYTES, NO_STORE, Header
from incr.store.whole import split_path

HEADER = Header(7, bytes(range(16)), 3)
SMALL = [
    Draft(3, "module:words", b"fingerprint", 2, {0: [b"meta"], 2: [b"one", b"two"], 9: []}),
    Draft(1, "module:Source", b"", 0, {}),
]

#: `SMALL` as a file of format 1, once with each checksum. They are read for ever.
GOLDEN = {
    BLAKE2B: (
        "89696e63720d0a1a010002008eec0189000102030405060708090a0b0c0d0e0f030000000000000007000000000000000000"
        "000000000000704773187cc577616d6574616f6e6574776f0200000003000c000b000300020000006d6f64756c653a776f72"
        "647366696e6765727072696e74000001000000040000000400000000d3f5d3cd5b04dc950200020000000300000003000000"
        "006ec9effe9a2947a30300000003000000005de3d970f7f6413409000000000001000d0000000000000000006d6f64756c65"
        "3a536f757263654a000000000000008500000000000000ab685dcda98e79de696e63722d656e64"
    ),
    XXH3: (
        "89696e63720d0a1a010001004dbf2ca2000102030405060708090a0b0c0d0e0f030000000000000007000000000000000000"
        "0000000000005e76d4917307f70d6d6574616f6e6574776f0200000003000c000b000300020000006d6f64756c653a776f72"
        "647366696e6765727072696e74000001000000040000000400000000db88407cd385e43a0200020000000300000003000000"
        "00603bc71993be92730300000003000000008af4be74b4e0de3c09000000000001000d0000000000000000006d6f64756c65"
        "3a536f757263654a0000000000000085000000000000000c3911ee358cd4c5696e63722d656e64"
    ),
}


def image(sections: list[Draft], kind: int = BLAKE2B, header: Header = HEADER) -> bytes:
    checksum = checksum_of_kind(kind)
    assert checksum is not None
    return b"".join(base_image(header, sections, checksum))


def content(base: Base) -> list[tuple[object, ...]]:
    return [
        (
            section.kind,
            section.name,
            section.fingerprint,
            section.rows,
            {n: bytes(s) for n, s in section.streams.items()},
        )
        for section in base.sections
    ]


@pytest.mark.parametrize("kind", [BLAKE2B, XXH3])
def test_a_file_of_format_1_is_written_and_read_as_ever(kind: int) -> None:
    golden = bytes.fromhex(GOLDEN[kind])
    assert image(SMALL, kind) == golden
    base = read_base("golden", golden)
    assert base.header == HEADER
    assert content(base) == [
        (3, "module:words", b"fingerprint", 2, {0: b"meta", 2: b"onetwo", 9: b""}),
        (1, "module:Source", b"", 0, {}),
    ]


def test_a_stream_longer_than_a_block_is_one_piece_again() -> None:
    long = bytes(range(256)) * 1000
    values = [b"v" * 40_000, b"w" * 30_000, b"x" * (3 * BLOCK_BYTES + 1), b"", b"y"]
    base = read_base("p", image([Draft(3, "\udcff.py", b"", 1, {0: cut(long), 5: gather(values)})]))
    section = base.sections[0]
    assert section.name == "\udcff.py"
    assert section.stream(0) == long
    assert section.stream(5) == b"".join(values)
    assert not section.stream(6)


def test_blocks_end_where_a_value_ends_unless_it_is_longer_than_a_block() -> None:
    values = [b"v" * 40_000, b"w" * 30_000, b"x" * (BLOCK_BYTES + 1), b"", b"y", b"z" * (BLOCK_BYTES - 1), b"!"]
    sizes = [len(block) for block in gather(values)]
    assert sizes == [40_000, 30_000, BLOCK_BYTES, 1, BLOCK_BYTES, 1]
    assert list(gather([b"", b""])) == []


def test_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        directory, base_name = split_path(tmp_path / name)
        size = write_base(directory, base_name, Header(7), SMALL)
        assert size == (tmp_path / name).stat().st_size
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert read_base("one", (tmp_path / "one").read_bytes()).header == Header(7, NO_STORE, 0)


def renumbered(data: bytes, format_number: int, kind: int) -> bytes:
    prologue = data[:8] + format_number.to_bytes(2, "little") + bytes((kind, 0))
    return prologue + crc32(prologue).to_bytes(4, "little") + data[16:]


@pytest.mark.spec("base.version")
def test_a_newer_format_is_not_taken_for_damage() -> None:
    newer = renumbered(image(SMALL)[:HEADER_BYTES], FORMAT + 1, 77) + b"whatever later formats hold"
    with pytest.raises(VersionError) as caught:
        read_base("cache", newer)
    assert (caught.value.path, caught.value.found, caught.value.supported) == ("cache", FORMAT + 1, FORMAT)


@pytest.mark.spec("base.version")
def test_an_unknown_checksum_is_damage() -> None:
    with pytest.raises(CorruptError, match="unknown checksum"):
        read_base("cache", renumbered(image(SMALL), FORMAT, 9))


@pytest.mark.spec("base.checksum")
def test_without_xxhash_files_are_written_with_blake2b(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = image(SMALL, XXH3)
    assert preferred_checksum().kind == XXH3
    monkeypatch.setitem(sys.modules, "xxhash", None)  # what an installation without it looks like
    assert preferred_checksum().kind == BLAKE2B
    directory, name = split_path(tmp_path / "cache")
    write_base(directory, name, HEADER, SMALL)
    assert (tmp_path / "cache").read_bytes() == image(SMALL, BLAKE2B)
    with pytest.raises(StoreError, match="install the package xxhash") as caught:
        read_base("cache", fast)
    assert not isinstance(caught.value, CorruptError)


def rewritten(sections: list[Draft], old: bytes, new: bytes) -> bytes:
    """A file that some other writer has made: its table of contents says something else, and all digests fit."""
    checksum = checksum_of_kind(BLAKE2B)
    assert checksum is not None
    data = image(sections)
    offset = int.from_bytes(data[-32:-24], "little")
    contents = data[offset:-32]
    assert contents.count(old) == 1
    contents = contents.replace(old, new)
    place = offset.to_bytes(8, "little") + len(contents).to_bytes(8, "little")
    digest = checksum.digest(data[:HEADER_BYTES] + place, contents)
    return data[:offset] + contents + place + digest + b"incr-end"


def entry(raw: int, stored: int, codec: int) -> bytes:
    return raw.to_bytes(4, "little") + stored.to_bytes(4, "little") + bytes((codec,))


ONE = [Draft(3, "name", b"", 1, {0: [b"12345"]})]


@pytest.mark.spec("base.bounded")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (entry(5, 5, 0), entry(2**32 - 1, 2**32 - 1, 0), "not as long as it says"),
        (entry(5, 5, 0), entry(5, 4, 0), "not as long as it says"),
        (entry(5, 5, 0), entry(0, 0, 0), "not as long as it says"),
        (entry(5, 5, 0), entry(4, 4, 0), "checksum differs"),
        (b"\1\0\0\0\3", b"\xff\xff\xff\xff\3", "claims more than is there"),
        (b"\1\0\0\0\3", b"\0\0\0\0\3", "behind the last section"),
        (b"name", b"\xff\xfeme", "not UTF-8"),
        (b"\0\0\1\0\0\0", b"\0\0\xff\xff\xff\xff", "claims more than is there"),
        (b"\4\0\0\0\1\0", b"\xff\xff\0\0\1\0", "claims more than is there"),
        (b"\4\0\0\0\1\0", b"\4\0\0\0\xff\xff", "claims more than is there"),
    ],
)
def test_no_claim_of_the_table_of_contents_is_believed(old: bytes, new: bytes, message: str) -> None:
    with pytest.raises(CorruptError, match=message):
        read_base("cache", rewritten(ONE, old, new))


@pytest.mark.spec("base.version")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (entry(5, 5, 0), entry(5, 5, 7), "codec 7"),
        (b"\1\0\0\0\3\0", b"\1\0\0\0\3\x80", "flags 0x80"),
    ],
)
def test_what_a_later_release_may_add_is_not_taken_for_damage(old: bytes, new: bytes, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        read_base("cache", rewritten(ONE, old, new))
    assert not isinstance(caught.value, CorruptError)


def test_two_sections_of_one_name_are_refused() -> None:
    with pytest.raises(CorruptError, match="twice"):
        read_base("cache", image([*ONE, *ONE]))
    assert len(read_base("cache", image([*ONE, ONE[0]._replace(kind=1)])).sections) == 2


def test_streams_out_of_order_are_refused() -> None:
    two = [Draft(3, "name", b"", 1, {0: [], 256: []})]
    with pytest.raises(CorruptError, match="out of order"):
        read_base("cache", rewritten(two, b"\0\1\0\0\0\0", b"\0\0\0\0\0\0"))


def test_bytes_that_no_section_claims_are_refused() -> None:
    claimed = b"\0\0\1\0\0\0" + entry(5, 5, 0)
    whole = image(ONE)
    start = whole.index(claimed)
    data = rewritten(
        ONE,
        b"\1\0\1\0\0\0name" + whole[start : start + len(claimed) + 8],
        b"\0\0\1\0\0\0name",
    )
    with pytest.raises(CorruptError, match="belong to no section"):
        read_base("cache", data)


@pytest.mark.spec("base.footer")
def test_a_file_that_ends_in_its_header_says_so() -> None:
    for size in range(HEADER_BYTES):
        with pytest.raises(CorruptError, match="ends within its header") as caught:
            read_base("cache", image(SMALL)[:size])
        assert caught.value.offset == size
