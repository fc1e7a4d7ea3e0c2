"""Several awaitables at once, on whichever loop is running, as if they had been awaited one after the other.

Law: what comes out does not depend on timing. If one fails, those behind it are cancelled and those before it are
waited for; the error of the first that fails, in the given order, is raised.

Keeps: map.errors, map.limit, loop.both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, final

from incr._loop import running_loop

__all__ = ["all_of"]


# spec: map.errors
# spec: map.limit
async def all_of(functions: Sequence[Callable[[], Awaitable[Any]]], limit: int | None) -> list[Any]:
    """Await ``function()`` for each of them, at most *limit* at a time; the results, in order.

    Raises:
        RuntimeError: neither trio nor asyncio runs here.
    """
    work = _Work(functions)
    trio, loop = running_loop()
    tasks = len(functions) if limit is None else min(limit, len(functions))
    if tasks <= 1:  # nothing at the same time
        return [await function() for function in functions]
    if trio is not None:
        async with trio.open_nursery() as nursery:
            for _ in range(tasks):
                nursery.start_soon(work.in_trio, trio)
    elif loop is not None:
        await _in_asyncio(work, tasks)
    else:
        raise RuntimeError(
            "several calls at once need an event loop, but neither trio nor asyncio is running here; "
            "call this from trio.run(...) or asyncio.run(...)"
        )
    return work.outcome()


@final
class _Work:
    """What is to be done, who is at it, and how it has ended."""

    __slots__ = ("_errors", "_functions", "_left", "_results", "_stoppers")

    def __init__(self, functions: Sequence[Callable[[], Awaitable[Any]]]) -> None:
        self._functions = functions
        self._left: Iterator[int] = iter(range(len(functions)))
        self._results: list[Any] = [None] * len(functions)
        self._errors: dict[int, Exception] = {}
        #: Place -> what cancels the work on it.
        self._stoppers: dict[int, Callable[[], object]] = {}

    def outcome(self) -> list[Any]:
        """The results; the first error is raised."""
        if self._errors:
            raise self._errors[min(self._errors)]
        return self._results

    def _next(self) -> int | None:
        return None if self._errors else next(self._left, None)

    async def _run(self, place: int, stopper: Callable[[], object]) -> None:
        self._stoppers[place] = stopper
        try:
            self._results[place] = await self._functions[place]()
        except Exception as error:
            self._errors[place] = error
            for other, stop in list(self._stoppers.items()):
                if other > place:
                    stop()
        finally:
            del self._stoppers[place]

    async def in_trio(self, trio: Any) -> None:
        """One task of a nursery: work until nothing is left."""
        while (place := self._next()) is not None:
            with trio.CancelScope() as scope:
                await self._run(place, scope.cancel)

    async def in_asyncio(self, task: Any, cancelled: type[BaseException]) -> None:
        """One task of a group: work until nothing is left."""
        stopped: list[int] = []
        while (place := self._next()) is not None:

            def stop(place: int = place) -> None:
                stopped.append(place)
                task.cancel()

            try:
                await self._run(place, stop)
            except cancelled:
                if place not in stopped or task.uncancel() > 0:
                    raise


async def _in_asyncio(work: _Work, tasks: int) -> None:
    import asyncio  # running, so it is loaded

    async def one() -> None:
        await work.in_asyncio(asyncio.current_task(), asyncio.CancelledError)

    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(one())
