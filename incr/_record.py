"""What input records and interned values have in common: frozen, slotted, data-class-like declared classes.

Law: a record is an ordinary data class (`dataclasses.fields` and `replace` work on it), so that nothing about it has
to be learned twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KEY", "field", "key", "make_record"]

C = TypeVar("C")

#: The mark of a key field in a data class field's metadata.
KEY = "incr.key"


@overload
def key() -> Any: ...
@overload
def key(*, default: Any) -> Any: ...
# spec: declare.key
def key(**options: Any) -> Any:
    """Mark a field of an input as part of its key. The key of several key fields is their tuple, in order."""
    import dataclasses  # 20 ms that a program without declarations need not pay

    unknown = options.keys() - {"default"}
    if unknown:
        raise TypeError(f"incr.key() takes default= only, not {', '.join(sorted(unknown))}")
    return dataclasses.field(metadata={KEY: True}, **options)


@overload
def field(*, default: Any) -> Any: ...
@overload
def field(*, factory: Callable[[], Any]) -> Any: ...
def field(**options: Any) -> Any:
    """Give a field a default: ``field(default=3)``, or ``field(factory=tuple)`` for one made anew each time."""
    import dataclasses

    if len(options) != 1 or not options.keys() <= {"default", "factory"}:
        raise TypeError("incr.field() takes either default= or factory=")
    if "factory" in options:
        return dataclasses.field(default_factory=options["factory"])
    return dataclasses.field(**options)


def make_record(cls: type[C], decorator: str, *, eq: bool) -> tuple[type[C], tuple[str, ...], tuple[str, ...]]:
    """The class as a frozen, slotted data class, with the names of its fields and of its key fields.

    Raises:
        TypeError: *cls* is not a class, or cannot be made into a record.
    """
    import dataclasses

    if not isinstance(cls, type):
        raise TypeError(f"@incr.{decorator} decorates a class, not {cls!r}")
    if "__incr__" in cls.__dict__ or dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is a data class or record already; @incr.{decorator} alone makes it one")
    made: Any = dataclasses.dataclass(frozen=True, slots=True, eq=eq)(cls)
    declared = dataclasses.fields(made)
    keys = tuple(item.name for item in declared if KEY in item.metadata)
    return made, tuple(item.name for item in declared), keys
