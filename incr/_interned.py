"""Interned values: immutable values of which each database keeps one instance.

Law: after interning, equal and identical are the same thing. Equality is exact (`Symbol(1)` is not `Symbol(True)`),
else the instance that one gets would depend on who came first.

Keeps: declare.interned, intern.identity, intern.exact.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeVar, dataclass_transform, final

from incr._errors import short_repr
from incr._exact import PLAIN, exact_key, same
from incr._record import field, make_record
from incr._registry import enter, leave

__all__ = ["InternedIngredient", "interned"]

C = TypeVar("C")


@final
class InternedIngredient:
    """The table of one class of interned values."""

    __slots__ = ("__weakref__", "fields", "identity", "index", "name", "record")
    kind = "interned"

    def __init__(self, record: type[Any], fields: tuple[str, ...]) -> None:
        self.record = record
        self.name = record.__name__
        self.identity = f"{record.__module__}:{record.__qualname__}"
        self.fields = fields
        self.index = enter(self)

    def __del__(self) -> None:
        leave(self.index)

    def label(self, row: Any) -> str:
        """The value as a reader would write it."""
        return short_repr(row)

    def arguments(self, row: Any) -> tuple[Hashable, ...]:
        """The values of the fields."""
        return tuple(getattr(row, name) for name in self.fields)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
# spec: declare.interned
def interned(cls: type[C], /) -> type[C]:
    """Declare a class of values of which a database keeps one instance each: ``db.intern(Symbol("a"))``.

    Raises:
        TypeError: the class cannot be made a record.
    """
    made, fields, keys = make_record(cls, "interned", eq=False)
    if keys:
        raise TypeError(f"{made.__name__}: an interned value is its own key; use plain fields, not incr.key()")

    # spec: intern.exact
    def equal(self: Any, other: object) -> Any:
        if self is other:
            return True
        if type(other) is not type(self):
            return NotImplemented
        mine, others = ingredient.arguments(self), ingredient.arguments(other)
        return same(mine, others)

    def hashed(self: Any) -> int:
        return hash(exact_key(tuple([getattr(self, name) for name in fields])))

    declared: Any = made
    ingredient = InternedIngredient(made, fields)
    declared.__eq__ = equal
    declared.__hash__ = hashed
    declared.__incr__ = ingredient
    PLAIN.add(made)
    return made
