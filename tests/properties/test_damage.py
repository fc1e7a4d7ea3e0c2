"""A damaged file is the full state or a typed error: never another state, never any other exception.

The first half knows bytes only; the second loads damaged files into databases.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import incr
from incr._errors import CorruptError, StoreError, VersionError
from incr._node import Stored
from incr._persist._jobs import load as load_graph
from incr.store.base import Draft, Section, base_image, cut, read_base
from incr.store.checksum import BLAKE2B, XXH3, checksum_of_kind
from incr.store.layout import FOOTER_BYTES, HEADER_BYTES, Header
from stored_program import load, make

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


def flips(data: bytes, bits: Iterable[int] = range(8)) -> Iterator[bytes]:
    for place in range(len(data)):
        for bit in bits:
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
    for size in range(len(one)):
        mixed = one[:size] + other[size:]
        if mixed not in (one, other):
            refused(mixed)


# --- databases ----------------------------------------------------------------------------------------------------

PROGRAM = make()


def small_state(path: Path) -> bytes:
    """A file with every kind of section in it."""
    db = incr.Database()
    PROGRAM.fill(db, a="x yy", b="yy")
    assert PROGRAM.total(db) == 3
    assert PROGRAM.ratio(db, "a", 0.5) == 4.0
    assert PROGRAM.outside(db) == "outside"
    db.save(path)
    return path.read_bytes()


def answers(db: incr.Database) -> tuple[object, ...]:
    return (
        PROGRAM.total(db),
        PROGRAM.ratio(db, "a", 0.5),
        [symbol.name for symbol in PROGRAM.words(db, "a")],
        db[PROGRAM.source, "b"].text,
        db[PROGRAM.settings].least,
        list(db.keys(PROGRAM.source)),
    )


def rewritten(path: Path, contents: Iterable[bytes]) -> Iterator[None]:
    """Let the file have one content after the other. (To open one for writing anew each time takes milliseconds.)"""
    with path.open("r+b", buffering=0) as file:
        for content in contents:
            os.pwrite(file.fileno(), content, 0)
            os.ftruncate(file.fileno(), len(content))
            yield


@pytest.mark.spec("load.aside", "load.corrupt")
def test_a_database_takes_all_of_a_file_or_nothing(tmp_path: Path) -> None:
    """Every flipped bit and every cut: the database is as it was, and its file is too."""
    path = tmp_path / "cache"
    data = small_state(path)
    mine = incr.Database()
    PROGRAM.fill(mine, a="mine")
    before = (mine.revision, PROGRAM.total(mine))
    damages = [*flips(data), *(data[:size] for size in range(len(data))), data + b"\0"]
    for _ in rewritten(path, damages):
        with pytest.raises((incr.CorruptError, incr.VersionError)):
            load_graph(mine._graph, path, declared=PROGRAM.ingredients())
    assert (mine.revision, PROGRAM.total(mine)) == before
    mine.check_invariant()
    path.write_bytes(data)
    loaded = load(PROGRAM, path, mine)
    assert answers(loaded) == (3, 4.0, ["x", "yy"], "yy", 1, ["a", "b"])


def as_draft(section: Section, **streams: bytes) -> Draft:
    """A section as it is to be written again, with some of its streams replaced (``s5=...`` is stream 5)."""
    content = {number: bytes(stream) for number, stream in section.streams.items()}
    content.update({int(name[1:]): stream for name, stream in streams.items()})
    blocks = {number: list(cut(stream)) for number, stream in content.items()}
    return Draft(section.kind, section.name, section.fingerprint, section.rows, blocks)


def lies_about(section: Section) -> Iterator[Draft]:
    """The section with flipped bits in its streams, or with other rows, kinds and streams."""
    whole = as_draft(section)
    for rows in (0, section.rows + 1, 1 << 31):
        yield whole._replace(rows=rows)
    for kind in range(9):
        yield whole._replace(kind=kind)
    for number, stream in section.streams.items():
        yield whole._replace(streams={other: blocks for other, blocks in whole.streams.items() if other != number})
        yield as_draft(section, **{f"s{number}": b""})
        for flipped in flips(bytes(stream), bits=(0, 3, 7)):
            yield as_draft(section, **{f"s{number}": flipped})


def resealed(data: bytes) -> Iterator[bytes]:
    """Files whose checksums all fit, although their content was altered: what a hostile writer can do."""
    base = read_base("cache", data)
    drafts = [as_draft(section) for section in base.sections]
    checksum = checksum_of_kind(XXH3)
    assert checksum is not None
    for number, section in enumerate(base.sections):
        for lie in lies_about(section):
            yield b"".join(base_image(base.header, [*drafts[:number], lie, *drafts[number + 1 :]], checksum))


@pytest.mark.spec("base.bounded", "load.corrupt")
def test_a_file_that_lies_is_refused_or_harmless(tmp_path: Path) -> None:
    """A checksum does not prove that the writer meant well: whatever he wrote, no other exception comes out of it."""
    path = tmp_path / "cache"
    outcomes = {"loaded": 0, "refused": 0}
    for _ in rewritten(path, resealed(small_state(path))):
        db = incr.Database()
        try:
            assert load_graph(db._graph, path, declared=PROGRAM.ingredients())
        except incr.StoreError:
            outcomes["refused"] += 1
            assert db.revision == 0
        else:
            outcomes["loaded"] += 1
            for table in db._graph.tables:
                for node in table.values():
                    if type(node.value) is Stored:
                        node.value.decode()
    assert min(outcomes.values()) > 500, outcomes
