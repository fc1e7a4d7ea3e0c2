"""Writing: batches, and how new records become a revision.

Law: a write is whole or not at all, and never comes from inside a query. Values are compared before the lock is taken:
that may run code of the program.

Keeps: write.batch, write.equal, write.in-query, thread.write, fork.closed.
"""

from __future__ import annotations

from collections.abc import Hashable
from types import TracebackType
from typing import Any, TypeAlias, final

from incr._errors import FinishedFrameError, WriteInQueryError, short_repr
from incr._exact import same
from incr._graph import Graph
from incr._input import check_record
from incr._log import Change, Unseen
from incr._node import ABSENT, Node
from incr._revision import Durability, Revision
from incr._running import running
from incr._vacant import gone
from incr._view import NO_KEY, slot_of

__all__ = ["Batch", "refuse_closed", "refuse_write", "slot_and_record", "write"]

#: Slot -> its new record or ABSENT, and the durability that was asked for.
_Writes: TypeAlias = dict[Node, tuple[Any, Durability | None]]
#: What was in each slot when its new record was compared with that, and what of the slot was in the log.
_Seen: TypeAlias = list[tuple[Node, Any, Unseen | None]]


@final
class Batch:
    """Writes that become one revision when the block ends, or nothing if it raises. A later write of a slot wins."""

    __slots__ = ("_graph", "_open", "_writes")

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._writes: _Writes = {}
        self._open = True

    def set(self, record: object, /, *, durability: Durability | None = None) -> None:
        """Set a record when the batch ends."""
        self._check_open()
        slot, value = slot_and_record(self._graph, record, durability)
        self._writes[slot] = (value, durability)

    def remove(self, record: type[Any], key: Hashable = NO_KEY, /) -> None:
        """Remove a record when the batch ends."""
        self._check_open()
        self._writes[slot_of(self._graph, record, key)] = (ABSENT, None)

    def _check_open(self) -> None:
        refuse_write(self._graph)
        if not self._open:
            raise WriteInQueryError("the batch has ended; open another one with db.batch()")

    def __enter__(self) -> Batch:
        return self

    # spec: write.batch
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open = False
        if error is None:
            refuse_write(self._graph)
            write(self._graph, self._writes)


# spec: write.in-query
# spec: fork.closed
def refuse_write(graph: Graph) -> None:
    """Raise if the running call belongs to the database, or if that is a fork which was closed."""
    if graph.kin is not None:
        refuse_closed(graph)
    frame = running.get()
    while frame is not None:  # a query of another database may stand in between
        if frame._graph is graph and not frame.finished:
            raise WriteInQueryError(
                f"{frame.node.label()} is a query and cannot change inputs; return what is to be set, and set it "
                "outside"
            )
        frame = frame.parent


def refuse_closed(graph: Graph) -> None:
    """Raise if the database is a fork that was closed."""
    kin = graph.kin
    if kin is not None and kin.origin is not None and kin.origin.closed:
        raise FinishedFrameError(
            "this fork is closed; make a new one with snapshot.fork()"
            if kin.is_fork
            else "this database is closed; open it again with incr.open()"
        )


def slot_and_record(graph: Graph, record: Any, durability: Any) -> tuple[Node, Any]:
    """The slot that a record belongs into, and the record.

    Raises:
        TypeError: it is not a record of an input class, or *durability* is none.
    """
    ingredient = check_record(record)
    if durability is not None and not isinstance(durability, Durability):
        raise TypeError(f"durability is one of incr.Durability.LOW, MEDIUM, HIGH, not {short_repr(durability)}")
    return graph.slot(ingredient, ingredient.key_of(record)), record


# spec: write.equal
# spec: thread.write
def write(graph: Graph, writes: _Writes) -> Revision:
    """Make one revision of what is new in *writes*; none if nothing is. The caller has asked whether it may."""
    if graph.history.lost:
        graph.history.settle()
    lock = graph.lock
    while True:
        log = graph.log
        seen = [(slot, slot.value, log.get(slot)) for slot in writes]
        changes, risen = _compare(seen, writes)  # without the lock: it may run code of the program
        try:
            lock.acquire()  # a `with` costs three times as much
            if not _as_seen(graph, seen):
                if not any(map(gone, writes)):
                    continue
                writes, seen, changes = _looked_up_again(graph, writes, seen, changes)
                if len(seen) != len(writes) or not _as_seen(graph, seen):
                    continue
            if graph.state is not None:
                graph.state.admit(changes)
            for slot in risen:
                slot.bits = 1 << slot.ingredient.index
            before, revision = graph.newest, graph.write(changes)
            if graph.staleness is not None and revision != before:
                graph.staleness.written(revision)
            for slot, value, _, _ in changes:
                if value is ABSENT:
                    graph.vacant.note(slot)
            if graph.vacant.many:
                graph.vacant.settle(graph)
            break
        finally:
            try:  # noqa: SIM105  # an interrupt may come while the lock is waited for; `suppress` takes too long
                lock.release()
            except RuntimeError:
                pass
    if graph.watchers and revision != before:
        for watcher in graph.watchers:
            watcher(revision)
    if graph.listeners.any:
        graph.listeners.tell()
    return Revision(revision)


def _as_seen(graph: Graph, seen: _Seen) -> bool:
    """Whether the slots are where and as they were. The caller holds the lock."""
    log = graph.log
    for slot, value, unseen in seen:  # `gone` is the last of the tests
        if slot.value is not value or log.get(slot) is not unseen or not slot.valid_to:
            return False
    return True


# spec: memory.vacant
def _looked_up_again(
    graph: Graph, writes: _Writes, seen: _Seen, changes: list[Change]
) -> tuple[_Writes, _Seen, list[Change]]:
    """The same for the slots that are in the tables now: some went since they were looked up, and were vacant."""
    now = {slot: graph.slot(slot.ingredient, slot.key) if gone(slot) else slot for slot in writes}
    return (
        {now[slot]: given for slot, given in writes.items()},  # where a slot is twice in a batch, the later write wins
        [(now[slot], value, unseen) for slot, value, unseen in seen],
        [(now[slot], value, durability, back) for slot, value, durability, back in changes],
    )


# spec: declare.durability
def _compare(seen: _Seen, writes: _Writes) -> tuple[list[Change], list[Node]]:
    """What changes; and the slots that do not, but that readers need no link to from now on."""
    changes: list[Change] = []
    risen: list[Node] = []
    for slot, before, unseen in seen:
        value, durability = writes[slot]
        if same(before, value):
            if durability == Durability.HIGH:
                risen.append(slot)
        else:
            back = unseen is not None and same(unseen.value, value)
            changes.append((slot, value, slot.ingredient.durability if durability is None else durability, back))
    return changes, risen
