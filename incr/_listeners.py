"""Who wants to hear what happens in a database, and the order in which they are told.

Law: an event is told after the change that it speaks of is complete, in the order of the changes, to everybody who
had subscribed before it, and outside of any query. With nobody listening an event is not even built.

Keeps: event.order.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections import deque
from collections.abc import Callable
from typing import final

from incr._events import Event, RevisionAdvanced
from incr._revision import Revision
from incr._running import running

__all__ = ["Listeners", "Subscription"]


@final
class Subscription:
    """A callback's place among the listeners; `close` ends it."""

    __slots__ = ("_listeners", "callback")

    def __init__(self, listeners: Listeners, callback: Callable[[Event], object]) -> None:
        self._listeners = listeners
        self.callback = callback

    def close(self) -> None:
        """Tell the callback nothing more. Closing twice is fine."""
        self._listeners.remove(self)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


@final
class Listeners:
    """The subscriptions of one database and the events that they have not been told yet."""

    __slots__ = ("_adding", "_pending", "_subscriptions", "_telling", "any")

    def __init__(self) -> None:
        #: Whether anybody listens; asked before an event is built.
        self.any = False
        self._subscriptions: tuple[Subscription, ...] = ()
        self._pending: deque[Event] = deque()
        #: Held by the thread that delivers: one at a time, so that the order is kept.
        self._telling = allocate_lock()
        self._adding = allocate_lock()

    def add(self, callback: Callable[[Event], object]) -> Subscription:
        """From the next event on, tell *callback*."""
        subscription = Subscription(self, callback)
        with self._adding:
            self._subscriptions = (*self._subscriptions, subscription)
            self.any = True
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Forget the subscription if it is there."""
        with self._adding:
            self._subscriptions = tuple(other for other in self._subscriptions if other is not subscription)
            self.any = bool(self._subscriptions)

    def emit(self, event: Event) -> None:
        """Note the event; `tell` delivers it when the tables are whole again."""
        self._pending.append(event)

    def advanced(self, revision: int) -> None:
        """Note that there is a new revision."""
        if self.any:
            self._pending.append(RevisionAdvanced(Revision(revision)))

    # spec: event.order
    def tell(self) -> None:
        """Deliver what is noted, unless a thread is busy with that: it goes on until nothing is left.

        Events that callbacks cause are told after those that are waiting already. The caller holds no lock.
        """
        while self._pending and self._telling.acquire(False):
            token = running.set(None)  # what a callback reads belongs to no query
            try:
                while self._pending:
                    event = self._pending.popleft()
                    for subscription in self._subscriptions:
                        self._tell_one(subscription, event)
            finally:
                running.reset(token)
                self._telling.release()

    def _tell_one(self, subscription: Subscription, event: Event) -> None:
        try:
            subscription.callback(event)
        except Exception:
            import logging  # 10 ms that a program without a failing callback need not pay

            # The change has happened and whoever made it is not to blame.
            logging.getLogger("incr").exception("a subscriber failed on %r and is not told any more", event)
            subscription.close()
