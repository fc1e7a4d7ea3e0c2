"""Single values as bytes that need nothing beside them: entries of a log, messages, keys of another store.

Imported by itself: `import incr` does not need it.

Law: the bytes of a value are those of a file's values, with the table of the classes that occur in it before them. Only
classes that the program has named for this codec, or registered, are made of them.

Keeps: codec.single.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Final, Generic, TypeVar, final

from incr._codec import ClassTable, Decoder, Encoder, declared_types

__all__ = ["Codec"]

T = TypeVar("T")

#: How many bytes the table of classes has; 0 if there is none.
_LENGTH: Final = Struct("<I")


@final
class Codec(Generic[T]):
    """Turns values into bytes and back; *types* are the classes that values may be of, or contain.

    What these classes name in their annotations may occur, too.

    >>> codec: Codec[tuple[str, int]] = Codec(tuple)
    >>> codec.decode(codec.encode(("a", 1)))
    ('a', 1)
    """

    __slots__ = ("_allowed",)

    def __init__(self, *types: type[T]) -> None:
        self._allowed = declared_types(*types)

    # spec: codec.single
    def encode(self, value: T) -> bytes:
        """The bytes of a value: the same for the same value, in every process.

        Raises:
            EncodeError: a type in it cannot be stored, it nests deeper than 200, or contains itself.
        """
        table = ClassTable()
        content = Encoder(table, owner="entry").encode(value)
        classes = Encoder(ClassTable(), owner="classes").encode(table.to_list()) if table.size else b""
        return b"".join((_LENGTH.pack(len(classes)), classes, content))

    # spec: codec.single
    def decode(self, data: bytes) -> T:
        """The value.

        Raises:
            ValueError: the bytes are not those of a value, or a class in it is not known to this codec.
        """
        if len(data) < _LENGTH.size:
            raise ValueError("not a stored value: its bytes end within their length")
        start = _LENGTH.size + _LENGTH.unpack_from(data)[0]
        table = ClassTable()
        if start > _LENGTH.size:
            entries = Decoder(table, {}).decode(data[_LENGTH.size : start])
            if not isinstance(entries, list):
                raise ValueError("not a stored value: its table of classes is not one")
            table = ClassTable.from_list(entries)
        value: Any = Decoder(table, self._allowed).decode(data[start:])
        return value  # type: ignore[no-any-return]  # what it is made of is what the types allow
