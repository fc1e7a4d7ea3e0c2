"""Opening a store that somebody has left, however he did: the newest base that is whole, then the log behind it.

Law: what was acknowledged is there, or an error says what is damaged. A base that is damaged costs nothing as long as
an older one is there: the log behind that one has the rest. Whoever only reads changes nothing, not even a torn tail.
What is damaged is put aside only once everything else is known to be good.

Keeps: store.open, store.fallback, store.verdict, store.identity, store.read-only.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal, NamedTuple

from incr._errors import CorruptError, StoreError
from incr.store.delta import unpack_delta
from incr.store.directory import Directory
from incr.store.home import base_name, generations, names_of_cuts, names_of_data, put_aside, remove
from incr.store.layout import PROLOGUE_BYTES
from incr.store.overlay import Overlay
from incr.store.paged import PagedBase
from incr.store.repair import Found, recover, roll_back
from incr.store.rows import Delta, Head
from incr.store.segment import ENTRY_BYTES, segment_name
from incr.store.segments import Part, identity_of_log, list_segments, numbers_of, read_frames

__all__ = [
    "NOTHING",
    "Finding",
    "Generation",
    "OnCorrupt",
    "Opening",
    "Shared",
    "open_base",
    "open_to_read",
    "open_to_write",
    "with_delta",
]

OnCorrupt = Literal["error", "ignore", "quarantine", "delete"]
#: The head of a store that is new.
NOTHING = Head(0, (), b"", 0, 0)
#: So often is a store looked at again that changes while it is opened for reading.
_LOOKS = 16
_ADVICE = (
    "bring back a copy of the store, take what can be read with `incr store repair --salvage`, or go back to the state "
    "before the damage with on_corrupt='quarantine'"
)


class Finding(NamedTuple):
    """A damaged file that was found when a store was opened, and could be done without."""

    path: str
    reason: str
    #: Where it is now; None if it is gone, or was left where it is.
    kept: str | None


class Generation(NamedTuple):
    """A base that is whole."""

    number: int
    #: The last delta that is in it.
    covers: int
    #: Of the file, in bytes.
    size: int


class Shared:
    """A base for as long as somebody reads it: its file is closed when the last one has let go."""

    __slots__ = ("base", "generation")

    def __init__(self, base: PagedBase, generation: Generation) -> None:
        self.base = base
        self.generation = generation

    def close(self) -> None:
        """Close the file whoever reads it."""
        self.base.close()

    def __del__(self) -> None:
        with suppress(StoreError):
            self.close()


class Opening(NamedTuple):
    """A store as it is now."""

    store_id: bytes
    shared: Shared | None
    #: What the log has that the base does not.
    overlay: Overlay
    head: Head
    #: The log as it was found and is now; None if it was only read.
    found: Found | None
    #: The bytes of the log that are behind the base.
    log_bytes: int
    findings: tuple[Finding, ...]
    #: The highest number of a base that was there.
    newest: int


class _Damaged(NamedTuple):
    name: str
    error: CorruptError


# spec: store.open
def open_to_write(
    directory: Directory, on_corrupt: OnCorrupt, random: Callable[[int], bytes], *, thorough: bool = False
) -> Opening:
    """The store, after the repair that a loss of power makes necessary; the caller has locked it.

    *thorough*: a base counts as whole when all of it was read.

    Raises:
        CorruptError: what was acknowledged is damaged, and *on_corrupt* is "error".
        VersionError: a file is of another release.
        StoreError: the directory cannot be read or written.
        StoreBrokenError: what was read cannot be brought to the disk.
    """
    damaged: list[_Damaged] = []
    newest = max([0, *generations(directory)])
    identity = identity_of_log(directory)
    shared = _newest_base(directory, identity, damaged, thorough)
    covered = shared.generation.covers if shared else 0
    if on_corrupt == "error":
        _require_one_store(damaged)
    try:
        opening = _replayed(directory, shared, recover(directory, covered))
    except CorruptError as error:
        if on_corrupt == "error":
            raise _explained(damaged, error) from error
        opening = _state_before(directory, shared, on_corrupt)
    findings = tuple(_aside(directory, one.name, one.error, on_corrupt) for one in damaged)
    store_id = opening.store_id or random(16)
    return opening._replace(store_id=store_id, findings=(*findings, *opening.findings), newest=newest)


# spec: store.read-only
def open_to_read(directory: Directory, on_corrupt: OnCorrupt, *, thorough: bool = False) -> Opening:
    """The store as it is on the disk at one moment, while somebody may be writing; nothing is changed.

    Raises:
        as `open_to_write`.
    """
    for _ in range(_LOOKS):
        before = names_of_data(directory)
        try:
            return _looked_at(directory, on_corrupt, thorough)
        except StoreError:
            # A checkpoint may have removed what was about to be read; then there is something newer.
            if names_of_data(directory) == before:
                raise
    return _looked_at(directory, on_corrupt, thorough)


def _looked_at(directory: Directory, on_corrupt: OnCorrupt, thorough: bool) -> Opening:
    damaged: list[_Damaged] = []
    identity = identity_of_log(directory)
    shared = _newest_base(directory, identity, damaged, thorough)
    covered = shared.generation.covers if shared else 0
    opening = _without_log(shared, identity)
    if on_corrupt == "error":
        _require_one_store(damaged)
    try:
        parts = list_segments(directory, covered).parts
        opening = _replay(directory, opening, parts, covered)
    except CorruptError as error:
        if on_corrupt == "error":
            raise _explained(damaged, error) from error
        damaged.append(_Damaged("", error))
    return opening._replace(findings=tuple(Finding(one.error.path, one.error.message, None) for one in damaged))


# --- bases --------------------------------------------------------------------------------------------------------


# spec: store.fallback, store.identity
def _newest_base(
    directory: Directory, identity: bytes | None, damaged: list[_Damaged], thorough: bool
) -> Shared | None:
    """The newest base that is whole and of this store; those that are not are noted."""
    for number in generations(directory):
        try:
            shared = open_base(directory, number, identity)
            if thorough:
                shared.base.verify()
            return shared
        except CorruptError as error:
            damaged.append(_Damaged(base_name(number), error))
    return None


def open_base(directory: Directory, number: int, identity: bytes | None) -> Shared:
    """A base, if it is whole, the one that its name says, and of the store that is asked for (None: of any).

    Raises:
        CorruptError: it is not.
        StoreError: it cannot be read.
    """
    name = base_name(number)
    base = PagedBase.open(directory, name)
    shared = Shared(base, Generation(number, base.header.last, base.size))
    if base.header.generation != number:
        found = base.header.generation
        raise CorruptError(
            directory.path_of(name), PROLOGUE_BYTES, f"is generation {found} by its content; somebody has renamed it"
        )
    if identity not in (None, base.header.store_id):
        raise _OtherStoreError(directory.path_of(name), PROLOGUE_BYTES, "is of another store than the log beside it")
    return shared


class _OtherStoreError(CorruptError):
    """Not damaged, but not from here."""


def _require_one_store(damaged: list[_Damaged]) -> None:
    """A damaged base can be done without; what a base of another store is doing here somebody has to find out."""
    for one in damaged:
        if isinstance(one.error, _OtherStoreError):
            advice = "find out which of the two somebody has put here, and take that away"
            raise _OtherStoreError(one.error.path, one.error.offset, f"{one.error.message}; {advice}")


# --- the log behind a base ----------------------------------------------------------------------------------------


def _without_log(shared: Shared | None, identity: bytes | None = None) -> Opening:
    store_id = shared.base.header.store_id if shared else identity or b""
    head = shared.base.head() if shared else NOTHING
    return Opening(store_id, shared, Overlay(), head, None, 0, (), 0)


def _replayed(directory: Directory, shared: Shared | None, found: Found) -> Opening:
    covered = shared.generation.covers if shared else 0
    identity = found.parts[-1].header.store_id if found.parts else None
    opening = _replay(directory, _without_log(shared, identity), found.parts, covered)
    return opening._replace(found=found)


# spec: store.verdict
def _replay(directory: Directory, opening: Opening, parts: list[Part], covered: int) -> Opening:
    """The deltas of the log that the base does not have."""
    if parts and parts[0].header.first_id > covered + 1:
        first = parts[0]
        raise CorruptError(
            directory.path_of(segment_name(first.number)),
            0,
            f"the log begins with delta {first.header.first_id}; what is known without it ends with delta {covered}",
        )
    head, size = opening.head, 0
    for frame, scan in read_frames(directory, parts, covered, covered):
        for entry in frame.entries[max(0, covered + 1 - frame.first_id) :]:
            delta = unpack_delta(scan.path, entry)
            opening.overlay.apply(delta)
            head = with_delta(head, delta)
            size += ENTRY_BYTES + len(entry)
    return opening._replace(head=head, log_bytes=size)


def with_delta(head: Head, delta: Delta) -> Head:
    """The head after a delta."""
    sections = head.sections
    if delta.sections:
        merged = {section.number: section for section in (*sections, *delta.sections)}
        sections = tuple(merged[number] for number in sorted(merged))
    classes = head.classes if delta.classes is None else delta.classes
    return Head(delta.revision, sections, classes, delta.next_page, head.last + 1)


# --- damage -------------------------------------------------------------------------------------------------------


# spec: store.verdict
def _state_before(directory: Directory, shared: Shared | None, on_corrupt: OnCorrupt) -> Opening:
    """The state before what is damaged; if nothing is known of it, that of a new store."""
    covered = shared.generation.covers if shared else 0
    with suppress(CorruptError):
        found = roll_back(directory, covered)
        opening = _replayed(directory, shared, found)
        if on_corrupt == "delete" and found.cut is not None:
            for name in names_of_cuts(directory, found.cut.kept):
                remove(directory, name)
        return opening
    # The log does not go on from the base.
    findings = tuple(
        _aside(directory, name, CorruptError(directory.path_of(name), 0, "what comes before it is missing"), on_corrupt)
        for name in map(segment_name, reversed(numbers_of(directory)))
    )
    return _replayed(directory, shared, Found([], None, None, True))._replace(findings=findings)


# spec: store.quarantine
def _aside(directory: Directory, name: str, error: CorruptError, on_corrupt: OnCorrupt) -> Finding:
    if on_corrupt == "delete":
        remove(directory, name)
        return Finding(error.path, error.message, None)
    return Finding(error.path, error.message, put_aside(directory, name, str(error)))


def _explained(damaged: list[_Damaged], error: CorruptError) -> CorruptError:
    """The error that somebody should hear of: without a damaged base, something is missing from the log, too."""
    if not damaged:
        return CorruptError(error.path, error.offset, f"{error.message}; {_ADVICE}")
    base = damaged[0].error
    return CorruptError(base.path, base.offset, f"{base.message}; and without it: {error}; {_ADVICE}")
