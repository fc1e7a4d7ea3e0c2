"""docs/format.md is enough to read a file: a second reader, written from that page and from nothing else."""

from __future__ import annotations

import struct
import sys
from binascii import crc32
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import cbor2
import pytest
import xxhash

import incr
from stored_program import make


class Section(NamedTuple):
    """A section as the page describes it."""

    kind: int
    name: str
    fingerprint: bytes
    rows: int
    streams: dict[int, bytes]

    def numbers(self, stream: int, code: str) -> list[int]:
        data = self.streams.get(stream, b"")
        return list(struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data))


class Bytes:
    """A place in some bytes, from which things are taken one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        self.at += count
        assert self.at <= len(self.data)
        return self.data[self.at - count : self.at]

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")


def read(data: bytes) -> tuple[int, list[Section]]:
    """The revision and the sections of a file."""
    assert data[:8] == bytes.fromhex("89 69 6E 63 72 0D 0A 1A")
    header = Bytes(data[:64])
    header.take(8)
    assert header.number(2) == 1
    kind = header.number(1)
    assert header.number(1) == 0
    assert header.number(4) == crc32(data[:12])
    assert header.take(16) == bytes(16)
    assert header.number(8) == 0
    revision = header.number(8)
    assert header.number(8) == 0

    def checksum(*parts: bytes) -> bytes:
        joined = b"".join(parts)
        return xxhash.xxh3_64(joined).digest() if kind == 1 else blake2b(joined, digest_size=8).digest()

    assert header.take(8) == checksum(data[:56])
    footer = Bytes(data[-32:])
    offset, length = footer.number(8), footer.number(8)
    assert offset + length == len(data) - 32
    contents = data[offset : offset + length]
    assert footer.take(8) == checksum(data[:64], data[-32:-16], contents)
    assert footer.take(8) == b"incr-end"
    return revision, read_sections(data[:offset], Bytes(contents), checksum)


def read_sections(data: bytes, contents: Bytes, checksum: Any) -> list[Section]:
    sections: list[Section] = []
    blocks = Bytes(data)
    blocks.take(64)
    for number in range(contents.number(4)):
        kind, flags, name, fingerprint, streams, rows = (contents.number(size) for size in (1, 1, 2, 2, 2, 4))
        assert flags == 0
        text = contents.take(name).decode("utf-8", "surrogatepass")
        section = Section(kind, text, contents.take(fingerprint), rows, {})
        for _ in range(streams):
            stream = contents.number(2)
            section.streams[stream] = b""
            for block in range(contents.number(4)):
                raw, stored, codec = contents.number(4), contents.number(4), contents.number(1)
                assert raw == stored
                assert codec == 0
                assert 1 <= raw <= 65_536
                content = blocks.take(stored)
                place = struct.pack("<IHIIB", number, stream, block, raw, codec)
                assert contents.take(8) == checksum(place, content)
                section.streams[stream] += content
        sections.append(section)
    assert contents.at == len(contents.data)
    assert blocks.at == len(data)
    assert [(section.kind, section.name) for section in sections] == sorted((s.kind, s.name) for s in sections)
    return sections


def column(data: Bytes, rows: int) -> list[Any]:
    kind = data.number(1)
    if kind == 1:
        lengths = [data.number(4) for _ in range(rows)]
        text = data.take(len(data.data) - data.at).decode("utf-8", "surrogatepass")
        ends = [sum(lengths[: row + 1]) for row in range(rows)]
        assert ends[-1:] == [len(text)]
        return [text[end - length : end] for end, length in zip(ends, lengths, strict=True)]
    if kind == 2:
        return [int.from_bytes(data.take(8), "little", signed=True) for _ in range(rows)]
    if kind == 3:
        lengths = [data.number(4) for _ in range(rows)]
        return [cbor2.loads(data.take(length)) for length in lengths]
    assert kind == 4
    parts = [column(Bytes(data.take(data.number(8))), rows) for _ in range(data.number(1))]
    return list(zip(*parts, strict=True)) if parts else [()] * rows


def keys(section: Section) -> list[Any]:
    return column(Bytes(section.streams[1]), section.rows) if 1 in section.streams else [None] * section.rows


def values(section: Section) -> list[Any]:
    data = Bytes(section.streams.get(6, b""))
    found = [cbor2.loads(data.take(length)) if length else None for length in section.numbers(5, "I")]
    assert data.at == len(data.data)
    return found


@pytest.fixture(params=["xxh3", "blake2b"])
def sections(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Section]:
    program = make()
    db = incr.Database()
    program.fill(db, a="one two", b="two")
    db.set(program.source("b", "two "))
    assert program.total(db) == 3
    assert program.ratio(db, "a", 2.0) == 1.0
    assert program.outside(db) == "outside"
    db.set(program.source("a", "one"))
    if request.param == "blake2b":
        monkeypatch.setitem(sys.modules, "xxhash", None)  # what an installation without it looks like
    db.save(tmp_path / "cache")
    revision, found = read((tmp_path / "cache").read_bytes())
    assert revision == 3
    return found


def test_the_page_says_where_everything_is(sections: list[Section]) -> None:
    by_name = {(section.kind, section.name.rpartition(".")[2]): section for section in sections}
    assert [(section.kind, section.name.rpartition(".")[2], section.rows) for section in sections] == [
        (0, "", 0),
        (1, "Settings", 1),
        (1, "Source", 3),
        (2, "Symbol", 2),
        (3, "Source", 1),
        (4, "Source", 1),
        (5, "", 1),
        (6, "count", 2),
        (6, "outside", 1),
        (6, "ratio", 1),
        (6, "total", 1),
        (6, "words", 2),
    ]
    source, words = by_name[1, "Source"], by_name[6, "words"]
    assert source.streams[0] == b"path"
    assert keys(source) == ["a", "b", "extra"]
    assert source.numbers(2, "q") == [3, 2, 0]
    assert source.numbers(3, "B") == [0, 0, 0]
    assert by_name[1, "Settings"].numbers(3, "B") == [2]
    assert [record and record[2:] for record in values(source)] == [["a", "one"], ["b", "two "], None]
    assert [record[2:] for record in values(by_name[2, "Symbol"])] == [["one"], ["two"]]
    assert keys(by_name[3, "Source"]) == [2]
    assert keys(by_name[5, ""]) == ["for the sake of it"]
    assert keys(by_name[6, "ratio"]) == [("a", 2.0)]
    assert by_name[6, "ratio"].streams[0] == b"path\0divisor"
    assert values(by_name[6, "ratio"]) == [1.0]
    assert keys(words) == ["a", "b"]
    assert len(words.fingerprint) == 16
    assert words.numbers(3, "B") == [0, 1]  # the text of "a" was written and nobody has looked


def test_the_page_says_what_depends_on_what(sections: list[Section]) -> None:
    rows = [(section, key) for section in sections for key in keys(section)]
    named = [f"{section.kind} {section.name.rpartition('.')[2]} {key}" for section, key in rows]
    classes, (high_count, *high) = sections[0].streams[7], sections[0].numbers(8, "I")
    assert cbor2.loads(classes)
    lengths, members = high[:high_count], high[high_count:]
    assert lengths[0] == 0
    assert sum(lengths) == len(members)
    assert [sections[member].name.rpartition(".")[2] for member in members] == ["Settings"]
    found: dict[str, list[str]] = {}
    sets: dict[str, int] = {}
    for section in sections:
        numbers = section.numbers(4, "I")
        counts, high_set = numbers[: section.rows], numbers[section.rows : 2 * section.rows]
        flat = numbers[2 * section.rows :]
        for row, key in enumerate(keys(section) if section.kind == 6 else []):
            name = f"{section.name.rpartition('.')[2]} {key}"
            found[name], flat = [named[place] for place in flat[: counts[row]]], flat[counts[row] :]
            sets[name] = lengths[high_set[row]]
        assert not flat
    assert found == {
        "words a": ["1 Source a"],
        "words b": ["1 Source b"],
        "count a": ["1 Settings ()", "6 words a"],
        "count b": ["1 Settings ()", "6 words b"],
        "total ()": ["4 Source None", "6 count a", "6 count b", "3 Source 2"],
        "ratio ('a', 2.0)": ["6 count a"],
        "outside ()": ["5  for the sake of it"],
    }
    assert sets == {name: 0 if name.startswith(("words", "outside")) else 1 for name in found}
