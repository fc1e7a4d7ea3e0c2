"""Who is bound to which older revision, and what is kept for them.

Law: an outcome is kept exactly as long as a pinned revision lies in its validity; with nothing pinned there is no
history, and no cost. All but `release` is called with the database's lock held.

Keeps: history.prune, history.lost.
"""

from __future__ import annotations

from _thread import RLock
from bisect import bisect_left, bisect_right
from collections import deque
from typing import Any, Final, Protocol, final

from incr._node import EMPTY, Memo, Node

__all__ = ["CLOSED", "At", "History", "Holder"]

#: The tables of a revision that is not the newest any more: every look-up misses, and the slow path finds out why.
CLOSED: Final[Any] = ()


@final
class At:
    """One revision as its readers share it: all handles bound to it hold this object, and a write closes it."""

    __slots__ = ("kept", "poison", "revision", "tables", "users")

    def __init__(self, revision: int, tables: Any) -> None:
        self.revision = revision
        #: The graph's tables while this revision is the newest, else CLOSED.
        self.tables = tables
        #: Frames, snapshots and pulls that are bound to it.
        self.users = 0
        #: History entries that this is the newest pinned revision to need.
        self.kept: dict[Memo, Node] = {}
        #: Calls that were found on a cycle before they had a frame, with the error they have to end with.
        self.poison: dict[Node, BaseException] | None = None


class Holder(Protocol):
    """Somebody who is bound to a revision: a frame, a snapshot, a pull."""

    #: The revision, while it is bound. Changes together with the revision's `users`, in one line.
    held: At | None


@final
class History:
    """The pinned revisions of one database."""

    __slots__ = ("_lock", "_over", "lost", "memory", "pins")

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        #: Revisions that may have lost their last user: what only they needed is dropped.
        self._over: list[At] = []
        #: Closed revisions that somebody is bound to, ascending.
        self.pins: list[At] = []
        #: Who counts what is kept; None unless something is limited.
        self.memory: Any = None
        #: Holders that nobody has any more. Noted by finalizers, which may run at any allocation, with tables half
        #: changed, and so must touch nothing else.
        self.lost: deque[Holder] = deque()

    def release(self, holder: Holder) -> None:
        """One user less of the revision that *holder* holds; with the last one goes what only that revision needed.

        Nothing happens if it holds none: whoever is interrupted here may come again.
        """
        lock = self._lock
        try:
            lock.acquire()  # a `with` costs three times as much
            at = holder.held
            if at is None:
                return
            if at.users == 1 and at.tables is CLOSED:
                self._over.append(at)
            at.users, holder.held = at.users - 1, None
            while self._over:
                self._unpin(self._over[-1])
                self._over.pop()
        finally:
            try:  # noqa: SIM105  # an interrupt may come while the lock is waited for; `suppress` takes too long
                lock.release()
            except RuntimeError:
                pass

    # spec: history.lost
    def settle(self) -> None:
        """Let go of what lost holders held. Called before a reader or a writer begins."""
        with self._lock:
            for _ in range(len(self.lost)):
                self.release(self.lost[0])
                self.lost.popleft()

    # spec: history.prune
    def _unpin(self, at: At) -> None:
        if at.users or at.tables is not CLOSED:
            return
        place = bisect_left(self.pins, at.revision, key=_revision_of)
        if place < len(self.pins) and self.pins[place] is at:
            del self.pins[place]
        while at.kept:
            memo, node = next(reversed(at.kept.items()))
            holder = self._holder(memo.valid_from, memo.valid_to)
            if holder is not None:
                holder.kept[memo] = node
            elif node.history is not None:
                _drop(node.history, memo)
                if self.memory is not None:
                    self.memory.keeps_no_more(memo)
                node.history = node.history or None
            del at.kept[memo]

    def _holder(self, valid_from: int, valid_to: int) -> At | None:
        """The newest pinned revision within the interval."""
        place = bisect_left(self.pins, valid_to, key=_revision_of) - 1
        if place >= 0 and self.pins[place].revision >= valid_from:
            return self.pins[place]
        return None

    def keep(self, node: Node, memo: Memo) -> None:
        """Put *memo* into the node's history if a pinned revision needs it. One without a value is kept too: what was
        made from it is right still, and forks have to know from which dependencies."""
        holder = self._holder(memo.valid_from, memo.valid_to)
        if holder is None:
            return
        history = node.history
        if history is None:
            history = node.history = []
        place = bisect_right(history, memo.valid_from, key=_start_of)
        if place and history[place - 1].valid_from == memo.valid_from and history[place - 1].valid_to == memo.valid_to:
            known = history[place - 1]  # its value was dropped, or an interrupt came before it was noted whose it is
            if known.value is EMPTY:
                known.value, known.pushes = memo.value, memo.pushes
            memo = known
        else:
            history.insert(place, memo)
        holder.kept[memo] = node
        if self.memory is not None and memo.value is not EMPTY:
            self.memory.keeps(memo, node)

    def find(self, node: Node, revision: int) -> Node | Memo | None:
        """The outcome that is known to be right at *revision*, if there is one: it has `value` and `changed_at`."""
        if node.covers(revision):
            return node
        history = node.history
        if history is not None:
            # Intervals meet or keep apart, but for a call's own revision, which may be there beside a longer one.
            place = bisect_right(history, revision, key=_start_of)
            for memo in reversed(history[max(place - 2, 0) : place]):
                if revision < memo.valid_to and memo.value is not EMPTY:
                    return memo
        return None


def _revision_of(at: At) -> int:
    return at.revision


def _start_of(memo: Memo) -> int:
    return memo.valid_from


def _drop(history: list[Memo], memo: Memo) -> None:
    place = bisect_left(history, memo.valid_from, key=_start_of)
    while place < len(history) and history[place] is not memo:
        place += 1
    del history[place : place + 1]
