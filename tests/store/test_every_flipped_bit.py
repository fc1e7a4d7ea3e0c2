"""Every bit of small files of each format, flipped: an error that names the file, or the same content as before.

What is flipped is counted: the tests flip more than 250,000 bits. Readers are those of the product, on files in memory;
what a store with another base to go by makes of a damaged file is looked at in test_damage_to_a_store.py.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

import incr
from file_store_workloads import Run as RunOfStore
from incr import StoreError
from incr.store import Directory, EncryptedDirectory, Flush, Log, LogReader, MemoryDirectory
from incr.store.base import Draft, base_image, read_base
from incr.store.checksum import preferred_checksum
from incr.store.cipher import RECORD_BYTES
from incr.store.delta import unpack_delta
from incr.store.directory import write_whole
from incr.store.layout import Header
from incr.store.paged import PagedBase
from incr.store.sqlite_store import SqliteStore
from log_workloads import Run as RunOfLog
from stored_program import make

DEEP = os.environ.get("INCR_HYPOTHESIS_PROFILE") == "deep"
GOLDEN = Path(__file__).parent / "golden"
KEY = bytes(range(32))

Files = dict[str, bytes]


class Format(NamedTuple):
    """Small files of one format, and all that they say."""

    files: Callable[[Path], Files]
    #: What all the files say; *name* is the one that is damaged.
    content: Callable[[Files, str], object]
    #: So many bits have to be flipped at least,
    bits: int
    #: and at most so many of them may have no effect: those of the mark of a clean end, and those that mean nothing.
    idle: int = 0
    #: An error may name the next file: the damaged end of a file of the log looks like one that was never written.
    next_file: bool = False
    #: One bit of so many only, where to look at a file takes long.
    step: int = 1


# --- files --------------------------------------------------------------------------------------------------------


def golden(folder: str, _: Path) -> Files:
    return {file.name: file.read_bytes() for file in sorted((GOLDEN / folder).iterdir())}


def of_a_store(prefix: str, _: Path) -> Files:
    """Two bases, the second made from the first, or the files of the log behind them."""
    run = RunOfStore()
    for step in ("synced", "unsynced", "checkpoint", "synced", "rotate", "checkpoint", "synced", "unsynced", "rotate"):
        run.do(step)
    run.close()
    files = {name: content for name, content in run.disk.files().items() if name.startswith(prefix)}
    assert len(files) >= 2
    return files


def saved(folder: Path) -> Files:
    """What `Database.save` writes, with something in every kind of section."""
    program = make()
    db = incr.Database()
    program.fill(db, **{f"text {number}": f"word {number} and more" for number in range(4)})
    assert program.total(db) == 16
    assert program.ratio(db, "text 1", 0.5) == 8
    assert program.outside(db) == "outside"
    db.save(folder / "saved")
    return {"saved": (folder / "saved").read_bytes()}


def encrypt(disk: Directory) -> EncryptedDirectory:
    return EncryptedDirectory(disk, KEY, random=Random(1).randbytes)


def blocks(_: Path) -> Files:
    """A whole file of long blocks."""
    random = Random(1)
    sections = [
        Draft(1, "module:Source", b"", 2, {0: [random.randbytes(1_500), random.randbytes(700)], 3: [b"short"]}),
        Draft(3, "module:words", b"fingerprint", 5, {0: [], 4: [random.randbytes(6_500)]}),
    ]
    return {"saved": b"".join(base_image(Header(7), sections, preferred_checksum()))}


def one_segment(_: Path) -> Files:
    """A log of long and short entries, and batches of them, in one file."""
    random = Random(1)
    disk = MemoryDirectory()
    with Log(disk, encode=bytes, decode=bytes, flush=Flush.every(3), random=random.randbytes) as log:
        for size in (0, 1, 300, 20, 1_500):
            log.append(random.randbytes(size))
            log.append_batch([random.randbytes(size // 4)] * 3)
    return {name: content for name, content in disk.files().items() if name.startswith("log-")}


def encrypted_log(_: Path) -> Files:
    run = RunOfLog(through=encrypt)
    for step in ("batch", "rotate"):
        run.do(step)
    run.close()
    return {name: content for name, content in run.disk.files().items() if name.startswith("log-")}


def encrypted_bases(folder: Path) -> Files:
    disk = MemoryDirectory()
    place = encrypt(disk)
    for name, content in of_a_store("base-", folder).items():
        with closing(place.create(name)) as file:
            for offset in range(0, len(content), 500):
                write_whole(file, content[offset : offset + 500], offset)
    return disk.files()


def sqlite(folder: Path) -> Files:
    """The store of an earlier release, without the pages that are free in it."""
    path = folder / "store.db"
    path.write_bytes((GOLDEN / "sqlite-1" / path.name).read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM")
    return {path.name: path.read_bytes()}


# --- what they say ------------------------------------------------------------------------------------------------


def log_content(decode: Callable[[bytes], object], files: Files, _: str) -> object:
    return list(LogReader(MemoryDirectory(files), decode=decode).replay())


def encrypted_log_content(files: Files, _: str) -> object:
    return list(LogReader(encrypt(MemoryDirectory(files)), decode=bytes).replay())


def base_content(files: Files, name: str, through: Callable[[Directory], Directory] = lambda disk: disk) -> object:
    """Each row; and each block, whether it belongs to a row or not."""
    with closing(PagedBase.open(through(MemoryDirectory({name: files[name]})), name)) as base:
        base.verify()
        return base.header, base.head(), rows_of(base)


def saved_content(files: Files, name: str) -> object:
    base = read_base(name, files[name])
    return base.header, [
        (one.kind, one.name, one.fingerprint, one.rows, {number: bytes(data) for number, data in one.streams.items()})
        for one in base.sections
    ]


def sqlite_content(files: Files, name: str) -> object:
    """Opened as it always is: from the disk."""
    path = Path(name)
    with path.open("r+b" if path.exists() else "wb", buffering=0) as file:
        file.write(files[name])
    with closing(SqliteStore.open(path, mode="ro")) as store:
        return store.head(), rows_of(store)


def rows_of(rows: PagedBase | SqliteStore) -> list[object]:
    found = list[object]()
    for section in rows.head().sections:
        for number in rows.rows_of(section.number):
            row = rows.row(number)
            assert rows.find(section.number, row.key) == number
            plain = row._replace(dependencies=tuple(row.dependencies))
            found.append((number, plain, rows.content(number), list(rows.dependents(number))))
    return found


#: The mark of a clean end in the last file of a log. Without it the log is as it would be after a crash.
SEAL = 8 * 48
of_the_log = partial(log_content, bytes)

FORMATS = {
    "log, xxh3": Format(partial(golden, "log-1-xxh3"), of_the_log, 7_800, SEAL),
    "log, blake2b": Format(partial(golden, "log-1-blake2b"), of_the_log, 7_800, SEAL),
    "log in one file": Format(one_segment, of_the_log, 31_000, SEAL),
    "log of a store": Format(
        partial(of_a_store, "log-"), partial(log_content, partial(unpack_delta, "log")), 13_000, SEAL
    ),
    "base, xxh3": Format(partial(golden, "base-2-xxh3"), base_content, 16_700),
    "base, blake2b": Format(partial(golden, "base-2-blake2b"), base_content, 16_700),
    "base, zstd": Format(partial(golden, "base-2-zstd"), base_content, 16_900),
    "bases of a store": Format(partial(of_a_store, "base-"), base_content, 14_000),
    "whole file": Format(saved, saved_content, 25_000),
    "whole file of long blocks": Format(blocks, saved_content, 71_000),
    "encrypted log": Format(encrypted_log, encrypted_log_content, 8_000, SEAL + 8 * RECORD_BYTES, next_file=True),
    "encrypted bases": Format(encrypted_bases, partial(base_content, through=encrypt), 19_000),
    # Much of a file of SQLite means nothing.
    "SQLite": Format(sqlite, sqlite_content, 4_000, 4_000, step=16),
}


def check_place(kind: Format, files: Files, damaged: str, error: StoreError) -> None:
    (named,) = (one for one in files if error.path.endswith(one))
    assert named == damaged or (kind.next_file and named > damaged), f"{damaged} is damaged: {error}"


@pytest.mark.spec(
    "log.chain", "log.segment", "paged.checksum", "paged.open", "base.checksum", "crypto.damage", "sqlite.checked"
)
@pytest.mark.parametrize("name", FORMATS)
def test_every_flipped_bit_is_found_or_has_no_effect(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where SQLite's file is
    kind = FORMATS[name]
    files = kind.files(tmp_path)
    flipped, idle = 0, 0
    for file, content in files.items():
        expected = kind.content(files, file)
        for bit in range(0, 8 * len(content), 1 if DEEP else kind.step):
            damaged = bytearray(content)
            damaged[bit // 8] ^= 1 << bit % 8
            flipped += 1
            try:
                found = kind.content({**files, file: bytes(damaged)}, file)
            except StoreError as error:
                check_place(kind, files, file, error)
            else:
                idle += 1
                assert found == expected, f"bit {bit} of {file}"
    print(f"{name}: {flipped} bits, {idle} of them without effect")
    assert (flipped >= kind.bits, idle <= kind.idle or DEEP) == (True, True)


def test_so_many_bits_are_flipped() -> None:
    assert sum(kind.bits for kind in FORMATS.values()) >= 250_000
