"""The classes that a program declares by naming them in annotations of its records and queries.

Law: annotations are looked at when a file is read or written, not when they are made: by then forward references can
be resolved. One that cannot is passed over: its classes have to be registered.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable
from typing import Any

from incr._codec.classes import shape_of
from incr._registered import class_name

__all__ = ["declared_types"]


def declared_types(*hints: Any) -> dict[str, type]:
    """The data classes, records, enums, named tuples and attrs classes in the type hints, transitively, by name."""
    found: dict[str, type] = {}
    seen: dict[int, Any] = {}  # with the hints, so that no other one gets the number of one that is gone
    pending = list(hints)
    while pending:
        hint = pending.pop()
        if id(hint) in seen:
            continue
        seen[id(hint)] = hint
        pending.extend(typing.get_args(hint))
        pending.extend(_of_alias(hint))
        cls = typing.get_origin(hint) or hint
        if isinstance(cls, type):
            pending.extend(_of_class(cls, found))
    return found


def _of_alias(hint: Any) -> Iterable[Any]:
    """What stands behind a ``type X = ...``, a new type or a type variable."""
    for name in ("__value__", "__supertype__", "__bound__", "__constraints__"):
        try:
            inner = getattr(hint, name, None)
        except Exception:
            continue
        yield from inner if isinstance(inner, tuple) else () if inner is None else (inner,)


def _of_class(cls: type, found: dict[str, type]) -> Iterable[Any]:
    shape = shape_of(cls)
    if shape is None:
        return
    found[class_name(cls)] = cls
    for base in cls.__mro__:
        for name, hint in base.__dict__.get("__annotations__", {}).items():
            yield _resolved(base, name, hint)


def _resolved(cls: type, name: str, hint: Any) -> Any:
    if not isinstance(hint, str):
        return hint
    import sys

    module = sys.modules.get(cls.__module__)
    try:
        scope = {**vars(typing), **vars(module), cls.__name__: cls} if module is not None else {cls.__name__: cls}
        return eval(hint, scope)
    except Exception:
        return None
