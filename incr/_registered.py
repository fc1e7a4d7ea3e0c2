"""Classes that the program has registered with `register_codec`.

Law: a name stands for one class. Registrations are declarations: they are made once, when modules are loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

__all__ = ["Registration", "class_name", "register_codec", "registered_by_name", "registration_of"]

T = TypeVar("T")


class Registration(NamedTuple):
    """How instances of one class are written; without functions the class is only declared as constructible."""

    cls: type[Any]
    name: str
    encode: Callable[[Any], Any] | None
    decode: Callable[[Any], Any] | None


_by_class: Final[dict[type[Any], Registration]] = {}
_by_name: Final[dict[str, Registration]] = {}


def class_name(cls: type[Any]) -> str:
    """What a class is called in files."""
    return f"{cls.__module__}:{cls.__qualname__}"


# spec: codec.register
def register_codec(
    cls: type[T],
    /,
    *,
    name: str | None = None,
    encode: Callable[[T], Any] | None = None,
    decode: Callable[[Any], T] | None = None,
) -> None:
    """Let values of *cls* (not of its subclasses) be stored.

    *encode* takes an instance and returns a value of storable types; *decode* gives an equal instance back. With
    neither, a data class, enum, named tuple or attrs class is declared as one that may be constructed from a file
    (those that the annotations of queries and records name are already). *name* is what files call the class; by
    default its module and qualified name.

    Raises:
        TypeError: *cls* is not a class, or only one of the two functions is given.
        ValueError: the name is taken by another class.
    """
    if not isinstance(cls, type):
        raise TypeError(f"register_codec() wants a class, not {cls!r}")
    if (encode is None) is not (decode is None):
        raise TypeError(f"register_codec({cls.__name__}) wants both encode= and decode=, or neither")
    entry = Registration(cls, class_name(cls) if name is None else name, encode, decode)
    known = _by_name.get(entry.name)
    if known is not None and known.cls is not cls and class_name(known.cls) != class_name(cls):
        raise ValueError(f"the name {entry.name!r} is registered for {class_name(known.cls)} already")
    _by_name[entry.name] = entry
    _by_class[cls] = entry


def registration_of(cls: type[Any]) -> Registration | None:
    """The class's registration."""
    return _by_class.get(cls)


def registered_by_name() -> Mapping[str, Registration]:
    """All registrations."""
    return _by_name
