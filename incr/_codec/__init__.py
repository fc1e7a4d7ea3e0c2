"""Values to bytes and back: exactly what went in, of the same type at every level.

Law: nothing is imported by name out of bytes. Classes are written by name and constructed only if this program has
declared or registered one of that name and shape. See docs/format-values.md for the bytes.

Keeps: codec.exact, codec.allow, codec.depth, codec.error, codec.register.
"""

from incr._codec.declared import declared_types
from incr._codec.decode import Decoder
from incr._codec.encode import Encoder
from incr._codec.table import ClassTable, UnknownTypeError
from incr._registered import register_codec

__all__ = ["ClassTable", "Decoder", "Encoder", "UnknownTypeError", "declared_types", "register_codec"]
