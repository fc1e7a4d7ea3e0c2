"""Pull: what has to happen next for a call's outcome to be known, decided for both drivers.

Law: a look at the tables and the claim, or the place in the queue, that follows from it are one stretch under the
database's lock. So each call runs once, whoever asks, and nobody waits for himself.

Keeps: memo.consistency, flight.single, cycle.tasks, thread.single.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, final

from incr._flight import (
    Poisoned,
    Waiter,
    cycle_error,
    enlist,
    find_cycle,
    flight_of,
    mark_cycle,
    meeting,
    on_this_stack,
)
from incr._frame import Frame
from incr._graph import CLOSED, At, Graph
from incr._inside import begin_below, begin_inside, loop_below
from incr._loop import ThreadWakeup, new_wakeup
from incr._node import EMPTY, NEVER, Memo, Node, Stored
from incr._outcome import abandon, begin
from incr._solve import Solve, known, recovering
from incr._verify import CYCLE, Members, Steps, differs, verify, verify_as_of

__all__ = ["Group", "Pull", "pull_of"]


@final
class Group:
    """Calls that a body made at the same time; *above* are those that are being verified and need them."""

    __slots__ = ("above", "members")

    def __init__(self, members: Members, above: tuple[Node, ...]) -> None:
        self.members = members
        self.above = above


class Pull:
    """One reader's way to the outcome of *node* at *at*. It is opened first, and closed in any case."""

    __slots__ = (
        "_above", "_at", "_graph", "_holder", "_node", "_parent", "_reply", "_steps", "claimed", "held", "outcome",
    )  # fmt: skip

    def __init__(self, graph: Graph, node: Node, at: At, parent: Frame | None, above: Sequence[Node] = ()) -> None:
        self._graph = graph
        #: The calls that are being verified by somebody who needs this one, if it is a member of a group.
        self._above = above
        self._node = node
        #: The revision: or a newer one, if that was written over before anybody held it.
        self._at = at
        self.held: At | None = None
        self._parent = parent
        self._steps: Steps | None = None
        self._reply: Any = None
        self._holder: Node | Memo = node
        #: The last frame that claimed a call for this reader: whoever pulls gives it up if it comes to no end.
        self.claimed: Frame | None = None
        #: What was asked for, once `next` has returned None.
        self.outcome: Any = None

    def open(self) -> None:
        """Hold the revision."""
        if self._graph.history.lost:
            self._graph.history.settle()
        self._at = self._graph.hold(self, self._at)
        if self._graph.counts_hits:
            self._count()

    # spec: statistics.hits
    def _count(self) -> None:
        graph = self._graph
        with graph.lock:
            counters = graph.counters[self._node.ingredient]
            if graph.good(self._node, self._at) is None:
                counters.misses += 1
            else:
                counters.hits += 1

    def next(self) -> Frame | Waiter | Solve | Group | None:
        """A frame whose body is to run now, a flight's outcome to wait for, a loop of calls whose values are to be
        looked for, a group to be brought up to date, or None: `outcome` is known.

        If the frame or the wait is for the node itself, its outcome is what was asked for. What is pulled for somebody
        above may give up; then the outcome is EMPTY.

        Raises:
            CycleError: the call is running already and waits for the reader, and no query on that loop says what then.
        """
        lock = self._graph.lock
        while True:
            try:
                lock.acquire()  # a `with` costs three times as much
                job = self._decide()
            finally:
                try:  # noqa: SIM105  # an interrupt may come while the lock is waited for; `suppress` takes too long
                    lock.release()
                except RuntimeError:
                    pass
            if isinstance(job, list):
                if not self._above:
                    return self._recover(job)
                self.outcome = EMPTY  # whoever verifies comes to the loop himself, and sees all of it
                return None
            if job is not None or type(self.outcome) is not Stored:
                return job
            # The bytes are decoded without the lock: there may be code of the program in it.
            value = self.outcome.decode()
            if self._graph.decoded(self._holder, self.outcome, value):
                self.outcome = value
                return None

    # spec: cycle.fallback
    # spec: cycle.fixpoint
    def _recover(self, path: list[Frame | Node]) -> Frame | Waiter | Solve | Group | None:
        """What there is to do for a loop that was about to close."""
        graph, at, parent = self._graph, self._at, self._parent
        on_it = recovering(path, at)
        if not on_it or parent is None:
            self._raise(path, at)
        with graph.lock:
            start = [node for node in on_it if graph.find(node, at.revision) is None]
            # Where they are all known by now, the call between them can run: what it reads does not go round again.
            if start:
                return Solve(graph, at, None, parent, start)
            frame = self.claimed = begin_below(graph, at, self._node, parent)
            return frame

    def _raise(self, path: list[Frame | Node], poisoned: Poisoned) -> NoReturn:
        error = cycle_error(path)
        with self._graph.lock:
            mark_cycle(path, poisoned, error)
        raise error

    # spec: memo.consistency
    def _decide(self) -> Frame | Waiter | Group | list[Frame | Node] | None:
        graph, node, at = self._graph, self._node, self._at
        while True:
            if self._steps is None:
                holder = graph.good(node, at)
                if holder is not None:
                    self._holder = holder
                    self.outcome = holder.value
                    if graph.memory is not None and holder is node and not node.hot:
                        graph.warm(node)
                    return None
                if node in graph.folded:
                    graph.unfold(node)
                if at.tables is CLOSED:
                    self._steps = verify_as_of(graph, node, at)
                elif node.suspects is None or node.valid_from == NEVER or differs(node):
                    return self._claim(node, (*self._above, node) if self._above else ())
                else:
                    self._steps = verify(graph, node, at, self._above)
            try:
                target, through = self._steps.send(self._reply)
            except StopIteration:
                self._steps = self._reply = None
                continue
            if isinstance(target, Members):
                self._reply = None
                return Group(target, (*self._above, *through))
            job = self._claim(target, (*self._above, *through) if self._above else through)
            if not isinstance(job, list) or target is node:
                self._reply = None
                return job
            self._reply = CYCLE

    # spec: flight.single
    # spec: thread.single
    def _claim(self, target: Node, through: Sequence[Node]) -> Frame | Waiter | list[Frame | Node]:
        """The right to run the call, or a place among those who wait, or the loop that waiting would close."""
        graph, at, parent = self._graph, self._at, self._parent
        flight = None if target.flight is None else flight_of(target, at)
        if flight is not None:
            with meeting:
                path = find_cycle(flight, parent, through)
                if path is None:
                    if target.ingredient.awaited:
                        return enlist(graph, flight, parent, through, new_wakeup())
                    if not on_this_stack(flight):
                        return enlist(graph, flight, parent, through, ThreadWakeup())
            if path is not None:
                return path
        return self._start(target, through)

    def _start(self, target: Node, through: Sequence[Node]) -> Frame:
        """A frame for the call; the caller holds the lock."""
        frame = self.claimed = Frame(self._graph, self._at, target, self._parent, through)
        begin(frame)
        return frame

    def take_over(self, waiter: Waiter) -> Frame:
        """The frame of a follower that was told to lead."""
        with self._graph.lock:
            return self._start(waiter.node, waiter.through)

    def close(self) -> None:
        """The reader goes its way. An interrupt may have come between the claim and the body. Closing twice is fine."""
        frame = self.claimed
        if frame is not None and not frame.finished:
            abandon(frame)
        self._graph.release(self)


@final
class PullInside(Pull):
    """The same for a reader inside of a solve: what is known of a member is its value at this turn."""

    __slots__ = ("_target",)
    _parent: Frame

    def __init__(self, graph: Graph, node: Node, at: At, parent: Frame) -> None:
        super().__init__(graph, node, at, parent)
        #: The dependency that runs because the node is being verified.
        self._target: Node | None = None

    def next(self) -> Frame | Waiter | Solve | Group | None:
        """See `Pull.next`."""
        given = known(self._parent, self._node)
        if given is None:
            return super().next()
        self.outcome = given.value
        return None

    def _decide(self) -> Frame | Waiter | Group | list[Frame | Node] | None:
        target, self._target = self._target, None
        if target is not None and self._graph.good(target, self._at) is None:
            self._reply = CYCLE  # it is tainted: for whoever depends on it, that is a change
        return super()._decide()

    def _recover(self, path: list[Frame | Node]) -> Frame | Waiter | Solve | Group | None:
        graph, at, parent = self._graph, self._at, self._parent
        if not path:
            return self.next()  # it has become a member meanwhile
        solve: Solve = parent.part.solve
        on_it = recovering(path, at)
        if not on_it:
            self._raise(path, solve)
        with graph.lock:
            fresh = [node for node in on_it if solve.home_of((node,)) is None and graph.find(node, at.revision) is None]
            if fresh:
                return Solve(graph, at, solve, parent, fresh)
            # All of them are members by now, and the loop ends there: the call can run once more below itself.
            return self._start(self._node, ())

    def _start(self, target: Node, through: Sequence[Node]) -> Frame:
        frame = self.claimed = begin_inside(self._parent.part.solve, target, self._parent, through, member=False)
        return frame

    def _claim(self, target: Node, through: Sequence[Node]) -> Frame | Waiter | list[Frame | Node]:
        graph, parent = self._graph, self._parent
        solve: Solve = parent.part.solve
        if target is not self._node:
            self._target = target
        if solve.home_of((target,)) is not None:
            return []
        with meeting:
            path = loop_below(target, parent, through)
            flight = solve.flights.get(target)
            if path is None and flight is not None:
                if target.ingredient.awaited:
                    return enlist(graph, flight, parent, through, new_wakeup())
                if not on_this_stack(flight):
                    return enlist(graph, flight, parent, through, ThreadWakeup())
        return self._start(target, through) if path is None else path


def pull_of(graph: Graph, node: Node, at: At, parent: Frame | None, above: Sequence[Node] = ()) -> Pull:
    """A reader's way, as it has to be for calls that *parent* makes."""
    if parent is not None and parent.part is not None and parent.at is at:
        return PullInside(graph, node, at, parent)
    return Pull(graph, node, at, parent, above)
