"""The way of a delta: numbered, visible, queued for the log, and told about; or taken back.

Law: a delta's number is the id of its entry in the log. What could not be written is taken back, with all that was
queued behind it, before anybody is told so. `order` is held while a delta gets its number and is queued, and by whoever
needs that there is none on its way; nothing that a reader needs is held meanwhile.

Keeps: store.append, store.finish, store.take-back, store.durable.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from functools import partial
from typing import final

from incr._errors import IncrError
from incr.store.current import Current, Step
from incr.store.rows import Delta, Told, require_newest
from incr.store.segment import ENTRY_BYTES
from incr.store.writer import Ticket, Writer

__all__ = ["Pipeline"]


@final
class _Pending:
    """A delta that may still have to be taken back."""

    __slots__ = ("step", "ticket")

    def __init__(self, step: Step, ticket: Ticket) -> None:
        self.step = step
        self.ticket = ticket

    @property
    def is_written(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.ticket.done and self.ticket.error is None


@final
class Pipeline:
    """What appends to one store."""

    __slots__ = ("_current", "_pending", "order", "writer")

    def __init__(self, writer: Writer, current: Current) -> None:
        self.writer = writer
        self._current = current
        self.order = threading.RLock()
        #: Deltas that may have to be taken back, the oldest first.
        self._pending: deque[_Pending] = deque()

    # spec: store.append
    def append(
        self, delta: Delta, packed: bytes, told: Told | None, *, later: bool = False, behind: int | None = None
    ) -> int:
        """Take a delta; its number. With *later* it may wait for `finish`. It relies on *behind* and all before.

        Raises:
            TakenBackError: that is not the newest any more.
            StoreError: it could not be written, and was taken back.
            StoreBrokenError: it is not known whether it is on the disk; it was taken back.
        """
        with self.order:
            pending = self._queue(delta, packed, told, later, behind)
        if told is None:
            try:
                self.writer.finish(pending.ticket)
            except IncrError:
                self.take_back()
                raise
        return pending.step.head.last + 1

    # spec: store.finish
    def finish(self, number: int) -> None:
        """Wait until what came of a delta is known, and write it if nobody writes."""
        with self.order:
            found = [one.ticket for one in self._pending if one.step.head.last + 1 == number]
        for ticket in found:
            with suppress(IncrError):
                self.writer.finish(ticket)

    # spec: store.durable
    def sync(self) -> int:
        """Have everything on the disk that was appended before, and everybody told; the last number that is.

        Raises:
            StoreBrokenError: it is not known what is on the disk.
        """
        return self.writer.flush_and_tell()

    # spec: store.take-back
    def take_back(self) -> None:
        """Have nothing on its way. Undo what could not be written; something else may be written then."""
        with self.order:
            self.writer.resume()
            while self._pending and self._pending[-1].ticket.error is not None:
                self._current.take_back(self._pending.pop().step)

    def _queue(self, delta: Delta, packed: bytes, told: Told | None, later: bool, behind: int | None) -> _Pending:
        if self.writer.is_stopped:
            self.take_back()
        require_newest(self._current.path, self._current.head, behind)
        while self._pending and self._pending[0].is_written:
            self._pending.popleft()
        step = self._current.apply(delta, ENTRY_BYTES + len(packed))
        ticket = Ticket([packed], None if told is None else partial(self._tell, told))
        pending = _Pending(step, ticket)
        self._pending.append(pending)
        try:
            self.writer.put(ticket, later=later)
        except BaseException:
            self._pending.pop()
            self._current.take_back(step)
            raise
        return pending

    def _tell(self, told: Told, ticket: Ticket) -> None:
        if ticket.error is not None:
            self.take_back()
        told(ticket.error)
