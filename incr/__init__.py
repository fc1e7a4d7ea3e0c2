"""incr: an incremental query runtime.

A program declares inputs, interned values and queries; incr memoises every call, records what each call read, and
after a change runs again only what the change can reach and what really came out different.
"""

from incr._accumulator import Accumulator
from incr._database import Database, Snapshot
from incr._errors import (
    CorruptError,
    CycleError,
    EncodeError,
    FinishedFrameError,
    IncrError,
    LimitExceededError,
    MissingInputError,
    MutatedValueError,
    StoreBrokenError,
    StoreError,
    StoreLockedError,
    SupersededError,
    VersionError,
    WriteInQueryError,
)
from incr._events import (
    Event,
    EventsDropped,
    FlightJoined,
    InputRemoved,
    InputSet,
    QueryBackdated,
    QueryCancelled,
    QueryEvicted,
    QueryExecuted,
    QuerySuspected,
    QueryVerified,
    RevisionAdvanced,
    ValueNotStored,
)
from incr._explain import Explanation, Reason
from incr._fold import fold
from incr._input import field, input, key
from incr._interned import interned
from incr._latest import latest
from incr._listeners import Subscription
from incr._networkx import graph
from incr._open import Opened, open
from incr._parallel import gather, map
from incr._query import Query, query
from incr._registered import register_codec
from incr._revision import Durability, Revision
from incr._stale import Stale
from incr._statistics import QueryStatistics, Statistics
from incr._view import View
from incr._write import Batch

__all__ = [
    "Accumulator",
    "Batch",
    "CorruptError",
    "CycleError",
    "Database",
    "Durability",
    "EncodeError",
    "Event",
    "EventsDropped",
    "Explanation",
    "FinishedFrameError",
    "FlightJoined",
    "IncrError",
    "InputRemoved",
    "InputSet",
    "LimitExceededError",
    "MissingInputError",
    "MutatedValueError",
    "Opened",
    "Query",
    "QueryBackdated",
    "QueryCancelled",
    "QueryEvicted",
    "QueryExecuted",
    "QueryStatistics",
    "QuerySuspected",
    "QueryVerified",
    "Reason",
    "Revision",
    "RevisionAdvanced",
    "Snapshot",
    "Stale",
    "Statistics",
    "StoreBrokenError",
    "StoreError",
    "StoreLockedError",
    "Subscription",
    "SupersededError",
    "ValueNotStored",
    "VersionError",
    "View",
    "WriteInQueryError",
    "field",
    "fold",
    "gather",
    "graph",
    "input",
    "interned",
    "key",
    "latest",
    "map",
    "open",
    "query",
    "register_codec",
]
