"""The one place that touches the disk: finding the files of a tree, reading them, and setting them as inputs.

Law: waiting for the disk is the event loop's business; queries never wait. A file whose stamp is the stored one is not
read again, and a stamp is stored only if a later change of the file is sure to show in it.
"""

from __future__ import annotations

import os
import time
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import trio

import incr
from incr.demo.inputs import Source, Stamp, Tree, this_interpreter

__all__ = ["Change", "is_analysed", "list_files", "read_source", "read_tree", "tree_of", "update_files"]

#: Folders that hold no source of the tree: installed packages, caches, other people's trees.
_SKIPPED = frozenset({"__pycache__", "dist-packages", "node_modules", "site-packages"})
#: Some file systems count time in steps of two seconds: within one, a second change may leave the stamp as it is.
_SETTLED = 3_000_000_000
_READERS = 16

State = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Change:
    """What reading a tree has found: numbers of files."""

    files: int
    #: How many were opened; the stamps of all others were the stored ones.
    read: int
    #: How many were new, different or gone.
    changed: int


def tree_of(root: Path) -> Tree:
    """How names are looked for below *root*."""
    package = ""
    folder = root
    while (folder / "__init__.py").is_file():
        package = f"{folder.name}.{package}" if package else folder.name
        folder = folder.parent
    starts = ("", "src") if (root / "src").is_dir() and not package else ("",)
    return Tree(root=os.fspath(root), package=package, starts=starts)


def list_files(root: Path, below: str = "") -> Iterator[tuple[str, State]]:
    """The Python files under *root*/*below* with their stamps."""
    waiting = [below]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # gone while we looked, or not for us
        for entry in found:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if is_analysed(f"{path}/x.py") and not os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
                    waiting.append(path)
            elif is_analysed(path) and (state := _state(entry)) is not None:
                yield path, state


def is_analysed(path: str) -> bool:
    """Whether the path, relative to the root, is one that the analysis looks at."""
    *folders, name = path.split("/")
    return name.endswith(".py") and not any(part in _SKIPPED or part.startswith(".") for part in folders)


def _state(entry: os.DirEntry[str] | Path) -> State | None:
    try:
        if not entry.is_file():
            return None
        stat = entry.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def read_source(root: Path, path: str) -> Source:
    """The file's text by Python's rules: the encoding is what its first lines say. It never raises."""
    try:
        content = (root / path).read_bytes()
        encoding, _ = tokenize.detect_encoding(BytesIO(content).readline)
        return Source(path, text=content.decode(encoding))
    except (OSError, SyntaxError, UnicodeError) as error:
        return Source(path, text="", problem=str(error))


async def read_tree(db: incr.Database, root: Path, progress: Callable[[int, int], object] | None = None) -> Change:
    """Set the inputs to what is on the disk now, as one revision. *progress* is told how many of how many are read."""
    db.set(this_interpreter())
    tree = tree_of(root)
    if db.get(Tree) != tree:
        _forget_stamps(db)
        db.set(tree)
    files = await trio.to_thread.run_sync(_files, root)
    return await _update(db, root, files, set(db.keys(Source)) - files.keys(), progress)


async def update_files(db: incr.Database, root: Path, paths: Iterable[str]) -> Change:
    """Look again at *paths*, relative to *root*: files that changed, are new or gone, and folders that came or went."""
    files: dict[str, State] = {}
    gone: set[str] = set()
    for path in paths:
        gone.update(known for known in db.keys(Source) if known == path or known.startswith(f"{path}/"))
        if is_analysed(path):
            state = _state(root / path)
            if state is not None:
                files[path] = state
        elif is_analysed(f"{path}/x.py"):
            files.update(await trio.to_thread.run_sync(_files, root, path))
    return await _update(db, root, files, gone - files.keys(), None)


def _files(root: Path, below: str = "") -> dict[str, State]:
    return dict(list_files(root, below))


def _forget_stamps(db: incr.Database) -> None:
    with db.batch() as batch:
        for path in db.keys(Stamp):
            batch.remove(Stamp, path)


async def _update(
    db: incr.Database,
    root: Path,
    files: dict[str, State],
    gone: set[str],
    progress: Callable[[int, int], object] | None,
) -> Change:
    began = time.time_ns()
    stale = [path for path, state in files.items() if (stamp := db.get(Stamp, path)) is None or stamp.state != state]
    sources = await _read_all(root, stale, progress)
    changed = [source for source in sources if db.get(Source, source.path) != source]
    with db.batch() as batch:
        for path in gone:
            batch.remove(Source, path)
            batch.remove(Stamp, path)
        for source in sources:
            batch.set(source)
            _, content_changed, entry_changed = state = files[source.path]
            if max(content_changed, entry_changed) < began - _SETTLED:
                batch.set(Stamp(source.path, state=state))
            else:
                batch.remove(Stamp, source.path)
    return Change(files=len(files), read=len(sources), changed=len(changed) + len(gone))


async def _read_all(root: Path, paths: list[str], progress: Callable[[int, int], object] | None) -> list[Source]:
    """Read many files at once, in threads, because most of the time is waiting for the disk."""
    sources: list[Source] = []
    limiter = trio.CapacityLimiter(_READERS)

    async def read(path: str) -> None:
        sources.append(await trio.to_thread.run_sync(read_source, root, path, limiter=limiter))
        if progress is not None:
            progress(len(sources), len(paths))

    async with trio.open_nursery() as nursery:
        for path in paths:
            nursery.start_soon(read, path)
    return sources
