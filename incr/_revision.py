"""Revisions and durability: the two small scales on which an input's change is placed.

Law: a database's revision only ever grows; nothing else in incr tells time.
"""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["OPEN", "Durability", "Revision"]


class Revision(int):
    """The version of a database's inputs: 0 when nothing was set yet, one more for every effective change."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Revision({int(self)})"

    __str__ = int.__repr__


class Durability(enum.IntEnum):
    """How rarely an input changes. It is a hint about cost and never changes an answer.

    LOW and MEDIUM inputs know their dependents one by one. HIGH inputs keep none: a write to one of them suspects
    everything that read an input of its kind.
    """

    LOW = 0
    MEDIUM = 1
    HIGH = 2


#: The end of a validity interval that nothing has closed yet; larger than any revision.
OPEN: Final = 1 << 62
