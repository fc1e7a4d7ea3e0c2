"""What happened to one ingredient's calls in this process, in numbers.

Keeps: statistics.counts.
"""

from __future__ import annotations

from typing import final

__all__ = ["Counters"]


@final
class Counters:
    """How often calls were executed, verified, backdated, joined and cancelled."""

    __slots__ = ("backdated", "cancelled", "executed", "joined", "verified")

    def __init__(self) -> None:
        self.executed = self.verified = self.backdated = self.joined = self.cancelled = 0
