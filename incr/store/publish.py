"""A new base: written aside, looked at, given its name for good; then what nobody needs any more goes.

Law: a base has its name only when all of it is on the disk, and nothing that it replaces is removed before that name
is. Whatever fails before leaves what was there. The log is kept from the oldest kept base on, so that losing the
newest base loses nothing.

Keeps: store.checkpoint, store.prune, store.backup.
"""

from __future__ import annotations

from contextlib import suppress

from incr._errors import CorruptError
from incr.store.contents import BaseHeader
from incr.store.current import Frozen
from incr.store.directory import Directory
from incr.store.home import base_name, generations, mark
from incr.store.lock import Lock
from incr.store.opening import Generation, Shared, open_base
from incr.store.paged_write import write_base
from incr.store.rows import Progress

__all__ = ["copy_to", "kept_generations", "publish"]


# spec: store.checkpoint
def publish(
    directory: Directory, store_id: bytes, number: int, frozen: Frozen, compress: bool, progress: Progress | None
) -> Shared:
    """Write a frozen state as base *number*; it is on the disk then, and open.

    Raises:
        StoreError: it could not be written; nothing of it is left.
        CorruptError: what was to be copied is damaged, or what was written cannot be read back.
    """
    name, head = base_name(number), frozen.head
    header = BaseHeader(store_id, number, head.revision, head.last)
    try:
        write_base(directory, name, header, head, frozen.base, frozen.overlay, compress=compress, progress=progress)
        # Before anything relies on it.
        return open_base(directory, number, store_id)
    except BaseException:
        # Whether it has its name already or not: what was there before has all of it, too.
        with suppress(OSError):
            directory.unlink(name)
        raise


# spec: store.prune
def kept_generations(directory: Directory, known: list[Generation], keep: int, store_id: bytes) -> list[Generation]:
    """The newest *keep* bases, as far as there are so many that are whole; *known* are some of them, newest first."""
    found = known[:keep]
    for number in generations(directory):
        if len(found) < keep and number < found[-1].number:
            with suppress(CorruptError):
                found.append(open_base(directory, number, store_id).generation)
    return found


# spec: store.backup
def copy_to(directory: Directory, store_id: bytes, frozen: Frozen, compress: bool, progress: Progress | None) -> None:
    """Make an empty directory a store with this state. It says that it is one when it has all of it.

    Raises:
        StoreLockedError: somebody writes there.
        StoreError: it could not be written.
    """
    lock = Lock(directory)
    try:
        publish(directory, store_id, 1, frozen, compress, progress)
        mark(directory)
    finally:
        lock.release()
