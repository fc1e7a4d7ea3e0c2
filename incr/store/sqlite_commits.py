"""Who has to be told of a commit, and the thread that commits.

Law: numbers only grow, but for what is taken back. Nobody is told while a lock is held: who is told may have another
one that somebody needs who waits for this one.

Keeps: sqlite.group, sqlite.levels.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final, Literal, TypeAlias, final

from incr._errors import IncrError
from incr.store.rows import Told

__all__ = ["INTERVAL_SECONDS", "LEVELS", "Commits", "Durability"]

Durability: TypeAlias = Literal["commit", "interval", "relaxed"]
LEVELS: Final[tuple[Durability, ...]] = ("commit", "interval", "relaxed")
#: After how long "interval" syncs.
INTERVAL_SECONDS: Final = 0.05


@final
class Commits:
    """How far a store is, for whoever waits. *work* commits what is there, and syncs if it is asked to; it tells here
    what came of it."""

    __slots__ = (
        "_appended", "_changed", "_closed", "_committed", "_heard", "_level", "_since", "_synced", "_thread",
        "_waiting", "_work", "broken",
    )  # fmt: skip

    def __init__(self, level: Durability, last: int, work: Callable[[bool], None]) -> None:
        self._level: Durability = level
        self._work = work
        #: Guards everything below.
        self._changed = threading.Condition()
        self._appended = self._committed = self._synced = last
        #: When the first delta was committed that is not synced.
        self._since = 0.0
        self._waiting: deque[tuple[int, Told]] = deque()
        #: Who is to be told of what, as soon as there is no lock.
        self._heard: list[tuple[Told, IncrError | None]] = []
        self._thread: threading.Thread | None = None
        self._closed = False
        #: Why nothing is known any more.
        self.broken: IncrError | None = None

    @property
    def synced(self) -> int:
        """The last delta that is on the disk."""
        return self._synced

    def appended(self, number: int, told: Told) -> None:
        """A delta is in the open transaction; the thread will commit it."""
        with self._changed:
            self._appended = number
            self._waiting.append((number, told))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="incr-sqlite-writer", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def committed(self, number: int, synced: bool) -> None:
        """Everything up to a delta is committed; if *synced*, it is on the disk."""
        with self._changed:
            if self._committed == self._synced < number:
                self._since = monotonic()
            self._committed = max(self._committed, number)
            if synced:
                self._synced = self._committed
            while self._waiting and self._waiting[0][0] <= number:
                self._heard.append((self._waiting.popleft()[1], None))
            self._changed.notify_all()

    # spec: sqlite.errors
    def taken_back(self, error: IncrError, *, broken: bool) -> None:
        """What was not committed is gone; if *broken*, nobody knows what of the rest is there."""
        with self._changed:
            self._appended = self._committed
            self._since = monotonic()  # of the next attempt to sync
            if broken:
                self.broken = error
            self._heard += [(told, error) for _, told in self._waiting]
            self._waiting.clear()
            self._changed.notify_all()

    def tell(self) -> None:
        """Tell who has to be told. To be called without any lock, after whatever may have committed something."""
        if not self._heard:  # whoever adds to it calls this afterwards
            return
        with self._changed:
            heard, self._heard = self._heard, []
        for told, error in heard:
            try:
                told(error)
            except Exception as wrong:  # shown, and nobody else's concern
                sys.excepthook(type(wrong), wrong, wrong.__traceback__)

    def wait(self, number: int, timeout: float | None) -> bool:
        """Wait until a delta is on the disk; False if it was not in time, or never will be."""
        with self._changed:
            self._changed.wait_for(lambda: self._synced >= number or self._is_over(number), timeout)
            return self._synced >= number

    def _is_over(self, number: int) -> bool:
        """Whether waiting for a delta has become useless."""
        return self._closed or self.broken is not None or number > self._appended

    def close(self) -> bool:
        """End the thread, which first commits what is there. False if that was done before."""
        with self._changed:
            if self._closed:
                return False
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        return True

    # spec: sqlite.group
    def _run(self) -> None:
        with self._changed:
            while True:
                due = self._is_due()
                if due or self._appended > self._committed:
                    self._changed.release()
                    try:
                        self._work(due)
                    finally:
                        self._changed.acquire()
                elif self._closed:
                    return
                else:
                    self._changed.wait(self._seconds_left())

    # spec: sqlite.levels
    def _is_due(self) -> bool:
        left = self._seconds_left()
        return left is not None and left <= 0

    def _seconds_left(self) -> float | None:
        if self._level != "interval" or self._committed == self._synced or self.broken:
            return None
        return self._since + INTERVAL_SECONDS - monotonic()
