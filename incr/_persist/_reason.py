"""Causes that are no rows: why something that was stored has to run again.

Law: a cause has been what it is since a revision, and nothing writes to it.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, final

from incr._node import Node
from incr._revision import OPEN

__all__ = ["Reason", "settled"]


@final
class Reason:
    """Why a memo of a file has to run again, for `explain` to show as a cause."""

    __slots__ = ("name",)
    kind = "load"
    index = -1

    def __init__(self, name: str) -> None:
        self.name = name

    def label(self, key: Any) -> str:
        return self.name

    def arguments(self, key: Any) -> tuple[Hashable, ...]:
        return ()


def settled(node: Node, stamp: int) -> Node:
    """The node, as it has been since revision *stamp*."""
    node.changed_at = node.valid_from = stamp
    node.valid_to = OPEN
    node.suspects = None
    return node
