"""A session: one database in one store, from the opening to the closing.

Law: commits are taken and appended one after the other, so a delta never depends on one behind it; waiting for the disk
is done by each caller for himself, with no lock held, so one sync serves all who wait.

Keeps: commit.durable, commit.nothing, commit.group, commit.failed, checkpoint.automatic, store.finish.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from typing import Any, final

from incr._durable._backing import Backing
from incr._durable._commit import Commit
from incr._durable._opening import stand_on
from incr._durable._tickets import Group, Ticket
from incr._errors import StoreError
from incr._estimate import estimate
from incr._graph import Graph
from incr._loop import ThreadWakeup, checkpoint, in_thread, new_wakeup
from incr._node import Failure, Stored
from incr._persist._code import fingerprint_by
from incr._persist._garbage import without_collections
from incr._pushes import Pushes
from incr.store.rows import Progress, Store, TakenBackError

__all__ = ["Session", "open_session"]

#: So many nodes are encoded on an event loop without holding it up for long; more are left to a thread.
_FEW = 256
#: So do values of so many bytes together, as far as they can be told without encoding them.
_SMALL = 256 << 10
#: What is short, or not stored, or not encoded again.
_TINY = frozenset({int, bool, float, type(None), Stored, Failure})
#: More nodes than this are not committed beside looks for garbage: each of those is a stop of all threads.
_MANY = 10_000


@final
class Session:
    """What `incr.open` gives a database: a store to stand on."""

    __slots__ = ("_checkpoint", "_gathering", "_last", "_lock", "backing", "graph", "max_record_bytes", "store")

    def __init__(
        self, graph: Graph, store: Store, declared: Iterable[Any], fingerprint: Callable[[Any], bytes]
    ) -> None:
        self.graph = graph
        self.store = store
        self.backing: Backing = stand_on(graph, store, declared, fingerprint)
        head = store.head()
        self._last = Ticket(head.revision, None)
        self._last.number = head.last
        self._lock = threading.Lock()
        #: Tasks whose commit has not begun.
        self._gathering: Group | None = None
        #: Values of calls that are longer are left out; None: of any length.
        self.max_record_bytes: int | None = None
        #: The checkpoint that goes on by itself.
        self._checkpoint: threading.Thread | None = None

    # --- commits --------------------------------------------------------------------------------------------------

    # spec: commit.durable
    # spec: store.finish
    def commit(self) -> int:
        """Have everything durable that the graph has now; its revision."""
        try:
            ticket = self._append(later=True)
            self.store.finish(ticket.number)
        except BaseException:
            self.store.wake()  # others may wait for what was appended
            raise
        return self._wait(ticket)

    def _wait(self, ticket: Ticket) -> int:
        wakeup = ThreadWakeup()
        if ticket.enlist(wakeup):
            wakeup.block()
        return ticket.result()

    # spec: commit.group
    async def acommit(self) -> int:
        """`commit` without holding up the event loop."""
        await checkpoint()  # tasks that are about to write do so first: one delta serves all that commit now
        ticket: Ticket | None = None
        while ticket is None:
            if self._is_short() and self._lock.acquire(blocking=False):
                try:
                    ticket = self._append_alone()
                finally:
                    self._lock.release()
            else:
                ticket = await self._append_together()
        wakeup = new_wakeup()
        if ticket.enlist(wakeup):
            await wakeup.wait()
        return ticket.result()

    def _is_short(self) -> bool:
        """Whether what there is to commit does not hold up an event loop for long."""
        journal, left = self.backing.journal, _SMALL
        if journal.size > _FEW:
            return False
        for node in list(journal.rows):
            if type(node.value) not in _TINY:
                left -= estimate(node.value)
            if type(node.pushes) is Pushes and node.pushes.entries:
                left -= estimate(node.pushes.entries)
            if left < 0:
                return False
        return True

    async def _append_together(self) -> Ticket | None:
        """Append in a thread, by one task for all that come before it begins; None if it never did."""
        group = self._gathering
        if group is not None:
            wakeup = new_wakeup()
            if group.enlist(wakeup):
                await wakeup.wait()
            return group.result()
        group = self._gathering = Group()
        try:
            await in_thread(partial(self._append_for, group))
        finally:
            if not group.begun:  # cancelled before that
                self._begin(group)
                group.tell(None, None)
        return group.result()

    def _append_for(self, group: Group) -> None:
        try:
            ticket = self._append(group=group)
        except BaseException as error:
            group.tell(None, error)
        else:
            group.tell(ticket, None)

    def _begin(self, group: Group) -> None:
        """Whoever comes from now on is not in the group: what he has written may not be taken any more."""
        if self._gathering is group:
            self._gathering = None
        group.begun = True

    def _append(self, *, later: bool = False, group: Group | None = None) -> Ticket:
        with self._lock, without_collections() if self.backing.journal.size > _MANY else nullcontext():
            if group is not None:
                self._begin(group)
            return self._append_alone(later)

    # spec: commit.nothing
    # spec: commit.failed
    def _append_alone(self, later: bool = False) -> Ticket:
        if self.backing.closed:
            raise StoreError(self.store.path, "is closed; open the database again")
        while True:
            last = self._newest()
            commit = Commit(self.backing, self.max_record_bytes)
            ticket: Ticket | None = None
            try:
                delta = commit.build(last.revision)
                if delta is None:
                    commit.done()
                    return last
                ticket = Ticket(delta.revision, commit)
                ticket.number = self.store.append(delta, ticket.tell, later=later, behind=last.number)
                commit.done()
                self._last = ticket
            except TakenBackError:
                commit.failed()
                continue  # it is built again on what is there now
            except BaseException as error:  # an interrupt may come when the store has it already
                reached = self._reached(last)
                if ticket is not None and reached > last.number:
                    ticket.number = reached
                    self._last = ticket  # who commits next waits for it
                    commit.done()
                else:
                    commit.failed()
                if reached < last.number and isinstance(error, Exception):
                    continue  # what it was built on was taken back meanwhile
                raise
            for event in commit.unstored if self.graph.listeners.any else ():
                self.graph.listeners.emit(event)
            self._consider_checkpoint()
            return ticket

    def _reached(self, last: Ticket) -> int:
        """The number of the newest delta in the store; as far as is known, if it is broken."""
        try:
            return self.store.head().last
        except StoreError:
            return last.number

    def _newest(self) -> Ticket:
        """The newest delta that is in the store. If some were taken back, it is known of all of them."""
        head = self.store.head()
        if head.last != self._last.number or self._last.error is not None:
            wakeup = ThreadWakeup()
            if self._last.enlist(wakeup):
                wakeup.block()
            head = self.store.head()
            self._last = Ticket(head.revision, None)
            self._last.number = head.last
        return self._last

    def durable(self, revision: int, timeout: float | None) -> bool:
        """Wait until what was committed at *revision* is durable; whether it is after *timeout* seconds."""
        last = self._last
        return last.revision >= revision and self.store.durable(last.number, timeout)

    # spec: commit.heal
    def heal(self) -> int:
        """Have a broken store written anew, and commit; the revision."""
        self.store.heal()
        self.store.sync()  # whoever was told by then that his delta is lost has it in the next one
        return self.commit()

    # --- checkpoints ----------------------------------------------------------------------------------------------

    def checkpoint(self, progress: Progress | None = None) -> int:
        """Commit, and let the next opening cost less."""
        revision = self.commit()
        self.store.checkpoint(progress)
        return revision

    async def acheckpoint(self) -> int:
        """`checkpoint` without holding up the event loop."""
        revision = await self.acommit()
        await in_thread(self.store.checkpoint)
        return revision

    # spec: checkpoint.automatic
    def _consider_checkpoint(self) -> None:
        busy = self._checkpoint is not None and self._checkpoint.is_alive()
        if not busy and self.store.wants_checkpoint:
            self._checkpoint = threading.Thread(target=self._checkpoint_quietly, name="incr-checkpoint", daemon=True)
            self._checkpoint.start()

    def _checkpoint_quietly(self) -> None:
        try:
            self.store.checkpoint()
        except StoreError:  # the log has everything; whoever commits next hears of what is broken
            return

    # spec: commit.backup
    def backup(self, path: str, progress: Progress | None = None) -> int:
        """Commit, and copy the store to *path* while it is in use; the revision that the copy has at least."""
        if not self.store.capabilities.backup:
            raise StoreError(self.store.path, "cannot be copied while it is open; copy it with incr store migrate")
        revision = self.commit()
        self.store.backup(path, progress)
        return revision

    # --- files ----------------------------------------------------------------------------------------------------

    def gather(self) -> list[Any]:
        """Have everything that the store has in the graph, for a whole file to be written; the table of classes."""
        backing, graph = self.backing, self.graph
        with graph.lock:
            for info in self.store.head().sections:
                for number in list(self.store.rows_of(info.number)):
                    node = None if number in backing.removed else backing.node(number)
                    if node is not None:
                        backing.complete(node)
                        node.encoded = None  # as a commit that comes meanwhile would leave it, it is another value's
            return backing.codec.listed()

    def close(self) -> None:
        """Make durable what was committed, and let others have the store. Closing again does nothing."""
        with self._lock:
            if self.backing.closed:
                return
            self.backing.closed = True
        if self._checkpoint is not None:
            self._checkpoint.join()
        self.store.close()


def open_session(
    graph: Graph, store: Store, declared: Iterable[Any], *, code: str | None, max_record_bytes: int | None
) -> Session:
    """Let an empty graph stand on a store; *code* names the program's code as a whole, if it does. Values of calls that
    are longer than *max_record_bytes* are not stored.

    Raises:
        StoreError: the store cannot be read, or is damaged.
        TypeError: *code* is not a text, or *max_record_bytes* not a number.
    """
    if max_record_bytes is not None and (type(max_record_bytes) is not int or max_record_bytes < 0):
        raise TypeError(f"max_record_bytes is a number of bytes, or None, not {max_record_bytes!r}")
    session = Session(graph, store, declared, fingerprint_by(code))
    session.max_record_bytes = max_record_bytes
    return session
