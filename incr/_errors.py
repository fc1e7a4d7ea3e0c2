"""Everything that incr itself raises.

    IncrError
    ├── CycleError             a call needs its own result
    ├── MissingInputError      (KeyError) an input that was never set, or was removed
    ├── WriteInQueryError      a query tried to change inputs
    ├── FinishedFrameError     a query's `db` was used after the query had ended
    ├── MutatedValueError      a memoised value was changed in place
    ├── SupersededError        an input changed under `incr.latest`
    ├── LimitExceededError     a bound given by the program was reached
    └── StoreError             a file: where it is
        ├── EncodeError        (TypeError) a value that cannot be stored
        ├── CorruptError       (ValueError) damaged content: at which byte
        ├── VersionError       written by a program of another format
        ├── StoreLockedError   somebody else has it
        └── StoreBrokenError   a write failed in a way that cannot be retried

Law: messages are built from data in the constructors here, and say what happened, with which names and values, and
what to do. Exceptions of the user's own functions are never wrapped.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

__all__ = [
    "CorruptError",
    "CycleError",
    "EncodeError",
    "FinishedFrameError",
    "IncrError",
    "LimitExceededError",
    "MissingInputError",
    "MutatedValueError",
    "StoreBrokenError",
    "StoreError",
    "StoreLockedError",
    "SupersededError",
    "VersionError",
    "WriteInQueryError",
    "call_text",
]


def call_text(name: str, arguments: Sequence[object]) -> str:
    """A call as a reader would write it: ``words('a', 3)``; long arguments are cut."""
    return f"{name}({', '.join(map(short_repr, arguments))})"


def short_repr(value: object, limit: int = 80) -> str:
    """``repr(value)`` cut to *limit* characters; a repr that raises is named, not propagated."""
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


class IncrError(Exception):
    """The root of incr's own errors."""


class CycleError(IncrError):
    """A call needs its own result.

    `path` lists the calls of the loop, each once, as (name, arguments); the last one needs the first one. It begins
    at the same call from whichever of them the loop was entered.

    `rounds` is 0, or the number of rounds after which an iteration (``cycle_initial=``) was given up; `path` then
    lists the calls that it was about.
    """

    path: tuple[tuple[str, tuple[Hashable, ...]], ...]
    rounds: int

    def __init__(self, path: Sequence[tuple[str, tuple[Hashable, ...]]], rounds: int = 0) -> None:
        self.path = tuple(path)
        self.rounds = rounds
        super().__init__(*((self.path, rounds) if rounds else (self.path,)))

    # spec: cycle.rounds
    def __str__(self) -> str:
        calls = [call_text(name, arguments) for name, arguments in self.path]
        if self.rounds:
            return (
                f"the values of a loop of calls did not settle within {self.rounds} rounds: {', '.join(calls)}; each "
                "round has to come closer to an end: let values only grow (cycle_join=), in a range that is finite"
            )
        return (
            f"a call needs its own result: {' -> '.join([*calls, calls[0]])}; "
            "break the loop in one of these queries (catching the error inside of the loop does not help)"
        )


class MissingInputError(IncrError, KeyError):
    """An input was read that was never set, or was removed. `slot` is (record class, key)."""

    slot: tuple[type[Any], Hashable]

    def __init__(self, record: type[Any], key: Hashable) -> None:
        self.slot = (record, key)
        super().__init__(record, key)

    def __str__(self) -> str:
        record, key = self.slot
        if key == ():
            return f"{record.__name__} was never set, or was removed; set it, or use db.get({record.__name__})"
        return (
            f"{record.__name__} has no record with key {short_repr(key)}; set it first, or ask with "
            f"`({record.__name__}, key) in db` or db.get({record.__name__}, key)"
        )


class WriteInQueryError(IncrError):
    """A running query tried to change inputs; nothing was changed."""


class FinishedFrameError(IncrError):
    """The `db` of a query's call was used after that call had ended."""


class MutatedValueError(IncrError):
    """A memoised value was changed in place after its call had returned it (found by `check_values=True`)."""


class SupersededError(IncrError):
    """An input changed while a block of `incr.latest` was running."""


class LimitExceededError(IncrError):
    """A bound that the program has set was reached; nothing was changed."""


class StoreError(IncrError):
    """Something about a file or directory; `path` says which."""

    path: str

    def __init__(self, path: str, message: str) -> None:
        self.path = path
        self.message = message
        super().__init__(path, message)

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class EncodeError(StoreError, TypeError):
    """A value cannot be stored.

    `owner` names the query or record, `type_name` the offending type, `where` the way into the value
    (``.items[3].node``).
    """

    def __init__(self, owner: str, type_name: str, where: str, reason: str = "") -> None:
        self.owner = owner
        self.type_name = type_name
        self.where = where
        self.reason = reason
        hint = (
            reason or "register it with incr.register_codec, or keep the query's values out of files with persist=False"
        )
        place = f" at {where}" if where else ""
        super().__init__("", f"{owner or 'value'}: a {type_name}{place} cannot be stored; {hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.owner, self.type_name, self.where, self.reason)


class CorruptError(StoreError, ValueError):
    """A file's content does not check; `offset` is where, in bytes from its start."""

    offset: int

    def __init__(self, path: str, offset: int, message: str) -> None:
        self.offset = offset
        super().__init__(path, message)
        self.args = (path, offset, message)

    def __str__(self) -> str:
        return f"{self.path}: damaged at byte {self.offset}: {self.message}"


class VersionError(StoreError):
    """A file has a format that this release does not read; it was left as it is."""

    found: int
    supported: int

    def __init__(self, path: str, found: int, supported: int) -> None:
        self.found = found
        self.supported = supported
        super().__init__(
            path,
            f"has format {found}, this release reads format {supported}; use the release that wrote it, "
            "or give another path",
        )
        self.args = (path, found, supported)


class StoreLockedError(StoreError):
    """Another process writes to this directory."""


class StoreBrokenError(StoreError):
    """An earlier write failed in a way that makes later ones unsafe."""
