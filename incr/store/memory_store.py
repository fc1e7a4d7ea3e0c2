"""A store in memory: for tests, and for databases that are to be opened again in the same process.

Law: a `MemoryStore` is its own place. One opener at a time has it, and what was appended is there for the next one, in
this process and no other. Dependencies are kept in both directions, exactly, at every append.

Keeps: store.memory, store.alike, store.finish.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Self, final

from incr._errors import CorruptError, StoreError, StoreLockedError
from incr.store.rows import (
    GOOD,
    Capabilities,
    Content,
    Delta,
    Head,
    Progress,
    Row,
    SectionInfo,
    Told,
    require_newest,
    tell,
)

__all__ = ["MemoryStore"]

NO_CONTENT: Final = Content(b"", b"")
_PATH: Final = "memory"
_CAPABILITIES: Final = Capabilities(
    durable=False, lazy=True, checkpoints=False, readers=False, backup=False, checked=False
)


@final
class MemoryStore:
    """A place in memory where one database lives; ``MemoryStore().open()`` is a store that is new.

    >>> place = MemoryStore()
    >>> store = place.open()
    >>> store.head().last
    0
    >>> store.close()
    >>> store = place.open()
    """

    __slots__ = ("_contents", "_dependents", "_head", "_keys", "_lock", "_open", "_rows")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = False
        self._head = Head(0, (), b"", 0, 0)
        self._rows: dict[int, Row] = {}
        self._contents: dict[int, Content] = {}
        #: Section -> key -> row.
        self._keys: dict[int, dict[bytes, int]] = {}
        #: Row -> the rows that have it among their dependencies, in the order in which they came to.
        self._dependents: dict[int, dict[int, None]] = {}

    # spec: store.memory
    def open(self) -> Self:
        """Have the store, with all that was appended before.

        Raises:
            StoreLockedError: somebody has it already.
        """
        with self._lock:
            if self._open:
                raise StoreLockedError(_PATH, "is held by another database of this process; close that one first")
            self._open = True
        return self

    @property
    def capabilities(self) -> Capabilities:
        """What it can do: answer, as long as the process lives."""
        return _CAPABILITIES

    @property
    def path(self) -> str:
        """What messages should call it."""
        return _PATH

    def head(self) -> Head:
        """The state with all deltas that were appended."""
        with self._lock:
            self._require()
            return self._head

    # --- reading --------------------------------------------------------------------------------------------------

    def find(self, section: int, key: bytes) -> int | None:
        """The number of a row."""
        with self._lock:
            self._require()
            return self._keys.get(section, {}).get(key)

    def row(self, number: int) -> Row:
        """A row without its content."""
        with self._lock:
            self._require_row(number)
            return self._rows[number]

    def content(self, number: int) -> Content:
        """A row's content."""
        with self._lock:
            self._require_row(number)
            return self._contents[number]

    def dependents(self, number: int) -> Sequence[int]:
        """The rows that have this one among their dependencies now, each once."""
        with self._lock:
            self._require_row(number)
            return list(self._dependents.get(number, ()))

    def rows_of(self, section: int) -> Iterator[int]:
        """All rows of a section, ascending, as of now."""
        with self._lock:
            self._require()
            return iter(sorted(self._keys.get(section, {}).values()))

    def prefetch(self, numbers: Iterable[int]) -> None:
        """Nothing: they are at hand."""

    # --- writing --------------------------------------------------------------------------------------------------

    @property
    def wants_checkpoint(self) -> bool:
        """Never."""
        return False

    def append(self, delta: Delta, told: Told | None = None, *, later: bool = False, behind: int | None = None) -> int:
        """Take a delta; its number. It is as durable as it will ever be."""
        with self._lock:
            self._require()
            require_newest(self.path, self._head, behind)
            self._apply(delta)
            number = self._head.last
        if told is not None:
            tell(told, None)
        return number

    # spec: store.finish
    def finish(self, number: int) -> None:
        """Nothing: it is."""

    def wake(self) -> None:
        """Nothing: no delta waits."""

    def durable(self, number: int, timeout: float | None = None) -> bool:
        """Whether the delta is there: at once, if it is at all."""
        return number <= self.head().last

    def sync(self) -> int:
        """The number of the last delta."""
        return self.head().last

    def checkpoint(self, progress: Progress | None = None) -> None:
        """Nothing: opening costs nothing."""
        self.head()

    def backup(self, place: Any, progress: Progress | None = None) -> None:
        """Refused: there is nothing but memory.

        Raises:
            StoreError: always.
        """
        raise StoreError(_PATH, "cannot be copied to a place of its kind; copy it with incr.maintenance.copy")

    def heal(self, progress: Progress | None = None) -> None:
        """Nothing: it does not break."""

    def close(self) -> None:
        """Let the next one have it."""
        with self._lock:
            self._open = False

    def _require(self) -> None:
        if not self._open:
            raise StoreError(_PATH, "is not open; open() it first")

    def _require_row(self, number: int) -> None:
        self._require()
        if number not in self._rows:
            raise CorruptError(_PATH, 0, f"row {number} is not there")

    # spec: store.alike
    def _apply(self, delta: Delta) -> None:
        for number in delta.removed:
            self._forget(number)
        for number, (row, content) in delta.rows.items():
            self._put(number, row)
            if content is not None:
                self._contents[number] = content
            else:
                self._contents.setdefault(number, NO_CONTENT)
        for number in delta.verified:
            row = self._rows[number]
            self._rows[number] = row._replace(valid_from=delta.revision, flags=row.flags | GOOD)
        for number in delta.suspect:
            row = self._rows[number]
            self._rows[number] = row._replace(flags=row.flags & ~GOOD)
        head = self._head
        classes = head.classes if delta.classes is None else delta.classes
        sections = _with_sections(head.sections, delta.sections)
        self._head = Head(delta.revision, sections, classes, delta.next_page, head.last + 1)

    def _forget(self, number: int) -> None:
        row = self._rows.pop(number)
        del self._contents[number]
        del self._keys[row.section][row.key]
        self._unlink(number, row)
        self._dependents.pop(number, None)

    def _put(self, number: int, row: Row) -> None:
        before = self._rows.get(number)
        if before is None:
            self._keys.setdefault(row.section, {})[row.key] = number
        else:
            self._unlink(number, before)
        # The caller may go on with its list.
        self._rows[number] = row._replace(dependencies=tuple(row.dependencies))
        for dependency in row.dependencies:
            self._dependents.setdefault(dependency, {})[number] = None

    def _unlink(self, number: int, row: Row) -> None:
        for dependency in row.dependencies:
            dependents = self._dependents.get(dependency)
            if dependents is not None:  # it may be going in the same delta
                dependents.pop(number, None)


def _with_sections(sections: Sequence[SectionInfo], changed: Iterable[SectionInfo]) -> Sequence[SectionInfo]:
    """The sections by their numbers, with these in place of what they were."""
    merged = {section.number: section for section in sections}
    merged.update((section.number, section) for section in changed)
    return tuple(merged[number] for number in sorted(merged))
