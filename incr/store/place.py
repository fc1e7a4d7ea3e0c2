"""The directory that a program names, made ready to be a store, or refused.

Law: nothing is changed in a directory that is not going to be a store of this user. What is missing is made, for its
owner only; what is there and is something else stays as it is.

Keeps: store.place.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TypeAlias

from incr._errors import StoreError
from incr.store.directory import Directory, Front, explained
from incr.store.files import FileDirectory
from incr.store.home import is_marked, mark
from incr.store.lock import Lock
from incr.store.ownership import check_file_system, check_owner

__all__ = ["Place", "check_place", "directory_of", "new_directory", "require_store", "take"]

Place: TypeAlias = "str | os.PathLike[str] | Directory"


# spec: store.place
def directory_of(place: Place, *, write: bool, trust: Collection[str], network: Collection[str]) -> Directory:
    """The directory, after a look at whether it can be trusted and whether what is written to it will last.

    Raises:
        StoreError: it is not a directory, or not one that may be used.
    """
    if not isinstance(place, str | os.PathLike):
        return place
    path = os.fspath(place)
    if os.path.lexists(path) and not os.path.isdir(path):
        raise StoreError(path, "is not a directory; a store needs one of its own: give another path")
    check_place(path, write=write, trust=trust, network=network)
    return FileDirectory(path)


# spec: owner.trust, owner.network
def check_place(path: str, *, write: bool, trust: Collection[str], network: Collection[str]) -> None:
    """Go on only if what is at a path can be trusted, and what is written there will last.

    Raises:
        StoreError: it cannot, or will not.
        TypeError: a text is given in place of a list of names: it would allow whatever is a part of it.
    """
    for names in (trust, network):
        if isinstance(names, str):
            raise TypeError(f"trust and network are lists of names, like [{names!r}], not a text")
    if not path:
        raise StoreError("''", "is no path; give the path of a store")
    if os.path.exists(path):
        check_owner(path, trust)
    if write:
        check_file_system(_existing(path), network)


def new_directory(place: Place, like: Directory) -> Directory:
    """A directory with nothing in it, made where it is missing. At a path it is encrypted if *like* is.

    Raises:
        StoreError: something is in it, or it cannot be made.
    """
    directory = directory_of(place, write=True, trust=(), network=())
    if directory is not place and isinstance(like, Front):
        directory = like.before(directory)
    path = directory.path_of("")
    with explained(path, "made"):
        directory.make()
    if is_marked(directory):
        raise StoreError(path, "is a store already; give the path of a new directory")
    return directory


def _existing(path: str) -> str:
    """The nearest part of a path that is there."""
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


# spec: store.place
def take(directory: Directory) -> Lock:
    """Make a directory a store if it is not one yet, and keep other writers out.

    Raises:
        StoreLockedError: somebody else writes there.
        VersionError: it is a store of another release.
        StoreError: something else is in it, or it cannot be made or written.
    """
    with explained(directory.path_of(""), "made"):
        directory.make()
    is_marked(directory)  # before a lock file is left where it does not belong
    lock = Lock(directory)
    try:
        if is_marked(directory):
            # Whoever gave the files their names may have been killed before those were on the disk.
            with explained(directory.path_of(""), "synced"):
                directory.sync()
        else:
            mark(directory)
    except BaseException:
        lock.release()
        raise
    return lock


def require_store(directory: Directory) -> Directory:
    """Go on only if there is a store.

    Raises:
        VersionError: it is one of another release.
        StoreError: nothing or something else is there.
    """
    if not is_marked(directory):
        raise StoreError(
            directory.path_of(""), "is not a store of incr: nothing is there; open it with mode='rw' to make one"
        )
    return directory
