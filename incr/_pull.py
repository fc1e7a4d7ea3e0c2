"""Pull: what has to happen next for a call's outcome to be known, decided for both drivers.

Law: a look at the tables and the claim, or the place in the queue, that follows from it are one stretch under the
database's lock. So each call runs once, whoever asks, and nobody waits for himself.

Keeps: memo.consistency, flight.single, cycle.tasks, thread.single.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

from incr._flight import Waiter, cycle_error, enlist, find_cycle, flight_of, mark_cycle, meeting, on_this_stack
from incr._frame import Frame
from incr._graph import CLOSED, At, Graph
from incr._loop import ThreadWakeup, new_wakeup
from incr._node import NEVER, Memo, Node, Stored
from incr._outcome import abandon, begin
from incr._verify import CYCLE, Steps, differs, verify, verify_as_of

__all__ = ["Pull"]


@final
class Pull:
    """One reader's way to the outcome of *node* at *at*. It is opened first, and closed in any case."""

    __slots__ = ("_at", "_graph", "_holder", "_node", "_parent", "_reply", "_steps", "claimed", "held", "outcome")

    def __init__(self, graph: Graph, node: Node, at: At, parent: Frame | None) -> None:
        self._graph = graph
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

    def next(self) -> Frame | Waiter | None:
        """A frame whose body is to run now, a flight's outcome to wait for, or None: `outcome` is known.

        If the frame or the wait is for the node itself, its outcome is what was asked for.

        Raises:
            CycleError: the call is running already and waits for the reader.
        """
        while True:
            with self._graph.lock:
                job = self._decide()
            if isinstance(job, list):
                error = cycle_error(job)
                with self._graph.lock:
                    mark_cycle(job, self._at, error)
                raise error
            if job is not None or type(self.outcome) is not Stored:
                return job
            # The bytes are decoded without the lock: there may be code of the program in it.
            value = self.outcome.decode()
            if self._graph.decoded(self._holder, self.outcome, value):
                self.outcome = value
                return None

    # spec: memo.consistency
    def _decide(self) -> Frame | Waiter | list[Frame | Node] | None:
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
                if at.tables is CLOSED:
                    self._steps = verify_as_of(graph, node, at)
                elif node.suspects is None or node.valid_from == NEVER or differs(node):
                    return self._claim(node, ())
                else:
                    self._steps = verify(graph, node, at)
            try:
                target, through = self._steps.send(self._reply)
            except StopIteration:
                self._steps = self._reply = None
                continue
            job = self._claim(target, through)
            if not isinstance(job, list) or target is node:
                self._reply = None
                return job
            self._reply = CYCLE

    # spec: flight.single
    # spec: thread.single
    def _claim(self, target: Node, through: Sequence[Node]) -> Frame | Waiter | list[Frame | Node]:
        """The right to run the call, or a place among those who wait, or the loop that waiting would close."""
        graph, at, parent = self._graph, self._at, self._parent
        flight = flight_of(target, at)
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
        frame = self.claimed = Frame(graph, at, target, parent, through)
        begin(frame)
        return frame

    def take_over(self, waiter: Waiter) -> Frame:
        """The frame of a follower that was told to lead."""
        graph = self._graph
        with graph.lock:
            frame = self.claimed = Frame(graph, waiter.at, waiter.node, waiter.frame, waiter.through)
            begin(frame)
            return frame

    def close(self) -> None:
        """The reader goes its way. An interrupt may have come between the claim and the body. Closing twice is fine."""
        frame = self.claimed
        if frame is not None and not frame.finished:
            abandon(frame)
        self._graph.release(self)
