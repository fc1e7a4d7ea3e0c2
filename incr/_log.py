"""The write log: what was written and what no read has followed yet, and the nodes that every revision writes.

Law: an entry says what was there when somebody could last have looked.

Keeps: memo.aba, read.untracked.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias, final

from incr._events import InputRemoved, InputSet
from incr._node import Node
from incr._revision import Revision

__all__ = ["UNTRACKED", "Change", "Step", "Unseen", "write_events"]


@final
class Unseen:
    """A write that no read has followed yet: the first revision that wrote, and what was there before."""

    __slots__ = ("changed_at", "revision", "value")

    def __init__(self, revision: int, value: Any, changed_at: int) -> None:
        self.revision = revision
        self.value = value
        self.changed_at = changed_at


#: Slot, record or ABSENT, durability, and whether that is the value that was last looked at.
Change: TypeAlias = tuple[Node, Any, int, bool]
#: Node, its new value, whether hits may take that, and whether it is the value that was last looked at.
Step: TypeAlias = tuple[Node, Any, bool, bool]


@final
class _Untracked:
    """The table of what the database cannot see; its keys are the reasons that queries gave."""

    name = "untracked"
    kind = "untracked"
    index = -1

    def label(self, key: Any) -> str:
        return f"untracked read ({key})"

    def arguments(self, key: Any) -> tuple[Any, ...]:
        return (key,)


#: The ingredient of untracked reads.
UNTRACKED: Final = _Untracked()


def write_events(steps: list[Step], revision: int) -> list[InputSet | InputRemoved]:
    """What there is to tell of the steps."""
    events: list[InputSet | InputRemoved] = []
    for slot, _value, there, _back in steps:
        ingredient = slot.ingredient
        if ingredient.kind == "input":
            kind = InputSet if there else InputRemoved
            events.append(kind(ingredient.record, ingredient.public_key(slot.key), Revision(revision)))
    return events
