"""Who waits for what of a commit.

Law: whoever is enlisted is woken, once it is known. Nothing here waits.

Keeps: commit.group.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import final

from incr._durable._commit import Commit
from incr._errors import IncrError
from incr._loop import ThreadWakeup, Wakeup

__all__ = ["Group", "Ticket"]


@final
class Ticket:
    """A delta that was appended, and who waits for it."""

    __slots__ = ("_lock", "_waiting", "commit", "done", "error", "number", "revision")

    def __init__(self, revision: int, commit: Commit | None) -> None:
        self.revision = revision
        self.commit = commit
        self.number = 0
        self.done = commit is None
        self.error: IncrError | None = None
        self._waiting: list[Wakeup | ThreadWakeup] = []
        self._lock = threading.Lock()

    def tell(self, error: IncrError | None) -> None:
        """It is durable, or will not be."""
        commit = self.commit
        if error is not None and commit is not None:
            commit.failed()
        with self._lock:
            self.error, self.done, self.commit = error, True, None
            waiting, self._waiting = self._waiting, []
        for wakeup in waiting:
            wake(wakeup)
        if error is None and commit is not None:
            commit.durable()

    def enlist(self, wakeup: Wakeup | ThreadWakeup) -> bool:
        """Have *wakeup* set when it is known; False if that is so already."""
        with self._lock:
            if not self.done:
                self._waiting.append(wakeup)
            return not self.done

    def result(self) -> int:
        """The revision that is durable.

        Raises:
            StoreError: it is not.
        """
        if self.error is not None:
            raise self.error
        return self.revision


@final
class Group:
    """Tasks that wait for one of them to append what all of them have written."""

    __slots__ = ("_error", "_lock", "_ticket", "_waiting", "begun", "over")

    def __init__(self) -> None:
        #: Nobody may join any more.
        self.begun = False
        self.over = False
        self._ticket: Ticket | None = None
        self._error: BaseException | None = None
        self._waiting: list[Wakeup] = []
        self._lock = threading.Lock()

    def enlist(self, wakeup: Wakeup) -> bool:
        """Have *wakeup* set when it is known what came of it; False if that is so already."""
        with self._lock:
            if not self.over:
                self._waiting.append(wakeup)
            return not self.over

    def tell(self, ticket: Ticket | None, error: BaseException | None) -> None:
        """It was appended, or not; neither: it never began. Who waits goes on waiting for the ticket."""
        with self._lock:
            self._ticket, self._error, self.over = ticket, error, True
            waiting, self._waiting = self._waiting, []
        for wakeup in waiting:
            if ticket is None or not ticket.enlist(wakeup):
                wake(wakeup)

    def result(self) -> Ticket | None:
        """The delta that has what was written; None if somebody else has to append it.

        Raises:
            IncrError: it could not be appended.
        """
        if self._error is not None:
            raise self._error
        return self._ticket


def wake(wakeup: Wakeup | ThreadWakeup) -> None:
    """Let somebody go on, unless the loop that he waited in is gone."""
    with suppress(RuntimeError):
        wakeup.set()
