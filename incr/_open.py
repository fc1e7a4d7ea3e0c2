"""A database that lives in a store: opened without reading what nobody asks for, written when it is committed.

Law: what `commit` has returned from is there at the next opening.

Keeps: open.directory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
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

    __slots__ = ("_db", "_make", "_max_memory", "_session")

    def __init__(self, make: Callable[[], Store], max_memory: int | None, session: dict[str, Any]) -> None:
        self._make = make
        self._max_memory = max_memory
        self._session = session
        self._db: Database | None = None

    if not TYPE_CHECKING:  # a type checker says it better

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                f"what incr.open returns has no {name!r}: the database is what its block gives, as in "
                "`with incr.open(...) as db:`"
            )

    def _open(self) -> Database:
        db = Database(max_memory=self._max_memory)
        store = self._make()
        try:
            db._session = _loaded("incr._durable").open_session(db._graph, store, declared(), **self._session)
        except BaseException:
            store.close()
            raise
        db._at = db._graph.at
        db._code = self._session["code"]
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
    key: bytes | None = None,
    compress: bool = False,
    keep_bases: int = 2,
    trust: Collection[str] = (),
    network: Collection[str] = (),
    max_memory: int | None = None,
    max_record_bytes: int | None = None,
) -> Opened:
    """Open the database that lives in *place*: a directory, made if it is not there, or an SQLite file.

    ``with incr.open("state") as db`` (or ``async with``) reads next to nothing: values are read when they are asked
    for. `Database.commit` (or `acommit`) writes what is new. Leaving the block writes nothing more, and closes the
    database.

    Args:
        place: a path, or an `incr.store.Directory` or `incr.store.MemoryStore`.
        mode: "ro" reads what was committed last, beside whoever writes, and cannot commit.
        durability: when `commit` returns: once it is on the disk ("commit"), or before that: then it is on the disk at
            most 50 ms later ("interval"), or with a checkpoint or the closing ("relaxed").
        backend: what the store is: "file" or "sqlite".
        on_corrupt: what to do if something that was committed is damaged: "error", or go back to the state before it,
            and keep what is damaged ("quarantine", "ignore") or not ("delete").
        code: names the program's code as a whole (a release, a commit) in place of the fingerprints of its queries:
            another name means that every memo runs again.
        key: 32 bytes that files are encrypted with. Needs `incr[crypto]`.
        compress: whether new bases are compressed. Needs `incr[zstd]`.
        keep_bases: how many bases are kept, at least 1: so many but one may be damaged and nothing is lost.
        trust, network: owners and file systems that are refused otherwise, by the names that the errors give.
        max_memory: as in `Database`, in bytes.
        max_record_bytes: values of calls that are longer are not stored.

    Raises:
        StoreLockedError: somebody else has it open for writing. Raised where the block is entered, like what follows.
        CorruptError: its content is damaged, and *on_corrupt* is "error".
        VersionError: it was written by a release with another format.
        StoreError: it cannot be read or written, or is not a store of incr.
    """
    session = {"code": code, "max_record_bytes": max_record_bytes}
    if not isinstance(place, str | PathLike) and not hasattr(place, "create"):
        return Opened(_in_memory(place, mode != "rw" or key is not None or compress), max_memory, session)
    safe = {"trust": trust, "network": network}
    if backend == "sqlite":
        if key is not None or compress:
            raise ValueError("an SQLite file is neither encrypted nor compressed; use backend='file'")
        make = _loaded("incr.store.sqlite_store").SqliteStore.open
        return Opened(lambda: make(place, mode=mode, durability=durability, **safe), max_memory, session)
    if backend != "file":
        raise ValueError(f"backend is 'file' or 'sqlite', not {backend!r}")
    store = _loaded("incr.store.file_store")
    options = {"durability": durability, "on_corrupt": on_corrupt, "keep_bases": keep_bases, "compress": compress}

    def make_files() -> Store:
        home: Any = place
        if key is not None:
            home = store.directory_of(place, write=mode == "rw", **safe)
            home = _loaded("incr.store.encrypted").EncryptedDirectory(home, key)
        found: Store = store.FileStore.open(home, mode=mode, **options, **safe)
        return found

    return Opened(make_files, max_memory, session)


def _in_memory(place: Any, wants_more: bool) -> Callable[[], Store]:
    if not hasattr(place, "open"):
        raise TypeError(f"a database lives at a path, in a Directory or in a MemoryStore, not in {place!r}")
    if wants_more:
        raise ValueError("a store in memory has one opener, who writes, and is neither encrypted nor compressed")
    make: Callable[[], Store] = place.open
    return make


def _loaded(name: str) -> Any:
    """Half of what incr is, and not loaded before the first store is opened."""
    return import_module(name)
