"""The calls of `Directory` on a real file system (POSIX).

Law: one call here is one call there; nothing is buffered, retried or hidden. Files are opened without following links.

Keeps: directory.names, directory.durable, store.place.
"""

from __future__ import annotations

import errno
import os
from typing import Final, final

from incr._errors import StoreError
from incr.store.directory import BINARY, CLOSE_ON_EXEC, NO_FOLLOW, NON_BLOCKING, check_name, require_regular

__all__ = ["FileDirectory"]

_OPEN: Final = NO_FOLLOW | NON_BLOCKING | CLOSE_ON_EXEC | BINARY


@final
class FileDirectory:
    """A directory of the file system."""

    __slots__ = ("_path", "_said")

    # spec: store.place
    def __init__(self, path: str | os.PathLike[str]) -> None:
        #: As messages name it.
        self._said = os.fspath(path)
        #: Where it is, wherever the program goes later.
        self._path = self._said if os.path.isabs(self._said) else os.path.join(os.getcwd(), self._said)

    def path_of(self, name: str) -> str:
        """The file as a message should name it."""
        return os.path.join(self._said, name)

    # spec: directory.durable
    def make(self) -> None:
        """Have the directory, for its owner only, and its name on the disk.

        The one that it is in has to be there: where a path is mistyped, or nothing is mounted, no store must begin.
        """
        path = os.path.abspath(self._path)
        if os.path.isdir(path):
            return
        if os.path.lexists(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        above = os.path.dirname(path)
        if not os.path.lexists(above):
            raise StoreError(
                self._said, f"cannot be made: there is no directory {above}; make it, or give another path"
            )
        os.mkdir(path, 0o700)
        _sync_names(above)

    def names(self) -> list[str]:
        """The names of what is there, sorted."""
        return sorted(os.listdir(self._path))

    def create(self, name: str) -> OpenFile:
        """A new, empty file for its owner only."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN
        return OpenFile(os.open(self._in_here(name), flags, 0o600))

    def open(self, name: str) -> OpenFile:
        """A file that is there, for reading and writing."""
        return self._opened(name, os.O_RDWR)

    def open_to_read(self, name: str) -> OpenFile:
        """A file that is there, for reading only."""
        return self._opened(name, os.O_RDONLY)

    def rename(self, name: str, new: str) -> None:
        """Give a file another name, in place of what has it."""
        os.replace(self._in_here(name), self._in_here(new))

    def unlink(self, name: str) -> None:
        """Take a file's name away."""
        os.unlink(self._in_here(name))

    def sync(self) -> None:
        """Have the names as they are now on the disk before going on."""
        _sync_names(self._path)

    def _in_here(self, name: str) -> str:
        return os.path.join(self._path, check_name(name))

    def _opened(self, name: str, mode: int) -> OpenFile:
        path = self._in_here(name)
        descriptor = os.open(path, mode | _OPEN)
        try:
            require_regular(path, os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        return OpenFile(descriptor)


@final
class OpenFile:
    """An open file of the file system."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        #: -1 once it was closed: a number that another file may have got by then is never used.
        self._descriptor = descriptor

    def size(self) -> int:
        """How long the file is."""
        return os.fstat(self._descriptor).st_size

    def pread(self, count: int, offset: int) -> bytes:
        """Up to *count* bytes from *offset* on."""
        return os.pread(self._descriptor, count, offset)

    def pwrite(self, data: bytes | memoryview, offset: int) -> int:
        """Write *data* at *offset*; how many bytes of it were taken."""
        return os.pwrite(self._descriptor, data, offset)

    def truncate(self, size: int) -> None:
        """Make the file *size* bytes long."""
        os.ftruncate(self._descriptor, size)

    def allocate(self, size: int) -> None:
        """Have room for *size* bytes."""
        os.posix_fallocate(self._descriptor, 0, size)

    def sync_data(self) -> None:
        """Have the file's bytes on the disk before going on."""
        os.fdatasync(self._descriptor)

    def sync(self) -> None:
        """Have everything about the file on the disk before going on."""
        os.fsync(self._descriptor)

    def lock(self) -> bool:
        """Take the file for this opener alone; False if another one has it, in this process or another."""
        import fcntl

        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self) -> None:
        """Let the next one have it, also if a forked child still has the file open."""
        import fcntl

        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file; closing again does nothing."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def _sync_names(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | CLOSE_ON_EXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
