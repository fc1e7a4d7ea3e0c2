"""Database: inputs, definitions and memos of one program state.

Law: writing costs the same whatever depends on it; the next read pays for what it reaches. A write is whole or not at
all.

Keeps: write.set, write.equal, write.remove, write.batch, write.in-query, memo.consistency.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, final

from incr._errors import WriteInQueryError, call_text, short_repr
from incr._exact import same
from incr._explain import Explanation, explain
from incr._frame import enter_outer
from incr._graph import CLOSED, At, Graph
from incr._input import check_record
from incr._listeners import Subscription
from incr._node import ABSENT, Node
from incr._query import Query, query_of
from incr._revision import Durability, Revision
from incr._running import running
from incr._snapshot import Snapshot
from incr._statistics import Statistics, statistics
from incr._stream import EventStream
from incr._view import View, slot_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from incr._events import Event

__all__ = ["Batch", "Database"]

P = ParamSpec("P")
OnCorrupt = Literal["error", "ignore", "quarantine", "delete"]


@final
class Batch:
    """Writes that become one revision when the block ends, or nothing if it raises. A later write of a slot wins."""

    __slots__ = ("_graph", "_open", "_writes")

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._writes: dict[Node, tuple[Any, Durability | None]] = {}
        self._open = True

    def set(self, record: object, /, *, durability: Durability | None = None) -> None:
        """Set a record when the batch ends."""
        self._check_open()
        slot, value = _slot_and_record(self._graph, record, durability)
        self._writes[slot] = (value, durability)

    def remove(self, record: type[Any], key: Hashable = (), /) -> None:
        """Remove a record when the batch ends."""
        self._check_open()
        self._writes[slot_of(self._graph, record, key)] = (ABSENT, None)

    def _check_open(self) -> None:
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
            _write(self._graph, self._writes)


@final
class Database(View):
    """Inputs, definitions and memos of one program state. Two databases never meet.

    Args:
        check_values: compare memoised values with what they were, on every read, to find who changes them in place.
            For finding mistakes: it costs a copy per memo.
    """

    __slots__ = ("_home",)

    def __init__(self, *, check_values: bool = False) -> None:
        self._graph = Graph(check_values=check_values)
        self._at = self._graph.at
        self._reads = None
        self._sync = False
        #: The directory that it lives in, if it was opened from one.
        self._home: str | None = None

    def __repr__(self) -> str:
        return f"<Database at revision {self._graph.newest}>"

    def _enter(self) -> tuple[Any, Any, At]:
        entered = enter_outer(self._graph, None)
        if self._at.tables is CLOSED:
            self._at = self._graph.at
        return entered

    # --- writing --------------------------------------------------------------------------------------------------

    # spec: write.set
    def set(self, record: object, /, *, durability: Durability | None = None) -> Revision:
        """Set an input record and return the revision from which it holds.

        Setting a record equal to the one that is there, type by type, changes nothing and returns the current
        revision. *durability* overrides the class's for this record.

        Raises:
            TypeError: it is not a record of an `@incr.input` class, or its key is not hashable.
            WriteInQueryError: called from inside a query.
        """
        graph = self._graph
        _refuse_in_query(graph)
        slot, value = _slot_and_record(graph, record, durability)
        return _write(graph, {slot: (value, durability)})

    # spec: write.remove
    def remove(self, record: type[Any], key: Hashable = (), /) -> Revision:
        """Remove a record and return the revision from which it is gone; the current one if it was not there.

        Raises:
            TypeError: *record* is not an `@incr.input` class.
            WriteInQueryError: called from inside a query.
        """
        _refuse_in_query(self._graph)
        return _write(self._graph, {slot_of(self._graph, record, key): (ABSENT, None)})

    def batch(self) -> AbstractContextManager[Batch]:
        """Several writes as one revision: ``with db.batch() as batch: batch.set(...)``.

        Nothing is written if the block raises, and there is no new revision if nothing changed.
        """
        _refuse_in_query(self._graph)
        return Batch(self._graph)

    # --- looking --------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """A frozen view of the newest revision, in constant time. Use it in a ``with`` block, or close it."""
        return Snapshot(self._graph)

    def explain(self, query: Query[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Explanation:
        """What happened to a call last and why, down to the input that was written. Nothing runs."""
        ingredient = query_of(query)
        arguments = ingredient.signature.bind(*args, **kwargs)
        node = self._graph.table(ingredient).get(ingredient.row(arguments))
        return explain(self._graph, node, call_text(ingredient.name, arguments))

    def statistics(self) -> Statistics:
        """How much the database holds, and what happened to whose calls in this process."""
        return statistics(self._graph)

    def subscribe(self, callback: Callable[[Event], object], /) -> Subscription:
        """Call *callback* with every event from now on, after the change, in order, outside of any query.

        An exception in it is logged (logger "incr") and ends the subscription; `Subscription.close` does so too.
        """
        if not callable(callback):
            raise TypeError(f"subscribe() wants a function of one event, not {short_repr(callback)}")
        return self._graph.listeners.add(callback)

    def events(self, *, buffer: int = 1024) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """The events as an async iterator: ``async with db.events() as stream``.

        At most *buffer* events wait; a reader that is slower is told by an `EventsDropped` how many it missed.
        """
        return EventStream(self._graph.listeners, buffer)

    def check_invariant(self) -> None:
        """Assert that the graph is whole. For tests: it visits every node."""
        self._graph.check_invariant()


# spec: write.in-query
def _refuse_in_query(graph: Graph) -> None:
    frame = running.get()
    if frame is not None and frame._graph is graph and not frame.finished:
        raise WriteInQueryError(
            f"{frame.node.label()} is a query and cannot change inputs; return what is to be set, and set it outside"
        )


def _slot_and_record(graph: Graph, record: Any, durability: Any) -> tuple[Node, Any]:
    ingredient = check_record(record)
    if durability is not None and not isinstance(durability, Durability):
        raise TypeError(f"durability is one of incr.Durability.LOW, MEDIUM, HIGH, not {short_repr(durability)}")
    return graph.slot(ingredient, ingredient.key_of(record)), record


# spec: write.equal
def _write(graph: Graph, writes: dict[Node, tuple[Any, Durability | None]]) -> Revision:
    _refuse_in_query(graph)
    revision = graph.write(_changes(writes))
    if graph.listeners.any:
        graph.listeners.tell()
    return Revision(revision)


def _changes(writes: dict[Node, tuple[Any, Durability | None]]) -> Iterator[tuple[Node, Any, int]]:
    for slot, (value, durability) in writes.items():
        if not same(slot.value, value):
            yield slot, value, slot.ingredient.durability if durability is None else durability
