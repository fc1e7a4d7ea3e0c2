"""The state of a store at this moment, for any number of readers: a base and what has changed since.

Law: every answer is that of one moment. Deltas are applied by one caller at a time, under the lock here; a reader looks
without it, and again with it if a delta was applied meanwhile. While a base is written, what changes goes into an
overlay of its own, so that what is written stands still; deltas of which it is not known yet whether they will be
written can be taken back, the newest one first.

Keeps: store.overlay, store.checkpoint.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from heapq import merge
from typing import NamedTuple, TypeVar, final

from incr.store.opening import Generation, Opening, Shared, with_delta
from incr.store.overlay import Layer, NoRows, Overlay, Rows
from incr.store.paged import PagedBase
from incr.store.rows import Content, Delta, Head, Row
from incr.store.undo import Before, remember, restore

__all__ = ["Current", "Frozen", "Step"]

R = TypeVar("R")


@final
class Step:
    """A delta that was applied."""

    __slots__ = ("before", "delta", "head", "size")

    def __init__(self, delta: Delta, size: int, head: Head, before: list[Before]) -> None:
        self.delta = delta
        #: In the log, in bytes.
        self.size = size
        #: The head before it.
        self.head = head
        #: The overlay before it.
        self.before = before


class Frozen(NamedTuple):
    """One moment's state, for whoever writes it down while deltas go on being applied."""

    shared: Shared | None
    overlay: Overlay
    head: Head

    @property
    def base(self) -> PagedBase | None:
        """The base that the overlay is on top of."""
        return self.shared.base if self.shared else None


class _Now(NamedTuple):
    """What answers come from. Whoever holds it keeps the base open."""

    shared: Shared | None
    #: The overlay that a base is being written from; an empty one if none is.
    frozen: Overlay
    overlay: Overlay
    rows: Rows


@final
class Current:
    """What a store says."""

    __slots__ = ("_head", "_lock", "_log_bytes", "_now", "_since", "_version", "path")

    def __init__(self, path: str, opening: Opening) -> None:
        self.path = path
        #: Held while anything below changes.
        self._lock = threading.Lock()
        #: How often something has begun and ended to change: odd in between.
        self._version = 0
        self._head = opening.head
        self._log_bytes = opening.log_bytes
        self._now = self._over(opening.shared, None, opening.overlay)
        #: What was applied since `freeze`; None: nothing is frozen.
        self._since: list[Step] | None = None

    @property
    def head(self) -> Head:
        """The state with all deltas that were applied."""
        return self._head

    @property
    def generation(self) -> Generation | None:
        """The base."""
        shared = self._now.shared
        return shared.generation if shared else None

    @property
    def log_bytes(self) -> int:
        """How much of the log the base does not have."""
        return self._log_bytes

    @property
    def changed_rows(self) -> int:
        """About how many rows the log says something that the base does not."""
        return len(self._now.frozen) + len(self._now.overlay)

    @property
    def base_rows(self) -> int:
        """How many rows are in the base."""
        shared = self._now.shared
        return len(shared.base) if shared else 0

    # --- reading --------------------------------------------------------------------------------------------------

    def find(self, section: int, key: bytes) -> int | None:
        """The number of a row."""
        return self._at_once(lambda rows: rows.find(section, key))

    def row(self, number: int) -> Row:
        """A row without its content."""
        return self._at_once(lambda rows: rows.row(number))

    def content(self, number: int) -> Content:
        """A row's content."""
        return self._at_once(lambda rows: rows.content(number))

    def dependents(self, number: int) -> Sequence[int]:
        """The rows that have this one among their dependencies."""
        return self._at_once(lambda rows: rows.dependents(number))

    def rows_of(self, section: int) -> Iterator[int]:
        """All rows of a section, ascending, as of now."""
        with self._lock:
            now = self._now
            own: set[int] = set()
            hidden: set[int] = set()
            for overlay in (now.frozen, now.overlay):
                own -= overlay.removed
                own.update(number for number, (row, _) in overlay.rows.items() if row.section == section)
                hidden |= overlay.removed
        return _merged(now.shared, section, own, hidden)

    def prefetch(self, numbers: Iterable[int]) -> None:
        """Have these rows at hand."""
        now = self._now
        if now.shared is not None:
            here = (now.frozen.rows, now.overlay.rows)
            now.shared.base.prefetch([number for number in numbers if not any(number in rows for rows in here)])

    def has(self, number: int) -> bool:
        """Whether there is such a row."""
        return self._at_once(lambda rows: rows.has(number))

    # spec: store.overlay
    def _at_once(self, ask: Callable[[Rows], R]) -> R:
        """An answer of one moment."""
        version = self._version
        try:
            answer = ask(self._now.rows)
        except Exception:
            if version == self._version and not version & 1:
                raise
        else:
            if version == self._version and not version & 1:
                return answer
        with self._lock:
            return ask(self._now.rows)

    # --- changing: by one caller at a time ------------------------------------------------------------------------

    def apply(self, delta: Delta, size: int) -> Step:
        """Let everybody see a delta; *size* is that of its frame."""
        overlay = self._now.overlay
        step = Step(delta, size, self._head, remember(overlay, delta))
        with self._changing():
            overlay.apply(delta)
            self._head = with_delta(self._head, delta)
        self._log_bytes += size
        if self._since is not None:
            self._since.append(step)
        return step

    def take_back(self, step: Step) -> None:
        """Undo the last step."""
        with self._changing():
            restore(self._now.overlay, step.before)
            self._head = step.head
        self._log_bytes -= step.size
        if self._since is not None:
            self._since.pop()

    # spec: store.checkpoint
    def freeze(self) -> Frozen:
        """This moment's state; it stands still until `switch` or `thaw`."""
        shared, _, overlay, _ = self._now
        self._since = []
        with self._changing():
            self._now = self._over(shared, overlay, Overlay())
        return Frozen(shared, overlay, self._head)

    def thaw(self) -> None:
        """Go on from what was frozen: it was not written."""
        shared, frozen, _, _ = self._now
        steps, self._since = self._since or [], None
        with self._changing():
            for step in steps:
                step.before = remember(frozen, step.delta)
                frozen.apply(step.delta)
            self._now = self._over(shared, None, frozen)

    # spec: store.checkpoint
    def switch(self, shared: Shared, last: int) -> None:
        """Read from a base that has what was frozen, as delta *last*, and from what was applied since."""
        steps, self._since = self._since or [], None
        with self._changing():
            self._now = self._over(shared, None, self._now.overlay)
            self._head = self._head._replace(last=max(last, self._head.last))
        self._log_bytes = sum(step.size for step in steps)

    def let_go(self) -> None:
        """Have nothing any more."""
        shared, self._now = self._now.shared, self._over(None, None, Overlay())
        if shared is not None:
            shared.close()

    @contextmanager
    def _changing(self) -> Generator[None]:
        with self._lock:
            self._version += 1
            try:
                yield
            finally:
                self._version += 1

    def _over(self, shared: Shared | None, frozen: Overlay | None, overlay: Overlay) -> _Now:
        below: Rows = shared.base if shared else NoRows(self.path)
        if frozen is not None:
            below = Layer(self.path, below, frozen)
        return _Now(shared, Overlay() if frozen is None else frozen, overlay, Layer(self.path, below, overlay))


def _merged(shared: Shared | None, section: int, own: set[int], hidden: set[int]) -> Iterator[int]:
    """The rows of a base but those that are hidden, and a store's own."""
    hidden |= own
    below = shared.base.rows_of(section) if shared else iter(())
    yield from merge(sorted(own), (number for number in below if number not in hidden))
