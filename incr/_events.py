"""What a database says about itself while it works: frozen values, in the order in which things happened.

Law: an event names ingredient and key, never a hash or an object of the engine, so that it may be kept for ever.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar

from incr._errors import short_repr
from incr._revision import Revision

__all__ = [
    "Event",
    "EventsDropped",
    "FlightJoined",
    "InputRemoved",
    "InputSet",
    "QueryBackdated",
    "QueryCancelled",
    "QueryEvicted",
    "QueryExecuted",
    "QuerySuspected",
    "QueryVerified",
    "RevisionAdvanced",
    "ValueNotStored",
]


class Event:
    """The root of all events: immutable, equal by type and fields, usable in ``match`` statements."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()

    def _fields(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__match_args__)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), self._fields()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(short_repr, self._fields()))})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: {name!r} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: {name!r} cannot be deleted")


class RevisionAdvanced(Event):
    """The inputs have a new revision."""

    __slots__ = ("revision",)
    __match_args__ = ("revision",)
    revision: Revision

    def __init__(self, revision: Revision) -> None:
        object.__setattr__(self, "revision", revision)


class _InputEvent(Event):
    __slots__ = ("key", "record", "revision")
    __match_args__ = ("record", "key", "revision")
    record: type[Any]
    key: Hashable
    revision: Revision

    def __init__(self, record: type[Any], key: Hashable, revision: Revision) -> None:
        object.__setattr__(self, "record", record)
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "revision", revision)


class InputSet(_InputEvent):
    """A record was set to a value that it did not have."""

    __slots__ = ()


class InputRemoved(_InputEvent):
    """A record was removed."""

    __slots__ = ()


class _CallEvent(Event):
    __slots__ = ("key", "query")
    __match_args__ = ("query", "key")
    query: str
    #: The call's arguments, defaults filled in, in the order of the parameters.
    key: tuple[Hashable, ...]

    def __init__(self, query: str, key: tuple[Hashable, ...]) -> None:
        object.__setattr__(self, "query", query)
        object.__setattr__(self, "key", key)


class QueryExecuted(_CallEvent):
    """A query's body ran to its end."""

    __slots__ = ()


class QueryBackdated(_CallEvent):
    """A body ran and gave what it had given before, so nothing that used it has to run."""

    __slots__ = ()


class QueryVerified(_CallEvent):
    """A memo was proved good without running its body."""

    __slots__ = ()


class QuerySuspected(_CallEvent):
    """Something that this call had read, directly or not, was written. It may or may not change."""

    __slots__ = ()


class QueryEvicted(_CallEvent):
    """A memo's value was dropped; its stamps and dependencies were kept."""

    __slots__ = ()


class QueryCancelled(_CallEvent):
    """A body was cancelled or interrupted; the memo is as it was before."""

    __slots__ = ()


class FlightJoined(_CallEvent):
    """A caller waits for an execution that another caller has in progress."""

    __slots__ = ()


class ValueNotStored(_CallEvent):
    """A value could not be written to a file (`reason` says why); it will be computed again after a load."""

    __slots__ = ("reason",)
    __match_args__ = ("query", "key", "reason")
    reason: str

    def __init__(self, query: str, key: tuple[Hashable, ...], reason: str) -> None:
        super().__init__(query, key)
        object.__setattr__(self, "reason", reason)


class EventsDropped(Event):
    """A reader of `Database.events` was too slow: `count` events before the next one were dropped."""

    __slots__ = ("count",)
    __match_args__ = ("count",)
    count: int

    def __init__(self, count: int) -> None:
        object.__setattr__(self, "count", count)
