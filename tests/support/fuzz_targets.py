"""What is fuzzed: readers of bytes that somebody else may have made, and what has to hold whatever the bytes are.

A target either takes the bytes, and then what it made of them is written as the same again, or raises a typed error.
Checksums would keep a fuzzer at the door; so here they are all the same eight bytes, as for somebody who computes them
anew for what he has changed. Seeds are made by the library itself.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import re
import tempfile
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from incr import CorruptError, Database, StoreError
from incr._node import NEVER
from incr._persist._jobs import load as load_graph
from incr.codec import Codec
from incr.store import EncryptedDirectory, Flush, Log, LogReader, MemoryDirectory
from incr.store.base import Draft, base_image, read_base
from incr.store.block import LISTED_BYTES, pack_list, unpack_list
from incr.store.checksum import BLAKE2B, XXH3, Checksum
from incr.store.contents import BaseHeader, Table
from incr.store.delta import pack_delta, unpack_delta
from incr.store.directory import read_whole, write_whole
from incr.store.file_store import FileStore
from incr.store.index import Bucket, pack_bucket
from incr.store.layout import Header, pack_contents, unpack_contents
from incr.store.page import pack_head, unpack_head
from incr.store.paged import PagedBase
from incr.store.rows import CALLS, GOOD, RECORDS, Content, Delta, Row, SectionInfo
from kill_loop import delta as delta_of_store
from paged_bases import base_of, head_of, overlay_of
from stored_program import make

__all__ = ["TARGETS", "Target", "same_checksums"]

SEGMENT = "log-0000000000000001.incr"
#: Modules that choose checksums by name.
_CHOOSERS = ("appender", "base", "layout", "paged_write")


class Target(NamedTuple):
    """One reader: bytes that it takes, and a look at any bytes."""

    seeds: Callable[[], list[bytes]]
    check: Callable[[bytes], None]


@contextmanager
def same_checksums() -> Iterator[None]:
    """Within its block all checksums of files are the same."""

    def digest(place: bytes, content: object) -> bytes:
        return b"checksum"

    def of_kind(kind: int) -> Checksum | None:
        return Checksum(kind, digest) if kind in (XXH3, BLAKE2B) else None

    changed: list[tuple[types.ModuleType, str, object]] = []
    for module in [importlib.import_module(f"incr.store.{name}") for name in _CHOOSERS]:
        for name, other in (("checksum_of_kind", of_kind), ("preferred_checksum", lambda: Checksum(XXH3, digest))):
            if name in vars(module):
                changed.append((module, name, getattr(module, name)))
                setattr(module, name, other)
    try:
        yield
    finally:
        for module, name, before in changed:
            setattr(module, name, before)


# --- log ----------------------------------------------------------------------------------------------------------


def _log(disk: MemoryDirectory, on_corrupt: str = "error") -> Log[bytes]:
    return Log(
        disk,
        encode=bytes,
        decode=bytes,
        flush=Flush.by_hand(),
        on_corrupt="rollback" if on_corrupt == "rollback" else "error",
    )


def segments() -> list[bytes]:
    made = []
    for closed in (True, False):
        disk = MemoryDirectory()
        log = _log(disk)
        log.append(b"first")
        log.flush()
        log.append_batch([b"", b"third", bytes(30)])
        if not closed:
            made.append(disk.files()[SEGMENT])
        log.close()
        if closed:
            made.append(disk.files()[SEGMENT])
    return made


def check_segment(data: bytes) -> None:
    files = {SEGMENT: data}
    try:
        read = list(LogReader(MemoryDirectory(files), decode=bytes).replay())
    except StoreError:
        read = None
    for on_corrupt in ("error", "rollback"):
        disk = MemoryDirectory(files)
        try:
            with _log(disk, on_corrupt) as log:
                found = list(log.replay())
                number = log.append(b"new")
        except StoreError:
            assert on_corrupt == "error" or read is None
            continue
        assert on_corrupt == "rollback" or found == read
        with _log(MemoryDirectory(disk.files())) as log:
            assert list(log.replay()) == [*found, (number, b"new")]


# --- whole files --------------------------------------------------------------------------------------------------


def whole_files() -> list[bytes]:
    sections = [
        Draft(1, "module:Source", b"", 2, {0: [b"first", b"second"], 3: [b"third"]}),
        Draft(3, "module:words", b"fingerprint", 5, {0: [b"first"]}),
    ]
    checksum = importlib.import_module("incr.store.base").preferred_checksum()
    return [b"".join(base_image(Header(7), part, checksum)) for part in (sections, sections[:1], [])]


def check_whole_file(data: bytes) -> None:
    try:
        base = read_base("file", data)
    except StoreError:
        return
    assert sum(len(stream) for section in base.sections for stream in section.streams.values()) < len(data)


def tables() -> list[bytes]:
    made = []
    for data in whole_files():
        base = read_base("file", data)
        made.append(
            data[64 + sum(len(stream) for section in base.sections for stream in section.streams.values()) : -32]
        )
    return made


def check_table(data: bytes) -> None:
    try:
        sections = unpack_contents("file", 0, memoryview(data))
    except StoreError:
        return
    assert pack_contents(sections) == data


_PROGRAM = make()
_FOLDER = tempfile.TemporaryDirectory(prefix="incr-fuzz-")


def states() -> list[bytes]:
    db = Database()
    path = Path(_FOLDER.name, "seed")
    _PROGRAM.fill(db, a="one two", b="two three")
    made = []
    for ask in (lambda: None, lambda: _PROGRAM.total(db), lambda: _PROGRAM.ratio(db, "a", 2.5)):
        ask()
        db.save(path)
        made.append(path.read_bytes())
    return made


def check_state(data: bytes) -> None:
    """A whole file, loaded into a program. What it says is believed, but for what cannot be."""
    path = Path(_FOLDER.name, "file")
    path.write_bytes(data)
    db = Database()
    try:
        load_graph(db._graph, path, declared=_PROGRAM.ingredients())
    except StoreError:
        assert not list(db.keys(_PROGRAM.source))
    for node in [node for table in db._graph.tables for node in table.values() if node.suspects is None]:
        assert all(one.suspects is None or one.valid_from == NEVER for one in node.dependencies)


# --- bases of pages -----------------------------------------------------------------------------------------------


def _base(directory: MemoryDirectory) -> PagedBase:
    rows = {
        0: (Row(0, b"a", 1, 1, GOOD, ()), Content(b"value", b"")),
        1: (Row(0, b"b", 2, 3, 0, ()), Content(b"", b"")),
        256: (Row(1, b"call", 2, 3, GOOD, (0, 1)), Content(b"x" * 70_000, b"pushes")),
        300: (Row(1, b"other", 2, 3, GOOD, (256,)), Content(b"y" * 10, b"")),
    }
    sections = [
        SectionInfo(0, RECORDS, "m:R", b"", ("key",), 2),
        SectionInfo(1, CALLS, "m:q", b"print", ("x", "y"), 301, 1, (0, 1), 3, 5),
    ]
    return base_of(directory, "base", head_of(*sections), None, overlay_of(rows))


def bases() -> list[bytes]:
    disk = MemoryDirectory()
    _base(disk).close()
    return [disk.files()["base"]]


def check_base(data: bytes) -> None:
    disk = MemoryDirectory({"base": data})
    try:
        base = PagedBase.open(disk, "base")
    except StoreError:
        return
    try:
        for section in base.head().sections[:8]:
            for number in itertools.islice(base.rows_of(section.number), 600):
                row = base.row(number)
                with contextlib.suppress(CorruptError):
                    base.content(number)
                with contextlib.suppress(CorruptError):
                    base.dependents(number)
                with contextlib.suppress(CorruptError):
                    base.find(row.section, row.key)
        base.verify()
    except StoreError:
        pass
    finally:
        base.close()


def pieces() -> list[bytes]:
    """A byte that says which piece it is, then one of the small parts of a base."""
    base = _base(MemoryDirectory())
    page = base.page(1)
    assert page is not None
    heads = base.block(1, page.heads, 0)
    blocks = [*page.heads.blocks, *page.dependents.blocks, *page.values.blocks]
    room = sum(block.stored_bytes for block in blocks)
    return [
        b"\0" + heads,
        b"\1" + pack_bucket(base.bucket(0).entries()),
        b"\2" + room.to_bytes(4, "little") + pack_list(blocks),
        b"\3" + bytes(base.table._pages),
    ]


def check_piece(data: bytes) -> None:
    kind, rest = data[:1], data[1:]
    try:
        if kind == b"\0":
            head = unpack_head("base", 0, 1, 2, rest)
            assert pack_head(head.rows()) == rest
        elif kind == b"\1":
            bucket = Bucket.unpack("base", 0, rest)
            assert sorted(pack_bucket(bucket.entries())) == sorted(rest)
        elif kind == b"\2":
            room, listed = int.from_bytes(rest[:4], "little"), rest[4:]
            listed = listed[: len(listed) - len(listed) % LISTED_BYTES]
            assert pack_list(unpack_list("base", 0, memoryview(listed), room)) == listed
        else:
            table = Table("base", 1 << 20, memoryview(rest), BaseHeader(bytes(16), 1, 7, 3))
            for number in range(min(table.pages, 50)):
                table.page(number)
            for number in range(min(table.buckets, 50)):
                table.bucket(number)
    except StoreError:
        pass


# --- deltas -------------------------------------------------------------------------------------------------------


def deltas() -> list[bytes]:
    rows: dict[int, tuple[Row, Content | None]] = {
        1: (Row(0, b"a", 1, 1, GOOD, ()), Content(b"value", b"")),
        256: (Row(1, b"call", 2, 300, 0, (1,)), Content(b"", b"pushes")),
        70_000: (Row(1, b"other", 2, 2**40, GOOD, (256, 1)), None),
    }
    sections = [
        SectionInfo(0, RECORDS, "m:R", b"", ("key",), 2),
        SectionInfo(1, CALLS, "m:q", b"print", ("x", "y"), 7, 1, (0,), 1, 2),
    ]
    return [
        pack_delta(Delta(7, sections, b"classes", 3, rows, [3, 4], [5], [6, 900])),
        pack_delta(Delta(2**40, [], None, 3, {}, [], [1, 2, 300], [])),
        pack_delta(Delta(1, [], b"", 1, rows, [], [], [])),
    ]


def check_delta(data: bytes) -> None:
    try:
        delta = unpack_delta("log", data)
    except StoreError:
        return
    packed = pack_delta(delta)
    again = unpack_delta("log", packed)
    assert pack_delta(again) == packed
    assert {number: row for number, (row, _) in again.rows.items()} == {
        number: row for number, (row, _) in delta.rows.items()
    }


# --- stores -------------------------------------------------------------------------------------------------------


def stores() -> list[bytes]:
    """The files of a store one after another, each behind its name and its length."""
    disk = MemoryDirectory()
    made = []
    with FileStore.open(disk, durability="relaxed", random=lambda count: bytes(range(count))) as store:
        for number in range(1, 6):
            store.append(delta_of_store(number))
            if number in (2, 4):
                store.checkpoint()
                store.sync()
                made.append(_joined(disk.files()))
        store.sync()
        made.append(_joined(disk.files()))
    return made


def _joined(files: dict[str, bytes]) -> bytes:
    return b"".join(
        b"%s\n%d\n%s" % (name.encode(), len(content), content) for name, content in files.items() if name != "LOCK"
    )


def _parted(data: bytes) -> dict[str, bytes]:
    files = {}
    while match := re.match(rb"([\w.-]{1,40})\n(\d{1,7})\n", data):
        end = match.end() + int(match[2])
        files[match[1].decode()] = data[match.end() : end]
        data = data[end:]
    return files


def check_store(data: bytes) -> None:
    files = _parted(data)
    for on_corrupt in ("error", "quarantine"):
        try:
            with FileStore.open(
                MemoryDirectory(files),
                durability="relaxed",
                on_corrupt="error" if on_corrupt == "error" else "quarantine",
            ) as store:
                _read_all(store)
                store.checkpoint()
                _read_all(store)
        except StoreError:
            pass


def _read_all(store: FileStore) -> None:
    for section in store.head().sections[:8]:
        for number in itertools.islice(store.rows_of(section.number), 600):
            row = store.row(number)
            store.content(number)
            store.dependents(number)
            store.find(row.section, row.key)
            for dependency in row.dependencies[:50]:
                store.row(dependency)


# --- values -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """A class of a program."""

    x: int
    names: tuple[str, ...] = field(default=())


CODEC: Codec[object] = Codec(Point)  # type: ignore[arg-type]  # it takes what else there is, too


def values() -> list[bytes]:
    made: list[object] = [
        None, True, -1, 2**70, 1.5, "text", b"bytes", (1, "a"), [1, [2]], {"k": {1: 2}}, {1, 2}, frozenset({"a"}),
        Point(3, ("a", "b")), [Point(1), Point(2)], {Point(1): Point(2)}, float("nan"), complex(1, 2), range(3),
    ]  # fmt: skip
    return [CODEC.encode(value) for value in made]


def check_value(data: bytes) -> None:
    try:
        value = CODEC.decode(data)
    except ValueError:
        return
    encoded = CODEC.encode(value)
    assert CODEC.encode(CODEC.decode(encoded)) == encoded


# --- encrypted files ----------------------------------------------------------------------------------------------


def encrypted_files() -> list[bytes]:
    disk = MemoryDirectory()
    directory = EncryptedDirectory(disk, bytes(32), random=Random(0).randbytes)
    file = directory.create("file")
    made = []
    for piece, offset in ((b"first", 0), (b"second", 5), (b"F", 0)):
        write_whole(file, piece, offset)
        made.append(disk.files()["file"])
    return made


def check_encrypted_file(data: bytes) -> None:
    disk = MemoryDirectory({"file": data})
    try:
        file = EncryptedDirectory(disk, bytes(32)).open("file")
    except StoreError:
        return
    before = read_whole(file)
    # Nothing can be in it that was not written, in its place.
    written = b"firstsecond"
    assert all(byte in (0xDB, written[at], b"F"[0] if at == 0 else 0xDB) for at, byte in enumerate(before))
    write_whole(file, b"new", len(before))
    assert read_whole(EncryptedDirectory(disk, bytes(32)).open("file")) == before + b"new"


TARGETS: dict[str, Target] = {
    "segment": Target(segments, check_segment),
    "whole": Target(whole_files, check_whole_file),
    "table": Target(tables, check_table),
    "state": Target(states, check_state),
    "base": Target(bases, check_base),
    "piece": Target(pieces, check_piece),
    "delta": Target(deltas, check_delta),
    "store": Target(stores, check_store),
    "value": Target(values, check_value),
    "encrypted": Target(encrypted_files, check_encrypted_file),
}
