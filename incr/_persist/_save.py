"""Saving: from what was captured to a file, and back to the graph what the next save need not do again.

A save has three parts, so that an event loop is not held up: capturing (`SaveJob`), which is short, `write`, which may
run in another thread while the database goes on, and `finish`, which again belongs to the database's own.

Law: the file is one revision, whole. What is learned in `write` reaches the graph only in `finish`, and only if the
graph's files have not moved on meanwhile.

Keeps: save.atomic, save.limits, save.unencodable, save.unchanged, persist.off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike, fsdecode
from typing import Any, final

from incr._codec import ClassTable, Encoder
from incr._errors import EncodeError, LimitExceededError, StoreError
from incr._events import ValueNotStored
from incr._graph import Graph
from incr._node import ABSENT, EMPTY, Failure, Node, Stored
from incr._persist._arrange import Arrangement
from incr._persist._capture import Capture, Table
from incr._persist._format import CALLS, LOST_PUSHES, RECORDS
from incr._persist._kept import NOTHING, Instances, Kept
from incr._persist._keys import column_of, sizes_of
from incr._persist._limits import (
    Limits,
    bare_sizes,
    drop_large_records,
    drop_largest_values,
    largest_calls,
    surplus_records,
    with_dependents,
)
from incr._persist._pushed import encode_pushes, known_pushes
from incr._pushes import Pushes
from incr.store.base import image_size, write_base
from incr.store.layout import Header
from incr.store.whole import split_path

__all__ = ["SaveJob"]


@final
class SaveJob:
    """One save: what was captured when it was made, and what has been done with it."""

    __slots__ = (
        "_accumulators", "_capture", "_classes", "_fingerprint", "_foreign", "_fresh", "_fresh_pushes", "_graph",
        "_instances", "_limits", "_path", "_unstored",
    )  # fmt: skip

    def __init__(
        self,
        graph: Graph,
        path: str | bytes | PathLike[str] | PathLike[bytes],
        limits: Limits,
        fingerprint: Callable[[Any], bytes],
    ) -> None:
        self._graph = graph
        self._path = path
        self._limits = limits
        self._fingerprint = fingerprint
        split_path(path)
        self._capture = Capture(graph, fsdecode(path))
        kept: Kept = self._capture.kept or NOTHING
        self._classes = ClassTable.from_list(list(kept.classes))
        self._foreign = kept.foreign
        self._instances: dict[str, Instances] = dict(kept.instances)
        #: What was encoded now: node, value, bytes.
        self._fresh: list[tuple[Node, Any, bytes]] = []
        self._fresh_pushes: list[tuple[Pushes, bytes]] = []
        #: The accumulators that the file has values of, by name.
        self._accumulators: dict[str, Any] = {}
        self._unstored: list[ValueNotStored] = []

    # --- in any thread --------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Encode what has to be encoded and write the file.

        Raises:
            EncodeError: an input or an interned value cannot be encoded; nothing was written.
            LimitExceededError: inputs and interned values alone are more than `max_bytes`; nothing was written.
            StoreError: the file could not be written; the path has what it had.
        """
        self._capture.settle(list(self._foreign.nodes.values()))
        nameless: list[Node] = []
        for table in self._capture.tables:
            encoder = Encoder(self._classes, owner=table.ingredient.name)
            if table.kind == RECORDS:
                self._encode_records(table, encoder)
            else:
                nameless += self._encode_keys(table, encoder)
                self._encode_values(table, encoder)
                self._encode_pushes(table, encoder)
        self._encode_instances()
        self._leave_out(nameless)
        self._leave_out_by_record()
        self._leave_out_by_size()
        arrangement = self._arrange()
        directory, name = split_path(self._path)
        write_base(directory, name, Header(self._capture.revision), arrangement.drafts())

    def _encode_records(self, table: Table, encoder: Encoder) -> None:
        table.column = column_of(table.keys, encoder.encode)
        for row, value in enumerate(table.values):
            data = None if value is ABSENT else _known(value, table.encoded[row])
            if data is None and value is not ABSENT:
                data = encoder.encode(value)
                self._fresh.append((table.nodes[row], value, data))
            table.encoded[row] = data

    # spec: save.unencodable
    def _encode_keys(self, table: Table, encoder: Encoder) -> list[Node]:
        """The calls that no file can name; they are left out of it, with what depends on them."""
        try:
            table.column = column_of(table.keys, encoder.encode)
        except EncodeError:
            return [
                node for node, key in zip(table.nodes, table.keys, strict=True) if self._nameless(table, key, encoder)
            ]
        return []

    def _nameless(self, table: Table, key: Any, encoder: Encoder) -> bool:
        try:
            column_of([key], encoder.encode)
        except EncodeError as error:
            self._report(table, key, error)
            return True
        return False

    # spec: save.unchanged
    # spec: persist.off
    def _encode_values(self, table: Table, encoder: Encoder) -> None:
        persist = table.ingredient.persist
        for row, (value, known) in enumerate(zip(table.values, table.encoded, strict=True)):
            if type(known) is bytes and persist:
                continue
            data: bytes | None = None
            if persist and value is not EMPTY and type(value) is not Failure:
                data = _known(value, known)
                if data is None:
                    data = self._try_encode(table, row, value, encoder)
            table.encoded[row] = data

    # spec: accumulate.persist
    def _encode_pushes(self, table: Table, encoder: Encoder) -> None:
        for row, pushes in enumerate(table.pushes):
            if pushes is None:
                continue
            data: bytes | None = None
            if type(pushes) is Pushes and table.ingredient.persist:
                data = known_pushes(pushes)
                if data is None and pushes.entries is not None:
                    data = self._try_encode_pushes(table, row, pushes, encoder)
            table.pushes[row] = data
            if data is None:  # the call has to run for them to be known, so its value must not be taken as enough
                table.flags[row] |= LOST_PUSHES
                table.encoded[row] = None

    def _try_encode_pushes(self, table: Table, row: int, pushes: Pushes, encoder: Encoder) -> bytes | None:
        try:
            data = encode_pushes(pushes, encoder, self._accumulators, fsdecode(self._path))
        except Exception as error:  # as for values
            if isinstance(error, StoreError) and not isinstance(error, EncodeError):
                raise
            self._report(table, table.keys[row], error)
            return None
        self._fresh_pushes.append((pushes, data))
        return data

    # spec: save.unencodable
    def _try_encode(self, table: Table, row: int, value: Any, encoder: Encoder) -> bytes | None:
        try:
            data: bytes = encoder.encode(value)
        except Exception as error:  # the value's own classes may raise anything while they are looked at
            if not table.collected:  # it has been told of the call that pushed it
                self._report(table, table.keys[row], error)
            return None
        self._fresh.append((table.nodes[row], value, data))
        return data

    def _report(self, table: Table, key: Any, error: Exception) -> None:
        ingredient = table.ingredient
        self._unstored.append(ValueNotStored(ingredient.name, ingredient.arguments(key), str(error)))

    def _encode_instances(self) -> None:
        for ingredient in sorted(self._capture.instances, key=lambda ingredient: ingredient.identity):
            found = self._capture.instances[ingredient]
            before = self._instances.get(ingredient.identity, Instances((), 0))
            rows = list(before.rows)
            if before.seen < len(found):
                encoder = Encoder(self._classes, owner=ingredient.name)
                known = dict.fromkeys(rows)
                known.update(dict.fromkeys(map(encoder.encode, found[before.seen :])))
                rows = list(known)
            self._instances[ingredient.identity] = Instances(rows, len(found))

    # spec: save.limits
    def _leave_out_by_record(self) -> None:
        dropped: set[Node] = set()
        for table in self._calls():
            if self._limits.max_record_bytes is not None:
                dropped.update(drop_large_records(table, self._bare(table), self._limits.max_record_bytes))
            if self._limits.max_records_per_section is not None:
                dropped.update(surplus_records(table, self._limits.max_records_per_section))
        self._leave_out(dropped)

    # spec: save.limits
    def _leave_out_by_size(self) -> None:
        most = self._limits.max_bytes
        while most is not None:
            excess = image_size(Header(self._capture.revision), self._arrange().drafts()) - most
            calls = self._calls()
            if excess <= 0:
                return
            if any(one.section.kind == CALLS for one in self._foreign.sections):
                self._foreign = self._foreign.without_calls()  # what this program cannot use goes first
            elif (excess := drop_largest_values(calls, excess)) > 0:
                if not any(table.nodes for table in calls):
                    raise LimitExceededError(
                        f"{fsdecode(self._path)}: inputs and interned values alone are {excess} bytes more than "
                        f"max_bytes={most} allows; nothing was written"
                    )
                self._leave_out(largest_calls(calls, [self._bare(table) for table in calls], excess))

    def _leave_out(self, nodes: Iterable[Node]) -> None:
        dropped = with_dependents(nodes, self._calls())
        if not dropped:
            return
        for table in self._calls():
            table.select([node not in dropped for node in table.nodes])
            table.column = column_of(table.keys, Encoder(self._classes, owner=table.ingredient.name).encode)

    def _calls(self) -> list[Table]:
        return [table for table in self._capture.tables if table.kind == CALLS]

    def _bare(self, table: Table) -> list[int]:
        return bare_sizes(table, sizes_of(table.column, len(table.nodes)))

    def _arrange(self) -> Arrangement:
        return Arrangement(
            self._capture,
            {name: instances.rows for name, instances in self._instances.items()},
            Encoder(ClassTable(), owner="classes").encode(self._classes.to_list()),
            self._foreign,
            self._fingerprint,
        )

    # --- in the database's own thread -----------------------------------------------------------------------------

    def finish(self) -> tuple[ValueNotStored, ...]:
        """Leave to the graph what the next save need not do again; returns what could not be stored."""
        graph = self._graph
        with graph.lock:
            if graph.stored is self._capture.kept:
                for node, value, data in self._fresh:
                    if node.value is value:
                        node.encoded = data
                for pushes, data in self._fresh_pushes:
                    pushes.encoded = data
                before: Kept = self._capture.kept or NOTHING
                graph.stored = Kept(self._classes.to_list(), self._instances, before.foreign)
        if graph.listeners.any:
            for event in self._unstored:
                graph.listeners.emit(event)
        return tuple(self._unstored)


def _known(value: Any, encoded: Any) -> bytes | None:
    """The bytes of a value that was written or read before."""
    if type(value) is Stored:
        return value.encoded()
    return encoded.encoded() if type(encoded) is Stored else encoded
