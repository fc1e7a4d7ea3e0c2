"""Snapshots: frozen views bound to one revision, in memory.

Law: making one costs the same whatever the database holds; sharing memos with the database is not observable.

Keeps: history.snapshot, history.prune.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, final

from incr._errors import FinishedFrameError
from incr._frame import enter_outer
from incr._graph import CLOSED, At, Graph
from incr._view import View

__all__ = ["Snapshot"]


@final
class Snapshot(View):
    """A frozen view of a database: it answers as of its revision, however often the database is written to.

    Use it as a context manager, or `close` it: until then it keeps alive what its revision needs.
    """

    __slots__ = ("_open", "held")

    #: The revision that is pinned, until it is closed.
    held: At | None

    # spec: history.snapshot
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.held = None
        self._at = graph.hold(self, graph.current())
        self._reads = None
        self._sync = False
        self._open = True

    def __repr__(self) -> str:
        return f"<Snapshot of revision {self._at.revision}{'' if self._open else ', closed'}>"

    def close(self) -> None:
        """Release what the snapshot pins. Closing twice is fine; reading afterwards is an error."""
        if self._open:
            self._open = False
            self._at = At(self._at.revision, CLOSED)
            self._graph.release(self)

    def _enter(self) -> tuple[Any, Any, At]:
        if not self._open:
            raise FinishedFrameError(
                f"the snapshot of revision {self._at.revision} is closed; take a new one with db.snapshot()"
            )
        return enter_outer(self._graph, self._at)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            self.close()
