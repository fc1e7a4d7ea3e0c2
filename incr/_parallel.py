"""`gather` and `map`: concurrent calls from inside or outside a query.

Law: within a query, the calls are noted as read in the order of the arguments, as one group, whichever of them ends
first. So the dependencies of a deterministic body are deterministic, and a later verification may bring the members of
the group up to date at the same time, since the body asks for all of them.

Keeps: map.order, map.groups.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from types import CoroutineType
from typing import Any, TypeVar, overload

from incr._concurrent import all_of
from incr._errors import short_repr
from incr._execute import row, the_view
from incr._frame import Frame
from incr._node import RESERVED, Node
from incr._query import Query, QueryIngredient, query_of
from incr._view import View

__all__ = ["gather", "map", "together"]

K = TypeVar("K")
T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")


@overload
async def map(
    db: View, query: Query[[K], Coroutine[Any, Any, T]], keys: Iterable[K], /, *, limit: int | None = ...
) -> list[T]: ...
@overload
async def map(db: View, query: Query[[K], T], keys: Iterable[K], /, *, limit: int | None = ...) -> list[T]: ...
async def map(db: View, query: Any, keys: Iterable[Any], /, *, limit: int | None = None) -> list[Any]:
    """The value of ``query(db, key)`` for each of the keys, in their order; async queries run at the same time.

    At most *limit* of them do. A plain `def` query is called for one key after the other. If a call raises, those
    behind it are cancelled, those before it are waited for, and the error of the first one that fails, in the order of
    the keys, is raised: as if they had been called one after the other. All values are of one revision.

    Raises:
        TypeError: *query* is not a query of one argument, a key is not hashable, or *limit* is not a number of calls.
    """
    ingredient = query_of(query)
    the_view(db, ingredient)
    if limit is not None and (type(limit) is not int or limit < 1):
        raise TypeError(f"map(limit=...) wants how many calls may run at a time, at least 1, not {short_repr(limit)}")
    listed = list(keys)
    if not ingredient.awaited:
        return [query(db, key) for key in listed]
    calls = [(key,) for key in listed]
    take_snapshot: Any = getattr(db, "snapshot", None)
    if take_snapshot is None or db._enter()[0] is not None:
        return await together(db, query, calls, limit)
    with take_snapshot() as view:  # outside of queries one revision for all of them too, whatever is written meanwhile
        return await together(view, query, calls, limit)


async def together(db: View, query: Any, calls: Sequence[tuple[Any, ...]], limit: int | None) -> list[Any]:
    """The values of calls of one async query, given by their arguments."""
    ingredient = query_of(query)
    named = [(ingredient, ingredient.row(ingredient.signature.bind(*arguments))) for arguments in calls]
    return await _together(db, named, [_caller(query, db, arguments) for arguments in calls], limit)


def _caller(query: Any, db: View, arguments: tuple[Any, ...]) -> Callable[[], Awaitable[Any]]:
    def call() -> Awaitable[Any]:
        awaitable: Awaitable[Any] = query(db, *arguments)
        return awaitable

    return call


@overload
async def gather(db: View, one: Awaitable[T1], /) -> tuple[T1]: ...
@overload
async def gather(db: View, one: Awaitable[T1], two: Awaitable[T2], /) -> tuple[T1, T2]: ...
@overload
async def gather(db: View, one: Awaitable[T1], two: Awaitable[T2], three: Awaitable[T3], /) -> tuple[T1, T2, T3]: ...
@overload
async def gather(db: View, /, *calls: Awaitable[T]) -> tuple[T, ...]: ...
async def gather(db: View, /, *calls: Awaitable[Any]) -> tuple[Any, ...]:
    """The values of several calls that run at the same time: ``await incr.gather(db, f(db, 1), g(db, "a"))``.

    Errors are as in `map`. Outside of a query, give the calls a snapshot if all values are to be of one revision.
    Anything that can be awaited may stand there; only calls of async queries are noted in the order of the arguments,
    whatever else reads is noted when it does.
    """
    view: Any = db
    if not isinstance(view, View):
        _close(calls)
        raise TypeError(f"gather() wants a database, a snapshot or a query's `db` first, not {type(view).__name__}")
    waiting = [_waiter(call) for call in calls]
    try:
        return tuple(await _together(db, [_call_of(call, db) for call in calls], waiting, None))
    finally:
        _close(calls)  # those that were never awaited, since an earlier one had failed


def _waiter(call: Awaitable[Any]) -> Callable[[], Awaitable[Any]]:
    return lambda: call


def _close(calls: Iterable[Any]) -> None:
    for call in calls:
        if isinstance(call, CoroutineType) and call.cr_frame is not None and not call.cr_running:
            call.close()


def _call_of(call: Any, db: View) -> tuple[QueryIngredient, Any] | None:
    """Which call a coroutine makes that has not started: what a compiled wrapper was given, and for which query."""
    frame: Any = getattr(call, "cr_frame", None)
    if frame is None:
        return None
    ingredient = frame.f_globals.get("_incr_ingredient")
    if not isinstance(ingredient, QueryIngredient) or frame.f_code.co_name != "_incr_call":
        return None
    given = frame.f_locals
    if given.get(ingredient.signature.db) is not db:
        return None  # what it reads belongs to somebody else
    return ingredient, ingredient.row(tuple(given[name] for name in ingredient.signature.names))


# spec: map.order
# spec: map.groups
async def _together(
    db: View,
    named: Sequence[tuple[QueryIngredient, Any] | None],
    calls: Sequence[Callable[[], Awaitable[Any]]],
    limit: int | None,
) -> list[Any]:
    reader: Frame | None = db._enter()[0]
    reads = None if reader is None else reader._reads
    if reader is None or reads is None or len(calls) < 2:
        return await all_of(calls, limit)
    members = _reserve(reads, [row(reader._graph, *one) for one in named if one is not None])
    reader.groups = (*reader.groups, (members, limit))
    try:
        return await all_of(calls, limit)
    finally:
        # Calls that came to no end were not read: what becomes of them is not this call's concern.
        for node in members:
            if reads.get(node) is RESERVED:
                del reads[node]


def _reserve(reads: dict[Node, Any], group: Sequence[Node]) -> tuple[Node, ...]:
    """Give the calls their places among the reads, in order, before they run; returns those that had none yet."""
    members = tuple([node for node in dict.fromkeys(group) if node not in reads])
    for node in members:
        reads[node] = RESERVED
    return members
