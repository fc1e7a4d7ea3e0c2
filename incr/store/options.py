"""How a store is opened: what can be chosen, and what is not a choice.

Law: what is given is checked before anything is touched.

Keeps: store.place, store.durable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from incr.store.appender import Limits
from incr.store.block import Zstd
from incr.store.opening import OnCorrupt
from incr.store.writer import Flush

__all__ = ["FLUSH", "Durability", "Options", "StoreLimits"]

Durability = Literal["commit", "interval", "relaxed"]

#: When the log is brought to the disk, by durability.
FLUSH: Final = {"commit": Flush.each(), "interval": Flush.after(0.05), "relaxed": Flush.by_hand()}


class StoreLimits(NamedTuple):
    """Sizes in bytes."""

    #: A segment of the log that would become longer is followed by a new one.
    segment_bytes: int = Limits().segment_bytes
    #: How much room is made in advance in a segment at a time; 0: none.
    preallocate: int = Limits().preallocate
    #: A delta that is longer goes into a new base instead of the log.
    entry_bytes: int = 1 << 26


class Options(NamedTuple):
    """What a store was opened with."""

    mode: Literal["rw", "ro"]
    durability: Durability
    on_corrupt: OnCorrupt
    keep_bases: int
    compress: bool
    thorough: bool
    limits: StoreLimits
    random: Callable[[int], bytes]

    # spec: paged.zstd
    def check(self, path: str) -> None:
        """Go on only with what can be chosen, and can be done here.

        Raises:
            ValueError: it is no choice.
            StoreError: the package for it is not installed.
        """
        if self.mode not in ("rw", "ro"):
            raise ValueError(f"mode must be 'rw' or 'ro', not {self.mode!r}")
        if self.durability not in FLUSH:
            raise ValueError(f"durability must be 'commit', 'interval' or 'relaxed', not {self.durability!r}")
        if self.on_corrupt not in ("error", "ignore", "quarantine", "delete"):
            raise ValueError(f"on_corrupt must be 'error', 'ignore', 'quarantine' or 'delete', not {self.on_corrupt!r}")
        if self.keep_bases < 1:
            raise ValueError(f"keep_bases must be at least 1, not {self.keep_bases}")
        if self.compress and self.mode == "rw":
            Zstd(path)
