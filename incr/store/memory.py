"""The calls of `Directory` in memory, with what is durable kept apart from what is only visible.

Law: `after_power_loss` has what was synced and nothing else: the bytes of a file as of its last sync, under the names
as of the directory's last sync. A real disk may keep more; `incr.testing.FakeDirectory` shows what more it may keep.

Keeps: directory.names, directory.durable.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Mapping
from typing import final

from incr.store.directory import check_name

__all__ = ["MemoryDirectory"]


@final
class MemoryDirectory:
    """A directory that goes away with the program; *files* is what it begins with, all of it durable."""

    __slots__ = ("_durable", "_lock", "_names")

    def __init__(self, files: Mapping[str, bytes] = {}) -> None:
        self._names = {check_name(name): _Content(content) for name, content in files.items()}
        self._durable = dict(self._names)
        self._lock = threading.Lock()

    def path_of(self, name: str) -> str:
        """The file as a message should name it."""
        return f"memory:{name}"

    def make(self) -> None:
        """It is there."""

    def names(self) -> list[str]:
        """The names of what is there, sorted."""
        with self._lock:
            return sorted(self._names)

    def create(self, name: str) -> MemoryFile:
        """A new, empty file."""
        with self._lock:
            if check_name(name) in self._names:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
            content = self._names[name] = _Content(b"")
        return MemoryFile(content)

    def open(self, name: str) -> MemoryFile:
        """A file that is there."""
        return MemoryFile(self._content(name))

    open_to_read = open

    def rename(self, name: str, new: str) -> None:
        """Give a file another name, in place of what has it."""
        content = self._content(name)
        with self._lock:
            del self._names[name]
            self._names[check_name(new)] = content

    def unlink(self, name: str) -> None:
        """Take a file's name away; whoever has it open keeps it."""
        self._content(name)
        with self._lock:
            del self._names[name]

    # spec: directory.durable
    def sync(self) -> None:
        """Make the names as they are now durable."""
        with self._lock:
            self._durable = dict(self._names)

    def files(self) -> dict[str, bytes]:
        """What is visible now."""
        with self._lock:
            return {name: bytes(content.visible) for name, content in sorted(self._names.items())}

    def unlock_all(self) -> None:
        """Let go of all locks, as the system does when their holder is killed."""
        with self._lock:
            for content in self._names.values():
                content.holder = None

    def after_power_loss(self) -> MemoryDirectory:
        """A directory with what was synced, and nothing else."""
        with self._lock:
            return MemoryDirectory({name: content.durable for name, content in self._durable.items()})

    def _content(self, name: str) -> _Content:
        with self._lock:
            content = self._names.get(check_name(name))
        if content is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return content


@final
class _Content:
    """A file, whatever names it has."""

    __slots__ = ("durable", "holder", "visible")

    def __init__(self, content: bytes) -> None:
        self.visible = bytearray(content)
        #: `visible` as it was at the last sync.
        self.durable = content
        #: Which opener has locked it.
        self.holder: MemoryFile | None = None


@final
class MemoryFile:
    """An open file in memory."""

    __slots__ = ("_content", "_open")

    def __init__(self, content: _Content) -> None:
        self._content = content
        self._open = True

    def size(self) -> int:
        """How long the file is."""
        return len(self._opened().visible)

    def pread(self, count: int, offset: int) -> bytes:
        """Up to *count* bytes from *offset* on."""
        return bytes(self._opened().visible[offset : offset + count])

    def pwrite(self, data: bytes | memoryview, offset: int) -> int:
        """Write *data* at *offset*; what was missing before it is zeros."""
        visible = self._opened().visible
        if offset > len(visible):
            visible.extend(bytes(offset - len(visible)))
        visible[offset : offset + len(data)] = data
        return len(data)

    def truncate(self, size: int) -> None:
        """Make the file *size* bytes long."""
        visible = self._opened().visible
        del visible[size:]
        visible.extend(bytes(size - len(visible)))

    def allocate(self, size: int) -> None:
        """Make the file at least *size* bytes long."""
        visible = self._opened().visible
        visible.extend(bytes(max(0, size - len(visible))))

    def sync_data(self) -> None:
        """Make the bytes as they are now durable."""
        content = self._opened()
        content.durable = bytes(content.visible)

    sync = sync_data

    def lock(self) -> bool:
        """Take the file for this opener alone; False if another one has it."""
        content = self._opened()
        if content.holder not in (None, self):
            return False
        content.holder = self
        return True

    def unlock(self) -> None:
        """Let the next one have it."""
        content = self._opened()
        if content.holder is self:
            content.holder = None

    def close(self) -> None:
        """Let go of the file, and of its lock."""
        if self._open:
            self.unlock()
            self._open = False

    def _opened(self) -> _Content:
        if not self._open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._content
