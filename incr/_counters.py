"""What happened to one ingredient's calls in this process, in numbers.

Keeps: statistics.counts.
"""

from __future__ import annotations

from typing import final

__all__ = ["Counters"]


@final
class Counters:
    """What happened to one ingredient's calls in this process. Hits and misses are counted if the program asks."""

    __slots__ = ("backdated", "cancelled", "evicted", "executed", "hits", "joined", "misses", "verified")

    def __init__(self) -> None:
        self.executed = self.verified = self.backdated = self.joined = self.cancelled = 0
        self.evicted = self.hits = self.misses = 0
