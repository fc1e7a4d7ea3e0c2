"""Exact equality: two values are the same if nothing that a program computes from them can differ.

Python's ``==`` says that ``1``, ``True`` and ``1.0`` are equal, and ``0.0`` and ``-0.0``; a query's body can tell
them apart. If a memo, a key or an interned value were shared between them, an answer would depend on which of them
came first.

Law: when in doubt, values differ. That costs an execution, never an answer.

Keeps: memo.equality, call.exact, intern.exact.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from operator import is_
from types import BuiltinFunctionType, FunctionType, NoneType
from typing import Any, Final, final

__all__ = ["PLAIN", "Exact", "exact_key", "plain_value", "same", "same_error"]

#: Types whose instances are their own key: among them, equal means same. Classes of interned values are added when
#: they are declared (equality of interned values is exact).
PLAIN: Final[set[type]] = {str, int, bytes, NoneType, type, FunctionType, BuiltinFunctionType}

_ATOMS: Final = frozenset({str, int, bytes, bool, NoneType})
#: ``Decimal("1") == Decimal("1.0")``, and times of one instant in two zones are equal: only their texts tell.
_TOLD_BY_TEXT: Final = frozenset({"decimal", "datetime"})
_double: Final[Callable[[float], bytes]] = struct.Struct("<d").pack


@final
class Exact:
    """A key that is equal to another one only if value and types agree, for values where ``==`` says too little."""

    __slots__ = ("_hash", "_token", "value")

    def __init__(self, value: object, token: tuple[Any, ...]) -> None:
        self.value = value
        self._token = token
        self._hash = hash(token)  # raises TypeError here, where the parameter can still be named

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return type(other) is Exact and self._token == other._token

    def __repr__(self) -> str:
        return repr(self.value)


def plain_value(key: Any) -> Any:
    """The value that `exact_key` was given."""
    return key.value if type(key) is Exact else key


# spec: call.exact
def exact_key(value: Any) -> Any:
    """A hashable stand-in for *value* that is equal to another one only if the values are the same.

    Raises:
        TypeError: something in *value* is not hashable.
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is bool:
        return Exact(value, (bool, value))
    if kind is float:
        return Exact(value, (float, _double(value)))
    if kind is complex:
        return Exact(value, (complex, _double(value.real), _double(value.imag)))
    if isinstance(value, tuple):
        return _compound(value, kind, value, tuple)
    if isinstance(value, frozenset):
        return _compound(value, kind, value, frozenset)
    names = _compared_fields(kind)
    if names is not None:
        return _compound(value, kind, [getattr(value, name) for name in names], tuple)
    if kind.__module__ in _TOLD_BY_TEXT:
        return Exact(value, (kind, value, repr(value)))
    return Exact(value, (kind, value))


def _compound(value: Any, kind: type, parts: Iterable[Any], gather: Callable[[Iterable[Any]], Any]) -> Any:
    hash(value)  # a mutable data class is refused here
    keys = [exact_key(part) for part in parts]
    if (kind is tuple or kind is frozenset) and all(map(is_, keys, parts)):
        return value
    return Exact(value, (kind, gather(keys)))


def _compared_fields(kind: type) -> tuple[str, ...] | None:
    """The fields that take part in the equality of a data class or record; None for any other class."""
    ingredient = kind.__dict__.get("__incr__")
    if ingredient is not None and ingredient.kind == "input":  # compared in every `set`; all its fields count
        fields: tuple[str, ...] = ingredient.fields
        return fields
    declared = kind.__dict__.get("__dataclass_fields__")
    if declared is None or not kind.__dataclass_params__.eq:  # type: ignore[attr-defined]  # any class that has fields has it
        return None
    return tuple(name for name, field in declared.items() if field.compare and field._field_type.name == "_FIELD")


# spec: memo.equality
def same(left: Any, right: Any) -> bool:
    """Whether the two values are equal, and of the same type, at every level of containers and data classes.

    ``==`` of other types is asked, and believed only if it answers True; one that raises says "different".
    """
    if left is right:
        return True
    kind = type(left)
    if kind is not type(right):
        return False
    if kind in _ATOMS:
        return bool(left == right)
    if kind is float:
        return _double(left) == _double(right)
    if kind is complex:
        return same(left.real, right.real) and same(left.imag, right.imag)
    try:
        return _same_compound(left, right, kind)
    except Exception:
        return False


def _same_compound(left: Any, right: Any, kind: type) -> bool:
    names = _compared_fields(kind)
    if names is not None:
        for name in names:  # noqa: SIM110  # a generator costs more than the comparing
            if not same(getattr(left, name), getattr(right, name)):
                return False
        return True
    if issubclass(kind, (tuple, list)):
        alike = len(left) == len(right) and _same_items(left, right)
    elif issubclass(kind, dict):  # the order is part of the value: whoever iterates sees it
        alike = len(left) == len(right) and _same_items([*left, *left.values()], [*right, *right.values()])
        alike = alike and getattr(left, "default_factory", None) is getattr(right, "default_factory", None)
    elif issubclass(kind, (set, frozenset)):
        alike = left == right and (
            set(map(type, left)) <= {str, bytes} or set(map(exact_key, left)) == set(map(exact_key, right))
        )
    else:
        return (left == right) is True and (kind.__module__ not in _TOLD_BY_TEXT or repr(left) == repr(right))
    return alike and same(getattr(left, "__dict__", None), getattr(right, "__dict__", None))


def _same_items(left: Any, right: Any) -> bool:
    kinds = set(map(type, left))
    if kinds <= _ATOMS:  # compared in C
        return all(map(is_, map(type, left), map(type, right))) and bool(left == right)
    return all(one is other or same(one, other) for one, other in zip(left, right, strict=True))


def same_error(left: BaseException, right: BaseException) -> bool:
    """Whether two exceptions say the same: type, arguments, attributes and text (notes and tracebacks aside)."""
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    try:
        return str(left) == str(right) and same(_state(left), _state(right))
    except Exception:
        return False


def _state(error: BaseException) -> tuple[Any, ...]:
    attributes = {name: value for name, value in vars(error).items() if name != "__notes__"}
    members = getattr(error, "exceptions", ())
    plain = tuple(part for part in error.args if part is not members and not _holds_errors(part))
    return plain, attributes, tuple((*_state(member), type(member), str(member)) for member in members)


def _holds_errors(part: object) -> bool:
    return isinstance(part, (list, tuple)) and any(isinstance(item, BaseException) for item in part)
