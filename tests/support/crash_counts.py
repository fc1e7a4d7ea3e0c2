"""How many states of a disk the tests look at that a crash may have left: each test asserts its part."""

from __future__ import annotations

from typing import Final

__all__ = [
    "LOG_OPENED",
    "LOG_PROCESS",
    "LOG_ROOM",
    "LOG_SHORT",
    "STORE_OPENED",
    "STORE_PROCESS",
    "STORE_SHORT",
    "TOTAL",
]

#: Each call of each short workload.
LOG_SHORT: Final = 70_000
STORE_SHORT: Final = 70_000
#: The same with room made in advance.
LOG_ROOM: Final = 9_000
#: A crash in each call of a process, then a crash of the next one.
LOG_PROCESS: Final = 30_000
STORE_PROCESS: Final = 9_000
#: A crash while what is damaged is opened.
LOG_OPENED: Final = 250
STORE_OPENED: Final = 1_900

TOTAL: Final = LOG_SHORT + STORE_SHORT + LOG_ROOM + LOG_PROCESS + STORE_PROCESS + LOG_OPENED + STORE_OPENED
