"""The numbers of declared ingredients: where each one's table stands in every database.

Law: a number is given again only when its ingredient is gone, and a database that has met an ingredient keeps it
alive, so no two tables ever meet.
"""

from __future__ import annotations

from typing import Final

__all__ = ["new_index", "return_index"]

_free: Final[list[int]] = []
_given: Final[list[int]] = [0]


def new_index() -> int:
    """A number that no living ingredient has."""
    if _free:
        return _free.pop()
    _given[0] += 1
    return _given[0] - 1


def return_index(index: int) -> None:
    """The ingredient with this number is gone."""
    _free.append(index)
