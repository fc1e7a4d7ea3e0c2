"""What a store keeps: rows. This is all that a database and the place where it lives know of each other.

A row is one entry of one section: an input slot, a call, the presence of a slot, and so on. It has a number for life,
and its dependencies are such numbers. Keys and values are bytes that mean something to the database alone.

A database opens a store (`Store.head`), reads the rows that it is asked for, and commits what has changed (`Delta`).
A store decides nothing: it does not know which row makes which other suspect, and never changes a row by itself.

Law: after `append` the store answers as if the delta had always been there; after a crash it is one of the states
between the last delta that was reported durable and the last one that was appended, and never a mixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from incr._errors import IncrError, StoreError

__all__ = [
    "CALLS",
    "GOOD",
    "HIGH",
    "INTERNED",
    "KEY_SETS",
    "LOST_PUSHES",
    "NEVER",
    "NO_SECTION",
    "PAGE_ROWS",
    "PRESENCES",
    "PUSHES",
    "RECORDS",
    "UNTRACKED",
    "VALUE",
    "Capabilities",
    "Content",
    "Delta",
    "Head",
    "Progress",
    "Row",
    "SectionInfo",
    "Store",
    "TakenBackError",
    "Told",
    "require_newest",
    "tell",
]

#: Rows are numbered in pages: all rows of a page (row // PAGE_ROWS) are of one section.
PAGE_ROWS: Final = 256
#: As the section of a page: nobody has it yet.
NO_SECTION: Final = -1

# Kinds of sections.
RECORDS: Final = 1
INTERNED: Final = 2
PRESENCES: Final = 3
KEY_SETS: Final = 4
UNTRACKED: Final = 5
CALLS: Final = 6

# Bits of a row's flags.
#: The row was good when it was written: what it says is right for every revision from `valid_from` on, unless its
#: section has a doubt that is younger (`SectionInfo`).
GOOD: Final = 1
#: The slot, presence or key set has been HIGH.
HIGH: Final = 2
#: The call has pushed something that the store does not have; it has no value either.
LOST_PUSHES: Final = 4
#: The row's content has a value, so a slot with it holds a record.
VALUE: Final = 8
#: The row's content has pushes.
PUSHES: Final = 16

#: As `valid_from`: the call has to run, whatever its dependencies say.
NEVER: Final = -1


class SectionInfo(NamedTuple):
    """One ingredient's part of a store. Sections are never removed, and their numbers never given again."""

    number: int
    kind: int
    #: The ingredient's name; unique together with the kind.
    name: str
    #: What code the calls are of; empty for other kinds.
    fingerprint: bytes
    #: What the parts of the keys are called.
    parts: tuple[str, ...]
    #: The number that the next row gets, if it is not the first one of a page: then a new page is begun.
    next_row: int
    #: How many pages were begun for it.
    pages: int = 0
    #: The sections of which rows of this one may depend on a row, ascending. None is ever taken out.
    reads: tuple[int, ...] = ()
    #: Calls that were last known to be right before this revision have to run, as with `NEVER`: their code was another.
    code_since: int = 0
    #: Rows that were last known to be right before this revision are not good, whatever their flags say: something that
    #: they may depend on was found to be different.
    doubt_since: int = 0


class Row(NamedTuple):
    """What a store has of a row besides its content."""

    section: int
    #: Unique in the section.
    key: bytes
    #: The revision at which it was last found different.
    changed_at: int
    #: The revision from which it is known to be right; `NEVER`.
    valid_from: int
    flags: int
    #: Rows, in the order of reading, each once.
    dependencies: Sequence[int]


class Content(NamedTuple):
    """What can be long. Empty bytes: nothing; a slot without a record, a call without a value."""

    value: bytes
    pushes: bytes


class Delta(NamedTuple):
    """What has changed since the last one, all of it belonging to one revision. A row is in one of the parts only."""

    #: Of the inputs; not less than that of the delta before.
    revision: int
    #: New sections, and those of which anything is different now.
    sections: Sequence[SectionInfo]
    #: The table of classes that keys and values refer to, whole; None if it is as it was.
    classes: bytes | None
    #: The number that the next new page gets.
    next_page: int
    #: New rows and changed ones; with None for a content that is as it was.
    rows: Mapping[int, tuple[Row, Content | None]]
    #: Rows that are good again as they are: `valid_from` becomes the delta's revision, `GOOD` is set.
    verified: Sequence[int]
    #: Rows that are not good any more: `GOOD` is taken away.
    suspect: Sequence[int]
    #: Rows that are gone. Nothing depends on them, and their numbers are not given again.
    removed: Sequence[int]


class Head(NamedTuple):
    """A store's state as far as it does not grow with the rows."""

    revision: int
    sections: Sequence[SectionInfo]
    #: Empty in a new store.
    classes: bytes
    next_page: int
    #: The number of the last delta that is in it, counted from 1 over the store's life; 0: it is new.
    last: int


class Capabilities(NamedTuple):
    """What a store can do. What it cannot it refuses with a `StoreError`; nothing is silently left out."""

    #: Whether a delta can outlive the process.
    durable: bool
    #: Whether opening and reading cost what is asked for, not what is there.
    lazy: bool
    #: Whether `checkpoint` makes anything shorter or faster.
    checkpoints: bool
    #: Whether other processes may read while this one writes.
    readers: bool
    #: Whether `backup` is there.
    backup: bool
    #: Whether `verify` finds every changed bit.
    checked: bool


#: What is called once a delta is durable, with None, or with why it is not. In any thread; must not block or raise. If
#: an interrupt comes into it, it is called once more.
Told = Callable[["IncrError | None"], None]
#: What is called with (done, total) while something long is going on.
Progress = Callable[[int, int], None]


def tell(told: Told, error: IncrError | None) -> None:
    """Call somebody who has to hear of a delta, and once more if an interrupt comes into that."""
    try:
        told(error)
    except BaseException:
        told(error)
        raise


class TakenBackError(StoreError):
    """A delta relies on one that is not there any more; nothing of it was taken."""

    def __init__(self, path: str, behind: int) -> None:
        super().__init__(path, f"does not have delta {behind} as the newest one any more")


# spec: store.take-back
def require_newest(path: str, head: Head, behind: int | None) -> None:
    """Go on only if the delta *behind*, if there has to be one, is the newest.

    Raises:
        TakenBackError: it is not.
    """
    if behind is not None and head.last != behind:
        raise TakenBackError(path, behind)


class Store(Protocol):
    """One place where one database lives. All of it may be called from any thread.

    Every method raises `StoreError`, or one of its kinds, if the place cannot be read or written, `CorruptError` if
    something there is damaged, `StoreBrokenError` once it is not known what is there. A row that is asked for by its
    number is there: it was found, or something depends on it.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def path(self) -> str:
        """What messages should call it."""
        ...

    def head(self) -> Head:
        """The state with all deltas that were appended."""
        ...

    # --- reading --------------------------------------------------------------------------------------------------

    def find(self, section: int, key: bytes) -> int | None:
        """The number of a row."""
        ...

    def row(self, number: int) -> Row:
        """A row without its content."""
        ...

    def content(self, number: int) -> Content:
        """A row's content."""
        ...

    def dependents(self, number: int) -> Sequence[int]:
        """The rows that have this one among their dependencies now, each once."""
        ...

    def rows_of(self, section: int) -> Iterator[int]:
        """All rows of a section, ascending."""
        ...

    def prefetch(self, numbers: Iterable[int]) -> None:
        """Have these rows at hand. Nothing is promised; whoever knows what comes next should say so."""
        ...

    # --- writing --------------------------------------------------------------------------------------------------

    @property
    def wants_checkpoint(self) -> bool:
        """Whether so much was appended since the last one that it is worth while."""
        ...

    def append(self, delta: Delta, told: Told | None = None, *, later: bool = False, behind: int | None = None) -> int:
        """Take a delta, in the order of the calls; its number. Waits only while too much is waiting to be written.
        With *later* it may be left until `finish` or `wake` is called, or something else is appended.

        Reading sees it at once. *told* hears when it is durable, as the store's durability level has it; without
        *told* the call returns then. If it could not be written, it was taken back, together with those behind it:
        *told* (or the call) gets the error, and what they had must be in a later delta.

        *behind* is the number of the delta that it relies on, with all before it.

        Raises:
            TakenBackError: that is not the newest one any more.
        """
        ...

    def finish(self, number: int) -> None:
        """Have the delta written, by this thread if no other one writes: that spares waiting for one to wake up. What
        came of it is told as it is in any case."""
        ...

    def wake(self) -> None:
        """Have everything written that was appended for later, and do not wait."""
        ...

    def durable(self, number: int, timeout: float | None = None) -> bool:
        """Wait until the delta is durable, if that takes no more than *timeout* seconds; whether it is."""
        ...

    def sync(self) -> int:
        """Make everything durable that was appended before; the number of the last delta that is."""
        ...

    def checkpoint(self, progress: Progress | None = None) -> None:
        """Let opening cost less, and give up what nobody needs any more."""
        ...

    def backup(self, place: Any, progress: Progress | None = None) -> None:
        """Write everything that was appended before to a new store of this kind elsewhere, while this one goes on."""
        ...

    def heal(self, progress: Progress | None = None) -> None:
        """After a `StoreBrokenError`: have what was not taken back in a place that can be relied on, and go on.

        Nothing is done if the store is not broken.
        """
        ...

    def close(self) -> None:
        """Make everything durable and let others have it. Closing again does nothing."""
        ...
