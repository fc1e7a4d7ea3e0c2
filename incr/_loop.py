"""The little that incr needs of an event loop or a thread: wait, be woken from anywhere, let others run.

Law: no event loop is imported here that the program has not imported itself, and none is needed before somebody has
to wait.

Keeps: loop.free, loop.both, loop.checkpoint, thread.wait.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock, get_ident, start_new_thread
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from typing import Any, Final, Protocol

__all__ = [
    "ThreadWakeup",
    "Wakeup",
    "checkpoint",
    "in_background",
    "in_fresh_task",
    "in_thread",
    "new_wakeup",
    "running_loop",
    "start_thread",
]


class Wakeup(Protocol):
    """Wait once, until it is set from whichever thread."""

    def set(self) -> None:
        """Let the waiting task go on. Setting twice is fine.

        Raises:
            RuntimeError: the loop that it waited in is gone.
        """
        ...

    async def wait(self) -> None:
        """Return when set; may be cancelled."""
        ...


class _AsyncioWakeup:
    __slots__ = ("_future", "_home", "_loop")

    def __init__(self, loop: Any) -> None:
        self._future = loop.create_future()
        self._loop = loop
        self._home = get_ident()

    def set(self) -> None:
        if get_ident() == self._home:
            self._set()
        else:
            self._loop.call_soon_threadsafe(self._set)

    def _set(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        await self._future


class _TrioWakeup:
    __slots__ = ("_event", "_home", "_token")

    def __init__(self, trio: Any) -> None:
        self._event = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        self._home = get_ident()

    def set(self) -> None:
        if get_ident() == self._home:
            self._event.set()
        else:
            self._token.run_sync_soon(self._event.set)

    async def wait(self) -> None:
        await self._event.wait()


#: Seconds after which a waiting thread looks whether an interrupt was raised in it from another one.
_LOOK: Final = 1.0


# spec: thread.wait
class ThreadWakeup:
    """What a plain thread waits on."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def set(self) -> None:
        """Let the waiting thread go on. Setting twice is fine."""
        try:
            self._lock.release()
        except RuntimeError:
            return  # it was set before

    def block(self) -> None:
        """Return when set; an interrupt ends the wait, also one that was raised from another thread."""
        while not self._lock.acquire(timeout=_LOOK):
            pass


# spec: loop.free
# spec: loop.both
def _trio() -> Any:
    """The trio module if the caller runs in a trio task, else None."""
    trio = sys.modules.get("trio")
    return trio if trio is not None and trio.lowlevel.in_trio_task() else None


def _asyncio_loop() -> Any:
    """The running asyncio loop, if there is one."""
    events = sys.modules.get("asyncio.events")
    return None if events is None else events._get_running_loop()


def running_loop() -> tuple[Any, Any]:
    """The trio module, if the caller runs in a trio task; else None, and the running asyncio loop, if there is one."""
    trio = _trio()
    return trio, _asyncio_loop() if trio is None else None


def new_wakeup() -> Wakeup:
    """Something to wait for on the running loop.

    Raises:
        RuntimeError: neither trio nor asyncio runs here.
    """
    trio = _trio()
    if trio is not None:
        return _TrioWakeup(trio)
    loop = _asyncio_loop()
    if loop is not None:
        return _AsyncioWakeup(loop)
    raise RuntimeError(
        "an awaited query has to wait for another task, but neither trio nor asyncio is running here; "
        "call it from trio.run(...) or asyncio.run(...)"
    )


class _Yields:
    """Awaited, it yields the given number of times to asyncio."""

    __slots__ = ("_times",)

    def __init__(self, times: int) -> None:
        self._times = times

    def __await__(self) -> Generator[None, None, None]:
        for _ in range(self._times):
            yield


_once: Final = _Yields(1)
_never: Final = _Yields(0)


# spec: loop.checkpoint
def checkpoint() -> Awaitable[None]:
    """To be awaited: lets other tasks run and cancellation in; nothing where no loop is running."""
    trio = _trio()
    if trio is not None:
        found: Awaitable[None] = trio.lowlevel.checkpoint()
        return found
    return _never if _asyncio_loop() is None else _once


# spec: depth.async
async def in_fresh_task(function: Callable[[], Awaitable[Any]]) -> Any:
    """Await ``function()`` in a task of its own, whose stack starts empty; cancelled with the caller."""
    trio = _trio()
    if trio is None:
        loop = _asyncio_loop()
        if loop is None:
            return await function()
        return await loop.create_task(_run(function))
    result: list[Any] = []
    failure: list[BaseException] = []

    async def run() -> None:
        try:
            result.append(await function())
        except BaseException as error:  # carried over unwrapped: a nursery would put it into a group
            failure.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
    if failure:
        raise failure.pop()
    return result.pop()


async def _run(function: Callable[[], Awaitable[Any]]) -> Any:
    return await function()


def in_background(function: Callable[[], Awaitable[None]], kept: set[Any]) -> None:
    """Run ``function()``, which raises nothing but cancellation, in a task that nobody waits for; the loop ends it.

    The task is in *kept* while it runs, because asyncio keeps none alive.

    Raises:
        RuntimeError: neither trio nor asyncio runs here.
    """
    trio = _trio()
    if trio is not None:
        trio.lowlevel.spawn_system_task(function)
        return
    loop = _asyncio_loop()
    if loop is None:
        raise RuntimeError("nothing can run in the background: neither trio nor asyncio is running here")
    task = loop.create_task(_run(function))
    kept.add(task)
    task.add_done_callback(kept.discard)


def start_thread(function: Callable[[], object]) -> None:
    """Call ``function()``, which raises nothing, in a thread that nobody waits for and that ends with the program."""
    start_new_thread(function, ())


async def in_thread(function: Callable[[], Any]) -> Any:
    """Call ``function()`` in a worker thread of the running loop, which goes on meanwhile; here if there is no loop.

    Once begun it is waited for, cancelled or not: what it writes is written whole.
    """
    trio = _trio()
    if trio is not None:
        return await trio.to_thread.run_sync(function)
    loop = _asyncio_loop()
    if loop is None:
        return function()
    asyncio = sys.modules["asyncio"]
    work = loop.run_in_executor(None, function)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            with suppress(asyncio.CancelledError):  # once more: some scopes cancel until their tasks have ended
                await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # looked at: the cancellation is what the caller hears of
        raise
