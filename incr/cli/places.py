"""Where stores are: opened by what is at a path, measured, and put in place whole.

Law: what is made is made beside its place, under a name that says that it is not complete, and is renamed at the end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeAlias

from incr import StoreError
from incr.cli.options import UsageError
from incr.store import FileDirectory
from incr.store.directory import explained
from incr.store.file_store import FileStore
from incr.store.sqlite_store import SqliteStore

__all__ = [
    "Backend",
    "Opened",
    "as_original",
    "backend_of",
    "create",
    "gone_back",
    "opened",
    "replace_folder",
    "salvageable",
    "size_of",
    "unfinished",
]

Backend: TypeAlias = Literal["file", "sqlite"]
#: A store with a place on the disk.
Opened: TypeAlias = FileStore | SqliteStore
#: What SQLite puts beside a file while it is open, and what the store puts there.
_BESIDE = ("-wal", "-shm", "-lock")


def backend_of(path: Path) -> Backend:
    """Which backend has a place.

    Raises:
        UsageError: there is nothing.
    """
    if not os.path.lexists(path):
        raise UsageError(f"there is nothing at {path}; give the directory or the SQLite file of a store")
    return "file" if path.is_dir() else "sqlite"


@contextmanager
def opened(path: Path, mode: Literal["rw", "ro"] = "ro") -> Generator[Opened]:
    """The store at a path, for as long as the block runs.

    Raises:
        UsageError: there is nothing.
        StoreError: it cannot be opened.
    """
    store: Opened = FileStore.open(path, mode=mode) if backend_of(path) == "file" else SqliteStore.open(path, mode=mode)
    try:
        yield store
    finally:
        store.close()


def create(path: Path, backend: Backend) -> Opened:
    """A new store."""
    return FileStore.open(path) if backend == "file" else SqliteStore.open(path)


@contextmanager
def unfinished(path: Path) -> Generator[Path]:
    """A place beside *path* for something that becomes *path* when the block is left without an error.

    Raises:
        UsageError: there is something at *path* already.
    """
    if os.path.lexists(path):
        raise UsageError(f"{path} is there already; give the path of something new")
    aside = path.with_name(f"{path.name}.incomplete-{os.getpid()}")
    try:
        yield aside
        with explained(str(path), "put in place"):
            os.rename(aside, path)
            FileDirectory(path.absolute().parent).sync()
    finally:
        _remove(aside)


# spec: cli.store.repair
@contextmanager
def salvageable(path: Path) -> Generator[Opened]:
    """A copy of a damaged store, opened so that the newest sound state of it is there; the copy is gone afterwards."""
    backend = backend_of(path)
    aside = path.with_name(f"{path.name}.copy-{os.getpid()}")
    try:
        with explained(str(aside), "written"):
            if backend == "file":
                shutil.copytree(path, aside)
            else:
                shutil.copyfile(path, aside)
                with suppress(FileNotFoundError):
                    shutil.copyfile(f"{path}-wal", f"{aside}-wal")
        store: Opened = FileStore.open(aside, on_corrupt="quarantine") if backend == "file" else SqliteStore.open(aside)
        try:
            yield store
        finally:
            with suppress(StoreError):  # what is damaged need not close well
                store.close()
    finally:
        _remove(aside)


def gone_back(store: Opened) -> list[str]:
    """What opening the store had to do without."""
    if isinstance(store, SqliteStore):
        return []
    cut = [] if store.cut is None else [f"{store.cut.path}, from byte {store.cut.offset} on: {store.cut.reason}"]
    return [*cut, *(f"{finding.path}: {finding.reason}" for finding in store.findings)]


def as_original(text: str, copied: str, path: Path) -> str:
    """A message about the copy of a store, as one about the store."""
    return text.replace(copied.rstrip(os.sep), str(path))


# spec: cli.store.compact
def replace_folder(path: Path, new: Path, unchanged: Callable[[], bool]) -> None:
    """Put a directory in place of another one, which nobody may have open; *unchanged* says that it is as it was.

    If the system goes down between the two names, the old one has ``.before`` behind its name.
    """
    before = path.with_name(f"{path.name}.before")
    if os.path.lexists(before):
        raise UsageError(f"{before} is there, from an attempt that was cut short; look at it, and remove it")
    if not unchanged():
        raise StoreError(str(path), "was written to meanwhile; compact it again")
    with explained(str(path), "replaced"):
        os.rename(path, before)
        os.rename(new, path)
        FileDirectory(path.absolute().parent).sync()
    shutil.rmtree(before)


def size_of(path: Path) -> int:
    """How many bytes a store takes on the disk."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return sum(os.stat(f"{path}{name}").st_size for name in ("", *_BESIDE) if os.path.exists(f"{path}{name}"))


def _remove(path: Path) -> None:
    """What is left of something unfinished. If it cannot be removed, that is not what the user has to hear of."""
    shutil.rmtree(path, ignore_errors=True)
    for name in ("", *_BESIDE):
        with suppress(OSError):
            os.unlink(f"{path}{name}")
