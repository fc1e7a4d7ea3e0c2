"""A disk in memory whose syncs wait for the test, so that something can happen while a commit is on its way."""

from __future__ import annotations

import threading
from typing import Any

from incr.store import MemoryDirectory

__all__ = ["HeldDisk"]


class HeldDisk:
    """A `MemoryDirectory`. Between `hold` and `let_go` whoever syncs a file's bytes waits."""

    def __init__(self) -> None:
        self.memory = MemoryDirectory()
        #: Set as soon as somebody waits.
        self.reached = threading.Event()
        self._gate = threading.Event()
        self._gate.set()

    def hold(self) -> None:
        self.reached.clear()
        self._gate.clear()

    def let_go(self) -> None:
        self._gate.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.memory, name)

    def create(self, name: str) -> Any:
        return _HeldFile(self.memory.create(name), self)

    def open(self, name: str) -> Any:
        return _HeldFile(self.memory.open(name), self)

    def wait(self) -> None:
        if not self._gate.is_set():
            self.reached.set()
            assert self._gate.wait(120), "nobody has let the disk go"


class _HeldFile:
    def __init__(self, file: Any, disk: HeldDisk) -> None:
        self._file = file
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def sync_data(self) -> None:
        self._disk.wait()
        self._file.sync_data()

    def sync(self) -> None:
        self._disk.wait()
        self._file.sync()
