"""View: what one reads through, be it a database, a snapshot or the frame of a running query.

Law: a read is answered as of the revision that the handle is bound to, and recorded in the frame that made it before
the answer is handed out.

Keeps: read.slot, read.missing, read.get, read.presence, read.keys, read.revision, read.untracked, intern.identity.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from incr._errors import MissingInputError, short_repr
from incr._exact import PLAIN, exact_key
from incr._node import ABSENT, Marker, Memo, Node
from incr._revision import Revision
from incr._running import running
from incr._vacant import gone

if TYPE_CHECKING:
    from incr._graph import At, Graph

__all__ = ["NO_KEY", "View", "slot_of"]

R = TypeVar("R")
T = TypeVar("T")

#: No key was given; the empty tuple may be one.
NO_KEY: Final = Marker("NO_KEY")


class View:
    """A handle to read through: a `Database`, a `Snapshot`, or the frame that a running query is given.

    Annotate a query's first parameter with it.
    """

    __slots__ = ("__weakref__", "_at", "_graph", "_reads", "_sync")

    _graph: Graph
    #: The revision that reads are bound to.
    _at: At
    #: What the running call has read, in order; None for handles that record nothing.
    _reads: Any
    #: Whether this is the frame of a plain `def` query, which cannot await.
    _sync: bool

    def _enter(self) -> tuple[Any, Any, At]:
        """Who records the next read, which frame it is made from, and the revision that it is bound to."""
        raise NotImplementedError  # each of the three handles has its own

    # spec: read.revision
    @property
    def revision(self) -> Revision:
        """The revision that reads through this handle are bound to.

        It is no dependency: a query whose outcome depends on it says so with `untracked`.
        """
        return Revision(self._enter()[2].revision)

    # spec: read.slot
    # spec: thread.read
    @overload
    def __getitem__(self, slot: type[R], /) -> R: ...
    @overload
    def __getitem__(self, slot: tuple[type[R], Hashable], /) -> R: ...
    def __getitem__(self, slot: Any, /) -> Any:
        """The record: ``db[Source, "a.py"]``, or ``db[Settings]`` for a singleton.

        Raises:
            MissingInputError: there is no such record; a `KeyError` too.
        """
        try:
            at = self._at
            if type(slot) is tuple:
                record, key = slot
                if (kind := type(key)) is not str and kind is not int and kind not in PLAIN:
                    key = exact_key(key)
                node = at.tables[record.__incr__.index][key]
            else:
                ingredient = slot.__incr__
                node = at.tables[ingredient.index][ingredient.sole]
        except (AttributeError, LookupError, TypeError, ValueError):
            pass  # the slow path finds out what it was
        else:
            if node.hot:
                reads, value = self._reads, node.value
                if at.tables:  # no other thread has written before the value was taken
                    if reads is not None:
                        reads[node] = None
                        return value
                    if running.get() is None:
                        return value
        record, key = _parts(slot)
        value = self._slot_value(record, key)
        # spec: read.missing
        if value is ABSENT:
            raise MissingInputError(record, () if key is NO_KEY else key)
        return value

    @overload
    def get(self, record: type[R], /) -> R | None: ...
    @overload
    def get(self, record: type[R], key: Hashable, /) -> R | None: ...
    @overload
    def get(self, record: type[R], key: Hashable, /, default: T) -> R | T: ...
    # spec: read.get
    def get(self, record: Any, key: Any = NO_KEY, /, default: Any = None) -> Any:
        """The record, or *default* where there is none. Depends on the record and on its absence."""
        at, node = self._at, self._hot(record, key)
        if node is not None:
            value = node.value
            if at.tables and self._noted(node):
                return value
        value = self._slot_value(record, key)
        return default if value is ABSENT else value

    # spec: read.presence
    def __contains__(self, slot: type[Any] | tuple[type[Any], Hashable], /) -> bool:
        """Whether there is such a record. Depends on its presence only, not on what is in it."""
        record, key = _parts(slot)
        graph = self._graph
        at, node = self._at, self._hot(record, key)
        if node is not None:
            presence = graph.presence.get(node)
            if presence is not None and at.tables and self._noted(presence):
                return True
        reader, _, at = self._enter()
        while True:
            node = slot_of(graph, record, key)
            with graph.lock:
                if gone(node):
                    continue
                present = _value_at(graph.find(node, graph.bound(at).revision)) is not ABSENT
                if reader is not None:
                    reader.note(graph.presence_of(node))
                graph.vacant.settle(graph)
            return present

    # spec: read.keys
    def keys(self, record: type[Any], /) -> Iterator[Any]:
        """The keys of all records of the class, sorted. Depends on the set of keys only."""
        ingredient = _input(record)
        reader, _, at = self._enter()
        graph = self._graph
        with graph.lock:
            node = graph.key_set(ingredient)
            revision = graph.bound(at).revision
            changed_at = node.changed_at if node.covers(revision) else None
            known = graph.sorted_keys.get(ingredient.index)
            if known is not None and known[0] != changed_at:
                known = None
            present = graph.present(ingredient, revision) if known is None else []
        if reader is not None:
            reader.note(node)
        if known is not None:
            return iter(known[1])
        keys = ingredient.sorted_keys(present)
        if changed_at is not None:
            with graph.lock:
                graph.sorted_keys[ingredient.index] = (changed_at, keys)
        return iter(keys)

    # spec: intern.identity
    def intern(self, value: R, /) -> R:
        """The one instance in this database that is equal to *value*: equal values become identical.

        Raises:
            TypeError: *value* is not an instance of an `incr.interned` class, or not hashable.
            LimitExceededError: it is new, and there would be more than the database's `max_state_bytes`.
        """
        ingredient = getattr(type(value), "__incr__", None)
        if ingredient is None or ingredient.kind != "interned":
            raise TypeError(f"only instances of @incr.interned classes can be interned, not {short_repr(value)}")
        self._enter()  # a finished frame is told so
        instances = self._graph.interned.setdefault(ingredient.index, {})
        self._graph.table(ingredient)
        try:
            if self._graph.state is not None and value not in instances:
                with self._graph.lock:
                    self._graph.state.admit_interned(ingredient.index, instances, value)
            instance: R = instances.setdefault(value, value)
        except TypeError as error:
            raise TypeError(f"{short_repr(value)} cannot be interned: {error}") from error
        return instance

    # spec: read.untracked
    def untracked(self, reason: str, /) -> None:
        """Declare that the running query reads something that the database cannot see.

        The call runs again at the first read after each new revision. Outside of a query nothing happens.
        *reason* is shown by `explain`.
        """
        if type(reason) is not str or not reason:
            raise TypeError(f"untracked() wants the reason as a non-empty string, not {short_repr(reason)}")
        reader = self._enter()[0]
        if reader is not None:
            reader.note(self._graph.untracked_node(reason))

    def _hot(self, record: Any, key: Any) -> Node | None:
        """The slot, if it holds a record that can be taken as it is, provided that no other thread writes meanwhile."""
        try:
            ingredient = record.__incr__
            if ingredient.record is not record:
                return None
            row = ingredient.sole if key is NO_KEY else key if type(key) in PLAIN else exact_key(key)
            node: Node = self._at.tables[ingredient.index][row]
        except (AttributeError, LookupError, TypeError, ValueError):
            return None
        return node if node.hot else None

    def _noted(self, node: Node) -> bool:
        """Whether the read is recorded, or need not be."""
        reads = self._reads
        if reads is not None:
            reads[node] = None
            return True
        return running.get() is None

    def _slot_value(self, record: Any, key: Any) -> Any:
        """The record or ABSENT, recorded as read."""
        reader, _, at = self._enter()
        graph = self._graph
        while True:
            node = slot_of(graph, record, key)
            with graph.lock:
                if gone(node):
                    continue
                value = _value_at(graph.find(node, graph.bound(at).revision))
                if reader is not None:
                    reader.note(node)
                graph.vacant.settle(graph)
            return value


def _value_at(found: Node | Memo | None) -> Any:
    # A slot is as old as the database or made as absent since ever, and what a pinned revision needs is kept.
    assert found is not None
    return found.value


def _parts(slot: Any) -> tuple[Any, Any]:
    if type(slot) is not tuple:
        return slot, NO_KEY
    if len(slot) != 2:
        raise TypeError(
            f"a slot is a record class, or (record class, key); not {short_repr(slot)}; "
            "the key of several key fields is their tuple: db[Record, (a, b)]"
        )
    return slot


def _input(record: Any) -> Any:
    ingredient = getattr(record, "__incr__", None)
    if ingredient is None or ingredient.kind != "input" or not isinstance(record, type):
        raise TypeError(f"{short_repr(record)} is not a class declared with @incr.input")
    return ingredient


def _key(record: Any, key: Any) -> Any:
    ingredient = record.__incr__
    fields = ingredient.key_fields
    if key is NO_KEY:
        if fields:
            plural = "s" if len(fields) > 1 else ""
            raise TypeError(
                f"{ingredient.name} has the key field{plural} {', '.join(fields)}: ask for db[{ingredient.name}, key]"
            )
        return ()
    if not fields and key != ():
        raise TypeError(f"{ingredient.name} is a singleton: ask for db[{ingredient.name}], without a key")
    if len(fields) > 1 and (type(key) is not tuple or len(key) != len(fields)):
        raise TypeError(f"the key of {ingredient.name} is the tuple ({', '.join(fields)}), not {short_repr(key)}")
    try:
        exact = exact_key(key)
        hash(exact)
    except TypeError as error:
        raise TypeError(f"{short_repr(key)} cannot be a key of {ingredient.name}: {error}") from error
    return exact


def slot_of(graph: Graph, record: Any, key: Any) -> Node:
    """The slot of a record class and a key.

    Raises:
        TypeError: the class is not an input, or the key is not one of its keys.
    """
    return graph.slot(_input(record), _key(record, key))
