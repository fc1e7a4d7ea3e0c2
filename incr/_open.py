"""A database that lives in a directory: loaded when it is opened, written when it is committed.

Law: what `commit` has returned from is there at the next opening.

Keeps: open.directory.
"""

from __future__ import annotations

import os
from os import PathLike
from types import TracebackType
from typing import final

from incr._database import Database, OnCorrupt, base_path

__all__ = ["Opened", "open"]


@final
class Opened:
    """What `incr.open` returns: one object for ``with`` and ``async with``, which give the database."""

    __slots__ = ("_code", "_home", "_on_corrupt")

    def __init__(self, home: str, on_corrupt: OnCorrupt, code: str | None) -> None:
        self._home = home
        self._on_corrupt: OnCorrupt = on_corrupt
        self._code = code

    def _database(self) -> Database:
        db = Database()
        db._home = self._home
        db._code = self._code
        return db

    def __enter__(self) -> Database:
        db = self._database()
        db.load(base_path(self._home), on_corrupt=self._on_corrupt)
        return db

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        return None  # what was not committed is not kept: that is the program's decision, also when it fails

    async def __aenter__(self) -> Database:
        db = self._database()
        await db.aload(base_path(self._home), on_corrupt=self._on_corrupt)
        return db

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        return None


# spec: open.directory
def open(path: str | PathLike[str], /, *, on_corrupt: OnCorrupt = "error", code: str | None = None) -> Opened:
    """Open the database that lives in directory *path*, made when the first commit is.

    ``with incr.open("state") as db`` (or ``async with``) loads what was committed last; `Database.commit` (or
    `acommit`) writes the state as it is. Leaving the block writes nothing.

    *on_corrupt* says what happens to damaged content: "error", "ignore", "quarantine" or "delete", as in
    `Database.load`, whose errors entering the block raises. *code* names the program's code as a whole (a release, a
    commit) in place of the fingerprints of its queries: another name means that every memo runs again.
    """
    return Opened(os.fspath(path), on_corrupt, code)
