"""Vacant slots: rows of inputs that hold no record, because it was removed or because nobody ever set it.

Law: a slot that goes is marked before it leaves its table, in one stretch under the lock. Whoever looked it up without
the lock finds the mark under the lock, and looks it up again.

Keeps: memory.vacant.
"""

from __future__ import annotations

from typing import Any, Final, final

from incr._node import ABSENT, Node

__all__ = ["Vacant", "gone"]

#: So many may stay for nothing.
_FEW: Final = 16


def gone(slot: Node) -> bool:
    """Whether the slot has left its table. The caller holds the lock."""
    return slot.valid_to == 0


@final
class Vacant:
    """The slots of one database that may hold no record."""

    __slots__ = ("_enough", "_slots", "many")

    def __init__(self) -> None:
        self._slots: dict[Node, None] = {}
        #: They are looked through when they are more: twice those that were needed last time, so that a write pays
        #: for a few of them only, however many are needed.
        self._enough = _FEW
        #: Whether they are more, so that `settle` has something to do.
        self.many = False

    def note(self, slot: Node) -> None:
        """The slot holds no record. Needs no lock."""
        if not slot.bits:  # who has read a HIGH slot is not known
            self._slots[slot] = None
            if len(self._slots) > self._enough:
                self.many = True

    # spec: memory.vacant
    def settle(self, graph: Any) -> None:
        """Take out those that nothing needs, if there are many. The caller holds the lock."""
        # A running call may have read one without being linked to it; a pinned revision may have had a record there;
        # a fork knows slots of its origin.
        if not self.many or graph.pins or graph.at.users:
            return
        if graph.kin is not None and (graph.kin.is_fork or graph.kin.forks):
            return
        slots = list(self._slots)  # other threads note some more, without the lock
        idle = [slot for slot in slots if slot.value is ABSENT and not _needed(graph, slot)]
        try:
            _take_out(graph, idle)
        except BaseException:  # an interrupt: what is begun is brought to its end
            _take_out(graph, idle)
            raise
        for slot in slots:
            if slot.value is not ABSENT or gone(slot):
                self._slots.pop(slot, None)
        self._enough = 2 * len(self._slots) + _FEW
        self.many = False


def _needed(graph: Any, slot: Node) -> bool:
    """Whether somebody depends on it or on its presence, or may without a link, or has to be told of its change."""
    if graph.kin is not None and graph.kin.keeps(slot):
        return True
    presence = graph.presence.get(slot)
    nodes = (slot,) if presence is None else (slot, presence)
    return any(node.dependents is not None or node.bits or node in graph.log for node in nodes)


def _take_out(graph: Any, slots: list[Node]) -> None:
    for slot in slots:
        slot.valid_to = 0
        table = graph.tables[slot.ingredient.index]
        if table.get(slot.key) is slot:
            del table[slot.key]
        graph.presence.pop(slot, None)
