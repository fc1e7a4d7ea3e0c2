"""What has changed since a base was written, in memory; and both together as one.

An overlay needs nothing of what is below it to take a delta: it says what is different now, and a `Layer` looks at both
when somebody asks. So a log is replayed without reading the base, and one overlay can be put over another.

Law: a `Layer` answers as if the deltas of its overlay had always been in what is below it, which does not
change.

Keeps: paged.overlay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from typing import Final, Protocol, TypeAlias, final

from incr._errors import CorruptError
from incr.store.rows import GOOD, Content, Delta, Row

__all__ = ["NO_CONTENT", "Layer", "NoRows", "Overlay", "Rows", "Stamp", "with_stamp"]

#: Whether a row is good, and its `valid_from` if that has changed.
Stamp: TypeAlias = tuple[bool, int | None]

NO_CONTENT: Final = Content(b"", b"")


class Rows(Protocol):
    """What can be asked for rows."""

    def find(self, section: int, key: bytes) -> int | None:
        """The number of a row."""
        ...

    def has(self, number: int) -> bool:
        """Whether there is such a row."""
        ...

    def row(self, number: int) -> Row:
        """A row without its content."""
        ...

    def content(self, number: int) -> Content:
        """A row's content."""
        ...

    def dependents(self, number: int) -> Sequence[int]:
        """The rows that have this one among their dependencies, each once."""
        ...

    def rows_of(self, section: int) -> Iterator[int]:
        """All rows of a section, ascending."""
        ...


@final
class Overlay:
    """What deltas have changed. All of it may be read; it is changed by its methods only."""

    __slots__ = ("keys", "removed", "rows", "stamps", "users")

    def __init__(self) -> None:
        #: New rows and changed ones; with None for a content that is as it is below.
        self.rows: dict[int, tuple[Row, Content | None]] = {}
        #: Rows that are gone.
        self.removed: set[int] = set()
        #: Rows that are as they are below but for `GOOD`, and `valid_from` where it is not None.
        self.stamps: dict[int, Stamp] = {}
        #: Section and key -> number, of `rows`.
        self.keys: dict[tuple[int, bytes], int] = {}
        #: Row -> those of `rows` that have it among their dependencies.
        self.users: dict[int, set[int]] = {}

    def __len__(self) -> int:
        """How many rows it says something about."""
        return len(self.rows) + len(self.removed) + len(self.stamps)

    # spec: paged.overlay
    def apply(self, delta: Delta) -> None:
        """Take a delta."""
        for number in delta.removed:
            self._remove(number)
        for number, (row, content) in delta.rows.items():
            self._put(number, row, content)
        for number in delta.verified:
            self._stamp(number, (True, delta.revision))
        for number in delta.suspect:
            self._stamp(number, (False, None))

    def absorb(self, later: Overlay) -> None:
        """Take what an overlay says that has been put over this one."""
        for number in later.removed:
            self._remove(number)
        for number, (row, content) in later.rows.items():
            self._put(number, row, content)
        for number, stamp in later.stamps.items():
            self._stamp(number, stamp)

    def let_go(self) -> None:
        """Have nothing any more, one row after the other: giving up very much at once holds up all threads."""
        for held in (self.rows, self.keys, self.users, self.stamps):
            while held:
                held.popitem()

    def stamped(self, number: int, row: Row) -> Row:
        """A row from below as it is now, if all that may have changed are its stamps."""
        stamp = self.stamps.get(number)
        return row if stamp is None else _stamped(row, stamp)

    def _remove(self, number: int) -> None:
        before = self.rows.pop(number, None)
        if before is not None:
            del self.keys[before[0].section, before[0].key]
            self._unlink(number, before[0])
        self.stamps.pop(number, None)
        self.removed.add(number)

    def _put(self, number: int, row: Row, content: Content | None) -> None:
        before = self.rows.get(number)
        if before is not None:
            self._unlink(number, before[0])
            content = before[1] if content is None else content
        self.stamps.pop(number, None)
        dependencies = row.dependencies
        if type(dependencies) is not tuple:
            # The caller may go on with its list.
            dependencies = tuple(dependencies)
            row = row._replace(dependencies=dependencies)
        self.rows[number] = (row, content)
        self.keys[row.section, row.key] = number
        users = self.users
        for dependency in dependencies:
            there = users.get(dependency)
            if there is None:
                users[dependency] = {number}
            else:
                there.add(number)

    def _stamp(self, number: int, stamp: Stamp) -> None:
        there = self.rows.get(number)
        if there is not None:
            self.rows[number] = (_stamped(there[0], stamp), there[1])
            return
        good, since = stamp
        if since is None and number in self.stamps:
            since = self.stamps[number][1]
        self.stamps[number] = (good, since)

    def _unlink(self, number: int, row: Row) -> None:
        for dependency in row.dependencies:
            users = self.users[dependency]
            users.discard(number)
            if not users:
                del self.users[dependency]


def with_stamp(flags: int, valid_from: int, stamp: Stamp) -> tuple[int, int]:
    """A row's flags and `valid_from` with a stamp."""
    good, since = stamp
    return flags | GOOD if good else flags & ~GOOD, valid_from if since is None else since


def _stamped(row: Row, stamp: Stamp) -> Row:
    flags, valid_from = with_stamp(row.flags, row.valid_from, stamp)
    return row._replace(flags=flags, valid_from=valid_from)


@final
class Layer:
    """An overlay and what is below it, as one."""

    __slots__ = ("_below", "_overlay", "_path")

    def __init__(self, path: str, below: Rows, overlay: Overlay) -> None:
        self._path = path
        self._below = below
        self._overlay = overlay

    # spec: paged.overlay
    def find(self, section: int, key: bytes) -> int | None:
        """The number of a row."""
        number = self._overlay.keys.get((section, key))
        if number is None:
            number = self._below.find(section, key)
            if number in self._overlay.removed:
                return None
        return number

    def has(self, number: int) -> bool:
        """Whether there is such a row."""
        overlay = self._overlay
        return number in overlay.rows or (number not in overlay.removed and self._below.has(number))

    def row(self, number: int) -> Row:
        """A row without its content."""
        there = self._overlay.rows.get(number)
        if there is not None:
            return there[0]
        self._require(number)
        return self._overlay.stamped(number, self._below.row(number))

    def content(self, number: int) -> Content:
        """A row's content."""
        there = self._overlay.rows.get(number)
        if there is None:
            self._require(number)
            return self._below.content(number)
        if there[1] is not None:
            return there[1]
        return self._below.content(number) if self._below.has(number) else NO_CONTENT

    def dependents(self, number: int) -> Sequence[int]:
        """The rows that have this one among their dependencies, each once."""
        overlay = self._overlay
        users = overlay.users.get(number, ())
        if number in overlay.rows and not self._below.has(number):
            return list(users)
        self._require(number)
        rows, removed = overlay.rows, overlay.removed
        return [other for other in self._below.dependents(number) if other not in rows and other not in removed] + list(
            users
        )

    def rows_of(self, section: int) -> Iterator[int]:
        """All rows of a section, ascending."""
        overlay = self._overlay
        own = sorted(number for number, (row, _) in overlay.rows.items() if row.section == section)
        last = -1
        for number in merge(self._below.rows_of(section), own):
            if number != last and number not in overlay.removed:
                yield number
            last = number

    def _require(self, number: int) -> None:
        if number in self._overlay.removed:
            raise CorruptError(self._path, 0, f"row {number} is not there")


@final
class NoRows:
    """What is below the first overlay of a store: nothing."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def find(self, section: int, key: bytes) -> int | None:
        """None."""
        return None

    def has(self, number: int) -> bool:
        """False."""
        return False

    def row(self, number: int) -> Row:
        """A row that cannot be there."""
        raise CorruptError(self._path, 0, f"row {number} is not there")

    def content(self, number: int) -> Content:
        """The content of a row that cannot be there."""
        raise CorruptError(self._path, 0, f"row {number} is not there")

    def dependents(self, number: int) -> Sequence[int]:
        """What depends on a row that cannot be there."""
        raise CorruptError(self._path, 0, f"row {number} is not there")

    def rows_of(self, section: int) -> Iterator[int]:
        """Nothing."""
        return iter(())
