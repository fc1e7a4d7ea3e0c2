"""The classes that a file's values may be made of: those that the program names in its declarations.

Law: no class is found by a name out of a file; names are looked up among these.

Keeps: codec.allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from incr._codec import declared_types

__all__ = ["by_name", "classes_of"]


def classes_of(ingredients: Iterable[Any]) -> dict[str, type]:
    """The record classes, and the classes in the annotations of fields, parameters and results, and those that
    accumulators were declared with, by name."""
    return declared_types(*(hint for ingredient in ingredients for hint in _hints(ingredient)))


def _hints(ingredient: Any) -> Iterator[Any]:
    if ingredient.kind != "query":
        yield ingredient.record
        return
    if ingredient.accumulator is not None:
        yield from ingredient.accumulator.pushed_types()
        return
    function = ingredient.function
    scope: dict[str, Any] = {}
    for hint in function.__annotations__.values():
        if not isinstance(hint, str):
            yield hint
            continue
        if not scope:
            scope.update(function.__globals__)
            scope.update(_closure(function))
        try:
            yield eval(hint, scope)
        except Exception:  # named for type checkers only: its classes have to be registered, or declared elsewhere
            continue


def _closure(function: Any) -> Iterator[tuple[str, Any]]:
    """What the function's body takes from the function around it: local classes are often among it."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue


# spec: accumulate.persist
def by_name(ingredients: Sequence[Any]) -> dict[tuple[str, str], Any]:
    """The ingredients of a file's sections: of two of one name the later one, but neither of two accumulators, which
    have no code to tell whose pushes a file has."""
    found = {(one.kind, one.identity): one for one in ingredients}
    collections = [one for one in ingredients if one.kind == "query" and one.accumulator is not None]
    named: dict[str, Any] = {}
    twice: set[str] = set()
    for one in collections:
        if named.setdefault(one.accumulator.name, one.accumulator) is not one.accumulator:
            twice.add(one.accumulator.name)
    for one in collections:
        if one.accumulator.name in twice:
            found.pop((one.kind, one.identity), None)
    return found
