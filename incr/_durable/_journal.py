"""What the store of a database does not have yet.

Law: whatever a store has of a row that is in none of these sets is what the row is now.

Keeps: commit.journal.
"""

from __future__ import annotations

from typing import final

from incr._node import Node

__all__ = ["Journal"]


# spec: commit.journal
@final
class Journal:
    """Nodes that differ from their rows, or have none. The caller holds the lock."""

    __slots__ = ("doubtful", "rows", "verified")

    def __init__(self) -> None:
        #: Anything may be different, or new.
        self.rows: dict[Node, None] = {}
        #: Good again, and else as they were.
        self.verified: dict[Node, None] = {}
        #: May not be good any more.
        self.doubtful: dict[Node, None] = {}

    @property
    def size(self) -> int:
        """How many nodes there are to look at."""
        return len(self.rows) + len(self.verified) + len(self.doubtful)

    def others(self) -> list[Node]:
        """Those that are as they were but for being good, each once."""
        rows = self.rows
        return [node for node in {**self.verified, **self.doubtful} if node not in rows]

    def take(self, into: Journal) -> Journal:
        """What is in it, which is in *into* from now on, and not in it any more."""
        taken = Journal()
        taken.add(self)
        into.add(self)  # first: an interrupt in between loses nothing
        for nodes in (self.rows, self.verified, self.doubtful):
            nodes.clear()
        return taken

    def add(self, other: Journal) -> None:
        """What is in another one is in this one too."""
        self.rows.update(other.rows)
        self.verified.update(other.verified)
        self.doubtful.update(other.doubtful)

    def give_back(self, taken: Journal) -> None:
        """What was taken has not come into the store."""
        self.add(taken)
