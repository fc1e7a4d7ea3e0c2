"""What one execution of a call pushed to accumulators.

Law: pushes belong to an outcome as its value does: stored with it, replayed with it, right as long as it is.

Keeps: accumulate.replay.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias, final

from incr._exact import same
from incr._node import Marker

__all__ = ["BARRED", "LOST", "Push", "Pushes", "weigh"]

#: The accumulator, how many dependencies the call had read before it, and the value.
Push: TypeAlias = tuple[Any, int, Any]

#: In place of pushes: there were some, and nobody knows what. Such a call has no value either.
LOST: Final = Marker("LOST")
#: In place of pushes: the call is on a cycle. What it pushed and read depends on where that was entered.
BARRED: Final = Marker("BARRED")


@final
class Pushes:
    """The pushes of one execution, in order, or the bytes of a file that have them."""

    __slots__ = ("encoded", "entries", "stored")

    def __init__(self, entries: tuple[Push, ...] | None, stored: Any = None) -> None:
        #: None while they are in `stored` only.
        self.entries = entries
        #: What has them in bytes; `decode` gives them, or None where this program cannot read them.
        self.stored = stored
        #: Their bytes as last written or read.
        self.encoded: bytes | None = None

    def decode(self) -> tuple[Push, ...] | None:
        """The pushes; None where this program cannot read them. May run code of the program."""
        if self.entries is None:
            entries: tuple[Push, ...] | None = self.stored.decode()
            self.entries = entries
        return self.entries


# spec: accumulate.backdate
def weigh(before: Any, pushed: list[Push] | None) -> Any:
    """What an execution pushed, as a node keeps it: *before* itself if it is the same. May run code of the program."""
    if not pushed:
        return None
    entries = tuple(pushed)
    if type(before) is Pushes:
        known = before.decode()
        if known is not None and same(known, entries):
            return before
    return Pushes(entries)
