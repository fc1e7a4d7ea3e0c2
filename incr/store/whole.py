"""Whole files: read at once, written at once under a name.

Law: a name either keeps what it had or holds the whole new file, whenever the power goes; a failed write leaves nothing
behind. An error of the operating system is never taken for damaged content.

Keeps: save.atomic, load.missing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self, final

from incr._errors import LimitExceededError, StoreError
from incr.store.directory import BINARY, CLOSE_ON_EXEC, NO_FOLLOW, NON_BLOCKING, explained, require_regular

__all__ = ["Files", "Found", "Temporary", "WholeFiles", "split_path"]

#: Blocks are gathered to about this many bytes before they are handed to the operating system.
_WRITE_BYTES: Final = 1 << 20


class Found(NamedTuple):
    """A file's content, and what tells this very file from another one of the same name."""

    content: bytes
    identity: tuple[int, ...]


class Temporary(Protocol):
    """A new file that has no name yet that anybody would read."""

    def write(self, chunks: Iterable[bytes]) -> int:
        """Append all chunks; returns how many bytes that were."""
        ...

    def sync(self) -> None:
        """Have everything written on the disk before going on."""
        ...

    def read(self, offset: int, count: int) -> bytes:
        """What was written, read back."""
        ...

    def publish(self, name: str) -> None:
        """Give the file its name, in place of what had it, and make that last."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the file if it was not published."""
        ...


class Files(Protocol):
    """What is needed of the place where whole files are."""

    def path_of(self, name: str) -> str:
        """The file as a message should name it."""
        ...

    def read(self, name: str, max_bytes: int | None) -> Found | None:
        """The whole file, or None if there is none."""
        ...

    def create(self) -> Temporary:
        """A new file under a name that nobody else uses."""
        ...

    def move_aside(self, name: str, identity: tuple[int, ...], aside: str) -> None:
        """Rename the file that was read, if it is still the one that has the name."""
        ...

    def remove(self, name: str, identity: tuple[int, ...]) -> None:
        """Remove the file that was read, if it is still the one that has the name."""
        ...


def split_path(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> tuple[WholeFiles, str]:
    """The directory of *path* and the name in it.

    Raises:
        StoreError: the path cannot be that of a file.
    """
    text = os.fsdecode(path)
    parent, name = os.path.split(text)
    if not name or name in (os.curdir, os.pardir):
        raise StoreError(text, "is not the path of a file; give one that ends in a file's name")
    if "\0" in text:
        raise StoreError(text, "has a zero character in it; give another path")
    return WholeFiles(parent or os.curdir), name


@final
class WholeFiles:
    """A directory of the file system. A missing one is made when a file is created in it."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def path_of(self, name: str) -> str:
        """The file as a message should name it."""
        return os.path.join(self._path, name) if self._path != os.curdir else name

    # spec: load.missing
    def read(self, name: str, max_bytes: int | None) -> Found | None:
        """The whole file, or None if there is none. Only "no such file" means that.

        Raises:
            LimitExceededError: it has more than *max_bytes*; nothing was read.
            StoreError: it cannot be read, or is not a regular file.
        """
        path = self.path_of(name)
        with explained(path, "read"):
            try:
                # Without waiting: to open a pipe that nobody writes to would hang.
                descriptor = os.open(path, os.O_RDONLY | CLOSE_ON_EXEC | NON_BLOCKING | BINARY)
            except FileNotFoundError:
                return None
            try:
                status = os.fstat(descriptor)
                require_regular(path, status)
                if max_bytes is not None and status.st_size > max_bytes:
                    raise LimitExceededError(
                        f"{path}: has {status.st_size} bytes, max_bytes allows {max_bytes}; it was not read"
                    )
                return Found(_read_exactly(descriptor, 0, status.st_size), _identity(status))
            finally:
                os.close(descriptor)

    # spec: save.atomic
    def create(self) -> FileTemporary:
        """A new file, readable by its owner only, under a name that nobody else uses."""
        path = os.path.join(self._path, f".incr-tmp-{os.getpid()}-{os.urandom(8).hex()}")
        with explained(self._path, "written to"):
            os.makedirs(self._path, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_FOLLOW | CLOSE_ON_EXEC | BINARY
            return FileTemporary(self, path, os.open(path, flags, 0o600))

    def move_aside(self, name: str, identity: tuple[int, ...], aside: str) -> None:
        """Rename the file that was read, if it is still the one that has the name."""
        path = self.path_of(name)
        with explained(path, "moved aside"):
            if _identity(os.stat(path)) == identity:
                os.replace(path, self.path_of(aside))
                self.sync()

    def remove(self, name: str, identity: tuple[int, ...]) -> None:
        """Remove the file that was read, if it is still the one that has the name."""
        path = self.path_of(name)
        with explained(path, "removed"):
            if _identity(os.stat(path)) == identity:
                os.unlink(path)
                self.sync()

    def rename(self, path: str, name: str) -> None:
        """Give the file at *path* its name, and make that last."""
        target = self.path_of(name)
        with explained(target, "written"):
            if os.path.isdir(target):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            os.replace(path, target)
            self.sync()

    def sync(self) -> None:
        """Have the names of this directory on the disk before going on (not every system can)."""
        if os.name != "posix":
            return
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | CLOSE_ON_EXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@final
class FileTemporary:
    """A file in the making; as a context manager it goes away again unless it was published."""

    __slots__ = ("_descriptor", "_directory", "_path", "_published")

    def __init__(self, directory: WholeFiles, path: str, descriptor: int) -> None:
        self._directory = directory
        self._path = path
        self._descriptor = descriptor
        self._published = False

    def write(self, chunks: Iterable[bytes]) -> int:
        """Append all chunks; returns how many bytes that were."""
        total = 0
        with explained(self._path, "written"):
            for piece in _gathered(chunks):
                view = memoryview(piece)
                total += len(view)
                while view:  # a write may be short; the next one says why
                    view = view[os.write(self._descriptor, view) :]
        return total

    def sync(self) -> None:
        """Have everything written on the disk before going on."""
        with explained(self._path, "written"):
            os.fsync(self._descriptor)

    def read(self, offset: int, count: int) -> bytes:
        """What was written, read back."""
        with explained(self._path, "read back"):
            return _read_exactly(self._descriptor, offset, count)

    def publish(self, name: str) -> None:
        """Give the file its name, in place of what had it, and make that last."""
        self._close()
        self._directory.rename(self._path, name)
        self._published = True

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with explained(self._path, "closed"):
                os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._close()
        finally:
            if not self._published:
                _remove_quietly(self._path)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _read_exactly(descriptor: int, offset: int, count: int) -> bytes:
    """Up to *count* bytes; fewer only at the end of the file."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    first = os.read(descriptor, count)
    if len(first) == count or not first:
        return first
    pieces, missing = [first], count - len(first)
    while missing and (piece := os.read(descriptor, missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _gathered(chunks: Iterable[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= _WRITE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _remove_quietly(path: str) -> None:
    """Remove what a failed write left. That failure is what the caller has to hear of, not this one."""
    with suppress(OSError):
        os.unlink(path)
