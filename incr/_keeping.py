"""Keeping: what a database does with files, and with the store that it lives in if it was opened from one.

Law: nothing of this is loaded before the first file or store; a fork lives in memory and touches none.

Keeps: fork.files, commit.wait.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Literal

from incr._errors import StoreError
from incr._inherit import Inheritance
from incr._loop import in_thread
from incr._registry import declared
from incr._revision import Revision
from incr._view import View
from incr._write import refuse_write

if TYPE_CHECKING:
    from incr._persist._jobs import LoadJob, SaveJob

__all__ = ["Keeping", "OnCorrupt"]

OnCorrupt = Literal["error", "ignore", "quarantine", "delete"]


class Keeping(View):
    """A database as far as files are concerned."""

    __slots__ = ("_code", "_inheritance", "_session")

    #: What a fork has of the snapshot that it was made of; None for a database of its own.
    _inheritance: Inheritance | None
    #: The store that it lives in (a `Session`), and what its queries' code is called, if it was opened from one.
    _session: Any
    _code: str | None

    def save(
        self,
        path: str | PathLike[str],
        /,
        *,
        max_bytes: int | None = None,
        max_records_per_section: int | None = None,
        max_record_bytes: int | None = None,
    ) -> None:
        """Write the newest revision to one file, atomically: the path has the old content or all of the new.

        Missing folders are made. Inputs, interned values and memos are written; a value that cannot be stored is left
        out and reported by a `ValueNotStored` event. Larger than *max_bytes*, or with larger records than
        *max_record_bytes* (bytes), or with more records in a section than *max_records_per_section*, memo values are
        left out, the largest first, then memos; never inputs or interned values.

        Raises:
            EncodeError: an input or interned value cannot be stored; nothing was written.
            LimitExceededError: inputs and interned values alone are larger than *max_bytes*; nothing was written.
            StoreError: the file cannot be written; the path has what it had.
        """
        job = self._save_job(path, max_bytes, max_records_per_section, max_record_bytes)
        job.write()
        self._saved(job)

    def load(
        self, path: str | PathLike[str], /, *, on_corrupt: OnCorrupt = "error", max_bytes: int | None = None
    ) -> bool:
        """Replace the state by a file's, and say whether there was one: False if there is no such file.

        Everything is checked before anything is replaced. Memos of queries whose code has changed run again when they
        are asked for; an equal result still stops there. *on_corrupt* says what happens to damaged content: "error"
        raises, "ignore" goes on without it, "quarantine" moves the file aside, "delete" removes it; all but the first
        return False.

        Raises:
            CorruptError: the content is damaged, and *on_corrupt* is "error".
            VersionError: the file is of a format that this release does not read.
            LimitExceededError: the file is larger than *max_bytes*.
            StoreError: the file cannot be read, or a snapshot is open or a call running.
            WriteInQueryError: called from inside a query.
        """
        refuse_write(self._graph)
        job = self._load_job(path, on_corrupt, max_bytes)
        job.read()
        return self._loaded(job)

    async def asave(
        self,
        path: str | PathLike[str],
        /,
        *,
        max_bytes: int | None = None,
        max_records_per_section: int | None = None,
        max_record_bytes: int | None = None,
    ) -> None:
        """`save` without holding up the event loop: what is written is the revision at the call."""
        job = self._save_job(path, max_bytes, max_records_per_section, max_record_bytes)
        await in_thread(job.write)
        self._saved(job)

    async def aload(
        self, path: str | PathLike[str], /, *, on_corrupt: OnCorrupt = "error", max_bytes: int | None = None
    ) -> bool:
        """`load` without holding up the event loop; the swap at its end is done in one stretch."""
        refuse_write(self._graph)
        job = self._load_job(path, on_corrupt, max_bytes)
        await in_thread(job.read)
        return self._loaded(job)

    def commit(self) -> Revision:
        """Have everything in the store that the database lives in, as durable as it was opened for; the revision.

        Inputs, interned values and memos are written, as far as they are new; if nothing is, nothing is written.
        Commits at the same time share their waiting for the disk.

        Raises:
            StoreError: it was not opened from a store (`incr.open`), or the store cannot be written; what was to be
                committed is left to the next commit.
            EncodeError: an input or interned value cannot be stored; likewise.
            StoreBrokenError: it is not known what is on the disk.
        """
        return Revision(self._told(self._stored().commit()))

    def checkpoint(self) -> Revision:
        """`commit`, and write the store anew, so that the next opening has less to read.

        It happens by itself when enough was committed.

        Raises:
            as `commit`.
        """
        return Revision(self._told(self._stored().checkpoint()))

    async def acommit(self) -> Revision:
        """`commit` without holding up the event loop.

        Cancelled, it leaves what was to be committed durable or not, but whole.
        """
        return Revision(self._told(await self._stored().acommit()))

    async def acheckpoint(self) -> Revision:
        """`checkpoint` without holding up the event loop."""
        return Revision(self._told(await self._stored().acheckpoint()))

    # spec: commit.wait
    def durable(self, revision: int, timeout: float | None = None) -> bool:
        """Wait until *revision*, which was committed, is on the disk; False if it is not after *timeout* seconds.

        It only waits: where `commit` does not wait for the disk (``durability="interval"``, ``"relaxed"``), this does.

        Raises:
            StoreError: the database was not opened from a store, or the store is broken.
        """
        found: bool = self._stored().durable(revision, timeout)
        return found

    # spec: commit.heal
    def heal(self) -> Revision:
        """After a `StoreBrokenError`: write the store anew to new files, and `commit`; the revision.

        Meanwhile the database has gone on in memory. If the store is not broken this is a `commit`.

        Raises:
            StoreError: it could not be written; the store is as broken as it was.
        """
        return Revision(self._told(self._stored().heal()))

    # spec: commit.backup
    def backup(self, path: str | PathLike[str], /, *, progress: Callable[[int, int], None] | None = None) -> Revision:
        """`commit`, then copy the store to directory *path*, which must not be there, while the database goes on.

        The copy opens like the original, and has the revision that is returned. *progress* is called with how
        much is done, and of how much.

        Raises:
            StoreError: the database does not live in a store that can be copied, or the copy cannot be written.
        """
        return Revision(self._told(self._stored().backup(fspath(path), progress)))

    async def abackup(self, path: str | PathLike[str], /) -> Revision:
        """`backup` without holding up the event loop."""
        return Revision(self._told(await in_thread(lambda: self._stored().backup(fspath(path)))))

    def _told(self, revision: int) -> int:
        self._graph.listeners.tell()
        return revision

    def _stored(self) -> Any:
        self._refuse_fork("")
        if self._session is None:
            raise StoreError("", "this database lives in memory; open it from a directory with incr.open(directory), "
                             "or write one file with db.save(path)")  # fmt: skip
        return self._session

    # spec: fork.files
    def _refuse_fork(self, path: str | PathLike[str]) -> None:
        if self._inheritance is not None:
            raise StoreError(
                str(path),
                "a fork lives in memory and is neither saved nor loaded; save the database that it was made of, or set "
                "there what was tried out here",
            )

    def _save_job(
        self,
        path: str | PathLike[str],
        max_bytes: int | None,
        max_records_per_section: int | None,
        max_record_bytes: int | None,
    ) -> SaveJob:
        self._refuse_fork(path)
        known = None if self._session is None else self._session.gather()
        job: SaveJob = _persist().prepare_save(
            self._graph,
            path,
            max_bytes=max_bytes,
            max_records_per_section=max_records_per_section,
            max_record_bytes=max_record_bytes,
            code=self._code,
            classes=known,
        )
        if self._session is not None:
            self._graph.stored = None  # what the file has is nothing for the next one to go on from
        return job

    def _saved(self, job: SaveJob) -> None:
        job.finish()
        self._graph.listeners.tell()

    def _load_job(self, path: str | PathLike[str], on_corrupt: str, max_bytes: int | None) -> LoadJob:
        self._refuse_fork(path)
        if self._session is not None:
            raise StoreError(
                str(path),
                f"cannot be loaded into a database that lives in {self._session.store.path}; load it into an "
                "incr.Database() of its own",
            )
        job: LoadJob = _persist().prepare_load(
            self._graph, path, on_corrupt=on_corrupt, max_bytes=max_bytes, declared=declared(), code=self._code
        )
        return job

    def _loaded(self, job: LoadJob) -> bool:
        found = job.finish()
        self._graph.listeners.tell()
        return found


def _persist() -> Any:
    """What reads and writes whole files: half of what incr is, and not loaded before the first file."""
    from importlib import import_module

    return import_module("incr._persist._jobs")
