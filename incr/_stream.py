"""A database's events as an async iterator, for either loop.

Law: a reader that is too slow never slows the database down: the oldest events are dropped, and it is told how many.

Keeps: event.stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import final

from incr._events import Event, EventsDropped
from incr._listeners import Listeners, Subscription
from incr._loop import Wakeup, new_wakeup

__all__ = ["EventStream"]


# spec: event.stream
@final
class EventStream:
    """``async with db.events() as stream: async for event in stream``. At most *buffer* events wait to be read."""

    def __init__(self, listeners: Listeners, buffer: int) -> None:
        if type(buffer) is not int or buffer < 1:
            raise ValueError(f"events(buffer=...) wants how many events may wait, at least 1, not {buffer!r}")
        self._listeners = listeners
        self._waiting: deque[Event] = deque()
        self._buffer = buffer
        self._dropped = 0
        self._wakeup: Wakeup | None = None
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> AsyncIterator[Event]:
        self._subscription = self._listeners.add(self._hear)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._subscription is not None:
            self._subscription.close()

    def _hear(self, event: Event) -> None:
        if len(self._waiting) == self._buffer:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(event)
        wakeup = self._wakeup
        if wakeup is not None:
            wakeup.set()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            return EventsDropped(dropped)
        while not self._waiting:
            self._wakeup = new_wakeup()
            try:
                if not self._waiting:  # another thread may have told one before it could see the wakeup
                    await self._wakeup.wait()
            finally:
                self._wakeup = None
        return self._waiting.popleft()
