"""One writer in a directory: a file that the system locks for whoever has it open.

Law: the lock is the system's (`flock`), so it ends with its holder, however that ends. The file is never removed: two
openers could then hold two files of one name. Its text, who holds it, is for people only. A forked child does not hold
the lock of its parent, and does not keep it from others either.

Keeps: log.lock, log.fork.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Final, final
from weakref import WeakSet

from incr._errors import StoreBrokenError, StoreLockedError
from incr.store.directory import Directory, File, explained, read_whole

__all__ = ["LOCK_NAME", "Lock"]

LOCK_NAME: Final = "LOCK"
#: The longest text of a holder that is shown.
_TEXT_BYTES: Final = 200


@final
class Lock:
    """The right to write in a directory, or to one file of it, held from construction to `release`.

    Raises:
        StoreLockedError: somebody else has it; the text says who.
    """

    __slots__ = ("__weakref__", "_file", "_path", "_process")

    # spec: log.lock
    def __init__(self, directory: Directory, name: str = LOCK_NAME) -> None:
        self._path = directory.path_of(name)
        self._process = os.getpid()
        with explained(self._path, "locked"):
            self._file = _lock_file(directory, name)
            taken = False
            try:
                taken = self._file.lock()
                if not taken:
                    raise StoreLockedError(self._path, f"{_holder(self._file)}; close it there, or wait")
            finally:
                if not taken:
                    self._file.close()
        self._write(f"process {self._process} on {os.uname().nodename} since {_now()}")
        _HELD.add(self)

    # spec: log.fork
    def require(self) -> None:
        """Go on only in the process that has locked the directory.

        Raises:
            StoreBrokenError: this is a forked child of it.
        """
        if os.getpid() != self._process:
            raise StoreBrokenError(
                self._path, "is held by the process that this one was forked from; open it here anew"
            )

    def release(self) -> None:
        """Let the next one write."""
        if os.getpid() == self._process:
            self._write("")
            # For all who have inherited the open file, too; closing it alone would leave it to them.
            with suppress(OSError):
                self._file.unlock()
        self.forget()

    def forget(self) -> None:
        """Close the file without unlocking it: what a forked child does."""
        _HELD.discard(self)
        with suppress(OSError):
            self._file.close()

    def _write(self, text: str) -> None:
        # A full disk is no reason not to lock.
        with suppress(OSError):
            self._file.truncate(0)
            self._file.pwrite(text.encode(), 0)


#: Locks of this process, for its forked children to let go of.
_HELD: Final[WeakSet[Lock]] = WeakSet()


def _forget_all() -> None:
    for lock in list(_HELD):
        lock.forget()


def _nothing(**_: object) -> None:
    """What a system without forks has to do about them."""


# Files are read and written there, too; only logs are not.
getattr(os, "register_at_fork", _nothing)(after_in_child=_forget_all)


def _lock_file(directory: Directory, name: str) -> File:
    try:
        return directory.open(name)
    except FileNotFoundError:
        pass
    try:
        return directory.create(name)
    except FileExistsError:  # somebody was faster
        return directory.open(name)


def _holder(file: File) -> str:
    with suppress(OSError):
        text = read_whole(file)[:_TEXT_BYTES].decode("utf-8", "replace").strip()
        if text:
            return f"is held by {text if text.isprintable() else repr(text)}"
    return "is held by somebody who has not written who it is"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
