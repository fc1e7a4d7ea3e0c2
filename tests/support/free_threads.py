"""Real threads with real event loops, all at once: the interpreter decides who goes on, and is made to decide often."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Final, final

import trio

from hand_loop import Cancelled, HandLoop
from struck_loops import Child
from thread_stress import Here

__all__ = ["FreeCrew"]

#: Seconds after which threads that hang are given up.
_PATIENCE: Final = 120.0


@final
class FreeCrew:
    """Threads of the interpreter."""

    def run(self, functions: Sequence[Callable[[], None]]) -> None:
        with _hasty():
            for child in self.in_threads(list(functions)):
                if child.error is not None:
                    raise child.error

    def in_threads(self, functions: list[Callable[[], Any]]) -> Sequence[Child]:
        children = [Child() for _ in functions]

        def run(child: Child, function: Callable[[], Any]) -> None:
            try:
                child.value = function()
            except BaseException as error:
                child.error = error

        threads = [
            threading.Thread(target=run, args=(child, function), daemon=True)
            for child, function in zip(children, functions, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_PATIENCE)
            assert not thread.is_alive(), "a thread hangs"
        return children

    def on_a_loop(self, random: Random, here: Here, coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
        match random.choice(["hand", "trio", "asyncio"]):
            case "hand":
                _by_hand(random, here, coroutines)
            case "trio":
                here.loop = _OnTrio()
                trio.run(here.loop.main, random, coroutines)
            case "asyncio":
                here.loop = _OnAsyncio()
                asyncio.run(here.loop.main(random, coroutines))
        here.loop = None


@contextmanager
def _hasty() -> Iterator[None]:
    """Threads change as often as the interpreter lets them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _by_hand(random: Random, here: Here, coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
    loop = here.loop = HandLoop()
    woken = threading.Event()
    loop.woken = woken.set
    tasks = [loop.spawn(coroutine, f"task {number}") for number, coroutine in enumerate(coroutines)]
    here.random = random
    try:
        while True:
            woken.clear()
            ready = loop.ready()
            if ready:
                loop.step(random.choice(ready))
                if random.random() < 0.02:
                    random.choice(tasks).cancel()
            elif loop.tasks:
                assert woken.wait(_PATIENCE), "nobody wakes the tasks of a loop"
            else:
                break
    finally:
        here.random = None
        loop.close()
    for task in tasks:
        if task.error is not None and not isinstance(task.error, Cancelled):
            raise task.error


@final
class _OnTrio:
    """What bodies ask of trio."""

    async def pause(self) -> None:
        await trio.lowlevel.checkpoint()

    async def gather(self, *coroutines: Coroutine[Any, Any, Any]) -> Sequence[Child]:
        children = [Child() for _ in coroutines]
        async with trio.open_nursery() as nursery:
            for child, coroutine in zip(children, coroutines, strict=True):
                nursery.start_soon(_keep, child, coroutine)
        return children

    async def main(self, random: Random, coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
        scopes: list[trio.CancelScope] = []
        async with trio.open_nursery() as nursery:
            for coroutine in coroutines:
                scopes.append(trio.CancelScope())
                nursery.start_soon(_within, scopes[-1], coroutine)
            if random.random() < 0.3:
                for _ in range(random.randint(0, 10)):
                    await trio.lowlevel.checkpoint()
                random.choice(scopes).cancel()


async def _within(scope: trio.CancelScope, coroutine: Coroutine[Any, Any, None]) -> None:
    with scope:
        await coroutine


async def _keep(child: Child, coroutine: Coroutine[Any, Any, Any]) -> None:
    try:
        child.value = await coroutine
    except Exception as error:
        child.error = error


@final
class _OnAsyncio:
    """What bodies ask of asyncio."""

    async def pause(self) -> None:
        await asyncio.sleep(0)

    async def gather(self, *coroutines: Coroutine[Any, Any, Any]) -> Sequence[Child]:
        children = [Child() for _ in coroutines]
        async with asyncio.TaskGroup() as group:
            for child, coroutine in zip(children, coroutines, strict=True):
                group.create_task(_keep(child, coroutine))
        return children

    async def main(self, random: Random, coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
        tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
        if random.random() < 0.3:
            for _ in range(random.randint(0, 10)):
                await asyncio.sleep(0)
            random.choice(tasks).cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()
