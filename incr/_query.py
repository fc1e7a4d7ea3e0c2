"""Queries: functions whose calls are memoised.

Law: what a query's call gives may depend on its arguments and on what it reads through its `db`, and on nothing else
that changes (see `View.untracked` for what has to).

Keeps: declare.query, call.key, call.unhashable, call.colour.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from functools import update_wrapper
from types import FunctionType
from typing import Any, Concatenate, Final, Literal, ParamSpec, Protocol, TypeVar, final, overload

from incr._aexecute import afetch
from incr._errors import call_text, short_repr
from incr._exact import plain_value
from incr._execute import fetch, refuse_colour, the_view
from incr._first import begin_first, end_first, fail_first
from incr._loop import checkpoint
from incr._recovery import NOT_GIVEN, Recovery, recovery_of
from incr._registry import enter, leave
from incr._signature import Signature
from incr._view import View

__all__ = ["Query", "QueryIngredient", "query", "query_of"]

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_COROUTINE: Final = 0x80
_GENERATORS: Final = 0x20 | 0x200


class Query(Protocol[P, T_co]):
    """What `@incr.query` makes of a function: call it as ``q(db, *args)``; await that if it was `async def`.

    At run time it is a plain function that carries its ingredient.
    """

    @property
    def __name__(self) -> str: ...
    def __call__(self, db: View, /, *args: P.args, **kwargs: P.kwargs) -> T_co:
        """The value of the call as of the revision of *db*."""
        ...


@final
class QueryIngredient:
    """The table of one query's calls."""

    __slots__ = (
        "__weakref__", "_invoke", "awaited", "equal", "function", "identity", "index", "lru", "name", "persist",
        "recovery", "signature", "version",
    )  # fmt: skip
    kind = "query"
    #: Only the tables of collections have one.
    accumulator = None

    def __init__(
        self,
        function: FunctionType,
        name: str | None,
        version: int,
        equal: Any,
        persist: bool,
        lru: int | None,
        recovery: Recovery | None,
    ) -> None:
        self.function = function
        self.name = function.__name__ if name is None else name
        #: What the section of a file is called.
        self.identity = f"{function.__module__}:{function.__qualname__}" if name is None else name
        self.version = version
        #: None for exact equality, False for "always different", or the program's own.
        self.equal = equal
        self.persist = persist
        #: How many values are kept; None for all.
        self.lru = lru
        #: What becomes of calls that are on a loop; None if that is an error.
        self.recovery = recovery
        self.awaited = bool(function.__code__.co_flags & _COROUTINE)
        self.signature = Signature(function)
        self.index = enter(self)

    def __del__(self) -> None:
        if hasattr(self, "index"):
            leave(self.index)

    def compile(self) -> Any:
        """The function that the program calls in place of its own."""
        wrapper = self.signature.compile(
            self.function,
            self.index,
            self._amiss if self.awaited else self._miss,
            self._refuse if self.awaited else None,
            {
                "_incr_ingredient": self,
                "_incr_begin": begin_first,
                "_incr_end": end_first,
                "_incr_fail": fail_first,
                "_incr_checkpoint": checkpoint,
            },
        )
        self._invoke = self.signature.invoker()
        return wrapper

    def invoke(self, frame: Any, row: Any) -> Any:
        """Run the body (or make its coroutine) with the row's arguments."""
        return self._invoke(self.function, frame, row)

    def called(self, function: Callable[..., Any], row: Any) -> Any:
        """What *function* gives for the row's arguments, without a database."""
        return self._invoke(lambda _, *args, **kwargs: function(*args, **kwargs), None, row)

    def arguments(self, row: Any) -> tuple[Hashable, ...]:
        """The arguments that belong to a row, in the order of the parameters."""
        if len(self.signature.names) == 1:
            return (plain_value(row),)
        return tuple(map(plain_value, row))

    def label(self, row: Any) -> str:
        """The call as a reader would write it."""
        return call_text(self.name, self.arguments(row))

    # spec: call.unhashable
    def row(self, arguments: tuple[Any, ...]) -> Any:
        """The row that belongs to arguments, one for each parameter.

        Raises:
            TypeError: one of them is not hashable; names the query and the parameter.
        """
        try:
            row = self.signature.key(arguments)
            hash(row)
        except TypeError:
            for name, argument in zip(self.signature.names, arguments, strict=True):
                self._check_hashable(name, argument)
            raise
        return row

    def _check_hashable(self, name: str, argument: Any) -> None:
        try:
            hash(tuple(sorted(argument.items())) if name == self.signature.double_starred else argument)
        except TypeError as error:
            raise TypeError(
                f"{self.name}(): the argument {name}={short_repr(argument)} is not hashable ({error}); a call is "
                "remembered by its arguments, so pass a tuple, a frozenset, a frozen data class, or a key to an input"
            ) from None

    def _miss(self, view: Any, arguments: tuple[Any, ...]) -> Any:
        the_view(view, self)
        return fetch(view, self, self.row(arguments))

    def _amiss(self, view: Any, arguments: tuple[Any, ...]) -> Coroutine[Any, Any, Any]:
        return afetch(view, self, self.row(arguments))

    # spec: call.colour
    def _refuse(self, view: Any, arguments: tuple[Any, ...]) -> None:
        refuse_colour(self, the_view(view, self), arguments)


@overload
def query(function: Callable[Concatenate[View, P], T], /) -> Query[P, T]: ...
@overload
def query(
    *,
    name: str | None = ...,
    version: int = ...,
    eq: Callable[[Any, Any], bool] | Literal[False] | None = ...,
    persist: bool = ...,
    lru: int | None = ...,
    on_cycle: Any = ...,
    cycle_initial: Any = ...,
    cycle_join: Callable[[Any, Any], Any] = ...,
) -> Callable[[Callable[Concatenate[View, P], T]], Query[P, T]]: ...
# spec: declare.query
def query(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    version: int = 0,
    eq: Any = None,
    persist: bool = True,
    lru: int | None = None,
    on_cycle: Any = NOT_GIVEN,
    cycle_initial: Any = NOT_GIVEN,
    cycle_join: Any = NOT_GIVEN,
) -> Any:
    """Declare a function as a query: its calls are memoised, and run again only if what they read has changed.

    Args:
        name: what files and events call it; by default the function's own name and module. Two queries of one
            program cannot share it.
        version: part of the code fingerprint: raise it to have stored memos run again.
        eq: decides whether a new value equals the one before, so that nothing that used it has to run. By default
            type and value are compared at every level; ``False`` means that every execution is a change.
        persist: ``False`` keeps the values (not the stamps) out of files.
        lru: at most so many values of the query are kept in memory (stamps and dependencies stay); a dropped value
            is computed again when it is asked for.
        on_cycle: what a call gives that needs its own result, instead of a `CycleError`: a value, or a function of
            the call's arguments.
        cycle_initial: calls that need each other's results are run in rounds, each against the values of the round
            before, until nothing changes; this is the value before the first round, or a function of the arguments.
        cycle_join: makes a round's value of the one before and the body's new one.

    Raises:
        TypeError: it is not a `def` or `async def` function with a first parameter for the database, or an option
            has a wrong type.
    """
    _check_options(name, version, eq, persist, lru)
    recovery = recovery_of(on_cycle, cycle_initial, cycle_join)

    def declare(function: Any) -> Any:
        return _declare(function, name, version, eq, persist, lru, recovery)

    return declare if function is None else declare(function)


def _check_options(name: Any, version: Any, eq: Any, persist: Any, lru: Any) -> None:
    wrong = (
        ("name", name, "a non-empty string", name is None or (isinstance(name, str) and name)),
        ("version", version, "an int", type(version) is int),
        ("eq", eq, "a function of two values, or False", eq is None or eq is False or callable(eq)),
        ("persist", persist, "True or False", type(persist) is bool),
        ("lru", lru, "a positive int, or None", lru is None or (type(lru) is int and lru > 0)),
    )
    for option, value, wanted, fits in wrong:
        if not fits:
            raise TypeError(f"@incr.query({option}=...) wants {wanted}, not {short_repr(value)}")


def _declare(
    function: Any, name: str | None, version: int, eq: Any, persist: bool, lru: int | None, recovery: Recovery | None
) -> Any:
    if not isinstance(function, FunctionType):
        raise TypeError(f"@incr.query decorates a def or async def function, not {short_repr(function)}")
    if "__incr__" in function.__dict__:
        raise TypeError(f"{function.__name__}() is a query already")
    if function.__code__.co_flags & _GENERATORS:
        raise TypeError(
            f"{function.__name__}() is a generator, whose values are gone once read; return a tuple of them"
        )
    ingredient = QueryIngredient(function, name, version, eq, persist, lru, recovery)
    wrapper: Any = update_wrapper(ingredient.compile(), function)
    wrapper.__incr__ = ingredient
    return wrapper


def query_of(function: Any) -> QueryIngredient:
    """The ingredient of a declared query.

    Raises:
        TypeError: *function* is not one.
    """
    ingredient = getattr(function, "__incr__", None)
    if type(ingredient) is not QueryIngredient:
        raise TypeError(f"{short_repr(function)} is not a function declared with @incr.query")
    return ingredient
