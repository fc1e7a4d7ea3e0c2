"""Values without their classes: what bytes say, as JSON's types, for tools that do not have the program.

Law: nothing is constructed but JSON's types, whatever the bytes are; what has no JSON of its own says what it is.

Keeps: tools.plain.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, Final, final

from incr._codec.decode import Decoder
from incr._codec.standard import STANDARD
from incr._codec.table import DEPTH_LIMIT, ClassTable, Mark

__all__ = ["PlainReader", "components_of", "tree_of"]

_doubles: Final = struct.Struct("<2d")
_double: Final = struct.Struct("<d")


@final
class PlainReader:
    """Reads the values of one file; *table* are its classes.

    Tuples and lists become lists; other containers, bytes and instances become an object with one or two members that
    say what they are: ``{"set": […]}``, ``{"dict": [[key, value], …]}``, ``{"bytes": hex}``,
    ``{"class": name, "fields": {…}}``. What is no value becomes ``{"undecodable": hex}``.
    """

    def __init__(self, table: ClassTable) -> None:
        self._classes = table.entries()

    # spec: tools.plain
    def read(self, data: bytes) -> Any:
        """What the bytes say."""
        try:
            return self._plain(tree_of(data), 0)
        except Exception:  # whatever is wrong with them
            return {"undecodable": data.hex()}

    def _plain(self, item: Any, depth: int) -> Any:
        if item is None or type(item) in (bool, int, str):
            return item
        if type(item) is float:
            return item if isfinite(item) else {"float": str(item)}
        if type(item) is bytes:
            return {"bytes": item.hex()}
        if type(item) is not list or not item or depth >= DEPTH_LIMIT:
            raise ValueError("not a stored value")
        return _PLAINS[item[0]](self, item[1:], depth + 1)

    def _all(self, items: Sequence[Any], depth: int) -> list[Any]:
        return [self._plain(item, depth) for item in items]

    def _fields(self, items: list[Any], depth: int) -> dict[str, Any]:
        name, _, fields = self._classes[items[0]]
        return {"class": name, "fields": dict(zip(fields, self._all(items[1:], depth), strict=True))}

    def _pairs(self, items: list[Any], depth: int) -> dict[str, Any]:
        parts = self._all(items, depth)
        return {"dict": [list(pair) for pair in zip(parts[::2], parts[1::2], strict=True)]}

    def _member(self, items: list[Any], depth: int) -> dict[str, Any]:
        number, member = items
        name = self._classes[number][0]
        return {"class": name, "member": member if type(member) is str else self._plain(member, depth)[0]}

    def _standard(self, items: list[Any], depth: int) -> dict[str, Any]:
        entry = STANDARD[items[0]]
        return {"class": f"{entry.module}.{entry.name}", "parts": self._all(items[1:], depth)}

    def _registered(self, items: list[Any], depth: int) -> dict[str, Any]:
        number, inner = items
        return {"class": self._classes[number][0], "value": self._plain(inner, depth)}


_PLAINS: Final[dict[int, Callable[[PlainReader, list[Any], int], Any]]] = {
    Mark.TUPLE: PlainReader._all,
    Mark.LIST: PlainReader._all,
    Mark.DICT: PlainReader._pairs,
    Mark.SET: lambda reader, items, depth: {"set": reader._all(items, depth)},
    Mark.FROZENSET: lambda reader, items, depth: {"set": reader._all(items, depth)},
    Mark.BYTEARRAY: lambda reader, items, depth: {"bytes": items[0].hex()},
    Mark.BIG_INT: lambda reader, items, depth: int.from_bytes(items[0], "big", signed=True),
    Mark.NAN: lambda reader, items, depth: {"float": str(_double.unpack(items[0])[0])},
    Mark.TEXT_WITH_SURROGATES: lambda reader, items, depth: items[0].decode("utf-8", "surrogatepass"),
    Mark.COMPLEX: lambda reader, items, depth: {"complex": [str(part) for part in _doubles.unpack(items[0])]},
    Mark.OBJECT: PlainReader._fields,
    Mark.NAMED_TUPLE: PlainReader._fields,
    Mark.ENUM: PlainReader._member,
    Mark.STANDARD: PlainReader._standard,
    Mark.REGISTERED: PlainReader._registered,
}


def tree_of(data: bytes) -> Any:
    """What the bytes are to CBOR.

    Raises:
        ValueError: they are not those of a value.
    """
    return Decoder(ClassTable(), {}).tree(data)


def components_of(data: bytes) -> list[bytes]:
    """The bytes of each item of a tuple; of anything else its own. Equal bytes are equal values of equal types.

    Raises:
        ValueError: they are not those of a value.
    """
    import cbor2

    tree = tree_of(data)
    if type(tree) is list and tree and tree[0] == Mark.TUPLE:
        return [cbor2.dumps(item) for item in tree[1:]]
    return [data]
