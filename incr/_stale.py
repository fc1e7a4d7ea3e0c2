"""Stale reads: the last good value at once, and the call brought up to date in the background.

Law: a stale read is for whoever would rather have an old answer than wait, so it is no read of a revision: within a
query it is refused. How old an answer is means how long ago something was written that it may depend on; where that is
not known it counts as too old.

Keeps: stale.value, stale.age, stale.query.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, final

from incr._errors import IncrError, short_repr
from incr._execute import row
from incr._graph import Graph
from incr._loop import in_background, start_thread
from incr._node import EMPTY, NEVER, Node, Stored
from incr._outcome import NOT_OUTCOMES, take
from incr._revision import Revision
from incr._running import running

if TYPE_CHECKING:
    from incr._query import QueryIngredient

__all__ = ["Stale", "Staleness", "astale_read", "stale_read"]

T = TypeVar("T")

#: So many writes are remembered with their times; what was written before is of unknown age.
_REMEMBERED: Final = 10_000
#: The age of what was written just now, in seconds: 0.0 is for answers that are good.
_TICK: Final = 1e-9


class Stale(NamedTuple, Generic[T]):
    """An answer that may be out of date.

    `revision` is the newest revision that it is known to be right for. `age` says for how many seconds it may have been
    wrong: since the first write after that revision which can reach it; 0.0 if there was none.
    """

    value: T
    revision: Revision
    age: float


@final
class Staleness:
    """What a database remembers for stale reads, from the first one on."""

    __slots__ = ("failed", "refreshing", "tasks", "times")

    def __init__(self) -> None:
        #: When the inputs of a revision were written, in seconds on the monotonic clock.
        self.times: dict[int, float] = {}
        #: The calls that are being brought up to date in the background.
        self.refreshing: set[Node] = set()
        #: What came up in the background and is no outcome: the next reader gets it.
        self.failed: dict[Node, Exception] = {}
        #: The tasks that do that.
        self.tasks: set[Any] = set()

    def written(self, revision: int) -> None:
        """Inputs were written. The caller holds the lock."""
        self.times[revision] = monotonic()
        if len(self.times) > _REMEMBERED:
            for old in list(self.times)[: _REMEMBERED // 2]:
                del self.times[old]


@final
class _Reader:
    """One stale read: what is known of the call, and how it is brought up to date."""

    __slots__ = ("_graph", "_max_age", "_node", "_staleness")

    # spec: stale.query
    def __init__(self, graph: Graph, ingredient: QueryIngredient, arguments: tuple[Any, ...], max_age: Any) -> None:
        frame = running.get()
        if frame is not None and not frame.finished:
            raise IncrError(
                f"{frame.node.label()} is a query and cannot read what may be out of date: its outcome would depend on "
                "when it runs; call the query itself, or use stale() outside"
            )
        if isinstance(max_age, bool) or not isinstance(max_age, int | float) or not max_age >= 0:
            raise TypeError(f"stale(max_age=...) wants a number of seconds, 0 or more, not {short_repr(max_age)}")
        self._graph = graph
        self._max_age = max_age
        self._node = row(graph, ingredient, ingredient.row(arguments))
        with graph.lock:
            if graph.staleness is None:
                graph.staleness = Staleness()
            self._staleness: Staleness = graph.staleness

    # spec: stale.value
    def last(self) -> Stale[Any] | None:
        """The last good outcome, if it is not too old; an error stands there as it is kept."""
        graph, node = self._graph, self._node
        failed = self._staleness.failed.pop(node, None)
        if failed is not None:
            raise failed
        while True:
            with graph.lock:
                graph.current()
                value, good = node.value, node.suspects is None
                if value is EMPTY or node.valid_from == NEVER:
                    return None
                revision = graph.at.revision if good else node.valid_to - 1
                age = 0.0 if good else self._age(node.valid_to)
            if type(value) is not Stored:
                break
            graph.decoded(node, value, value.decode())
        return None if age is None or age > self._max_age else Stale(value, Revision(revision), age)

    # spec: stale.age
    def _age(self, written: int) -> float | None:
        time = self._staleness.times.get(written)
        return None if time is None else max(monotonic() - time, _TICK)

    def taken(self, found: Stale[Any]) -> Stale[Any]:
        """The answer; an error is raised."""
        return found._replace(value=take(self._graph, self._node, found.value))

    def begin(self) -> bool:
        """Whether the caller is to bring the call up to date: nobody is at it already."""
        with self._graph.lock:
            if self._node in self._staleness.refreshing:
                return False
            self._staleness.refreshing.add(self._node)
            return True

    @property
    def tasks(self) -> set[Any]:
        """The background tasks of the database."""
        return self._staleness.tasks

    def end(self) -> None:
        """The call was brought up to date, or not."""
        self._staleness.refreshing.discard(self._node)

    def failed(self, error: Exception) -> None:
        """An error came up in the background. An outcome is in the memo; others are kept for the next reader."""
        if isinstance(error, NOT_OUTCOMES):
            self._staleness.failed[self._node] = error


def stale_read(
    graph: Graph,
    ingredient: QueryIngredient,
    arguments: tuple[Any, ...],
    max_age: float,
    call: Callable[[], tuple[Any, Revision]],
) -> Stale[Any]:
    """`Database.stale` for a plain query; *call* gives its value as it is now, with the revision."""
    reader = _Reader(graph, ingredient, arguments, max_age)
    found = reader.last()
    if found is None:
        return Stale(*call(), 0.0)

    def refresh() -> None:
        try:
            call()
        except Exception as error:
            reader.failed(error)
        finally:
            reader.end()

    if found.age and reader.begin():
        start_thread(refresh)
    return reader.taken(found)


async def astale_read(
    graph: Graph,
    ingredient: QueryIngredient,
    arguments: tuple[Any, ...],
    max_age: float,
    call: Callable[[], Awaitable[tuple[Any, Revision]]],
) -> Stale[Any]:
    """`Database.stale` for an awaited query."""
    reader = _Reader(graph, ingredient, arguments, max_age)
    found = reader.last()
    if found is None:
        return Stale(*await call(), 0.0)

    async def refresh() -> None:
        try:
            await call()
        except Exception as error:
            reader.failed(error)
        finally:
            reader.end()

    if found.age and reader.begin():
        in_background(refresh, reader.tasks)
    return reader.taken(found)
