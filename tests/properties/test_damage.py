"""A damaged file is the full state or a typed error: never another state, never any other exception.

The first half knows bytes only; the second loads damaged files into databases.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from incr._errors import CorruptError, StoreError, VersionError
from incr.store.base import Draft, base_image, read_base
from incr.store.checksum import BLAKE2B, XXH3, checksum_of_kind
from incr.store.layout import FOOTER_BYTES, HEADER_BYTES, Header

BLOCKS = [b"the first block", b"another block..", b"\0" * 15, b"the last one..."]
SECTIONS = [
    Draft(1, "module:Source", b"", 2, {0: BLOCKS[:2], 3: [b"another block.."]}),
    Draft(3, "module:words", b"fingerprint", 5, {0: [b"the first block"], 3: BLOCKS[2:]}),
]


def image(kind: int, sections: list[Draft] = SECTIONS) -> bytes:
    checksum = checksum_of_kind(kind)
    assert checksum is not None
    return b"".join(base_image(Header(7), sections, checksum))


def refused(data: bytes) -> type[StoreError]:
    """Read a file that nobody has written; the error that says so."""
    with pytest.raises((CorruptError, VersionError)) as caught:
        read_base("cache", data)
    assert caught.value.path == "cache"
    if isinstance(caught.value, CorruptError):
        assert 0 <= caught.value.offset <= len(data)
    return type(caught.value)


def flips(data: bytes) -> Iterator[bytes]:
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            yield bytes(flipped)


@pytest.mark.spec("base.checksum")
@pytest.mark.parametrize("kind", [XXH3, BLAKE2B])
def test_every_flipped_bit_is_found(kind: int) -> None:
    assert {refused(data) for data in flips(image(kind))} == {CorruptError}


@pytest.mark.spec("base.footer")
@pytest.mark.parametrize("kind", [XXH3, BLAKE2B])
def test_every_cut_is_found(kind: int) -> None:
    data = image(kind)
    assert {refused(data[:size]) for size in range(len(data))} == {CorruptError}
    assert {refused(data[start:]) for start in range(1, len(data))} == {CorruptError}


@pytest.mark.spec("base.footer")
def test_whatever_follows_is_found() -> None:
    data = image(XXH3)
    for more in (b"\0", b"\n", b"x" * FOOTER_BYTES, data, data[-FOOTER_BYTES:]):
        assert refused(data + more) is CorruptError


@pytest.mark.spec("base.checksum")
def test_a_hole_anywhere_is_found() -> None:
    data = image(XXH3)
    for start in range(len(data)):
        for size in (1, 8, 64):
            hole = data[:start] + bytes(min(size, len(data) - start)) + data[start + size :]
            if hole != data:
                refused(hole)


@pytest.mark.spec("base.checksum")
def test_a_block_in_the_place_of_another_is_found() -> None:
    data = image(XXH3)
    size = len(BLOCKS[0])
    places = [HEADER_BYTES + number * size for number in range(6)]
    for one in places:
        for other in places:
            first, second = data[one : one + size], data[other : other + size]
            if first != second:
                copied = data[:one] + second + data[one + size :]
                refused(copied)
                refused(copied[:other] + first + copied[other + size :])


def entries(data: bytes) -> tuple[int, bytes, bytes]:
    """The table of contents: its offset, the bytes of it, and the digest that the footer has of it."""
    offset = int.from_bytes(data[-FOOTER_BYTES : 8 - FOOTER_BYTES], "little")
    return offset, data[offset:-FOOTER_BYTES], data[-16:-8]


@pytest.mark.spec("base.checksum")
def test_the_digest_of_a_block_holds_in_its_own_place_only() -> None:
    """Equal bytes in another section, stream or place have another checksum, so a table of contents cannot be mixed."""
    alike = [Draft(3, name, b"", 1, {0: [b"same"] * 2, 1: [b"same"]}) for name in ("one", "two")]
    base = read_base("cache", image(XXH3, alike))
    assert [bytes(section.stream(0)) for section in base.sections] == [b"samesame"] * 2
    contents = entries(image(XXH3, alike))[1]
    marker = (4).to_bytes(4, "little") * 2 + b"\0"
    digests = [contents[at : at + 8] for at in _after_each(contents, marker)]
    assert len(digests) == len(set(digests)) == 6


def _after_each(data: bytes, marker: bytes) -> Iterator[int]:
    at = data.find(marker)
    while at >= 0:
        yield at + len(marker)
        at = data.find(marker, at + 1)


@pytest.mark.spec("base.checksum")
def test_two_files_mixed_are_found() -> None:
    """Any prefix of one file with the rest of another is refused, unless it is one of the two."""
    one = image(XXH3)
    other = image(XXH3, [SECTIONS[0], SECTIONS[1]._replace(streams={0: [b"the 1st block.."], 3: BLOCKS[2:]})])
    assert len(one) == len(other)
    for cut in range(len(one)):
        mixed = one[:cut] + other[cut:]
        if mixed not in (one, other):
            refused(mixed)
