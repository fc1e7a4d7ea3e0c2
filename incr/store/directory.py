"""The disk as a dozen calls: all that a store needs of the place where its files are.

Law: these calls are thin. They raise the `OSError` that they met, may write and read less than they were asked to, and
promise nothing that was not synced: a file's bytes last from `sync_data` on, a name from the directory's `sync` on.
What is built on them says which path, what was found and what to do; an error of the operating system is never taken
for damaged content. No path ever comes out of a file.

Keeps: directory.names.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, Protocol, runtime_checkable

from incr._errors import StoreError

__all__ = [
    "BINARY",
    "CLOSE_ON_EXEC",
    "NON_BLOCKING",
    "NO_FOLLOW",
    "Directory",
    "File",
    "Front",
    "check_name",
    "explained",
    "read_whole",
    "require_regular",
    "write_whole",
]

#: Flags that not every system has.
CLOSE_ON_EXEC: Final[int] = getattr(os, "O_CLOEXEC", 0)
NO_FOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
NON_BLOCKING: Final[int] = getattr(os, "O_NONBLOCK", 0)
BINARY: Final[int] = getattr(os, "O_BINARY", 0)

_ADVICE: Final = {
    errno.EACCES: "give this user the right to it",
    errno.EPERM: "give this user the right to it",
    errno.EROFS: "give a path on a file system that can be written",
    errno.ENOENT: "it, or a part of its path, is not there; make it, or give another path",
    errno.EEXIST: "something is there already; give another path",
    errno.EIO: "the disk reports an error; look after it, and keep a copy of what can be read",
    errno.ENOSPC: "make room on the disk, then try again",
    errno.EDQUOT: "make room in the quota, then try again",
    errno.EFBIG: "raise the limit on file sizes, or save less with max_bytes",
    errno.EMFILE: "close files, or raise the limit on open files, then try again",
    errno.ENFILE: "close files, then try again",
    errno.EISDIR: "give the path of a file",
    errno.ENOTDIR: "a part of the path is a file; give another path",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.ELOOP: "links are not followed; give the path of the file itself",
}


class File(Protocol):
    """An open file. Offsets and sizes are in bytes."""

    def size(self) -> int:
        """How long the file is."""
        ...

    def pread(self, count: int, offset: int) -> bytes:
        """Up to *count* bytes from *offset* on; fewer where the system gives fewer, none at the end."""
        ...

    def pwrite(self, data: bytes | memoryview, offset: int) -> int:
        """Write *data* at *offset*; how many bytes of it were taken."""
        ...

    def truncate(self, size: int) -> None:
        """Make the file *size* bytes long."""
        ...

    def allocate(self, size: int) -> None:
        """Have room for *size* bytes. A shorter file may become that long, with zeros."""
        ...

    def sync_data(self) -> None:
        """Have the file's bytes, and what is needed to find them, on the disk before going on."""
        ...

    def sync(self) -> None:
        """Have everything about the file on the disk before going on."""
        ...

    def lock(self) -> bool:
        """Take the file for this opener alone; False if another one has it. Ends with `unlock` or with the process."""
        ...

    def unlock(self) -> None:
        """Let the next one have it."""
        ...

    def close(self) -> None:
        """Let go of the file; closing again does nothing."""
        ...


class Directory(Protocol):
    """A flat place for files. A name is a plain file name, without any part that leads elsewhere."""

    def path_of(self, name: str) -> str:
        """The file as a message should name it."""
        ...

    def make(self) -> None:
        """Have the directory, and its name on the disk; one that is there is left as it is."""
        ...

    def names(self) -> list[str]:
        """The names of what is there, sorted. FileNotFoundError if there is no directory."""
        ...

    def create(self, name: str) -> File:
        """A new, empty file for its owner only. FileExistsError if the name is taken."""
        ...

    def open(self, name: str) -> File:
        """A file that is there, for reading and writing. FileNotFoundError if there is none."""
        ...

    def open_to_read(self, name: str) -> File:
        """A file that is there, for reading only."""
        ...

    def rename(self, name: str, new: str) -> None:
        """Give a file another name, in place of what has it."""
        ...

    def unlink(self, name: str) -> None:
        """Take a file's name away."""
        ...

    def sync(self) -> None:
        """Have the names as they are now on the disk before going on."""
        ...


@runtime_checkable
class Front(Protocol):
    """A directory that stands in front of another one."""

    def before(self, directory: Directory) -> Directory:
        """One of the same kind in front of *directory*."""
        ...


# spec: directory.names
def check_name(name: str) -> str:
    """*name*, if it can only be that of a file in the directory itself.

    Raises:
        ValueError: it could lead elsewhere.
    """
    if not name or name in (os.curdir, os.pardir) or set(name) & {"/", "\\", "\0", ":"}:
        raise ValueError(f"{name!r} is not a plain file name")
    return name


def read_whole(file: File) -> bytes:
    """All bytes of a file, however few the system gives at a time."""
    pieces: list[bytes] = []
    offset, size = 0, file.size()
    while offset < size and (piece := file.pread(size - offset, offset)):
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


def write_whole(file: File, data: bytes, offset: int) -> None:
    """Write all of *data*, however little the system takes at a time.

    Raises:
        OSError: something was not taken; what was before it may be there.
    """
    view = memoryview(data)
    while view:
        taken = file.pwrite(view, offset)
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[taken:]
        offset += taken


@contextmanager
def explained(path: str, action: str, broken: type[StoreError] = StoreError) -> Generator[None]:
    """Turn an error of the operating system into one that says which path, what was found and what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        advice = _ADVICE.get(error.errno or 0, "see the cause above")
        raise broken(path, f"cannot be {action}: {reason}; {advice}") from error


def require_regular(path: str, status: os.stat_result) -> None:
    """Refuse what is not a plain file.

    Raises:
        IsADirectoryError: it is a directory.
        StoreError: it is a pipe, a device or a socket.
    """
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(path, "is not a regular file; give the path of one")
