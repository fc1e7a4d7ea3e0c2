"""`fold`: one value out of many calls, through a tree of combinations, so that a change costs a path and not the width.

The tree's borders are taken from the keys themselves: a key whose checksum ends in zeros ends a part, and the more
zeros, the higher the part (content-defined chunking: Muthitacharoen, Chen, Mazières, "A low-bandwidth network file
system", 2001). So a key that comes or goes moves the borders around itself and no others.

Law: the tree depends on the keys alone, and on their order. *combine* has to be associative: nothing else is promised
of which values it is given together.

Keeps: fold.tree, fold.borders, fold.associative.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Final, TypeVar, final, overload
from zlib import crc32

from incr._errors import short_repr
from incr._exact import PLAIN, exact_key
from incr._execute import the_view
from incr._graph import Graph
from incr._parallel import together
from incr._query import Query, query_of
from incr._query import query as declare
from incr._view import View

__all__ = ["fold"]

K = TypeVar("K")
T = TypeVar("T")

#: How many values are combined at a time, on average; a power of two.
_FAN_OUT: Final = 32
_BITS: Final = 5
#: More than so many are not combined at a time.
_MOST: Final = 4 * _FAN_OUT

#: Of so many tuples of keys it is remembered what they are as an argument.
_LATELY: Final = 64

_Combine = Callable[[tuple[Any, ...]], Any]


@overload
def fold(
    db: View, query: Query[[K], Coroutine[Any, Any, T]], keys: Iterable[K], combine: Callable[[tuple[T, ...]], T], /
) -> Coroutine[Any, Any, T]: ...
@overload
def fold(db: View, query: Query[[K], T], keys: Iterable[K], combine: Callable[[tuple[T, ...]], T], /) -> T: ...
# spec: fold.associative
def fold(db: View, query: Any, keys: Iterable[Any], combine: _Combine, /) -> Any:
    """Combine ``query(db, key)`` for all keys to one value; to be awaited for async queries.

    *combine* has to be **associative**: it is given a tuple of values, in the order of the keys, each of which may be a
    combination already, and gives one of the same kind (`sum`, `max`, a function that joins tuples). It is called about
    once for every 32 keys at first; after a change of one key's value about log₃₂ n times, instead of reading all n. Of
    no keys it is given the empty tuple.

    Give a function that lives longer than the call (no lambda that is made anew each time): the combinations are
    remembered for it.

    Raises:
        TypeError: *query* is not a query of one argument, *combine* not callable, or a key not hashable.
    """
    ingredient = query_of(query)
    the_view(db, ingredient)
    if not callable(combine):
        raise TypeError(f"fold() wants a function of a tuple of values, not {short_repr(combine)}")
    part = _part_of(db._graph, _listed(keys))
    return (_acombined if ingredient.awaited else _combined)(db, query, combine, part)


def _listed(keys: Iterable[Any]) -> tuple[Any, ...]:
    """The keys as a tuple: that which an unused iterator of one goes over, where it is one (as `View.keys` gives)."""
    if type(keys) is type(iter(())):
        reduced: Any = keys.__reduce__()
        source = reduced[1][0]
        if type(source) is tuple and (len(reduced) < 3 or reduced[2] == 0):
            found: tuple[Any, ...] = source
            return found
    return tuple(keys)


@final
class _Part:
    """Some keys in a row, as an argument of a call: hashed once, and divided once."""

    __slots__ = ("_hash", "_parts", "_row", "keys")

    def __init__(self, keys: tuple[Any, ...]) -> None:
        self.keys = keys
        try:
            self._row = exact_key(keys)
            self._hash = hash(self._row)
        except TypeError as error:
            raise TypeError(f"fold() wants keys that are hashable: {error}") from error
        self._parts: tuple[_Part, ...] | None = None

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is _Part and self._hash == other._hash and bool(self._row == other._row))

    def __repr__(self) -> str:
        if len(self.keys) < 3:
            return f"<{', '.join(map(short_repr, self.keys))}>"
        return f"<{len(self.keys)} keys from {short_repr(self.keys[0])} to {short_repr(self.keys[-1])}>"

    @property
    def parts(self) -> tuple[_Part, ...]:
        """What it is combined of; nothing if its keys are few enough to be combined themselves."""
        if self._parts is None:
            self._parts = tuple(map(_Part, _cut(self.keys))) if len(self.keys) > _MOST else ()
        return self._parts


PLAIN.add(_Part)


def _part_of(graph: Graph, keys: tuple[Any, ...]) -> _Part:
    """The keys as an argument. That of a tuple that was given lately is found again without a look at the keys."""
    lately: dict[int, _Part] = graph.folds
    part = lately.get(id(keys))
    if part is None or part.keys is not keys:
        part = _Part(keys)
        with graph.lock:
            lately[id(keys)] = part
            while len(lately) > _LATELY:
                del lately[next(iter(lately))]
    return part


@declare(name="incr.fold", persist=False)
def _combined(db: View, query: Any, combine: Any, part: Any) -> Any:
    if part.parts:
        return combine(tuple([_combined(db, query, combine, one) for one in part.parts]))
    return combine(tuple([query(db, key) for key in part.keys]))


@declare(name="incr.fold of awaited calls", persist=False)
async def _acombined(db: View, query: Any, combine: Any, part: Any) -> Any:
    if part.parts:
        calls = [(query, combine, one) for one in part.parts]
        return combine(tuple(await together(db, _acombined, calls, None)))
    return combine(tuple(await together(db, query, [(key,) for key in part.keys], None)))


# spec: fold.tree
# spec: fold.borders
def _cut(keys: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The keys in parts, at least two: about as many as are combined at a time."""
    size = _FAN_OUT  # how many keys a part has, about
    level = 1
    while len(keys) > _MOST * size:
        size *= _FAN_OUT
        level += 1
    began = 0
    for place, key in enumerate(keys):
        length = place + 1 - began
        if length >= _MOST * size // _FAN_OUT or _level(key) >= level:
            yield keys[began : place + 1]
            began = place + 1
    if began < len(keys):
        yield keys[began:]


def _level(key: Any) -> int:
    """How many times five bits of the key's checksum are zero, from the last one on. The same in every process."""
    checksum = crc32(repr(key).encode("utf-8", "surrogatepass"))
    level = 0
    while level < 6 and not checksum & (_FAN_OUT - 1):
        checksum >>= _BITS
        level += 1
    return level
