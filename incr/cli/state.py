"""Where the state of an analysed tree is kept if nothing else is asked for, and how one is forgotten.

Law: what is no store of incr, or is open elsewhere, stays as it is.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from incr.store import FileDirectory
from incr.store.directory import explained
from incr.store.home import is_marked
from incr.store.lock import Lock

__all__ = ["forget", "put_aside", "size_of", "state_folder"]


def state_folder(root: Path) -> Path:
    """A folder in the user's cache, one for each tree."""
    from hashlib import blake2b

    # The digest tells trees of the same name apart; the name is for people who look into the folder.
    digest = blake2b(os.fsencode(root), digest_size=6).hexdigest()
    name = re.sub(r"[^A-Za-z0-9._-]", "_", root.name) or "root"
    return _cache_folder() / "incr" / "demo" / f"{name}-{digest}"


def _cache_folder() -> Path:
    named = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else None)
    return Path(named) if named else Path.home() / ".cache"


def size_of(state: Path) -> int:
    """How many bytes the store takes."""
    with os.scandir(state) as entries:
        return sum(entry.stat().st_size for entry in entries)


def put_aside(state: Path) -> Path:
    """Give the store another name; that name.

    Raises:
        StoreError: somebody has it open, or its folder cannot be written.
    """
    number = 1
    while os.path.lexists(aside := state.with_name(f"{state.name}.corrupt-{number}")):
        number += 1
    lock = Lock(FileDirectory(state))
    try:
        with explained(str(state), "moved aside"):
            os.rename(state, aside)
    finally:
        lock.release()
    return aside


def forget(state: Path) -> None:
    """Remove the store; nothing happens if there is none.

    Raises:
        StoreError: something else is there, or somebody has it open.
    """
    import shutil

    if os.path.lexists(state) and is_marked(FileDirectory(state)):
        aside = put_aside(state)  # first, so that half of it is never there
        with explained(str(aside), "removed"):
            shutil.rmtree(aside)
