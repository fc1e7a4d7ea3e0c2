"""A database that lives in a store: opened without reading what nobody asks for, written when it is committed.

Law: what `commit` has returned from is there at the next opening.

Keeps: open.directory.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, final

from incr._database import Database
from incr._keeping import OnCorrupt
from incr._loop import in_thread
from incr._registry import declared

if TYPE_CHECKING:
    from incr.store import Directory, MemoryStore
    from incr.store.rows import Store

__all__ = ["Opened", "open"]

Place: TypeAlias = "str | PathLike[str] | Directory | MemoryStore"


@final
class Opened:
    """What `incr.open` returns: one object for ``with`` and ``async with``, which give the database."""

    __slots__ = ("_code", "_db", "_make")

    def __init__(self, make: Callable[[], Store], code: str | None) -> None:
        self._make = make
        self._code = code
        self._db: Database | None = None

    def _open(self) -> Database:
        db = Database()
        store = self._make()
        try:
            db._session = _loaded("incr._durable").open_session(db._graph, store, declared(), self._code)
        except BaseException:
            store.close()
            raise
        db._at = db._graph.at
        db._code = self._code
        self._db = db
        return db

    def _close(self, error: BaseException | None) -> None:
        db, self._db = self._db, None
        if db is None:
            return
        try:
            db.close()
        except Exception:
            if error is None:  # else that error is what the caller has to hear of
                raise

    def __enter__(self) -> Database:
        return self._open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self._close(error)

    async def __aenter__(self) -> Database:
        db: Database = await in_thread(self._open)
        return db

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        await in_thread(lambda: self._close(error))


# spec: open.directory
def open(
    place: Place,
    /,
    *,
    mode: Literal["rw", "ro"] = "rw",
    durability: Literal["commit", "interval", "relaxed"] = "commit",
    backend: Literal["file", "sqlite"] = "file",
    on_corrupt: OnCorrupt = "error",
    code: str | None = None,
    **options: Any,
) -> Opened:
    """Open the database that lives in *place*: a directory, made if it is not there, or an SQLite file.

    ``with incr.open("state") as db`` (or ``async with``) reads next to nothing: values are read when they are asked
    for. `Database.commit` (or `acommit`) writes what is new. Leaving the block writes nothing more, and closes the
    database.

    Raises:
        StoreLockedError: somebody else has it open for writing. Raised where the block is entered, like what follows.
        CorruptError: its content is damaged, and *on_corrupt* is "error".
        VersionError: it was written by a release with another format.
        StoreError: it cannot be read or written, or is not a store of incr.
    """
    if not isinstance(place, str | PathLike) and hasattr(place, "open") and not hasattr(place, "create"):
        return Opened(place.open, code)
    if backend == "sqlite":
        make = _loaded("incr.store.sqlite_store").SqliteStore.open
        return Opened(lambda: make(place, mode=mode, durability=durability, **options), code)
    if backend != "file":
        raise ValueError(f"backend is 'file' or 'sqlite', not {backend!r}")
    make = _loaded("incr.store.file_store").FileStore.open
    return Opened(lambda: make(place, mode=mode, durability=durability, on_corrupt=on_corrupt, **options), code)


def _loaded(name: str) -> Any:
    """Half of what incr is, and not loaded before the first store is opened."""
    return import_module(name)
