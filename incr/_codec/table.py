"""The marks that say what an array is, and the table of classes that a file has.

Law: numbers here are written into files and are never given another meaning.
"""

from __future__ import annotations

from typing import Any, Final, final

__all__ = ["DEPTH_LIMIT", "ClassTable", "Mark", "UnknownTypeError"]

#: Containers may nest this deep. cbor2 has been seen to crash on deep nesting when it encodes.
DEPTH_LIMIT: Final = 200


class UnknownTypeError(ValueError):
    """A class that the program does not declare, or no longer in this shape."""


@final
class Mark:
    """The first item of every array: what the rest of it is."""

    TUPLE = 0
    LIST = 1
    DICT = 2
    SET = 3
    FROZENSET = 4
    BYTEARRAY = 5
    BIG_INT = 6
    NAN = 7
    TEXT_WITH_SURROGATES = 8
    COMPLEX = 9
    OBJECT = 10
    NAMED_TUPLE = 11
    ENUM = 12
    STANDARD = 13
    REGISTERED = 14


#: What a class is, in the table: decides how its instances are taken apart.
KINDS: Final = frozenset({"object", "named tuple", "enum", "registered"})


@final
class ClassTable:
    """The classes whose instances are in one file: (name, kind, field names), numbered from 0."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str, tuple[str, ...]], int] = {}

    def number(self, name: str, kind: str, fields: tuple[str, ...]) -> int:
        """The number of a class, entered if it is new."""
        return self._numbers.setdefault((name, kind, fields), len(self._numbers))

    @property
    def size(self) -> int:
        """How many classes there are."""
        return len(self._numbers)

    def cut(self, size: int) -> None:
        """Forget the classes from number *size* on."""
        while len(self._numbers) > size:
            self._numbers.popitem()

    def sort_from(self, start: int) -> bool:
        """Number the classes from *start* on by their names; whether that gave any of them another number."""
        if len(self._numbers) - start < 2:
            return False
        entries = self.entries()
        ordered = entries[:start] + sorted(entries[start:])
        self._numbers = {entry: number for number, entry in enumerate(ordered)}
        return ordered != entries

    def entries(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """The classes in the order of their numbers."""
        return list(self._numbers)

    def to_list(self) -> list[Any]:
        """The table as something that every codec can write: a list of (name, kind, (fields...))."""
        return self.entries()

    @classmethod
    def from_list(cls, entries: list[Any]) -> ClassTable:
        """The table back from what `to_list` gave.

        Raises:
            ValueError: it is not one.
        """
        table = cls()
        for place, entry in enumerate(entries):
            match entry:
                case (str(name), str(kind), tuple(fields)) if kind in KINDS and all(type(x) is str for x in fields):
                    if table.number(name, kind, fields) != place:
                        raise ValueError(f"class {name} is in the table of classes twice")
                case _:
                    raise ValueError(f"entry {place} of the table of classes is not (name, kind, fields)")
        return table
