"""Which keys begin with some components.

Law: components are compared whole, by their bytes: ``"user:1"`` is no beginning of ``"user:10"``, and 1 is not True.

Keeps: tools.delete.
"""

from __future__ import annotations

from typing import Any, final

from incr._codec import Encoder
from incr._codec.plain import components_of
from incr._errors import StoreError
from incr.maintenance._sections import class_table
from incr.store.rows import KEY_SETS, Head, SectionInfo, Store

__all__ = ["Prefix"]


@final
class Prefix:
    """The first components of keys: of a call's arguments, or of a tuple that is its only argument.

    Raises:
        EncodeError: a component could not be in a key.
    """

    __slots__ = ("_components",)

    def __init__(self, store: Store, head: Head, prefix: tuple[Any, ...]) -> None:
        if type(prefix) is not tuple:
            raise StoreError(store.path, f"prefix must be a tuple of components, not {prefix!r}")
        encoder = Encoder(class_table(store, head), owner="prefix")
        self._components = list(map(encoder.encode, prefix))

    # spec: tools.delete
    def matches(self, info: SectionInfo, key: bytes) -> bool:
        """Whether a key begins like this."""
        if not self._components:
            return True
        if info.kind == KEY_SETS:
            return False
        try:
            return components_of(key)[: len(self._components)] == self._components
        except ValueError:  # not a key that any call could have
            return False
