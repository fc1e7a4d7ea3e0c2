"""Many callers, one writer: entries are queued, whoever finds nobody writing writes for all, and one sync serves all.

Law: entries get their ids in the order in which they were queued; all entries of one call are one frame. A caller that
was promised a sync is told only after it. The queue is bounded: who is faster than the disk waits. The lock here is
never held while anything is written or synced, or while a callback runs.

Keeps: log.group, log.flush, log.durable, log.broken, store.finish.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final, NamedTuple, Self, TypeVar, final

from incr._errors import IncrError, StoreBrokenError, StoreError
from incr.store.appender import Appender
from incr.store.lock import Lock

__all__ = ["QUEUE_BYTES", "Flush", "Ticket", "Writer"]

R = TypeVar("R")

#: More than this is not queued; a single larger batch is, alone.
QUEUE_BYTES: Final = 1 << 24


class Flush(NamedTuple):
    """When entries are brought to the disk without being asked for."""

    #: With the n-th entry that is not there yet; None: not because of their number.
    entries: int | None
    #: At most so many seconds after the first byte that is not there yet; None: not because of their age.
    seconds: float | None

    # spec: log.flush
    @classmethod
    def each(cls) -> Self:
        """Every append returns when its entries are on the disk; appends at the same time share one sync."""
        return cls(1, None)

    @classmethod
    def every(cls, entries: int) -> Self:
        """With every so many entries, at least 1."""
        if entries < 1:
            raise ValueError(f"entries must be at least 1, not {entries}; Flush.by_hand() never syncs by itself")
        return cls(entries, None)

    @classmethod
    def after(cls, seconds: float) -> Self:
        """At most so many seconds after the first byte that is not on the disk, by a thread of its own."""
        if not seconds > 0:
            raise ValueError(f"seconds must be more than 0, not {seconds}; Flush.each() syncs at once")
        return cls(None, seconds)

    @classmethod
    def by_hand(cls) -> Self:
        """Only by `flush` and `close`."""
        return cls(None, None)


@final
class Ticket:
    """Entries that somebody wants to have written, and what became of them."""

    __slots__ = ("callback", "done", "entries", "error", "ids", "is_told", "size")

    def __init__(self, entries: Sequence[bytes], callback: Callable[[Ticket], None] | None = None) -> None:
        self.entries = entries
        self.size = sum(map(len, entries))
        self.ids: range | None = None
        self.error: IncrError | None = None
        self.done = False
        self.callback = callback
        #: Whether the callback is being called, or was.
        self.is_told = False

    def result(self) -> range:
        """The ids of the entries.

        Raises:
            IncrError: why they were not written, or why it is not known whether they are on the disk.
        """
        if self.error is not None:
            raise self.error
        assert self.ids is not None
        return self.ids


@final
class Writer:
    """The one way into a log, for any number of threads.

    With *in_order*, entries that could not be written take all with them that were queued behind them, and nothing is
    queued any more until `resume`: what was queued may have relied on what was before it.
    """

    __slots__ = (
        "_appender",
        "_busy",
        "_changed",
        "_closed",
        "_flush",
        "_in_order",
        "_lock",
        "_queue",
        "_queued_bytes",
        "_since",
        "_stopped",
        "_thread",
        "_unsynced",
        "_untold",
        "_want_sync",
    )

    def __init__(self, appender: Appender, lock: Lock, flush: Flush, *, in_order: bool = False) -> None:
        self._appender = appender
        self._lock = lock
        self._flush = flush
        self._in_order = in_order
        #: Guards everything below; waited for by whoever needs a change of it.
        self._changed = threading.Condition()
        self._queue: deque[Ticket] = deque()
        self._queued_bytes = 0
        #: Whether somebody writes or syncs.
        self._busy = False
        self._closed = False
        #: Why entries were not written, if nothing is queued because of that.
        self._stopped: IncrError | None = None
        self._want_sync = False
        #: How many entries are written and not on the disk.
        self._unsynced = 0
        #: When the first of them was written.
        self._since = 0.0
        self._thread: threading.Thread | None = None
        #: Tickets with callbacks that were not called, in order; those that are done are to be told.
        self._untold: dict[Ticket, None] = {}

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def next_id(self) -> int:
        """The id that the next entry gets."""
        return self._appender.next_id

    @property
    def is_stopped(self) -> bool:
        """Whether nothing is queued before a `resume`."""
        return self._stopped is not None

    @property
    def is_broken(self) -> bool:
        """Whether nothing is written any more."""
        return self._appender.is_broken

    @property
    def synced_through(self) -> int:
        """The newest entry that is known to be on the disk."""
        return self._appender.synced_through

    # spec: log.group
    def commit(self, entries: Sequence[bytes]) -> range:
        """Write entries as one frame, and sync as the policy says; their ids.

        Raises:
            LimitExceededError: they are too long.
            StoreError: they could not be written; nothing of them is left.
            StoreBrokenError: it is not known whether they are on the disk, and nothing is written any more.
        """
        ticket = Ticket(entries)
        self.put(ticket)
        return self.finish(ticket)

    def put(self, ticket: Ticket, *, later: bool = False) -> None:
        """Queue entries; waits only for room. If the ticket has a callback, a thread of the writer's own writes them;
        with *later*, not before anything else is put, or `wake` is called: for whoever is about to `finish` it.

        Raises:
            StoreError: the log is closed or broken, or has stopped.
        """
        self._lock.require()
        with self._changed:
            if ticket.callback is not None and not later:
                self._start()  # first: without a thread nothing is queued
            self._enqueue(ticket)
            if not later:
                self._changed.notify_all()

    def wake(self) -> None:
        """Have the writer's own thread write what is queued."""
        with self._changed:
            self._start()
            self._changed.notify_all()

    def finish(self, ticket: Ticket) -> range:
        """Wait until a ticket that was put is done, and write it if nobody writes; the ids of its entries.

        Raises:
            as `commit`.
        """
        with self._changed:
            while not ticket.done:
                self._lead_or_wait()
            if self._flush.seconds is not None and self._unsynced:
                self._start()
        return ticket.result()

    # spec: log.order
    def resume(self) -> None:
        """Have everything done that is queued; go on then if entries that could not be written had stopped it."""
        self._lock.require()
        with self._changed:
            while self._queue or self._busy:
                self._lead_or_wait()
            self._stopped = None

    def replace(self, make: Callable[[Appender], Appender]) -> None:
        """Write to another end from now on, which *make* gives for the one until now, and begin a segment there.

        Raises:
            StoreError: that failed; if there is a new end, it is used nevertheless.
        """
        self.resume()
        with self._changed:
            old, self._appender = self._appender, make(self._appender)
            self._unsynced = 0
            old.let_go()
            self._appender.begin()

    # spec: log.flush
    def flush(self) -> int:
        """Have everything that was written or queued before on the disk; the id of the last entry that is.

        Raises:
            StoreBrokenError: it is not known what of it is there.
        """
        self._lock.require()
        with self._changed:
            self._require()
            # Those in the queue are written before the loop ends, and synced with the rest.
            through = self.next_id - 1
            while self._queue or self._busy or (self.synced_through < through and not self._appender.is_broken):
                self._want_sync = True
                self._lead_or_wait()
            self._appender.require()
            return self.synced_through

    def flush_and_tell(self) -> int:
        """`flush`, and have everybody called back whose entries were queued before.

        Raises:
            as `flush`.
        """
        with self._changed:
            waiting = set(self._untold)
        through = self.flush()
        with self._changed:
            while not waiting.isdisjoint(self._untold):
                if self._next_untold() is not None:
                    self._tell()
                else:
                    self._changed.wait()
        return through

    # spec: log.durable
    def durable(self, through: int, timeout: float | None) -> bool:
        """Wait until the entries up to *through* are on the disk; False if they were not after *timeout* seconds.

        Raises:
            StoreBrokenError: it will never be known.
        """
        self._lock.require()
        with self._changed:
            self._changed.wait_for(lambda: self.synced_through >= through or self._is_over(), timeout)
            if self.synced_through >= through:
                return True
            self._require()
            return False

    def alone(self, action: Callable[[Appender], R]) -> R:
        """Do something with the appender while nobody writes."""
        self._lock.require()
        with self._changed:
            self._changed.wait_for(lambda: not self._busy)
            self._require()
            self._busy = True
        try:
            return action(self._appender)
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def close(self) -> None:
        """Write what is queued, sync, mark the end, and let the next one write. Closing again does nothing.

        Raises:
            StoreError: something of that failed.
        """
        try:
            self._lock.require()
        except StoreBrokenError:
            self._appender.let_go()
            return
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        try:
            with self._changed:
                while self._queue or self._busy:
                    self._lead_or_wait()
            self._appender.close()
            self._appender.require()
        finally:
            self._lock.release()

    def _require(self) -> None:
        if self._closed:
            raise StoreError(self._appender.path, "is closed; open the log again")
        self._appender.require()

    # spec: log.order
    def _require_order(self) -> None:
        if self._stopped is not None:
            raise self._behind(self._stopped)

    def _behind(self, error: IncrError) -> StoreError:
        return StoreError(self._appender.path, f"not written, as something before it could not be ({error})")

    def _is_over(self) -> bool:
        return self._closed or self._appender.is_broken

    def _enqueue(self, ticket: Ticket) -> None:
        self._require()
        while self._queue and self._queued_bytes + ticket.size > QUEUE_BYTES:
            self._lead_or_wait()
            self._require()
        self._require_order()
        if ticket.callback is not None:
            self._untold[ticket] = None
        self._queue.append(ticket)
        self._queued_bytes += ticket.size

    def _lead_or_wait(self) -> None:
        if self._busy:
            self._changed.wait()
        else:
            self._lead()

    def _lead(self) -> None:
        """Write for everybody who is in the queue. The lock is held when this begins and when it ends, not between."""
        group = list(self._queue)
        self._queue.clear()
        self._queued_bytes = 0
        self._busy = True
        want_sync, self._want_sync = self._want_sync, False
        self._changed.release()
        try:
            self._write(group, want_sync)
        finally:
            self._changed.acquire()
            self._busy = False
            self._changed.notify_all()
        self._tell()

    # spec: store.finish
    def _tell(self) -> None:
        """Call back who has to be told and is not. The lock is held but for the calls. If one of them is interrupted,
        whoever comes next makes it again."""
        while ticket := self._next_untold():
            self._changed.release()
            try:
                _call_back(ticket)
            finally:
                self._changed.acquire()
            self._untold.pop(ticket, None)
            self._changed.notify_all()

    def _next_untold(self) -> Ticket | None:
        for ticket in self._untold:
            if not ticket.done:
                return None
            if not ticket.is_told:
                return ticket
        return None

    # spec: log.group
    def _write(self, group: list[Ticket], want_sync: bool) -> None:
        try:
            for ticket in group:
                try:
                    self._require_order()
                    ticket.ids = self._appender.write(ticket.entries)
                except IncrError as error:
                    ticket.error = error
                    if self._in_order and not self._appender.is_broken:
                        self._stopped = self._stopped or error
                else:
                    self._since = self._since if self._unsynced else monotonic()
                    self._unsynced += len(ticket.entries)
            if want_sync or self._is_due():
                self._appender.sync()
                self._unsynced = 0
        except StoreBrokenError as error:
            _fail(group, error)
        except BaseException:
            # An interrupt: what was being done is neither done nor not done.
            _fail(group, self._appender.break_down("was interrupted while it was written"))
            raise
        finally:
            for ticket in group:
                ticket.done = True

    def _is_due(self) -> bool:
        if not self._unsynced or self._appender.is_broken:
            return False
        entries, seconds = self._flush
        if entries is not None and self._unsynced >= entries:
            return True
        return seconds is not None and monotonic() >= self._since + seconds

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="incr-log-writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                if not self._busy and (self._queue or self._is_due()):
                    self._lead()
                elif self._next_untold() is not None:
                    self._tell()
                else:
                    self._changed.wait(self._seconds_left())

    def _seconds_left(self) -> float | None:
        if self._busy or self._flush.seconds is None or not self._unsynced or self._appender.is_broken:
            return None
        return max(0.0, self._since + self._flush.seconds - monotonic())


def _call_back(ticket: Ticket) -> None:
    """Call somebody back. What he raises is shown, and concerns nobody else."""
    assert ticket.callback is not None
    try:
        ticket.is_told = True
        ticket.callback(ticket)
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
    except BaseException:
        ticket.is_told = False
        raise


def _fail(group: list[Ticket], error: StoreBrokenError) -> None:
    for ticket in group:
        ticket.error = ticket.error or error
