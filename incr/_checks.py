"""Finding values that are changed in place: what a call returned is kept as a copy and compared on every read.

Law: this is for finding offenders, not for living with them: it costs a copy per memo and a comparison per read.
"""

from __future__ import annotations

import copy
from typing import Any, final
from weakref import WeakKeyDictionary

from incr._exact import same
from incr._node import Node

__all__ = ["ValueChecks"]


@final
class ValueChecks:
    """Copies of the values of one database's memos."""

    __slots__ = ("_copies",)

    def __init__(self) -> None:
        self._copies: WeakKeyDictionary[Node, tuple[Any, Any]] = WeakKeyDictionary()

    def note(self, node: Node) -> None:
        """Remember the node's value. One that cannot be copied is not checked."""
        try:
            copied = copy.deepcopy(node.value)
        except Exception:
            self._copies.pop(node, None)
        else:
            if same(node.value, copied):  # else the type has no usable equality
                self._copies[node] = (node.value, copied)

    def intact(self, node: Node) -> bool:
        """Whether the value is still what it was when it was noted."""
        known = self._copies.get(node)
        return known is None or known[0] is not node.value or same(*known)
