"""Values to bytes: a value is lowered to a tree of plain CBOR items, which cbor2 writes.

Law: every array begins with a mark; maps, tags and simple values other than null, true and false do not occur. Types
are asked for exactly: a subclass that nobody declared is refused, not turned into its base.

Keeps: codec.exact, codec.depth, codec.error.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from types import NoneType
from typing import Any, Final, final

from incr._codec.classes import shape_of
from incr._codec.standard import STANDARD, standard_number
from incr._codec.table import DEPTH_LIMIT, ClassTable, Mark
from incr._errors import EncodeError
from incr._registered import class_name, registration_of

__all__ = ["Encoder"]

_AS_IT_IS: Final = frozenset({NoneType, bool, bytes})
_SMALL: Final = 1 << 64
_double: Final[Callable[[float], bytes]] = struct.Struct("<d").pack

Lower = Callable[["Encoder", Any, int], Any]


class _Refused(Exception):
    """Something in the value cannot be stored; where it is, is found out afterwards."""


@final
class Encoder:
    """Writes values for one file; classes that it meets are entered into *table*. *owner* is named in errors."""

    def __init__(self, table: ClassTable, *, owner: str = "") -> None:
        import io

        import cbor2  # 10 ms that only files need

        # One for all values: `cbor2.dumps` makes an encoder for each, which takes 8 µs of its 9.
        self._dumps: Callable[[Any], bytes] = cbor2.CBOREncoder(io.BytesIO()).encode_to_bytes
        self._table = table
        self._owner = owner
        self._plans: dict[type, Lower] = dict(_PLANS)
        self._check_text = False

    # spec: codec.exact
    def encode(self, value: Any) -> bytes:
        """The bytes of *value*: the same for the same value, in every process.

        Raises:
            EncodeError: a type in it cannot be stored, it nests deeper than 200, or contains itself.
        """
        kind = type(value)
        if kind in _AS_IT_IS or (kind is int and -_SMALL <= value < _SMALL):
            return self._dumps(value)
        met = self._table.size
        try:
            try:
                return self._dumps(self._lower(value, 0))
            except UnicodeEncodeError:  # a lone surrogate somewhere: look at every text
                self._check_text = True
                try:
                    return self._dumps(self._lower(value, 0))
                finally:
                    self._check_text = False
        except _Refused as refused:
            error = self._error(value, refused)
            # What was met before the culprit may have been in the order of a hash table.
            self._table.cut(met)
            self._plans = dict(_PLANS)
            raise error from None

    def _lower(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str and not (self._check_text and _has_surrogates(value)):
            return value
        if kind in _AS_IT_IS:
            return value
        if kind is int and -_SMALL <= value < _SMALL:
            return value
        if kind is float and value == value:
            return value
        # spec: codec.depth
        if depth >= DEPTH_LIMIT:
            raise _Refused(value, f"it nests deeper than {DEPTH_LIMIT}, or contains itself")
        plan = self._plans.get(kind)
        if plan is None:
            plan = self._plans[kind] = self._plan(kind, value)
        return plan(self, value, depth + 1)

    def _plan(self, kind: type, value: Any) -> Lower:
        """How instances of a class that was not met before are lowered."""
        registration = registration_of(kind)
        if registration is not None and registration.encode is not None:
            return _registered_plan(registration.encode, self._table.number(registration.name, "registered", ()))
        name = class_name(kind) if registration is None else registration.name
        shape = shape_of(kind)
        if shape is not None:
            return _SHAPES[shape[0]](self._table.number(name, *shape), shape[1])
        number = standard_number(kind)
        if number is None:
            raise _Refused(value, "")
        return _standard_plan(number)

    # spec: codec.error
    def _error(self, value: Any, refused: _Refused) -> EncodeError:
        culprit, reason = refused.args
        steps: list[str] = []
        while value is not culprit and len(steps) < DEPTH_LIMIT:
            step = next((step for step in _children(value) if self._refuses(step[1])), None)
            if step is None:
                break
            steps.append(step[0])
            value = step[1]
        where = "".join(steps) if len(steps) <= 20 else f"{''.join(steps[:20])}…"
        kind = type(culprit)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        return EncodeError(self._owner, name, where, reason)

    def _refuses(self, value: Any) -> bool:
        try:
            self._check_text = True
            self._lower(value, 0)
        except _Refused:
            return True
        finally:
            self._check_text = False
        return False


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    """(step, part) for everything that a value contains."""
    if isinstance(value, (tuple, list)):
        yield from ((f"[{place}]", part) for place, part in enumerate(value))
    elif isinstance(value, dict):
        for place, (key, part) in enumerate(value.items()):
            yield f".keys()[{place}]", key
            yield f"[{key!r:.40}]", part
    elif isinstance(value, (set, frozenset)):
        yield from (("{…}", part) for part in value)
    else:
        shape = shape_of(type(value))
        if shape is not None:
            yield from ((f".{name}", getattr(value, name, None)) for name in shape[1])


def _big_int(encoder: Encoder, value: int, depth: int) -> Any:
    size = value.bit_length() // 8 + 1
    return [Mark.BIG_INT, value.to_bytes(size, "big", signed=True)]


def _not_a_number(encoder: Encoder, value: float, depth: int) -> Any:
    return [Mark.NAN, _double(value)]


def _has_surrogates(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def _text_with_surrogates(encoder: Encoder, value: str, depth: int) -> Any:
    return [Mark.TEXT_WITH_SURROGATES, value.encode("utf-8", "surrogatepass")]


def _items(mark: int) -> Lower:
    def lower(encoder: Encoder, value: Any, depth: int) -> Any:
        one = encoder._lower
        return [mark, *[one(item, depth) for item in value]]

    return lower


def _dict(encoder: Encoder, value: dict[Any, Any], depth: int) -> Any:
    one = encoder._lower
    lowered: list[Any] = [Mark.DICT]
    for key, item in value.items():
        lowered.append(one(key, depth))
        lowered.append(one(item, depth))
    return lowered


def _unordered(mark: int) -> Lower:
    def lower(encoder: Encoder, value: Any, depth: int) -> Any:
        # By their bytes: an order that every process agrees on. So the numbers of classes that are met here for the
        # first time must not come from the order of a hash table either.
        met = encoder._table.size
        items = [encoder._lower(item, depth) for item in value]
        if encoder._table.sort_from(met):
            encoder._plans = dict(_PLANS)  # the others have the numbers of before
            items = [encoder._lower(item, depth) for item in value]
        return [mark, *sorted(items, key=encoder._dumps)]

    return lower


def _complex(encoder: Encoder, value: complex, depth: int) -> Any:
    return [Mark.COMPLEX, _double(value.real) + _double(value.imag)]


def _bytearray(encoder: Encoder, value: bytearray, depth: int) -> Any:
    return [Mark.BYTEARRAY, bytes(value)]


def _object_plan(number: int, fields: tuple[str, ...]) -> Lower:
    def lower(encoder: Encoder, value: Any, depth: int) -> Any:
        one = encoder._lower
        try:
            parts = [getattr(value, name) for name in fields]
        except AttributeError as error:
            raise _Refused(value, f"a field was never set ({error})") from None
        return [Mark.OBJECT, number, *[one(part, depth) for part in parts]]

    return lower


def _named_tuple_plan(number: int, fields: tuple[str, ...]) -> Lower:
    def lower(encoder: Encoder, value: Any, depth: int) -> Any:
        one = encoder._lower
        return [Mark.NAMED_TUPLE, number, *[one(item, depth) for item in value]]

    return lower


def _enum_plan(number: int, fields: tuple[str, ...]) -> Lower:
    def lower(encoder: Encoder, value: Any, depth: int) -> Any:
        # A combination of flags has no name of its own, or none that can be looked up.
        named = value.name if value.name in type(value).__members__ else None
        return [Mark.ENUM, number, named if named is not None else encoder._lower([value.value], depth)]

    return lower


def _standard_plan(number: int) -> Lower:
    parts_of = STANDARD[number].parts

    def lower(encoder: Encoder, value: Any, depth: int) -> Any:
        try:
            parts = parts_of(value)
        except ValueError as error:
            raise _Refused(value, str(error)) from None
        return [Mark.STANDARD, number, *[encoder._lower(part, depth) for part in parts]]

    return lower


def _registered_plan(encode: Callable[[Any], Any], number: int) -> Lower:
    def lower(encoder: Encoder, value: Any, depth: int) -> Any:
        try:
            inner = encode(value)
        except Exception as error:
            raise _Refused(value, f"its registered encode function raised {error!r}") from None
        return [Mark.REGISTERED, number, encoder._lower(inner, depth)]

    return lower


_PLANS: Final[dict[type, Lower]] = {
    int: _big_int,
    float: _not_a_number,
    str: _text_with_surrogates,
    tuple: _items(Mark.TUPLE),
    list: _items(Mark.LIST),
    dict: _dict,
    set: _unordered(Mark.SET),
    frozenset: _unordered(Mark.FROZENSET),
    bytearray: _bytearray,
    complex: _complex,
}

_SHAPES: Final[dict[str, Callable[[int, tuple[str, ...]], Lower]]] = {
    "object": _object_plan,
    "named tuple": _named_tuple_plan,
    "enum": _enum_plan,
}
