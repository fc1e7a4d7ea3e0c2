"""Bytes to values: cbor2 reads a tree of plain items, which is raised to what it was lowered from.

Law: bytes may be anything. Whatever is wrong with them is a ValueError; nothing is constructed whose class the
program did not declare, and no length is believed before the bytes are there.

Keeps: codec.exact, codec.allow, codec.depth.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, Final, final

from incr._codec.classes import shape_of
from incr._codec.standard import STANDARD, standard_class
from incr._codec.table import DEPTH_LIMIT, ClassTable, Mark, UnknownTypeError
from incr._registered import class_name, registered_by_name

__all__ = ["Decoder"]

_AS_IT_IS: Final = frozenset({NoneType, bool, int, float, str, bytes})
#: Bytes that may begin a tag. Most values have none; a value that has is looked through item by item.
_TAG_BYTES: Final = bytes(range(0xC0, 0xDC))
#: Follows every value while it is read, to see that the value ends where its bytes end. Nobody can guess it.
_END_NUMBER: Final = int.from_bytes(os.urandom(8), "big") | 1 << 63
_END: Final = b"\x1b" + _END_NUMBER.to_bytes(8, "big")
_doubles: Final = struct.Struct("<2d")
_double: Final = struct.Struct("<d")


@final
class Decoder:
    """Reads the values of one file.

    Args:
        table: the file's table of classes.
        allowed: the classes that may be constructed, by their names in files, besides registered ones.
        intern: gives the canonical instance for a decoded interned value.
    """

    def __init__(
        self, table: ClassTable, allowed: Mapping[str, type], intern: Callable[[Any], Any] | None = None
    ) -> None:
        import cbor2

        self._loads: Callable[[bytes], Any] = cbor2.loads
        self._classes = table.entries()
        self._allowed = allowed
        self._intern = intern
        self._builders: dict[int, Callable[[list[Any]], Any]] = {}

    def decode(self, data: bytes | memoryview) -> Any:
        """The value.

        Raises:
            UnknownTypeError: a class in it is not declared by this program, or has another shape by now.
            ValueError: the bytes are not a value.
        """
        tree = self.tree(data)
        try:
            return self._raise(tree, 0)
        except ValueError:
            raise
        except Exception as error:  # a part of the wrong type, a key that is not hashable, a date that does not exist
            raise ValueError(f"not a stored value: {type(error).__name__}: {error}") from error

    def tree(self, data: bytes | memoryview) -> Any:
        """The items that the bytes are made of, as cbor2 has them.

        Raises:
            ValueError: the bytes are not a single item, or have tags.
        """
        data = bytes(data)
        if len(data.translate(None, _TAG_BYTES)) != len(data):
            _refuse_tags(data)
        try:
            tree = self._loads(b"\x82" + data + _END)
        except Exception as error:  # whatever cbor2 finds
            raise ValueError(f"not a stored value: {error}") from error
        if type(tree) is not list or len(tree) != 2 or type(tree[1]) is not int or tree[1] != _END_NUMBER:
            raise ValueError("not a stored value: its bytes go on behind it")
        return tree[0]

    def knows_all(self) -> bool:
        """Whether the program has every class of the table, in the shape that it has there."""
        try:
            for number, (_, kind, _) in enumerate(self._classes):
                self._class(number, kind)
        except UnknownTypeError:
            return False
        return True

    def _raise(self, item: Any, depth: int) -> Any:
        kind = type(item)
        if kind in _AS_IT_IS:
            return item
        if kind is not list:
            raise ValueError(f"not a stored value: an item of type {kind.__name__}")
        if depth >= DEPTH_LIMIT:
            raise ValueError(f"not a stored value: it nests deeper than {DEPTH_LIMIT}")
        mark = item[0] if item else None
        if type(mark) is not int or not 0 <= mark < len(_RAISES):
            raise ValueError(f"not a stored value: unknown mark {mark!r}")
        return _RAISES[mark](self, item, depth + 1)

    def _all(self, items: list[Any], depth: int) -> list[Any]:
        one = self._raise
        return [item if type(item) in _AS_IT_IS else one(item, depth) for item in items]

    # spec: codec.allow
    def _class(self, number: Any, kind: str) -> tuple[type[Any], tuple[str, ...]]:
        """The declared class with this number in the file, and its fields."""
        if type(number) is not int or not 0 <= number < len(self._classes):
            raise ValueError(f"not a stored value: there is no class {number!r}")
        name, stored_kind, fields = self._classes[number]
        if stored_kind != kind:
            raise ValueError(f"not a stored value: class {name} is of kind {stored_kind}, not {kind}")
        registration = registered_by_name().get(name)
        cls = self._allowed.get(name) if registration is None else registration.cls
        if cls is None:
            raise UnknownTypeError(f"the class {name} is not declared in this program (see incr.register_codec)")
        if kind != "registered" and shape_of(cls) != (kind, fields):
            raise UnknownTypeError(f"the class {name} has other fields now than when it was stored")
        return cls, fields

    def _builder(self, number: Any, depth: int) -> Callable[[list[Any]], Any]:
        """What makes an instance of object class *number* from the values of its fields."""
        builder = self._builders.get(number)
        if builder is None:
            cls, fields = self._class(number, "object")
            builder = self._builders[number] = _object_builder(cls, fields)
            ingredient = cls.__dict__.get("__incr__")
            if ingredient is not None and ingredient.kind == "interned" and self._intern is not None:
                builder = self._builders[number] = _interning(builder, self._intern)
        return builder


def _object_builder(cls: type[Any], fields: tuple[str, ...]) -> Callable[[list[Any]], Any]:
    new = object.__new__
    put = object.__setattr__

    def build(values: list[Any]) -> Any:
        instance = new(cls)
        for name, value in zip(fields, values, strict=True):
            put(instance, name, value)
        return instance

    return build


def _interning(build: Callable[[list[Any]], Any], intern: Callable[[Any], Any]) -> Callable[[list[Any]], Any]:
    return lambda values: intern(build(values))


def _refuse_tags(data: bytes) -> None:
    """Walk the items' heads: a tag may make the reader do work that nobody asked for."""
    place = 0
    while place < len(data):
        head = data[place]
        major, low = head >> 5, head & 31
        if major == 6:
            raise ValueError("not a stored value: it has a tag")
        width = 0 if low < 24 else 1 << (low - 24)
        if low > 27:
            raise ValueError("not a stored value: an item of indefinite length")
        length = low if low < 24 else int.from_bytes(data[place + 1 : place + 1 + width], "big")
        place += 1 + width + (length if major in (2, 3) else 0)


def _dict(decoder: Decoder, item: list[Any], depth: int) -> Any:
    parts = decoder._all(item[1:], depth)
    if len(parts) % 2:
        raise ValueError("not a stored value: a key without a value")
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    if len(found) * 2 != len(parts):
        raise ValueError("not a stored value: a key twice")
    return found


def _members(decoder: Decoder, item: list[Any], depth: int) -> frozenset[Any]:
    found = frozenset(decoder._all(item[1:], depth))
    if len(found) != len(item) - 1:
        raise ValueError("not a stored value: a member twice")
    return found


def _only(item: list[Any], kind: Any, size: int | None = None) -> Any:
    _, part = item
    if type(part) is not kind or (size is not None and len(part) != size):
        raise ValueError(f"not a stored value: {kind.__name__} expected")
    return part


def _enum(decoder: Decoder, item: list[Any], depth: int) -> Any:
    _, number, member = item
    cls: Any = decoder._class(number, "enum")[0]
    try:
        if type(member) is str:
            return cls[member]
        (value,) = decoder._raise(member, depth)
        return cls(value)
    except (KeyError, ValueError) as error:
        raise UnknownTypeError(f"{class_name(cls)} has no member {member!r} any more") from error


def _named_tuple(decoder: Decoder, item: list[Any], depth: int) -> Any:
    cls, fields = decoder._class(item[1], "named tuple")
    if len(item) - 2 != len(fields):
        raise ValueError("not a stored value: a named tuple of another length")
    return tuple.__new__(cls, decoder._all(item[2:], depth))


def _standard(decoder: Decoder, item: list[Any], depth: int) -> Any:
    number = item[1]
    if type(number) is not int or not 0 <= number < len(STANDARD):
        raise UnknownTypeError(f"there is no standard type {number!r} in this release")
    parts = tuple(decoder._all(item[2:], depth))
    cls = standard_class(number)
    try:
        return STANDARD[number].build(cls, parts)
    except (NotImplementedError, KeyError) as error:  # a path or a time zone that this system does not have
        raise UnknownTypeError(f"{class_name(cls)} cannot be made here: {error}") from error


def _registered(decoder: Decoder, item: list[Any], depth: int) -> Any:
    _, number, inner = item
    decoder._class(number, "registered")
    registration = registered_by_name()[decoder._classes[number][0]]
    if registration.decode is None:
        raise UnknownTypeError(f"{registration.name} was stored with functions that are not registered any more")
    return registration.decode(decoder._raise(inner, depth))


#: By mark.
_RAISES: Final[tuple[Callable[[Decoder, list[Any], int], Any], ...]] = (
    lambda decoder, item, depth: tuple(decoder._all(item[1:], depth)),
    lambda decoder, item, depth: decoder._all(item[1:], depth),
    _dict,
    lambda decoder, item, depth: set(_members(decoder, item, depth)),
    _members,
    lambda decoder, item, depth: bytearray(_only(item, bytes)),
    lambda decoder, item, depth: int.from_bytes(_only(item, bytes), "big", signed=True),
    lambda decoder, item, depth: _double.unpack(_only(item, bytes, 8))[0],
    lambda decoder, item, depth: _only(item, bytes).decode("utf-8", "surrogatepass"),
    lambda decoder, item, depth: complex(*_doubles.unpack(_only(item, bytes, 16))),
    lambda decoder, item, depth: decoder._builder(item[1], depth)(decoder._all(item[2:], depth)),
    _named_tuple,
    _enum,
    _standard,
    _registered,
)

assert len(_RAISES) == Mark.REGISTERED + 1
