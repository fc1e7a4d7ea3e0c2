"""An event loop that is stepped by hand: whoever drives it says which task goes on next, and which is cancelled.

A test that picks tasks by a seeded `random.Random` runs one interleaving, and the same one for the same seed. While a
task is stepped the loop stands where asyncio has its running loop, so that incr waits on it as on any other.
"""

from __future__ import annotations

import contextvars
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, final

__all__ = ["Cancelled", "HandLoop", "Task", "pause"]


class Cancelled(BaseException):
    """What a cancelled task gets, like the exceptions of trio and asyncio no `Exception`."""


@coroutine
def pause() -> Generator[None, None, None]:
    """Let the loop choose who goes on."""
    yield


@final
class Future:
    """The part of asyncio's futures that a wakeup needs."""

    def __init__(self) -> None:
        self._done = False

    def done(self) -> bool:
        return self._done

    def set_result(self, _value: None) -> None:
        self._done = True

    def __await__(self) -> Generator[Future, None, None]:
        while not self._done:
            yield self


@final
class Task:
    """A coroutine, where it stands, and its outcome once it has ended."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], name: str) -> None:
        self.name = name
        self.ended = Future()
        self.value: Any = None
        self.error: BaseException | None = None
        self._coroutine = coroutine
        self._context = contextvars.copy_context()
        self._waits_for: Future | None = None
        self._cancelling = False

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def ready(self) -> bool:
        """Whether it can go on."""
        return not self.ended.done() and (self._cancelling or self._waits_for is None or self._waits_for.done())

    def cancel(self) -> None:
        """Let it go on with `Cancelled`, even if it has not begun, or if what it waits for is there already."""
        self._cancelling = True

    def close(self) -> None:
        """Forget the rest of it, without running anything."""
        self._coroutine.close()

    def step(self) -> None:
        """Go on to the next wait or to the end."""
        self._waits_for = None
        try:
            if self._cancelling:
                self._cancelling = False
                self._waits_for = self._context.run(self._coroutine.throw, Cancelled())
            else:
                self._waits_for = self._context.run(self._coroutine.send, None)
        except StopIteration as stop:
            self.value = stop.value
            self.ended.set_result(None)
        except (Exception, Cancelled) as error:
            self.error = error
            self.ended.set_result(None)


@final
class HandLoop:
    """Tasks in the order in which they were spawned."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self._calls: deque[Callable[[], None]] = deque()
        self._closed = False
        #: Called where another thread has woken a task.
        self.woken: Callable[[], None] | None = None

    def create_future(self) -> Future:
        """Called by incr, where it has to wait."""
        return Future()

    def call_soon_threadsafe(self, function: Callable[[], None]) -> None:
        """Called by incr in another thread, to wake a task here.

        Raises:
            RuntimeError: the loop has ended.
        """
        if self._closed:
            raise RuntimeError("the loop is closed")
        self._calls.append(function)
        if self.woken is not None:
            self.woken()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> Task:
        """A task that has not begun."""
        task = Task(coroutine, name)
        self.tasks.append(task)
        return task

    def ready(self) -> list[Task]:
        """The tasks that can go on; those that have ended are forgotten."""
        while self._calls:
            self._calls.popleft()()
        self.tasks = [task for task in self.tasks if not task.ended.done()]
        return [task for task in self.tasks if task.ready]

    def step(self, task: Task) -> None:
        """Let *task* go on."""
        events._set_running_loop(self)  # type: ignore[arg-type]  # no whole loop, but all that incr asks of one
        try:
            task.step()
        finally:
            events._set_running_loop(None)

    def close(self) -> None:
        """Drop the tasks that have not ended, after a failure: nobody is going to step them."""
        self._closed = True
        for task in self.tasks:
            task.close()

    async def pause(self) -> None:
        """Let the loop choose who goes on."""
        await pause()

    async def gather(self, *coroutines: Coroutine[Any, Any, Any]) -> list[Task]:
        """Run them as children of the calling task, which waits for all of them; cancelled with it, as in a nursery.

        Raises:
            Cancelled: the caller or one of the children was cancelled.
        """
        children = [self.spawn(child, f"child {place}") for place, child in enumerate(coroutines)]
        stopped: BaseException | None = None
        for child in children:
            while not child.ended.done():
                try:
                    await child.ended
                except Cancelled as error:
                    stopped = error
                    for other in children:
                        other.cancel()
            if stopped is None and isinstance(child.error, Cancelled):
                stopped = child.error
                for other in children:
                    other.cancel()
        if stopped is not None:
            raise stopped
        return children
