"""Estimates: how many bytes a value takes.

An estimate is for one value: `sys.getsizeof` over everything that can be reached from it, each object once. Of values
with more than 1,000 objects the rest counts as much as those on the average. A measurement is for many values: it goes
to the end, and what several of them share counts once.

Law: nothing of the program runs: sizes come from the built-in methods, and parts from the garbage collector, which
knows them for containers, for instances with slots or a ``__dict__``, and for types written in C.

Keeps: memory.estimate.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from itertools import chain, islice
from types import CodeType, FrameType, FunctionType, MethodDescriptorType, ModuleType, TracebackType
from typing import Any, Final

__all__ = ["estimate", "measure"]

#: After so many objects an estimate stops looking.
_MOST: Final = 1000
#: What the collector adds to an object that it watches, and the flag of the types whose instances it does watch.
_COLLECTED: Final = 16
_IS_COLLECTED: Final = 1 << 14

#: These belong to the program, not to the value that refers to them.
_SHARED: Final = (type, ModuleType, FunctionType, CodeType, FrameType, TracebackType, type(None), bool)
_ATOMS: Final = frozenset({str, int, float, complex, bytes, bytearray})


# spec: memory.estimate
def estimate(value: Any) -> int:
    """About how many bytes the value takes."""
    seen = {id(value)}
    stack = [value]
    total = visited = unseen = wide = 0
    while stack and visited < _MOST:
        one = stack.pop()
        visited += 1
        size = _shallow(one)
        total += size
        parts, more = _some_parts(one)
        unseen += more
        if more:
            wide += size  # its own size says all about it, and nothing about its parts
        for part in parts:
            if id(part) not in seen and not _shared(part):
                seen.add(id(part))
                stack.append(part)
    return total + (total - wide) * (len(stack) + unseen) // visited


def measure(values: Iterable[Any]) -> int:
    """How many bytes the values take together."""
    stack = list(values)
    seen: set[int] = set()
    total = 0
    while stack:
        one = stack.pop()
        if id(one) not in seen:
            seen.add(id(one))
            total += _shallow(one)
            if type(one) not in _ATOMS:
                stack.extend(part for part in gc.get_referents(one) if not _shared(part))
    return total


def _shared(part: Any) -> bool:
    """Whether it counts elsewhere: it is the program's own, or a record or an interned value of the database."""
    kind: type[Any] = type(part)
    return kind not in _ATOMS and (issubclass(kind, _SHARED) or "__incr__" in kind.__dict__)


def _some_parts(one: Any) -> tuple[Iterable[Any], int]:
    """Some of the objects that it refers to, and how many more there are."""
    kind = type(one)
    if kind in _ATOMS:
        return (), 0
    if kind is tuple or kind is list or kind is set or kind is frozenset:
        return islice(one, _MOST), max(len(one) - _MOST, 0)
    if kind is dict:
        return chain.from_iterable(islice(one.items(), _MOST)), 2 * max(len(one) - _MOST, 0)
    return gc.get_referents(one), 0


def _shallow(one: Any) -> int:
    """`sys.getsizeof`, which for classes of the program would run their own method."""
    kind: type[Any] = type(one)
    if kind in _ATOMS:
        return sys.getsizeof(one)
    for base in kind.__mro__:
        method = base.__dict__.get("__sizeof__")
        if type(method) is MethodDescriptorType:
            size: int = method(one)
            return size + (_COLLECTED if kind.__flags__ & _IS_COLLECTED else 0)
    return object.__sizeof__(one)
