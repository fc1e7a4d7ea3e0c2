"""Accumulators: what queries push beside their value, and what is collected of it.

`push` leaves a value with the running call, and `of` collects what a call and everything that it used has pushed. What
is collected for one call is a memoised call of its own, so that it can be read in a query like any other; its body
brings the call up to date and takes the values out of the trees of `_collected`.

Law: what is collected is what the call's body would push if nothing were memoised and each call ran once, whatever ran
when, and as of the revision of the handle.

Keeps: accumulate.push, accumulate.of, accumulate.order, accumulate.once, accumulate.error, accumulate.dependency,
accumulate.revision.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Hashable, Iterator, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, final, overload

from incr._aexecute import afetch, apull
from incr._collected import Collected, flatten, is_call, merged
from incr._errors import IncrError, call_text, short_repr
from incr._execute import fetch, pull, refuse_colour, row, the_view
from incr._frame import Frame
from incr._graph import At, Graph
from incr._node import EMPTY, NEVER, Memo, Node
from incr._pushes import BARRED, LOST, Push, Pushes
from incr._query import Query, query_of
from incr._registry import enter, leave
from incr._running import running
from incr._view import View

__all__ = ["Accumulator", "Collection"]

P = ParamSpec("P")
T = TypeVar("T")


@final
class Accumulator(Generic[T]):
    """Values that queries give beside their own: diagnostics, for example.

    >>> import incr
    >>> warnings = incr.Accumulator[str]("warnings")
    >>> @incr.query
    ... def parse(db: incr.View, text: str) -> int:
    ...     if not text.isdigit():
    ...         warnings.push(db, f"{text!r} is not a number")
    ...         return 0
    ...     return int(text)
    >>> @incr.query
    ... def add(db: incr.View, left: str, right: str) -> int:
    ...     return parse(db, left) + parse(db, right)
    >>> db = incr.Database()
    >>> add(db, "1", "two"), warnings.of(db, add, "1", "two")
    (1, ("'two' is not a number",))

    Args:
        name: what files and events call it. Two accumulators that are pushed to in one database and saved with it
            cannot share it, and a load takes pushes to a name that two of the program have for missing.
    """

    __slots__ = ("__orig_class__", "__weakref__", "_collections", "name")

    def __init__(self, name: str, /) -> None:
        if type(name) is not str or not name:
            raise TypeError(f"Accumulator(name) wants a non-empty string, not {short_repr(name)}")
        self.name = name
        #: For plain and for awaited queries.
        self._collections = (Collection(self, awaited=False), Collection(self, awaited=True))

    def __repr__(self) -> str:
        return f"<Accumulator {self.name!r}>"

    def pushed_types(self) -> tuple[Any, ...]:
        """The types of values that it was declared for: ``Accumulator[Diagnostic]("diagnostics")`` says one."""
        declared: tuple[Any, ...] = getattr(getattr(self, "__orig_class__", None), "__args__", ())
        return declared

    # spec: accumulate.push
    def push(self, db: View, value: T, /) -> None:
        """Leave a value with the running call.

        It is shared like the value of a call: do not change it afterwards.

        Raises:
            IncrError: no query of the database is running.
            FinishedFrameError: *db* belongs to a call that has ended.
        """
        view = the_view(db, self)
        frame = view._enter()[1]
        graph = view._graph
        if frame is None or frame._graph is not graph:
            raise IncrError(
                f"{self.name}.push() belongs into a query: what is pushed is kept with the call that pushes it, and "
                "here none is running"
            )
        with graph.lock:
            reads = frame._reads
            if reads is not None:
                if frame.pushes is None:
                    frame.pushes = []
                frame.pushes.append((self, len(reads), value))
                return
        frame._enter()  # it ended meanwhile, in another thread: this raises

    @overload
    def of(  # type: ignore[overload-overlap]  # a coroutine is an object too; the first that fits is meant
        self, db: View, query: Query[P, Coroutine[Any, Any, object]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, tuple[T, ...]]: ...
    @overload
    def of(self, db: View, query: Query[P, object], /, *args: P.args, **kwargs: P.kwargs) -> tuple[T, ...]: ...
    # spec: accumulate.of
    # spec: accumulate.dependency
    def of(self, db: View, query: Any, /, *args: Any, **kwargs: Any) -> Any:
        """What a call and everything that it used pushed, each call once, in the order of execution.

        The call is brought up to date first; if it raises, what was pushed until then is collected all the same, and
        nothing is raised here. To be awaited if *query* is an `async def` query. Within a query it is a dependency on
        what is collected.
        """
        ingredient = query_of(query)
        view = the_view(db, self)
        arguments = ingredient.signature.bind(*args, **kwargs)
        collection = self._collections[ingredient.awaited]
        if ingredient.awaited and (view._sync or (view._reads is None and running.get() is not None)):
            refuse_colour(collection, view, (ingredient.name, *arguments))
        node = row(view._graph, ingredient, ingredient.row(arguments))
        return (afetch if ingredient.awaited else fetch)(view, collection, node)


@final
class Collection:
    """The table of what is collected for calls; a row is the node of a call."""

    __slots__ = ("__weakref__", "accumulator", "awaited", "identity", "index", "name")
    kind = "query"
    #: What the drivers, files and limits ask of a query.
    equal = None
    recovery = None
    persist = True
    version = 0
    lru = None

    def __init__(self, accumulator: Accumulator[Any], *, awaited: bool) -> None:
        self.accumulator = accumulator
        self.awaited = awaited
        self.name = f"{accumulator.name}.of"
        self.identity = f"{'async ' if awaited else ''}accumulator {accumulator.name}"
        self.index = enter(self)

    def __del__(self) -> None:
        if hasattr(self, "index"):
            leave(self.index)

    def arguments(self, row: Node) -> tuple[Hashable, ...]:
        """The query's name and the call's arguments."""
        return (row.ingredient.name, *row.ingredient.arguments(row.key))

    def label(self, row: Node) -> str:
        """What is collected, as a reader would write it."""
        return call_text(self.name, self.arguments(row))

    # spec: accumulate.error
    def invoke(self, frame: Frame, row: Node) -> Any:
        """Bring the call up to date and collect."""
        return self._ainvoke(frame, row) if self.awaited else self._invoke(frame, row)

    def _invoke(self, frame: Frame, root: Node) -> tuple[Any, ...]:
        graph, at = frame._graph, frame.at
        pull(graph, root, at, frame)
        _check_final(frame)
        frame.note(root)
        values: list[Any] = []
        for node in _collect(frame, self.accumulator, root, values):
            pull(graph, node, at, frame)
            _check_final(frame)
        return tuple(values)

    async def _ainvoke(self, frame: Frame, root: Node) -> tuple[Any, ...]:
        graph, at = frame._graph, frame.at
        await apull(graph, root, at, frame)
        _check_final(frame)
        frame.note(root)
        values: list[Any] = []
        for node in _collect(frame, self.accumulator, root, values):
            if node.ingredient.awaited:
                await apull(graph, node, at, frame)
            else:
                pull(graph, node, at, frame)
            _check_final(frame)
        return tuple(values)


def _check_final(frame: Frame) -> None:
    """Raise if what is collected is on a loop with whoever collects, and its values are not known yet."""
    if frame.part is not None and frame.part.tainted:
        raise IncrError(
            f"{frame.node.label()} collects within a loop of calls what that loop pushes; collect it from outside"
        )


# spec: accumulate.order
# spec: accumulate.revision
def _collect(frame: Frame, accumulator: Accumulator[Any], root: Node, values: list[Any]) -> Generator[Node]:
    """Fill *values* as of the frame's revision; yields calls that have to be brought up to date before it goes on.

    Calls that are as they were at that revision are taken from the trees, which are about the newest one; those that
    are not are gone through one by one.
    """
    graph, at = frame._graph, frame.at
    with graph.lock:  # from now on what is verified asks it, also if nothing is taken from it this time
        if graph.collected is None:
            graph.collected = Collected()
        collected = graph.collected
    seen: set[Node] = set()
    stack: list[Iterator[tuple[Node | None, Any]]] = [iter([(root, None)])]
    while stack:
        for node, value in stack[-1]:
            if node is None:
                values.append(value)
            elif node not in seen and is_call(node):
                parts = yield from _parts(graph, collected, at, accumulator, node, seen, values)
                seen.add(node)
                if parts is not None:
                    stack.append(parts)
                    break
        else:
            stack.pop()


def _parts(
    graph: Graph,
    collected: Collected,
    at: At,
    accumulator: Accumulator[Any],
    node: Node,
    seen: set[Node],
    values: list[Any],
) -> Generator[Node, None, Any]:
    """What the call pushed and read, to be gone through; None if its whole tree has been taken."""
    while True:
        with graph.lock:
            unclear = node
            if node.suspects is None and NEVER < node.valid_from <= at.revision:
                found = collected.refresh(accumulator, node, graph.newest, graph.kin)
                if type(found) is not Node:
                    flatten(found, seen, values)
                    return None
                unclear = found
                holder: Node | Memo | None = found
            else:
                holder = _known(graph, node, at)
            pushes = LOST if holder is None else holder.pushes
            dependencies = () if holder is None else holder.dependencies or ()
        if type(pushes) is Pushes and pushes.entries is None:
            _decode(graph, holder, pushes)
        elif pushes is LOST:
            yield unclear
        elif pushes is BARRED:
            return iter(())
        else:
            own: Sequence[Push] = pushes.entries if type(pushes) is Pushes and pushes.entries is not None else ()
            mine = [push for push in own if push[0] is accumulator]
            return merged(mine, range(len(dependencies)), dependencies)


def _known(graph: Graph, node: Node, at: At) -> Node | Memo | None:
    """Where it can be read what the call pushed and read at *at*, whether or not its value is there."""
    if NEVER < node.valid_from <= at.revision < node.valid_to:
        if graph.kin is not None:
            graph.kin.complete(node)
        return node
    return graph.find(node, at.revision)


def _decode(graph: Graph, holder: Any, pushes: Pushes) -> None:
    """Read pushes out of a file's bytes, without the lock: there may be code of the program in it."""
    if pushes.decode() is None:
        with graph.lock:
            if holder.pushes is pushes:
                holder.pushes = LOST
                holder.value = EMPTY
                if type(holder) is Node:
                    holder.hot = False
                    holder.encoded = None
