"""All declared ingredients: their numbers, which say where each one's table stands in every database.

Law: a number is given again only when its ingredient is gone, and a database that has met an ingredient keeps it
alive, so no two tables ever meet. Declaring is the only thing that changes what is here.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakValueDictionary

__all__ = ["declared", "enter", "leave"]

_free: Final[list[int]] = []
_ingredients: Final[WeakValueDictionary[int, Any]] = WeakValueDictionary()


def enter(ingredient: Any) -> int:
    """A number for the ingredient that no other living one has."""
    index = _free.pop() if _free else len(_ingredients)
    while index in _ingredients:  # one died and its number is not free yet
        index += 1
    _ingredients[index] = ingredient
    return index


def leave(index: int) -> None:
    """The ingredient with this number is gone."""
    _free.append(index)


def declared() -> list[Any]:
    """The living ingredients, in the order in which they were declared."""
    return list(_ingredients.values())
