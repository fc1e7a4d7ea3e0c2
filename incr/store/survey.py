"""What there is in a store, and a look at all of it.

Law: a look changes nothing, and says nothing is damaged only if every byte that counts was read and compared.

Keeps: store.stat, store.verify.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from incr._errors import CorruptError
from incr.store.delta import unpack_delta
from incr.store.directory import Directory
from incr.store.home import generations
from incr.store.opening import Generation, open_base
from incr.store.overlay import Rows
from incr.store.rows import Head, Progress
from incr.store.segment import NO_LINK
from incr.store.segments import Part, read_frames

__all__ = ["Stat", "Verified", "verify_files", "verify_rows"]


class Stat(NamedTuple):
    """A store at one moment; sizes in bytes."""

    path: str
    #: Whether it was opened for writing, and nothing keeps it from being written.
    writable: bool
    #: Of the inputs.
    revision: int
    #: The newest delta, and the newest one that is known to be on the disk.
    last: int
    durable: int
    #: Bases that are whole, the newest first, as far as they were looked at.
    bases: tuple[Generation, ...]
    #: Rows in the newest base.
    base_rows: int
    #: Rows about which the log says something that the newest base does not.
    changed_rows: int
    #: What of the log the newest base does not have.
    log_bytes: int
    #: What of the log was cut off when the store was opened.
    cut_bytes: int
    #: How many damaged files could be done without then.
    findings: int


class Verified(NamedTuple):
    """What was looked at."""

    bases: int
    #: Deltas of the log that some base does not have.
    deltas: int
    #: Rows that were compared with all that refers to them; None if that was not asked for.
    rows: int | None


# spec: store.verify
def verify_files(
    directory: Directory, store_id: bytes, parts: list[Part], last: int, progress: Progress | None
) -> Verified:
    """Read each base, and the log up to delta *last* from what the oldest one does not have.

    Raises:
        CorruptError: something does not check; the message says what.
        StoreError: something cannot be read.
    """
    numbers = generations(directory)
    total, covers = len(numbers) + 1, list[int]()
    for done, number in enumerate(numbers, 1):
        shared = open_base(directory, number, store_id)
        shared.base.verify()
        covers.append(shared.generation.covers)
        if progress is not None:
            progress(done, total)
    at = covered = min([*covers, last]) if covers else 0
    path = directory.path_of("")
    for run in _runs(parts, covers):
        # Delta `at` is the last one that was found, in a base or in the log.
        at = begin = max(at, run[0].header.first_id - 1 if run[0] is not parts[0] else 0)
        for frame, scan in read_frames(directory, run, begin, begin):
            path = scan.path
            # Others may be appended meanwhile.
            for entry in frame.entries[max(0, begin + 1 - frame.first_id) : max(0, last + 1 - frame.first_id)]:
                unpack_delta(path, entry)
                at += 1
    if at < last:
        raise CorruptError(path, 0, f"ends with delta {at}; {last} was written")
    if progress is not None:
        progress(total, total)
    return Verified(len(numbers), last - covered, None)


def _runs(parts: list[Part], covers: list[int]) -> Iterator[list[Part]]:
    """The segments in runs that go on from each other; between two runs is a delta that only a base has."""
    start = 0
    for index in range(1, len(parts)):
        header = parts[index].header
        if header.link == NO_LINK and header.first_id - 1 in covers:
            yield parts[start:index]
            start = index
    if parts:
        yield parts[start:]


# spec: store.verify
def verify_rows(path: str, head: Head, rows: Rows, progress: Progress | None) -> int:
    """See that rows, keys, dependencies and what is kept in reverse of them agree; how many rows there are.

    Raises:
        CorruptError: they do not.
    """
    count = 0
    for done, section in enumerate(head.sections, 1):
        for number in rows.rows_of(section.number):
            row = rows.row(number)
            rows.content(number)
            count += 1
            if row.section != section.number or rows.find(section.number, row.key) != number:
                raise CorruptError(path, 0, f"row {number} is not found by its key")
            for other in row.dependencies:
                _require(path, rows.has(other), f"row {number} uses row {other}, which is not there")
                _require(path, number in rows.dependents(other), f"row {other} does not know that {number} uses it")
            for other in rows.dependents(number):
                _require(path, number in rows.row(other).dependencies, f"row {other} does not use {number}")
        if progress is not None:
            progress(done, len(head.sections))
    return count


def _require(path: str, holds: bool, otherwise: str) -> None:
    if not holds:
        raise CorruptError(path, 0, otherwise)
