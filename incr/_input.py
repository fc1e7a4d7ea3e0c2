"""Inputs: what the program tells the database.

Law: a record carries its own key; a class without key fields is a singleton.

Keeps: declare.input, declare.key, declare.singleton, declare.durability.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar, dataclass_transform, final, overload

from incr._errors import short_repr
from incr._exact import exact_key, plain_value
from incr._record import field, key, make_record
from incr._registry import enter, leave
from incr._revision import Durability

__all__ = ["InputIngredient", "check_record", "field", "input", "key"]

C = TypeVar("C")

_SORTABLE = ({str}, {int}, {bytes})


@final
class InputIngredient:
    """The table of one input class."""

    __slots__ = (
        "__weakref__", "durability", "fields", "identity", "index", "key_fields", "key_set", "name", "presence",
        "record", "sole",
    )  # fmt: skip
    kind = "input"

    def __init__(
        self, record: type[Any], fields: tuple[str, ...], key_fields: tuple[str, ...], durability: Durability
    ) -> None:
        self.record = record
        self.name = record.__name__
        #: What the section of a file is called.
        self.identity = f"{record.__module__}:{record.__qualname__}"
        self.fields = fields
        self.key_fields = key_fields
        #: The row of a singleton; else what can be no row.
        self.sole: Any = ... if key_fields else ()
        self.durability = durability
        self.index = enter(self)
        self.presence = _Aspect(self, "presence")
        self.key_set = _Aspect(self, "keys")

    def __del__(self) -> None:
        leave(self.index)

    def key_of(self, record: Any) -> Any:
        """The record's row.

        Raises:
            TypeError: a key field is not hashable.
        """
        names = self.key_fields
        if not names:
            return ()
        try:
            found = exact_key(getattr(record, names[0]) if len(names) == 1 else self.arguments_of(record))
            hash(found)
        except TypeError as error:
            raise TypeError(f"the key of {short_repr(record)} is not hashable: {error}") from error
        return found

    def arguments_of(self, record: Any) -> tuple[Any, ...]:
        """The values of the record's key fields."""
        return tuple(getattr(record, name) for name in self.key_fields)

    def public_key(self, row: Any) -> Any:
        """A row's key as the program gave it."""
        return plain_value(row)

    def arguments(self, row: Any) -> tuple[Hashable, ...]:
        """A row's key as a tuple of the key fields' values."""
        found = plain_value(row)
        if len(self.key_fields) == 1:
            return (found,)
        arguments: tuple[Hashable, ...] = found
        return arguments

    # spec: declare.singleton
    def label(self, row: Any) -> str:
        """The slot as a reader would write it: ``Source['a.py']``, or ``Settings``."""
        if not self.key_fields:
            return self.name
        return f"{self.name}[{', '.join(map(short_repr, self.arguments(row)))}]"

    # spec: read.keys
    def sorted_keys(self, rows: Iterable[Any]) -> tuple[Any, ...]:
        """The rows' keys in an order that is theirs alone, whichever was set first."""
        keys = [plain_value(row) for row in rows]
        if set(map(type, keys)) in _SORTABLE:
            return tuple(sorted(keys))
        return tuple(sorted(keys, key=_rank))


def _rank(value: Any) -> tuple[Any, ...]:
    """A sorting key for any hashable value: by type, then by value where that orders, else by text."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind is int or kind is bool or kind is float:
        return (name, 0, value, "")
    if kind is tuple:
        return (name, 1, tuple(map(_rank, value)), "")
    return (name, 2, 0, value if kind is str else repr(value))


@final
class _Aspect:
    """What can be asked of an input besides its records: the presence of one, or the set of their keys."""

    __slots__ = ("input", "kind")
    index = -1

    def __init__(self, ingredient: InputIngredient, kind: str) -> None:
        self.input = ingredient
        self.kind = kind

    @property
    def name(self) -> str:
        return self.input.name

    def label(self, row: Any) -> str:
        return f"the keys of {self.name}" if self.kind == "keys" else f"the presence of {self.input.label(row)}"

    def arguments(self, row: Any) -> tuple[Hashable, ...]:
        return () if self.kind == "keys" else self.input.arguments(row)


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(key, field))
def input(cls: type[C], /) -> type[C]: ...
@overload
@dataclass_transform(frozen_default=True, field_specifiers=(key, field))
def input(*, durability: Durability = ...) -> Callable[[type[C]], type[C]]: ...
# spec: declare.input
# spec: declare.durability
def input(cls: Any = None, /, *, durability: Durability = Durability.LOW) -> Any:
    """Declare a class of input records: frozen, slotted, with fields like a data class.

    ``incr.key()`` marks the key fields; a class without any is a singleton. *durability* says how rarely its records
    change; `Database.set` can say otherwise for one record.

    Raises:
        TypeError: the class cannot be made a record, or *durability* is not a `Durability`.
    """
    if cls is None:
        return lambda cls: input_class(cls, durability)
    return input_class(cls, durability)


def input_class(cls: type[C], durability: Durability) -> type[C]:
    """The class as an input record class."""
    if not isinstance(durability, Durability):
        raise TypeError(f"durability is one of incr.Durability.LOW, MEDIUM, HIGH, not {short_repr(durability)}")
    made, fields, keys = make_record(cls, "input", eq=True)
    made.__incr__ = InputIngredient(made, fields, keys, durability)  # type: ignore[attr-defined]  # the mark of a record
    return made


def check_record(record: Any) -> InputIngredient:
    """The ingredient of an input record.

    Raises:
        TypeError: it is not an instance of a declared input class.
    """
    ingredient: Any = getattr(type(record), "__incr__", None)
    if type(ingredient) is not InputIngredient or ingredient.record is not type(record):
        hint = " (give the class, not an instance, to remove)" if isinstance(record, type) else ""
        raise TypeError(f"{short_repr(record)} is not a record of a class declared with @incr.input{hint}")
    return ingredient
