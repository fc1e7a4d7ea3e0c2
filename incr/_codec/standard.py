"""Immutable types of the standard library that files may hold: how each is taken apart, by a number of its own.

Law: numbers are written into files and are never given another meaning. Only what is in this table is imported.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

__all__ = ["STANDARD", "standard_class", "standard_number"]


class Standard(NamedTuple):
    """One type: `parts` takes an instance apart into storable values, `build` puts it together again."""

    module: str
    name: str
    parts: Callable[[Any], tuple[Any, ...]]
    build: Callable[[Any, tuple[Any, ...]], Any]


def _call(cls: Any, parts: tuple[Any, ...]) -> Any:
    return cls(*parts)


def _text(value: Any) -> tuple[Any, ...]:
    return (str(value),)


def _zone(value: Any) -> tuple[Any, ...]:
    if value.key is None:
        raise ValueError("a time zone without a key")
    return (value.key,)


def _fixed_zone(value: Any) -> tuple[Any, ...]:
    arguments: tuple[Any, ...] = value.__getinitargs__()
    return arguments


def _clock(value: Any) -> tuple[Any, ...]:
    return (value.hour, value.minute, value.second, value.microsecond, value.tzinfo, value.fold)


def _with_fold(cls: Any, parts: tuple[Any, ...]) -> Any:
    *rest, fold = parts
    return cls(*rest, fold=fold)


STANDARD: Final = (
    Standard("pathlib", "PurePosixPath", _text, _call),
    Standard("pathlib", "PureWindowsPath", _text, _call),
    Standard("pathlib", "PosixPath", _text, _call),
    Standard("pathlib", "WindowsPath", _text, _call),
    Standard("uuid", "UUID", lambda value: (value.bytes,), lambda cls, parts: cls(bytes=parts[0])),
    Standard("datetime", "date", lambda value: (value.year, value.month, value.day), _call),
    Standard("datetime", "time", _clock, _with_fold),
    Standard("datetime", "datetime", lambda value: (value.year, value.month, value.day, *_clock(value)), _with_fold),
    Standard("datetime", "timedelta", lambda value: (value.days, value.seconds, value.microseconds), _call),
    Standard("datetime", "timezone", _fixed_zone, _call),
    Standard("zoneinfo", "ZoneInfo", _zone, _call),
    Standard("decimal", "Decimal", _text, _call),
    Standard("fractions", "Fraction", lambda value: (value.numerator, value.denominator), _call),
    Standard("builtins", "range", lambda value: (value.start, value.stop, value.step), _call),
    Standard("builtins", "slice", lambda value: (value.start, value.stop, value.step), _call),
    Standard("builtins", "ellipsis", lambda value: (), lambda cls, parts: ...),
)


def standard_number(cls: type[Any]) -> int | None:
    """The number of a type of the table."""
    for number, entry in enumerate(STANDARD):
        module = sys.modules.get(entry.module)
        if module is not None and (getattr(module, entry.name, None) is cls or cls is type(...) is _type(entry)):
            return number
    return None


def _type(entry: Standard) -> Any:
    return type(...) if entry.name == "ellipsis" else None


def standard_class(number: int) -> Any:
    """The type with that number."""
    entry = STANDARD[number]
    return _type(entry) or getattr(importlib.import_module(entry.module), entry.name)
