"""trio and asyncio with every step counted, and a cancellation that strikes at the step that the test names.

The callers of one run are tasks. Each makes its calls through `attempt`, which can be cancelled alone: a cancel scope
on trio, `task.cancel()` on asyncio. Both schedulers are deterministic here, so one run without a strike counts the
steps, and the run that is struck at step k has gone exactly the same way until then.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, final

import trio
import trio._core._run as trio_run

__all__ = ["EVERYBODY", "AsyncioLoop", "Caller", "Child", "StruckLoop", "TrioLoop"]

#: As the victim: the whole run is cancelled.
EVERYBODY: Final = -1

#: ``attempt(function)`` awaits ``function()``, which may be cancelled: nothing comes up then.
Attempt = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
Caller = Callable[[Attempt], Coroutine[Any, Any, None]]


@dataclass(eq=False)
class Child:
    """How a task ended."""

    value: Any = None
    error: BaseException | None = None


class StruckLoop(Protocol):
    """One run on either loop."""

    #: Steps that were made; the strike comes before the one with its number.
    steps: int
    #: Whether all tasks waited for each other, for ever.
    hung: bool

    async def pause(self) -> None:
        """Let others go on."""
        ...

    async def gather(self, *coroutines: Coroutine[Any, Any, Any]) -> Sequence[Child]:
        """Run them as children of the calling task."""
        ...

    def run(self, callers: Sequence[Caller]) -> None:
        """Run all callers to their ends."""
        ...


@final
class TrioLoop(trio.abc.Instrument):
    """trio; the seed decides in which order tasks that are ready go on."""

    def __init__(self, seed: int, at: int, victim: int) -> None:
        self.steps = 0
        self.hung = False
        self._seed = seed
        self._at = at
        self._victim = victim
        self._going = False
        self._everybody = trio.CancelScope()
        self._scopes: dict[int, trio.CancelScope] = {}

    def run(self, callers: Sequence[Caller]) -> None:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # as trio's own plugin for hypothesis does
        trio_run._r.seed(self._seed)
        trio.run(self._main, callers, instruments=[self])

    async def pause(self) -> None:
        await trio.lowlevel.checkpoint()

    async def gather(self, *coroutines: Coroutine[Any, Any, Any]) -> Sequence[Child]:
        children = [Child() for _ in coroutines]

        async def run(child: Child, coroutine: Coroutine[Any, Any, Any]) -> None:
            try:
                child.value = await coroutine
            except Exception as error:
                child.error = error

        async with trio.open_nursery() as nursery:
            for child, coroutine in zip(children, coroutines, strict=True):
                nursery.start_soon(run, child, coroutine)
        return children

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += 1
        if self.steps == self._at:
            scope = self._everybody if self._victim == EVERYBODY else self._scopes.get(self._victim)
            if scope is not None:
                scope.cancel()

    def before_io_wait(self, timeout: float) -> None:
        if timeout and self._going:  # nobody is ready, and nothing comes from outside
            self.hung = True
            self._everybody.cancel()

    async def _main(self, callers: Sequence[Caller]) -> None:
        self._going = True
        with self._everybody:
            async with trio.open_nursery() as nursery:
                for number, caller in enumerate(callers):
                    nursery.start_soon(caller, self._attempts_of(number))
        self._going = False

    def _attempts_of(self, number: int) -> Attempt:
        async def attempt(function: Callable[[], Awaitable[None]]) -> None:
            with trio.CancelScope() as self._scopes[number]:
                await function()

        return attempt


@final
class _Stepped(Coroutine[Any, Any, Any]):
    """A coroutine that tells before each step."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], tell: Callable[[], None]) -> None:
        self._coroutine = coroutine
        self._tell = tell

    def send(self, value: Any) -> Any:
        self._tell()
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        self._tell()
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, None, Any]:
        raise AssertionError("tasks are stepped, not awaited through")


@final
class _Selector(selectors.SelectSelector):
    def __init__(self, idle: Callable[[], None]) -> None:
        super().__init__()
        self._idle = idle

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout > 0:  # nobody is ready, and nothing comes from outside
            self._idle()
            timeout = 0
        return super().select(timeout)


@final
class AsyncioLoop:
    """asyncio, first come first served; the seed is of no use here."""

    def __init__(self, seed: int, at: int, victim: int) -> None:
        self.steps = 0
        self.hung = False
        self._at = at
        self._victim = victim
        self._loop: asyncio.AbstractEventLoop
        self._tasks: list[asyncio.Task[None]] = []
        self._attempting: set[int] = set()

    def run(self, callers: Sequence[Caller]) -> None:
        self._loop = loop = asyncio.SelectorEventLoop(_Selector(self._idle))
        loop.set_task_factory(
            lambda loop, coroutine, **options: asyncio.Task(_Stepped(coroutine, self._tell), loop=loop, **options)
        )
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(self._main(callers))

    async def pause(self) -> None:
        await asyncio.sleep(0)

    async def gather(self, *coroutines: Coroutine[Any, Any, Any]) -> Sequence[Child]:
        children = [Child() for _ in coroutines]

        async def run(child: Child, coroutine: Coroutine[Any, Any, Any]) -> None:
            try:
                child.value = await coroutine
            except Exception as error:
                child.error = error

        async with asyncio.TaskGroup() as group:
            for child, coroutine in zip(children, coroutines, strict=True):
                group.create_task(run(child, coroutine))
        return children

    async def _main(self, callers: Sequence[Caller]) -> None:
        self._tasks = [
            self._loop.create_task(caller(self._attempts_of(number))) for number, caller in enumerate(callers)
        ]
        await asyncio.wait(self._tasks)
        for task in self._tasks:
            if not task.cancelled():
                task.result()

    def _tell(self) -> None:
        self.steps += 1
        if self.steps != self._at:
            return
        if self._victim == EVERYBODY:
            for task in self._tasks:
                task.cancel()
        elif self._victim in self._attempting:
            self._tasks[self._victim].cancel()

    def _idle(self) -> None:
        self.hung = True
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    def _attempts_of(self, number: int) -> Attempt:
        async def attempt(function: Callable[[], Awaitable[None]]) -> None:
            self._attempting.add(number)
            try:
                await function()
            except asyncio.CancelledError:
                task = self._tasks[number]
                if self._victim == EVERYBODY or self.hung:
                    raise
                task.uncancel()
            finally:
                self._attempting.discard(number)

        return attempt
