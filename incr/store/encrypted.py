"""A directory whose files are encrypted on their way to another directory.

Law: what is written becomes records behind the last one; nothing that was written is ever written over, so a crash
leaves of it what it would leave of a plain file. Content that does not prove itself is never given out: bytes of a
constant stand in its place, and whoever has checksums over his content sees that, and knows whether it was promised.
A wrong key is an error of its own. A file proves which name it was given.

`LOCK` stays as it is: its text is for people, and the lock is the system's.

Keeps: crypto.file, crypto.crash, crypto.damage, crypto.name, crypto.key.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, final

from incr._errors import CorruptError
from incr.store.cipher import (
    APPEND,
    CHUNK_BYTES,
    CIPHER_HEADER_BYTES,
    NAME,
    RECORD_HEADER_BYTES,
    RECORD_MAGIC,
    REWRITE,
    SIZE,
    FileKeys,
    Master,
    RecordHeader,
)
from incr.store.directory import Directory, File, check_name, write_whole
from incr.store.lock import LOCK_NAME
from incr.store.records import GAP, Record, Records

__all__ = ["EncryptedDirectory", "EncryptedFile"]

#: Stands for each byte that does not prove itself. Not zero: zeros can mean that nothing was written.
_UNKNOWN: Final = b"\xdb"
#: The most that is taken by one write.
_WRITE_BYTES: Final = 1 << 20
#: How much is looked at around a record's header: small records come many at a time.
_AHEAD_BYTES: Final = 1 << 12
#: How much is searched at a time behind a damaged record.
_SEARCH_BYTES: Final = 1 << 20


@final
class EncryptedDirectory:
    """*directory* with its files encrypted with *key*, 32 random bytes (`secrets.token_bytes`). Needs `incr[crypto]`.

    Names, sizes and times of writing are not hidden; see the guide on encryption for what else is not.

    >>> from incr.store import EncryptedDirectory, Log, MemoryDirectory
    >>> disk, key = MemoryDirectory(), bytes(32)
    >>> with Log(EncryptedDirectory(disk, key), encode=str.encode, decode=bytes.decode) as log:
    ...     log.append("secret")
    1
    >>> any(b"secret" in content for content in disk.files().values())
    False

    Raises:
        ValueError: the key does not have 32 bytes.
        StoreError: the package is not installed.
    """

    __slots__ = ("_directory", "_master")

    def __init__(self, directory: Directory, key: bytes, *, random: Callable[[int], bytes] = os.urandom) -> None:
        self._directory = directory
        self._master = Master(directory.path_of(""), key, random)

    # spec: crypto.backup
    def before(self, directory: Directory) -> EncryptedDirectory:
        """*directory* with its files encrypted with the same key."""
        front = object.__new__(EncryptedDirectory)
        front._directory, front._master = directory, self._master
        return front

    def path_of(self, name: str) -> str:
        """The file as a message should name it."""
        return self._directory.path_of(name)

    def make(self) -> None:
        """Have the directory, and its name on the disk."""
        self._directory.make()

    def names(self) -> list[str]:
        """The names of what is there, sorted."""
        return self._directory.names()

    def create(self, name: str) -> File:
        """A new, empty file."""
        return self._wrapped(name, self._directory.create(name))

    def open(self, name: str) -> File:
        """A file that is there.

        Raises:
            CorruptError: its header is damaged, or it had another name.
            StoreError: it is encrypted with another key, or not at all.
        """
        return self._wrapped(name, self._directory.open(name))

    def open_to_read(self, name: str) -> File:
        """A file that is there, for reading only; errors as for `open`."""
        return self._wrapped(name, self._directory.open_to_read(name))

    # spec: crypto.name
    def rename(self, name: str, new: str) -> None:
        """Give a file another name. It is written into the file first, so nobody else may be writing to it."""
        check_name(new)
        # A damaged file has to be put aside, too; it proves nothing under any name.
        with suppress(CorruptError):
            file = self.open(name)
            try:
                if isinstance(file, EncryptedFile):
                    file.take_name(new)
            finally:
                file.close()
        self._directory.rename(name, new)

    def unlink(self, name: str) -> None:
        """Take a file's name away."""
        self._directory.unlink(name)

    def sync(self) -> None:
        """Have the names as they are now on the disk before going on."""
        self._directory.sync()

    def _wrapped(self, name: str, file: File) -> File:
        if name == LOCK_NAME:
            return file
        try:
            return EncryptedFile(file, self._master, name, self.path_of(name))
        except BaseException:
            file.close()
            raise


@final
class EncryptedFile:
    """An open file. One thread may write while others read."""

    __slots__ = (
        "_behind_is_clean",
        "_closed",
        "_file",
        "_keys",
        "_lock",
        "_master",
        "_name",
        "_path",
        "_read",
        "_records",
    )

    def __init__(self, file: File, master: Master, name: str, path: str) -> None:
        self._file = file
        self._master = master
        self._name = name
        self._path = path
        self._lock = threading.Lock()
        self._closed = False
        #: None until something is written: then the header is, and it is on the disk before anything else is.
        self._keys: FileKeys | None = None
        self._records = Records(CIPHER_HEADER_BYTES, b"")
        #: Whether nothing, or only zeros, are behind the last record.
        self._behind_is_clean = False
        #: The record that was read last, with its content.
        self._read: tuple[Record, bytes] | None = None
        self._load()

    def size(self) -> int:
        """How long the plain file is."""
        if self._closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._records.size

    # spec: crypto.file, crypto.damage
    def pread(self, count: int, offset: int) -> bytes:
        """Up to *count* bytes from *offset* on. Those that do not prove themselves are all 0xDB."""
        end = min(offset + count, self.size())
        if end <= offset:
            return b""
        found = self._records.between(offset, end)
        plain = bytearray(end - offset)
        span = found[-1].record.behind - found[0].record.at if found else 0
        window = _Window(self._file, min(span, _WRITE_BYTES))
        for extent in found:
            content = self._content(extent.record, window)
            start, stop = max(extent.start, offset), min(extent.end, end)
            begin = extent.record.start
            plain[start - offset : stop - offset] = content[start - begin : stop - begin]
        return bytes(plain)

    # spec: crypto.file, crypto.crash
    def pwrite(self, data: bytes | memoryview, offset: int) -> int:
        """Write *data* at *offset*, up to 1 MiB of it; how many bytes of it were taken."""
        with self._lock:
            view = memoryview(data)[:_WRITE_BYTES]
            pieces: list[tuple[int, bytes | memoryview, int]] = []
            size = self._records.size
            for begin in range(0, len(view), CHUNK_BYTES):
                piece = view[begin : begin + CHUNK_BYTES]
                place = offset + begin
                pieces.append((APPEND if place >= size else REWRITE, piece, place))
                size = max(size, place + len(piece))
            self._write(pieces)
            return len(view)

    # spec: crypto.file, crypto.crash
    def truncate(self, size: int) -> None:
        """Make the file *size* bytes long. Needs no room where it ends between two writes."""
        with self._lock:
            if self._keys is None and not size:
                self._file.truncate(0)
                return
            self._begin()
            if size <= self._records.size:
                self._records.drop_behind(size)
                self._file.truncate(self._records.last.behind)
                self._behind_is_clean = True
            # Behind a gap somebody has to say how long it is.
            if size != self._records.size or self._records.last.kind == GAP:
                self._write([(SIZE, b"", size)])

    def allocate(self, size: int) -> None:
        """Have room for about *size* bytes; the plain file stays as long as it is."""
        with self._lock:
            self._begin()
            more = size - self._records.size
            if more > 0:
                self._file.allocate(self._records.last.behind + more)

    def sync_data(self) -> None:
        """Have the file's bytes on the disk before going on."""
        self._file.sync_data()

    def sync(self) -> None:
        """Have everything about the file on the disk before going on."""
        self._file.sync()

    def lock(self) -> bool:
        """Take the file for this opener alone; False if another one has it."""
        return self._file.lock()

    def unlock(self) -> None:
        """Let the next one have it."""
        self._file.unlock()

    def close(self) -> None:
        """Let go of the file; closing again does nothing."""
        self._closed = True
        self._file.close()

    # spec: crypto.name
    def take_name(self, name: str) -> None:
        """Let the file have another name, too; that is on the disk when this returns."""
        with self._lock:
            if self._keys is not None:
                self._write([(NAME, name.encode("utf-8", "surrogatepass"), self._records.size)])
                self._file.sync_data()
            self._name = name

    # --- writing --------------------------------------------------------------------------------------------------

    # spec: crypto.crash
    def _begin(self) -> FileKeys:
        """Have a header, on the disk, and nothing behind the last record that could be taken for one."""
        if self._keys is None:
            keys, header = self._master.born(self._name)
            self._file.truncate(0)
            write_whole(self._file, header, 0)
            # Before anything is behind it: a file without a good header that has more is damaged.
            self._file.sync()
            self._keys = keys
            self._records = Records(CIPHER_HEADER_BYTES, _code_of(header))
            self._behind_is_clean = True
        elif not self._behind_is_clean:
            self._file.truncate(self._records.last.behind)
            self._behind_is_clean = True
        return self._keys

    def _write(self, pieces: list[tuple[int, bytes | memoryview, int]]) -> None:
        """Append records, all of them by one write."""
        keys = self._begin()
        first = last = self._records.last
        changes = self._records.changes
        written: list[bytes] = []
        records: list[Record] = []
        for kind, content, offset in pieces:
            packed, code = keys.pack(last.behind, kind, content, changes, offset, last.code)
            last = _record(last.behind, kind, offset, len(content), len(packed), code)
            changes += kind in (REWRITE, SIZE)
            written.append(packed)
            records.append(last)
        self._behind_is_clean = False
        write_whole(self._file, b"".join(written), first.behind)
        self._behind_is_clean = True
        for record in records:
            self._records.add(record)

    # --- reading --------------------------------------------------------------------------------------------------

    # spec: crypto.key, crypto.crash
    def _load(self) -> None:
        # The size first: somebody may be creating the file, and has a good header before there is more.
        size = self._file.size()
        window = _Window(self._file, _AHEAD_BYTES)
        header = window.take(0, CIPHER_HEADER_BYTES)
        try:
            self._keys, name = self._master.found(self._path, header)
        except CorruptError:
            if size <= CIPHER_HEADER_BYTES:
                return
            raise
        self._records = Records(CIPHER_HEADER_BYTES, _code_of(header))
        self._scan(self._keys, window)
        self._check_name(self._keys, name, window)

    # spec: crypto.damage
    def _scan(self, keys: FileKeys, window: _Window) -> None:
        """Go from header to header."""
        records = self._records
        while True:
            last = records.last
            at = last.behind
            header = keys.unpack(at, window.take(at, RECORD_HEADER_BYTES))
            if header is None:
                found = self._search(keys, at + 1)
                if found is None:
                    return
                # If somebody was writing it just now, it is there by the time what follows it is.
                header = keys.unpack(at, _read_at(self._file, RECORD_HEADER_BYTES, at))
                if header is None:
                    at, header = found
                    if not self._has_gap(header, last, at):
                        return
            elif header.link != last.code:
                return  # left by something that was cut off
            records.add(_record(at, header.kind, header.offset, header.length, header.behind, header.code))

    def _has_gap(self, header: RecordHeader, last: Record, at: int) -> bool:
        """Whether only bytes at the end were lost before a record; if the record is not older than they are."""
        records = self._records
        if header.kind == REWRITE or header.changes != records.changes:
            raise CorruptError(self._path, last.behind, "a record that changed earlier ones is damaged")
        if header.kind != SIZE and header.offset < records.size:
            return False
        records.add(Record(GAP, records.size, max(header.offset, records.size), last.behind, at, last.code))
        return True

    def _search(self, keys: FileKeys, at: int) -> tuple[int, RecordHeader] | None:
        """The next record, and its place."""
        window = _Window(self._file, _SEARCH_BYTES)
        while len(data := window.take(at, RECORD_HEADER_BYTES)) == RECORD_HEADER_BYTES:
            header = keys.unpack(at, data)
            if header is not None:
                return at, header
            at = window.find(RECORD_MAGIC, at + 1)
        return None

    # spec: crypto.name
    def _check_name(self, keys: FileKeys, first: bytes, window: _Window) -> None:
        if keys.name_code(self._name) == first:
            return
        name = self._name.encode("utf-8", "surrogatepass")
        if not any(record.kind == NAME and self._content(record, window) == name for record in self._records.listed):
            raise CorruptError(self._path, 0, "has another name by its content; somebody has renamed or copied it")

    def _content(self, record: Record, window: _Window) -> bytes:
        """What a record holds, as long as it should be."""
        read = self._read
        if read is not None and read[0] is record:
            return read[1]
        plain: bytes | None = None
        if record.kind != GAP and self._keys is not None:
            data = window.take(record.at, record.behind - record.at)
            header = self._keys.unpack(record.at, data)
            if header is not None and header.code == record.code:
                plain = self._keys.content(header, data[RECORD_HEADER_BYTES:])
        if plain is None:
            return _UNKNOWN * (record.end - record.start)
        self._read = record, plain
        return plain


@final
class _Window:
    """A part of a file that was read, and a bit more than was asked for."""

    __slots__ = ("_ahead", "_at", "_data", "_file")

    def __init__(self, file: File, ahead: int) -> None:
        self._file = file
        self._ahead = ahead
        self._at = 0
        self._data = b""

    def take(self, at: int, count: int) -> bytes:
        """Up to *count* bytes from *at* on, fewer only at the end."""
        begin = at - self._at
        if begin < 0 or begin + count > len(self._data):
            self._at, self._data = at, _read_at(self._file, max(count, self._ahead), at)
            begin = 0
        return self._data[begin : begin + count]

    def find(self, what: bytes, at: int) -> int:
        """Where *what* is in the part that was read, from *at* on; else where it may begin behind it."""
        found = self._data.find(what, at - self._at)
        return self._at + (found if found >= 0 else max(at - self._at, len(self._data) - len(what) + 1))


def _record(at: int, kind: int, offset: int, length: int, size: int, code: bytes) -> Record:
    end = offset if kind in (SIZE, NAME) else offset + length
    return Record(kind, offset, end, at, at + size, code)


def _code_of(header: bytes) -> bytes:
    return header[-16:]


def _read_at(file: File, count: int, offset: int) -> bytes:
    """Up to *count* bytes, fewer only at the end."""
    pieces: list[bytes] = []
    while count and (piece := file.pread(count, offset)):
        pieces.append(piece)
        count -= len(piece)
        offset += len(piece)
    return b"".join(pieces)
