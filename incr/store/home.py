"""The files of a store by name, what says that a directory is one, and where damaged files are put aside.

Law: `FORMAT` is read before anything else and written before anything else. A directory without it is a new store only
if nothing is in it. Nothing is put aside or removed that was not found to be damaged, or is no longer needed.

Keeps: store.format, store.quarantine, store.prune, crypto.key.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from incr._errors import StoreError, VersionError
from incr.store.directory import Directory, explained, read_whole, write_whole
from incr.store.layout import ENCRYPTED_MAGIC, FORMAT_NAME
from incr.store.lock import LOCK_NAME
from incr.store.paged_write import TEMPORARY
from incr.store.segment import segment_number

__all__ = [
    "STORE_FORMAT",
    "base_generation",
    "base_name",
    "generations",
    "is_marked",
    "mark",
    "names_of_cuts",
    "names_of_data",
    "put_aside",
    "remove",
    "sweep",
]

#: The number in `FORMAT` that this release writes, and the only one that it reads.
STORE_FORMAT: Final = 1
_TEXT: Final = b"incr-store %d\n"
_SAID: Final = re.compile(rb"incr-store ([0-9]{1,9})\n")
#: No more is looked at of a file that is to say so.
_LONGEST_TEXT: Final = 1 << 12
_NEW_FORMAT: Final = "FORMAT.new"
_BASE: Final = re.compile(r"base-([0-9a-f]{16})\.incr")
_ASIDE: Final = "quarantine-"
_REASON: Final = ".txt"
#: How many damaged files are kept; the first by name go first.
_KEPT_ASIDE: Final = 8


def base_name(generation: int) -> str:
    """The name of a base."""
    return f"base-{generation:016x}.incr"


def base_generation(name: str) -> int | None:
    """The generation in the name of a base; None for other files."""
    match = _BASE.fullmatch(name)
    return int(match[1], 16) if match else None


def generations(directory: Directory) -> list[int]:
    """The generations of the bases that are there, the newest first."""
    with explained(directory.path_of(""), "listed"):
        names = directory.names()
    return sorted((found for name in names if (found := base_generation(name)) is not None), reverse=True)


# spec: store.format, crypto.key
def is_marked(directory: Directory) -> bool:
    """Whether this is a store; if not, nothing is there.

    Raises:
        VersionError: it is a store of another release.
        StoreError: it is something else, or cannot be read.
    """
    path = directory.path_of("")
    with explained(path, "listed"):
        try:
            names = directory.names()
        except FileNotFoundError:
            return False
    if FORMAT_NAME not in names:
        others = [name for name in names if name not in (LOCK_NAME, _NEW_FORMAT)]
        if not others:
            return False
        raise StoreError(
            path,
            f"is not a store of incr: it has no file {FORMAT_NAME}, but {others[0]!r}; give the path of a store or of "
            "an empty directory",
        )
    path = directory.path_of(FORMAT_NAME)
    with explained(path, "read"):
        file = directory.open_to_read(FORMAT_NAME)
        try:
            text = read_whole(file) if file.size() <= _LONGEST_TEXT else b""
        finally:
            file.close()
    said = _SAID.fullmatch(text)
    if text.startswith(ENCRYPTED_MAGIC):
        raise StoreError(path, "is encrypted; open it with the key that it was written with")
    if said is None:
        raise StoreError(path, "does not say that this is a store of incr; give the path of one")
    if int(said[1]) != STORE_FORMAT:
        raise VersionError(path, int(said[1]), STORE_FORMAT)
    return True


# spec: store.format
def mark(directory: Directory) -> None:
    """Make an empty directory a store, for good, before anything else is in it."""
    with explained(directory.path_of(FORMAT_NAME), "written"):
        with suppress(FileNotFoundError):
            directory.unlink(_NEW_FORMAT)
        file = directory.create(_NEW_FORMAT)
        try:
            write_whole(file, _TEXT % STORE_FORMAT, 0)
            file.sync()
        finally:
            file.close()
        directory.rename(_NEW_FORMAT, FORMAT_NAME)
        directory.sync()


# spec: store.quarantine
def put_aside(directory: Directory, name: str, reason: str) -> str:
    """Give a damaged file another name, with the reason beside it; its new path."""
    aside = f"{_ASIDE}{name}"
    with explained(directory.path_of(name), "moved aside"):
        directory.rename(name, aside)
        directory.sync()
    # The reason is for people: no room for it is no reason not to start.
    with suppress(OSError):
        with suppress(FileNotFoundError):
            directory.unlink(aside + _REASON)
        file = directory.create(aside + _REASON)
        try:
            write_whole(file, f"{reason}\n".encode("utf-8", "replace"), 0)
        finally:
            file.close()
        kept = [found for found in directory.names() if found.startswith(_ASIDE) and not found.endswith(_REASON)]
        for old in [found for found in kept if found != aside][: max(0, len(kept) - _KEPT_ASIDE)]:
            directory.unlink(old)
            directory.unlink(old + _REASON)
    return directory.path_of(aside)


def remove(directory: Directory, name: str) -> None:
    """Remove a file, for good."""
    with explained(directory.path_of(name), "removed"):
        with suppress(FileNotFoundError):
            directory.unlink(name)
        directory.sync()


# spec: store.prune
def sweep(directory: Directory, keep: set[int], first: int) -> None:
    """Remove bases but these generations, segments before the first one that counts, and what was never finished.

    What cannot be removed is tried again next time.
    """
    with suppress(OSError):
        for name in directory.names():
            generation, number = base_generation(name), segment_number(name)
            if (
                name.startswith(TEMPORARY)
                or (generation is not None and generation not in keep)
                or (number is not None and number < first)
            ):
                directory.unlink(name)


def names_of_data(directory: Directory) -> list[str]:
    """The bases and segments that are there."""
    with explained(directory.path_of(""), "listed"):
        names = directory.names()
    return [name for name in names if base_generation(name) is not None or segment_number(name) is not None]


def names_of_cuts(directory: Directory, paths: Collection[str]) -> list[str]:
    """The names of files that messages call so."""
    with explained(directory.path_of(""), "listed"):
        return [name for name in directory.names() if directory.path_of(name) in paths]
