"""A store in SQLite that an earlier release has written is read for ever; its bytes are as the page about them says."""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest
from xxhash import xxh3_64_digest

from incr.maintenance import compare, verify
from incr.store import MemoryStore
from incr.store.sqlite_store import SqliteStore
from kept_program import keep

GOLDEN = Path(__file__).parent / "golden" / "sqlite-1" / "store.db"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copy(GOLDEN, tmp_path / "store.db"))


@pytest.mark.spec("sqlite.file", "store.alike")
def test_a_store_of_format_one_is_read(path: Path) -> None:
    expected = MemoryStore().open()
    keep(expected)
    store = SqliteStore.open(path)
    compare(expected, store)
    assert list(verify(store, deep=True)) == []
    store.close()


def mark(number: int) -> int:
    mixed = (number + 1) * 0x9E3779B97F4A7C15 % 2**64
    return mixed ^ (mixed >> 32)


@pytest.mark.spec("sqlite.checked")
def test_each_record_is_guarded_as_the_page_says(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        (head,) = connection.execute("SELECT * FROM head").fetchall()
        sections = connection.execute("SELECT * FROM sections").fetchall()
        rows = connection.execute("SELECT * FROM rows").fetchall()
        contents = {number: rest for number, *rest in connection.execute("SELECT * FROM contents")}
        links = connection.execute("SELECT * FROM dependents").fetchall()
    checksum, revision, classes, next_page, last, synced, count, digest = head
    assert (checksum, count) == (1, len(sections))
    assert digest == xxh3_64_digest(b"head" + struct.pack("<5q", revision, next_page, last, synced, count) + classes)
    for number, kind, names, fingerprint, next_row, pages, reads, code, doubt, there, row_sum, digest in sections:
        stamps = (next_row, pages, code, doubt)
        fixed = struct.pack("<8q2I", number, kind, *stamps, there, row_sum, len(names), len(reads))
        assert digest == xxh3_64_digest(b"section" + fixed + names + reads + fingerprint)
        assert all(one < count for (one,) in struct.iter_unpack("<I", reads))
        assert type(json.loads(names)[0]) is str
        numbers = [row[0] for row in rows if row[1] == number]
        assert (there, row_sum % 2**64) == (len(numbers), sum(map(mark, numbers)) % 2**64)
    for number, section, key, hashed, changed, valid, flags, dependencies, dependents, total, content, digest in rows:
        fixed = struct.pack("<8q", number, section, hashed, changed, valid, flags, dependents, total)
        lengths = struct.pack("<2I", len(key), len(dependencies))
        assert digest == xxh3_64_digest(b"row" + fixed + lengths + key + dependencies + content)
        assert hashed.to_bytes(8, "big", signed=True) == xxh3_64_digest(struct.pack("<Q", section) + key)
        listed = [dependent for one, dependent in links if one == number]
        assert (dependents, total % 2**64) == (len(listed), sum(map(mark, listed)) % 2**64)
        assert [(one, number) in links for (one,) in struct.iter_unpack("<Q", dependencies)].count(False) == 0
        value, pushes = contents.get(number, (b"", b""))
        place = b"content" + struct.pack("<2Q", number, len(value))
        assert content == (xxh3_64_digest(place + value + pushes) if value or pushes else b"")
