"""Loading: from a file to a state beside the database's, then the swap.

Like a save it has parts: `LoadJob`, then `read`, which may run in another thread, then `finish`, the swap.

Law: a load replaces everything or nothing. `on_corrupt` speaks of damaged content only; a file that could not be read,
or that another release has written, is left as it is and its error is raised.

Keeps: load.aside, load.corrupt, load.interned, codec.allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike, fsdecode
from typing import Any, final

from incr._codec import ClassTable, Decoder
from incr._errors import CorruptError, StoreError
from incr._graph import CLOSED, At, Graph
from incr._memory import limited
from incr._persist._declared import by_name, classes_of
from incr._persist._format import FILE, read_shared
from incr._persist._garbage import without_collections
from incr._persist._kept import Kept
from incr._persist._keys import UNREADABLE
from incr._persist._restore import Restored, restore
from incr._persist._rows import Declared, located
from incr.store.base import Base, read_base
from incr.store.whole import Found, split_path

__all__ = ["LoadJob"]

#: What a damaged file is called after `on_corrupt="quarantine"`.
_ASIDE = ".corrupt"


@final
class LoadJob:
    """One load: what is asked for, and what was found."""

    __slots__ = ("_declared", "_fingerprint", "_graph", "_kept", "_max_bytes", "_on_corrupt", "_path", "_restored")

    def __init__(
        self,
        graph: Graph,
        path: str | bytes | PathLike[str] | PathLike[bytes],
        on_corrupt: str,
        max_bytes: int | None,
        declared: Iterable[Any],
        fingerprint: Callable[[Any], bytes],
    ) -> None:
        self._graph = graph
        self._path = path
        self._on_corrupt = on_corrupt
        self._max_bytes = max_bytes
        self._fingerprint = fingerprint
        split_path(path)
        self._refuse_if_bound()
        #: Whoever this database knows already comes before others of the same name.
        met = [ingredient for ingredient in graph.ingredients if ingredient is not None]
        self._declared: Declared = by_name([*declared, *met])
        self._restored: Restored | None = None
        self._kept: Kept | None = None

    def _refuse_if_bound(self) -> None:
        if self._graph.pins or self._graph.at.users:
            raise StoreError(
                fsdecode(self._path),
                "cannot be loaded while a snapshot is open or a call runs: they are bound to the state that it would "
                "replace; close them first, or load into a new database",
            )

    # --- in any thread --------------------------------------------------------------------------------------------

    def read(self) -> None:
        """Read the file and build its state.

        Raises:
            CorruptError: its content is damaged, and `on_corrupt` is "error".
            VersionError: it was written by a release with another format.
            LimitExceededError: it is larger than `max_bytes`.
            StoreError: it cannot be read.
        """
        directory, name = split_path(self._path)
        found = directory.read(name, self._max_bytes)
        if found is None:
            return
        try:
            self._build(found)
        except CorruptError:
            # spec: load.corrupt
            if self._on_corrupt == "error":
                raise
            if self._on_corrupt == "quarantine":
                directory.move_aside(name, found.identity, name + _ASIDE)
            elif self._on_corrupt == "delete":
                directory.remove(name, found.identity)

    def _build(self, found: Found) -> None:
        path = fsdecode(self._path)
        base = read_base(path, found.content)
        with without_collections():
            self._restore(path, base)

    def _restore(self, path: str, base: Base) -> None:
        if not base.sections or base.sections[0].kind != FILE:
            raise CorruptError(path, 0, "does not begin with the section that all others refer to")
        order = [(section.kind, section.name) for section in base.sections]
        if order != sorted(order):
            raise CorruptError(path, 0, "the sections are out of order")
        with located(path, base.sections[0]):
            shared = read_shared(base.sections[0], len(base.sections))
            classes = _classes(shared.classes)
        decoding = _Decoding(classes, self._declared, self._graph)
        restored = restore(path, base, shared, self._declared, self._fingerprint, decoding.decode)
        self._kept = Kept(classes.to_list(), restored.instances, restored.foreign)
        self._restored = restored

    # --- in the database's own thread -----------------------------------------------------------------------------

    # spec: load.aside
    def finish(self) -> bool:
        """Swap the state in; False if there was no file, or no sound one."""
        if self._restored is None:
            return False
        with self._graph.lock:
            self._refuse_if_bound()
            self._swap(self._graph, self._restored.graph)
        return True

    def _swap(self, graph: Graph, state: Graph) -> None:
        for ingredient in graph.ingredients:
            if ingredient is not None:
                state.table(ingredient)
        graph.at.tables = CLOSED
        graph.newest = max(state.newest, graph.newest + 1)
        graph.at = At(graph.newest - 1, CLOSED)  # what the log says was written after it
        graph.tables, graph.ingredients = state.tables, state.ingredients
        graph.counters = state.counters | graph.counters
        graph.log = state.log
        graph.presence, graph.key_sets, graph.untracked = state.presence, state.key_sets, state.untracked
        graph.collected = state.collected
        graph.sorted_keys = {}
        if state.memory is not None or graph.memory is not None:
            limited(graph).forget(graph.counters)
        if graph.state is not None:
            graph.state.recount(graph.tables, graph.interned)
        graph.changes += 1
        graph.stored = self._kept
        graph.listeners.advanced(graph.newest)


def _classes(data: bytes) -> ClassTable:
    entries = Decoder(ClassTable(), {}).decode(data)
    try:
        return ClassTable.from_list(entries)
    except TypeError as error:  # not even a list
        raise ValueError("the table of classes is not one") from error


@final
class _Decoding:
    """The file's values become the program's, and only of types that the program declares."""

    __slots__ = ("_declared", "_decoder", "_graph", "_table")

    def __init__(self, table: ClassTable, declared: Declared, graph: Graph) -> None:
        self._table = table
        self._declared = declared
        self._graph = graph
        self._decoder: Decoder | None = None

    def decode(self, data: bytes) -> Any:
        """The value, or `UNREADABLE`."""
        if self._decoder is None:
            # spec: codec.allow
            self._decoder = Decoder(self._table, classes_of(self._declared.values()), self._intern)
        try:
            return self._decoder.decode(data)
        except Exception:  # whatever a class of the program does with what another version of it has written
            return UNREADABLE

    # spec: load.interned
    def _intern(self, value: Any) -> Any:
        ingredient: Any = value.__incr__
        self._graph.table(ingredient)
        return self._graph.interned.setdefault(ingredient.index, {}).setdefault(value, value)
