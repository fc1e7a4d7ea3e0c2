"""Frame: one running call. It is the `db` that the call's body receives, and the flight that others can join.

Law: whatever task or thread reads through a frame, the read belongs to that frame's call. A frame is bound to one
revision for its whole life, and ends with its call.

Keeps: frame.bound, frame.finished, frame.outer, frame.tasks, frame.databases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from incr._errors import FinishedFrameError
from incr._graph import CLOSED, At, Graph
from incr._running import running
from incr._view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from incr._node import Node

__all__ = ["Frame", "enter_outer"]


class _Finished:
    """Stands for the revision of a frame whose call has ended: hits miss, and the slow path raises."""

    __slots__ = ()
    tables = CLOSED
    revision = -1


_FINISHED: Any = _Finished()


@final
class Frame(View):
    """One running call."""

    __slots__ = (
        "at", "began", "cycle", "depth", "groups", "held", "hops", "leaderless", "next_flight", "node", "parent",
        "part", "pushes", "through", "token", "waiters",
    )  # fmt: skip

    #: When the body began, and what `running` was before: set and used by `_first` alone.
    began: float
    token: Any

    def __init__(self, graph: Graph, at: At, node: Node, parent: Frame | None, through: Sequence[Node]) -> None:
        self._graph = graph
        self._at = self.at = at
        #: The revision that is pinned, while the call runs.
        self.held: At | None = None
        self._reads = {}
        self._sync = not node.ingredient.awaited
        self.node = node
        #: The frame that made the call; None for a read from outside of all queries.
        self.parent = parent
        #: The calls that were being verified between the parent and this one, which is the last of them: they wait
        #: for it too, without frames.
        self.through = through
        self.depth: int = 0 if parent is None else parent.depth + 1
        #: The helper threads that this chain of calls goes on in; shared along the chain.
        self.hops: list[int] = [] if parent is None else parent.hops
        #: The groups of calls that the body makes at the same time, each with how many of them may run at a time.
        self.groups: tuple[tuple[tuple[Node, ...], int | None], ...] = ()
        #: Who waits for this execution; None while nobody does.
        self.waiters: list[Any] | None = None
        #: The execution was cancelled and its place is kept for the follower that takes over.
        self.leaderless = False
        #: What the call has pushed to accumulators; None while it is nothing.
        self.pushes: list[Any] | None = None
        #: The flight of the same call at another revision.
        self.next_flight: Frame | None = None
        #: The error that this call has to end with, because it is on a cycle.
        self.cycle: BaseException | None = None
        #: Its part in the solving of a component; None nearly always.
        self.part: Any = None

    def __repr__(self) -> str:
        return f"<Frame of {self.node.label()}>"

    # spec: frame.finished
    # spec: frame.tasks
    def _enter(self) -> tuple[Frame, Frame, At]:
        at = self._at
        if at is _FINISHED:
            raise FinishedFrameError(
                f"the call {self.node.label()} has ended, but something still reads through its `db` (a task, thread "
                "or generator that outlived it?); read within the call, or read through the database itself"
            )
        return self, self, at

    def note(self, node: Node) -> None:
        """Record a read; a task or thread that outlived the call is late, and nobody is interested any more."""
        reads = self._reads
        if reads is not None:
            reads[node] = None

    @property
    def finished(self) -> bool:
        """Whether the call has ended."""
        return self._at is _FINISHED

    def finish(self) -> None:
        """The call has ended: later reads through this frame raise."""
        self._at, self._reads, self.parent, self.through = _FINISHED, None, None, ()


# spec: frame.outer
def enter_outer(graph: Graph, at: At | None) -> tuple[Frame | None, Any, At]:
    """`View._enter` for a handle that is not a frame: bound to *at*, or to the newest revision if that is None.

    Within a query of the same database the read belongs to the running call, and is answered as of its revision.
    """
    frame = running.get()
    if frame is not None and frame.finished:
        # The caller is a task that outlived the call; or an interrupt came before this could be put back.
        running.set(None)
        frame = None
    if frame is None:
        return None, None, graph.current() if at is None else at
    # spec: frame.databases
    if frame._graph is not graph:
        return None, frame, graph.current() if at is None else at
    if at is None or at is frame._at:
        return frame, frame, frame._at
    # A snapshot of another revision: what it answers is fixed, but nothing in this revision says what it is.
    frame.note(graph.untracked_node(f"snapshot of revision {at.revision}"))
    return None, frame, at
