"""`latest`: a block that is about the newest inputs, and is given up as soon as they are not.

Law: the cancellation is the block's own. One that comes from outside stays what it is, and blocks may be nested. A
block that has come to its end before the change is not disturbed.

Keeps: latest.superseded, latest.cancel.
"""

from __future__ import annotations

from _thread import get_ident
from types import TracebackType
from typing import Any, Protocol, final

from incr._database import Database, Snapshot
from incr._errors import SupersededError
from incr._loop import running_loop

__all__ = ["Latest", "latest"]


class _Cancel(Protocol):
    """Cancels the block that it was entered around."""

    def cancel(self) -> None:
        """Cancel it, from any thread; nothing if it is left already."""
        ...

    def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> tuple[bool, bool]:
        """The block is left: whether it ended by this cancellation, and whether its exception is swallowed."""
        ...


@final
class _TrioCancel:
    __slots__ = ("_home", "_scope", "_token")

    def __init__(self, trio: Any) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._home = get_ident()
        self._scope = trio.CancelScope()
        self._scope.__enter__()

    def cancel(self) -> None:
        if get_ident() == self._home:
            self._scope.cancel()
        else:
            self._token.run_sync_soon(self._scope.cancel)

    def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> tuple[bool, bool]:
        swallowed = bool(self._scope.__exit__(kind, error, traceback))
        return self._scope.cancelled_caught, swallowed


@final
class _AsyncioCancel:
    """As `asyncio.timeout` does it: the task is cancelled, and the request taken back when the block is left."""

    __slots__ = ("_cancelling", "_left", "_loop", "_requested", "_task")

    def __init__(self, loop: Any) -> None:
        import asyncio  # running, so it is loaded

        self._loop = loop
        task: Any = asyncio.current_task()
        self._task = task
        self._cancelling: int = task.cancelling()
        self._requested = False
        self._left = False

    def cancel(self) -> None:
        # Not at once: only while the task waits can the cancellation be taken back when it has come.
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if not self._left and not self._requested:
            self._requested = True
            self._task.cancel()

    def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> tuple[bool, bool]:
        import asyncio

        self._left = True
        if not self._requested or self._task.uncancel() > self._cancelling:
            return False, False
        mine = kind is not None and issubclass(kind, asyncio.CancelledError)
        return mine, mine


@final
class Latest:
    """What `latest` returns: ``async with`` gives the snapshot."""

    __slots__ = ("_cancel", "_db", "_revision", "_view", "_written")

    def __init__(self, db: Database) -> None:
        self._db = db
        self._cancel: _Cancel | None = None
        self._view: Snapshot | None = None
        self._revision = 0
        #: The newest revision that was written since the block began.
        self._written = 0

    # spec: latest.superseded
    async def __aenter__(self) -> Snapshot:
        if self._view is not None:
            raise RuntimeError("this block of incr.latest was entered already; make another one")
        trio, loop = running_loop()
        if trio is None and loop is None:
            raise RuntimeError("incr.latest needs trio or asyncio to run")
        graph = self._db._graph
        with graph.lock:
            self._view = self._db.snapshot()
            self._revision = int(self._view.revision)
            self._cancel = _TrioCancel(trio) if trio is not None else _AsyncioCancel(loop)
            graph.watchers = (*graph.watchers, self._hear)
        return self._view

    def _hear(self, revision: int) -> None:
        self._written = revision
        cancel = self._cancel
        if cancel is not None:
            try:
                cancel.cancel()
            except RuntimeError:
                return  # its loop has ended, and the block with it

    # spec: latest.cancel
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> bool:
        graph, view, cancel = self._db._graph, self._view, self._cancel
        assert view is not None
        assert cancel is not None
        with graph.lock:
            graph.watchers = tuple(one for one in graph.watchers if one != self._hear)
        view.close()
        superseded, swallowed = cancel.leave(kind, error, traceback)
        if superseded:
            raise SupersededError(
                f"an input changed (revision {self._written}) while a block of incr.latest was about revision "
                f"{self._revision}; begin again with the new one"
            ) from None
        return swallowed


def latest(db: Database, /) -> Latest:
    """A block that is about the newest inputs: ``async with incr.latest(db) as view``.

    *view* is a snapshot of the newest revision. As soon as an input changes, by a write in any task or thread, the
    block is cancelled and raises `SupersededError`. Setting an equal record changes nothing. If the block has ended
    before, there is no error; the snapshot is closed in any case. Under trio and under asyncio.

    Raises:
        SupersededError: an input changed while the block was running.
        RuntimeError: neither trio nor asyncio is running.
    """
    return Latest(db)
