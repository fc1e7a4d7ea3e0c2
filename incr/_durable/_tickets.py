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


class _Awaited:
    """Something that will be known once, and who waits for it."""

    __slots__ = ("_done", "_lock", "_waiting")

    def __init__(self, done: bool) -> None:
        self._done = done
        self._waiting: list[Wakeup | ThreadWakeup] = []
        self._lock = threading.Lock()

    def enlist(self, wakeup: Wakeup | ThreadWakeup) -> bool:
        """Have *wakeup* set when it is known; False if that is so already."""
        with self._lock:
            if not self._done:
                self._waiting.append(wakeup)
            return not self._done

    def _known(self) -> list[Wakeup | ThreadWakeup]:
        """It is known from now on; who has to go on."""
        with self._lock:
            self._done = True
            waiting, self._waiting = self._waiting, []
        return waiting


@final
class Ticket(_Awaited):
    """A delta that was appended, and who waits for it."""

    __slots__ = ("commit", "error", "number", "revision")

    def __init__(self, revision: int, commit: Commit | None) -> None:
        super().__init__(commit is None)
        self.revision = revision
        self.commit = commit
        self.number = 0
        self.error: IncrError | None = None

    def tell(self, error: IncrError | None) -> None:
        """It is durable, or will not be."""
        commit = self.commit
        if error is not None and commit is not None:
            commit.failed()
        self.error, self.commit = error, None
        for wakeup in self._known():
            wake(wakeup)
        if error is None and commit is not None:
            commit.durable()

    def result(self) -> int:
        """The revision that is durable.

        Raises:
            StoreError: it is not.
        """
        if self.error is not None:
            raise self.error
        return self.revision


@final
class Group(_Awaited):
    """Tasks that wait for one of them to append what all of them have written."""

    __slots__ = ("_error", "_ticket", "begun")

    def __init__(self) -> None:
        super().__init__(False)
        #: Nobody may join any more.
        self.begun = False
        self._ticket: Ticket | None = None
        self._error: BaseException | None = None

    def tell(self, ticket: Ticket | None, error: BaseException | None) -> None:
        """It was appended, or not; neither: it never began. Who waits goes on waiting for the ticket."""
        self._ticket, self._error = ticket, error
        for wakeup in self._known():
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
