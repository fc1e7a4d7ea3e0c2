"""Databases and snapshots: inputs, definitions and memos of one program state, and frozen views of it.

They stand together because each of them makes the other: a database its snapshots, a snapshot its forks.

Law: writing costs the same whatever depends on it; the next read pays for what it reaches. A write is whole or not at
all.

Keeps: write.set, write.remove, memo.consistency, history.snapshot, history.prune, fork.view, fork.closed.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, Self, TypeVar, final, overload

from incr._errors import FinishedFrameError, call_text, short_repr
from incr._explain import Explanation, explain
from incr._frame import enter_outer
from incr._graph import CLOSED, At, Graph
from incr._inherit import Inheritance
from incr._invariant import check_tables
from incr._keeping import Keeping
from incr._listeners import Subscription
from incr._memory import limited
from incr._node import ABSENT
from incr._query import Query, query_of
from incr._revision import Durability, Revision
from incr._running import running
from incr._stale import Stale, astale_read, stale_read
from incr._state import StateLimit
from incr._statistics import Statistics, statistics
from incr._stream import EventStream
from incr._view import NO_KEY, View, slot_of
from incr._write import Batch, refuse_closed, refuse_write, slot_and_record, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from incr._events import Event

__all__ = ["Database", "Snapshot"]

P = ParamSpec("P")
T = TypeVar("T")


@final
class Database(Keeping):
    """Inputs, definitions and memos of one program state. Two databases never meet.

    Args:
        check_values: compare memoised values with what they were, on every read, to find who changes them in place.
            For finding mistakes: it costs a copy per memo.
        max_memory: keep memo values of at most about so many bytes; others are computed again when they are asked for.
        max_state_bytes: refuse new inputs and interned values when there are more than about so many bytes of them.
        count_hits: count hits and misses for `statistics`. It takes the fast path from all hits.
    """

    __slots__ = ()

    def __init__(
        self,
        *,
        check_values: bool = False,
        max_memory: int | None = None,
        max_state_bytes: int | None = None,
        count_hits: bool = False,
    ) -> None:
        graph = Graph(check_values=check_values)
        _check_limit("max_memory", max_memory)
        _check_limit("max_state_bytes", max_state_bytes)
        if max_memory is not None:
            limited(graph).limit_all(max_memory)
        if max_state_bytes is not None:
            graph.state = StateLimit(max_state_bytes)
        graph.counts_hits = bool(count_hits)
        graph.cool = graph.cool or graph.counts_hits
        self._begin(graph, None)

    def _begin(self, graph: Graph, inheritance: Inheritance | None) -> None:
        self._graph = graph
        self._inheritance = inheritance
        self._at = self._graph.at
        self._reads = None
        self._sync = False
        self._session = None
        self._code = None

    def __repr__(self) -> str:
        return f"<Database at revision {self._graph.newest}>"

    def _enter(self) -> tuple[Any, Any, At]:
        if self._inheritance is not None or self._session is not None:
            refuse_closed(self._graph)
        entered = enter_outer(self._graph, None)
        if self._at.tables is CLOSED:
            self._at = self._graph.at
        return entered

    # spec: fork.closed
    # spec: open.close
    def close(self) -> None:
        """Let go of the snapshot that this fork was made of, or of the store that the database lives in; reading or
        writing it afterwards is an error.

        What was committed is durable then; what was not is not kept. Snapshots of a fork that are open stay open. Any
        other database holds nothing: it stays as it is. Closing twice is fine.

        Raises:
            StoreError: what was committed could not be made durable.
        """
        inheritance, session = self._inheritance, self._session
        if inheritance is not None and not inheritance.closed:
            self._at = At(self._at.revision, CLOSED)
            inheritance.close()
        if session is not None:
            self._at = At(self._at.revision, CLOSED)
            session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.close()

    def __del__(self) -> None:
        inheritance = getattr(self, "_inheritance", None)
        if inheritance is not None and not inheritance.closed:
            inheritance.drop()  # no more than that: this may run at any allocation, with tables half changed

    # --- writing --------------------------------------------------------------------------------------------------

    # spec: write.set
    def set(self, record: object, /, *, durability: Durability | None = None) -> Revision:
        """Set an input record and return the revision from which it holds.

        Setting a record equal to the one that is there, type by type, changes nothing and returns the current
        revision. *durability* overrides the class's for this record.

        Raises:
            TypeError: it is not a record of an `@incr.input` class, or its key is not hashable.
            WriteInQueryError: called from inside a query.
            LimitExceededError: there would be more than the database's `max_state_bytes`; nothing was changed.
        """
        graph = self._graph
        if graph.kin is not None or running.get() is not None:
            refuse_write(graph)
        slot, value = slot_and_record(graph, record, durability)
        return write(graph, {slot: (value, durability)})

    # spec: write.remove
    def remove(self, record: type[Any], key: Hashable = NO_KEY, /) -> Revision:
        """Remove a record and return the revision from which it is gone; the current one if it was not there.

        Raises:
            TypeError: *record* is not an `@incr.input` class.
            WriteInQueryError: called from inside a query.
        """
        refuse_write(self._graph)
        return write(self._graph, {slot_of(self._graph, record, key): (ABSENT, None)})

    def batch(self) -> AbstractContextManager[Batch]:
        """Several writes as one revision: ``with db.batch() as batch: batch.set(...)``.

        Nothing is written if the block raises, and there is no new revision if nothing changed.
        """
        refuse_write(self._graph)
        return Batch(self._graph)

    # --- looking --------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """A frozen view of the newest revision, in constant time. Use it in a ``with`` block, or close it."""
        refuse_closed(self._graph)
        return Snapshot(self._graph)

    @overload
    def stale(  # pyright: ignore[reportOverlappingOverload]  # a coroutine is a value too; the first that fits is meant
        self, query: Query[P, Coroutine[Any, Any, T]], /, *args: Any, max_age: float
    ) -> Coroutine[Any, Any, Stale[T]]: ...
    @overload
    def stale(self, query: Query[P, T], /, *args: Any, max_age: float) -> Stale[T]: ...
    def stale(self, query: Any, /, *args: Any, max_age: float) -> Any:
        """The last good answer of a call at once, if it is not older than *max_age* seconds; awaited for async queries.

        `Stale.age` says for how long the answer may have been wrong; if that is not 0.0, the call is brought up to date
        in the background, by a thread for a plain query, by a task for an awaited one. If there is no answer, or it is
        too old, or nobody knows how old it is (it was loaded and is not good any more), the call is brought up to date
        first. An outcome that is an exception is raised.

        Raises:
            IncrError: called from inside a query, whose outcome would depend on the time.
            TypeError: *max_age* is not a number of seconds, or an argument is not hashable.
        """
        refuse_closed(self._graph)
        ingredient = query_of(query)
        arguments = ingredient.signature.bind(*args)
        if not ingredient.awaited:

            def call() -> tuple[Any, Revision]:
                with self.snapshot() as view:
                    return query(view, *args), view.revision

            return stale_read(self._graph, ingredient, arguments, max_age, call)

        async def acall() -> tuple[Any, Revision]:
            with self.snapshot() as view:
                return await query(view, *args), view.revision

        return astale_read(self._graph, ingredient, arguments, max_age, acall)

    def explain(self, query: Query[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Explanation:
        """What happened to a call last and why, down to the input that was written. Nothing runs."""
        ingredient = query_of(query)
        arguments = ingredient.signature.bind(*args, **kwargs)
        refuse_closed(self._graph)
        node = self._graph.known(ingredient, ingredient.row(arguments))
        return explain(self._graph, node, call_text(ingredient.name, arguments))

    def statistics(self, *, sizes: bool = False) -> Statistics:
        """How much the database holds, and what happened to whose calls in this process.

        With *sizes* also how many bytes its values take: that visits all that they consist of.
        """
        return statistics(self._graph, sizes=sizes)

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
        with self._graph.lock:
            check_tables(self._graph)


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
        if graph.history.lost:
            graph.history.settle()
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
            kin = self._graph.kin
            if kin is not None and kin.origin is not None:
                kin.origin.released()

    def _enter(self) -> tuple[Any, Any, At]:
        if not self._open:
            self._refuse()
        return enter_outer(self._graph, self._at)

    def _refuse(self) -> NoReturn:
        raise FinishedFrameError(
            f"the snapshot of revision {self._at.revision} is closed; take a new one with db.snapshot()"
        )

    # spec: fork.view
    def fork(self) -> Database:
        """A database of its own that starts as this snapshot is, in constant time: a place to try something out.

        It has the snapshot's inputs, revision, memos and interned values. What is set in it nobody else sees; it costs
        what its own writes can reach. Use it in a ``with`` block, or close it; the snapshot may be closed before.
        """
        if not self._open:
            self._refuse()
        inheritance = Inheritance(self._graph, self._at)
        fork = object.__new__(Database)
        fork._begin(inheritance.graph, inheritance)
        return fork

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            self._open = False
            self._graph.history.lost.append(self)


def _check_limit(name: str, value: int | None) -> None:
    if value is not None and (type(value) is not int or value <= 0):
        raise TypeError(f"Database({name}=...) wants a positive int, or None, not {short_repr(value)}")
