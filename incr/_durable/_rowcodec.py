"""Keys and values of one store: bytes to objects of the program and back.

Law: a key has one encoding, so that it is found by its bytes. Class numbers are the store's: they are given once, and
the table that says so goes into the store together with the first row that needs it.

Keeps: call.exact, codec.allow.
"""

from __future__ import annotations

from _thread import RLock
from collections.abc import Iterable
from typing import Any, Final, final

from incr._codec import ClassTable, Decoder, Encoder
from incr._errors import CorruptError, EncodeError
from incr._exact import exact_key, plain_value
from incr._graph import Graph
from incr._node import ABSENT, EMPTY, Node
from incr._persist._declared import classes_of
from incr.store.rows import CALLS

__all__ = ["UNREADABLE", "RowCodec", "parts_of"]

#: In place of what this program cannot read.
UNREADABLE: Final[Any] = object()


@final
class RowCodec:
    """The codec of one store."""

    __slots__ = ("_allowed", "_decoder", "_encoders", "_graph", "_known", "_lock", "_table", "path", "written")

    def __init__(self, path: str, classes: bytes, declared: Iterable[Any], graph: Graph) -> None:
        self.path = path
        self._table = _table_of(path, classes)
        #: How many of its classes the store has.
        self.written = self._table.size
        self._allowed: dict[str, type] = classes_of(declared)
        self._graph = graph
        #: Values may have code of the program in their encoding; nothing else waits for this one.
        self._lock = RLock()
        #: By whom errors should name.
        self._encoders: dict[str, Encoder] = {}
        self._decoder = Decoder(self._table, self._allowed, self._intern)
        self._known = self._table.size

    # --- classes --------------------------------------------------------------------------------------------------

    def declare(self, ingredients: Iterable[Any]) -> None:
        """Let values be of the classes that these name, too. A name goes on meaning the class that it meant before."""
        for name, cls in classes_of(ingredients).items():
            self._allowed.setdefault(name, cls)

    @property
    def size(self) -> int:
        """How many classes there are."""
        return self._table.size

    def classes(self) -> bytes:
        """The table of classes as the store has it."""
        with self._lock:
            return Encoder(ClassTable(), owner="classes").encode(self._table.to_list())

    def listed(self) -> list[Any]:
        """The table of classes, as whole files have it."""
        with self._lock:
            return self._table.to_list()

    def all_readable(self) -> bool:
        """Whether this program has all classes that the store's rows are made of, as they were."""
        return self._decoder.knows_all()

    # --- values ---------------------------------------------------------------------------------------------------

    def encode(self, value: Any, owner: str = "value") -> bytes:
        """A value's bytes; *owner* is whom an error should name.

        Raises:
            EncodeError: it cannot be stored; and whatever its class raises.
        """
        with self._lock:
            encoder = self._encoders.get(owner)
            if encoder is None:
                encoder = self._encoders[owner] = Encoder(self._table, owner=owner)
            data: bytes = encoder.encode(value)
        return data

    def decode(self, data: bytes) -> Any:
        """The value, or `UNREADABLE`."""
        decoder = self._decoder
        if self._known != self._table.size:
            with self._lock:
                self._known = self._table.size
                decoder = self._decoder = Decoder(self._table, self._allowed, self._intern)
        try:
            return decoder.decode(data)
        except Exception:  # whatever a class of the program does with what another version of it has written
            return UNREADABLE

    def _intern(self, value: Any) -> Any:
        ingredient: Any = value.__incr__
        self._graph.table(ingredient)
        return self._graph.interned.setdefault(ingredient.index, {}).setdefault(value, value)

    # --- keys -----------------------------------------------------------------------------------------------------

    def key(self, ingredient: Any, key: Any) -> bytes:
        """The bytes of the key of a slot or a call.

        Raises:
            EncodeError: it cannot be stored; and whatever its class raises.
        """
        single = ingredient.kind != "query" or len(ingredient.signature.names) == 1
        return self.encode(plain_value(key) if single else tuple(map(plain_value, key)), ingredient.name)

    def row_key(self, ingredient: Any, data: bytes) -> Any:
        """The key again, as it stands in tables; or `UNREADABLE`."""
        value = self.decode(data)
        if value is UNREADABLE:
            return UNREADABLE
        try:
            if ingredient.kind != "query":
                found = exact_key(value)
            else:
                names = ingredient.signature.names
                found = exact_key(value) if len(names) == 1 else tuple(map(exact_key, value))
                if len(names) != 1 and len(found) != len(names):
                    return UNREADABLE
            hash(found)
        except TypeError:
            return UNREADABLE
        return found

    def record(self, slot: Node, data: bytes) -> Any:
        """The slot's record; ABSENT where this program does not have such a one any more."""
        value = self.decode(data)
        if value is UNREADABLE:
            return ABSENT
        ingredient = slot.ingredient
        if type(value) is not ingredient.record or ingredient.key_of(value) != slot.key:
            raise CorruptError(self.path, 0, f"has something else where the record {slot.label()} belongs")
        return value

    def value(self, data: bytes) -> Any:
        """A call's value, or EMPTY."""
        value = self.decode(data)
        return EMPTY if value is UNREADABLE else value

    def try_key(self, ingredient: Any, key: Any) -> bytes | None:
        """The bytes of a key, or None if it has none."""
        try:
            return self.key(ingredient, key)
        except EncodeError:
            return None


def parts_of(ingredient: Any, kind: int) -> tuple[str, ...]:
    """What the parts of the keys of an ingredient's rows are called."""
    if kind == CALLS:
        return () if ingredient.accumulator is not None else tuple(ingredient.signature.names)
    return tuple(ingredient.key_fields) if hasattr(ingredient, "key_fields") else ()


def _table_of(path: str, classes: bytes) -> ClassTable:
    if not classes:
        return ClassTable()
    try:
        return ClassTable.from_list(Decoder(ClassTable(), {}).decode(classes))
    except (ValueError, TypeError) as error:
        raise CorruptError(path, 0, f"has a table of classes that is none: {error}") from error
