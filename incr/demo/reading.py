"""The one place that touches the disk: finding the files of a tree, reading them, and setting them as inputs.

`read_tree` does all of it. Its three steps are `look`, `read_sources`, the only one that needs an event loop, and
`settle`: a program that finds nothing to read has no use for a loop.

Law: waiting for the disk is the event loop's business; queries never wait. A file whose stamp is the stored one is not
read again, and a stamp is stored only if a later change of the file is sure to show in it.
"""

from __future__ import annotations

import os
import time
import tokenize
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import incr
from incr.demo.inputs import Folder, Source, Tree, this_interpreter
from incr.demo.modules import folder_of, in_folder

__all__ = [
    "Change",
    "Look",
    "is_analysed",
    "list_folders",
    "look",
    "read_source",
    "read_sources",
    "read_tree",
    "settle",
    "tree_of",
    "update_files",
]

#: Folders that hold no source of the tree: installed packages, caches, other people's trees.
_SKIPPED = frozenset({"__pycache__", "dist-packages", "node_modules", "site-packages"})
#: Some file systems count time in steps of two seconds: within one, a second change may leave the stamp as it is.
_SETTLED = 3_000_000_000
_READERS = 16


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the disk has found."""

    #: When it began, in nanoseconds.
    began: int
    tree: Tree
    #: How many files there are.
    files: int
    #: Those that have to be read, and their stamps.
    stale: dict[str, str]
    #: Those that are not there any more.
    gone: set[str]


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


def list_folders(root: Path, below: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    """The folders under *root*/*below* that have Python files in them, with the names and stamps of those."""
    waiting = [below]
    while waiting:
        folder = waiting.pop()
        found: dict[str, str] = {}
        inner: list[str] = []
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                for entry in entries:
                    name = entry.name
                    if name == "pyvenv.cfg" and folder != below:
                        break  # an environment, with other people's packages
                    if entry.is_dir(follow_symlinks=False):
                        if not name.startswith(".") and name not in _SKIPPED:
                            inner.append(in_folder(folder, name))
                    elif name.endswith(".py") and (stamp := _stamp_of(entry)):
                        found[name] = stamp
                else:
                    waiting += inner
                    if found:
                        yield folder, found
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # gone while we looked, or not for us


def is_analysed(path: str) -> bool:
    """Whether the path, relative to the root, is one that the analysis looks at."""
    *folders, name = path.split("/")
    return name.endswith(".py") and not any(part in _SKIPPED or part.startswith(".") for part in folders)


def _stamp_of(entry: os.DirEntry[str] | Path) -> str:
    """A file's size, and when its content and its entry were changed; nothing if it is no file."""
    try:
        if not entry.is_file():
            return ""
        stat = entry.stat()
    except OSError:
        return ""
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"


def read_source(root: Path, path: str) -> Source:
    """The file's text by Python's rules: the encoding is what its first lines say. It never raises."""
    try:
        content = (root / path).read_bytes()
        encoding, _ = tokenize.detect_encoding(BytesIO(content).readline)
        return Source(path, text=content.decode(encoding))
    except (OSError, SyntaxError, UnicodeError) as error:
        return Source(path, text="", problem=str(error))


def look(db: incr.View, root: Path) -> Look:
    """Compare the files of a tree with what is known of them. It reads stamps, and no file."""
    began = time.time_ns()
    return _compare(db, root, _folders(root), began)


def _compare(db: incr.View, root: Path, folders: dict[str, dict[str, str]], began: int) -> Look:
    tree = tree_of(root)
    moved = db.get(Tree) != tree  # stamps of another root mean nothing here
    stale: dict[str, str] = {}
    gone: set[str] = set()
    for folder in db.keys(Folder):
        known, there = db[Folder, folder].stamps, folders.get(folder, {})
        if known != there:
            gone.update(in_folder(folder, name) for name in known.keys() - there.keys())
    for folder, there in folders.items():
        known = _known(db, folder)
        if moved or known != there:
            stale.update(
                (in_folder(folder, name), stamp) for name, stamp in there.items() if moved or known.get(name) != stamp
            )
    return Look(began, tree, sum(map(len, folders.values())), stale, gone)


def _known(db: incr.View, folder: str) -> dict[str, str]:
    record = db.get(Folder, folder)
    return {} if record is None else record.stamps


async def read_tree(db: incr.Database, root: Path, progress: Callable[[int, int], object] | None = None) -> Change:
    """Set the inputs to what is on the disk now, as one revision. *progress* is told how many of how many are read."""
    import trio

    began = time.time_ns()
    folders = await trio.to_thread.run_sync(_folders, root)
    found = _compare(db, root, folders, began)
    return settle(db, found, await read_sources(root, found.stale, progress))


async def update_files(db: incr.Database, root: Path, paths: Iterable[str]) -> Change:
    """Look again at *paths*, relative to *root*: files that changed, are new or gone, and folders that came or went."""
    import trio

    began = time.time_ns()
    files: dict[str, str] = {}
    gone: set[str] = set()
    for path in paths:
        gone.update(known for known in db.keys(Source) if known == path or known.startswith(f"{path}/"))
        if is_analysed(path):
            stamp = _stamp_of(root / path)
            if stamp:
                files[path] = stamp
        elif is_analysed(f"{path}/x.py"):
            folders = await trio.to_thread.run_sync(_folders, root, path)
            files |= {
                in_folder(folder, name): stamp for folder, there in folders.items() for name, stamp in there.items()
            }
    stale = {path: stamp for path, stamp in files.items() if _known(db, folder_of(path)).get(_name(path)) != stamp}
    found = Look(began, db[Tree], len(files), stale, gone - files.keys())
    return settle(db, found, await read_sources(root, found.stale, None))


def _folders(root: Path, below: str = "") -> dict[str, dict[str, str]]:
    return dict(list_folders(root, below))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def settle(db: incr.Database, found: Look, sources: Iterable[Source]) -> Change:
    """Set the inputs, as one revision: *sources* are what the stale files say."""
    sources = list(sources)
    changed = [source for source in sources if db.get(Source, source.path) != source]
    with db.batch() as batch:
        batch.set(this_interpreter())
        batch.set(found.tree)
        for path in found.gone:
            batch.remove(Source, path)
        for source in sources:
            batch.set(source)
        for folder, stamps in _known_after(db, found).items():
            if stamps:
                batch.set(Folder(folder, stamps=stamps))
            else:
                batch.remove(Folder, folder)
    return Change(files=found.files, read=len(sources), changed=len(changed) + len(found.gone))


def _known_after(db: incr.View, found: Look) -> dict[str, dict[str, str]]:
    """What is to be known of the folders in which something is different."""
    folders: dict[str, dict[str, str]] = {}
    for path in (*found.gone, *found.stale):
        folder = folder_of(path)
        stamps = folders.setdefault(folder, dict(_known(db, folder)))
        stamps.pop(_name(path), None)
        if path in found.stale:
            stamps[_name(path)] = _lasting(found.stale[path], found.began)
    return folders


def _lasting(stamp: str, began: int) -> str:
    """The stamp, if whatever is written from now on is sure to show in it."""
    _, *times = map(int, stamp.split())
    return stamp if max(times) < began - _SETTLED else ""


async def read_sources(
    root: Path, paths: Collection[str], progress: Callable[[int, int], object] | None = None
) -> list[Source]:
    """Read many files at once, in threads, because most of the time is waiting for the disk."""
    import trio  # a tenth of a second, which a run that has nothing to read does not need

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
