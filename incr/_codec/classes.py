"""How instances of declared classes are taken apart and put together: data classes, records, attrs, named tuples.

Law: constructors are not run when a value comes back: it was valid when it was stored, and ``__post_init__`` may do
what it likes. Fields are put where the class keeps them.
"""

from __future__ import annotations

from typing import Any

__all__ = ["object_fields", "shape_of"]

_BUILTIN = (str, bytes, bytearray, int, float, complex, tuple, list, dict, set, frozenset, BaseException, type)


def object_fields(cls: type[Any]) -> tuple[str, ...] | None:
    """The names of the fields of a data class, a record or an attrs class; None for any other class."""
    if issubclass(cls, _BUILTIN):
        return None  # there would be more to it than its fields
    fields = cls.__dict__.get("__dataclass_fields__")
    if fields is not None:
        return tuple(name for name, field in fields.items() if field._field_type.name == "_FIELD")
    attributes = cls.__dict__.get("__attrs_attrs__")
    return None if attributes is None else tuple(attribute.name for attribute in attributes)


def shape_of(cls: type[Any]) -> tuple[str, tuple[str, ...]] | None:
    """(kind, field names) as in the table of classes; None for a class that is not taken apart here."""
    import enum

    if issubclass(cls, enum.Enum):
        return "enum", ()
    if issubclass(cls, tuple):
        fields = getattr(cls, "_fields", None)
        return None if fields is None or "_fields" not in cls.__dict__ else ("named tuple", tuple(fields))
    found = object_fields(cls)
    return None if found is None else ("object", found)
