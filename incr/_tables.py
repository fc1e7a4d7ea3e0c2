"""The rows of one database: slots, calls, presences, key sets, reasons of untracked reads.

Law: a row is made when somebody asks for it, as if it had always been there; what this graph has come from (a store, or
the origin of a fork) is asked before that. The caller holds the database's lock where a method says so.

Keeps: thread.lock, read.presence, read.keys.
"""

from __future__ import annotations

from _thread import RLock
from typing import Any

from incr._counters import Counters
from incr._history import History
from incr._kin import Kin
from incr._log import UNTRACKED
from incr._memory import Memory, meet
from incr._node import ABSENT, EMPTY, Failure, Memo, Node, Stored, settled
from incr._vacant import Vacant

__all__ = ["Tables"]


class Tables:
    """What a graph's rows are in."""

    __slots__ = (
        "cool", "counters", "history", "ingredients", "key_sets", "kin", "lock", "memory", "newest", "presence",
        "tables", "untracked", "vacant",
    )  # fmt: skip

    lock: RLock
    newest: int
    tables: list[dict[Any, Node]]
    ingredients: list[Any]
    counters: dict[Any, Counters]
    history: History
    kin: Kin | None
    memory: Memory | None
    #: Whether no value is for hits.
    cool: bool
    presence: dict[Node, Node]
    key_sets: dict[int, Node]
    untracked: dict[str, Node]
    vacant: Vacant

    def table(self, ingredient: Any) -> dict[Any, Node]:
        """The ingredient's rows; made when it is met for the first time."""
        index: int = ingredient.index
        if len(self.tables) <= index or self.ingredients[index] is None:
            with self.lock:
                while len(self.tables) <= index:
                    self.ingredients.append(None)
                    self.tables.append({})
                if self.ingredients[index] is None:
                    self.counters[ingredient] = Counters()
                    self.ingredients[index] = ingredient
                    meet(self, ingredient)
        return self.tables[index]

    def slot(self, ingredient: Any, key: Any) -> Node:
        """The input slot, made as absent since ever if nobody asked for it before."""
        table = self.table(ingredient)
        node = table.get(key)
        if node is None and self.kin is not None:
            node = self.known(ingredient, key)
        if node is None:
            node = settled(Node(ingredient, key, ABSENT))
            if ingredient.durability == 2:
                node.bits = 1 << ingredient.index
            node = table.setdefault(key, node)  # another thread may have been faster
            self.vacant.note(node)
        elif type(node.value) is Stored:
            self._read(node)
        return node

    # spec: lazy.value
    def _read(self, slot: Node) -> None:
        """Let a slot that came from a store hold its record. Without the lock: this may run code of the program."""
        stored = slot.value
        record = stored.decode()
        if record is not ABSENT:
            self.decoded(slot, stored, record)
        elif self.kin is not None:
            self.kin.origin.vanished(slot, stored)

    def known(self, ingredient: Any, key: Any) -> Node | None:
        """The row's node if there is one here, or in what this graph has come from."""
        if self.kin is None or self.kin.origin is None:
            return self.table(ingredient).get(key)
        node: Node | None = self.kin.origin.find(ingredient, key)
        return node

    def present(self, ingredient: Any, revision: int) -> list[Any]:
        """The keys of the records that are set at *revision*. The caller holds the lock."""
        table = self.table(ingredient)
        found = [(key, self.history.find(slot, revision)) for key, slot in list(table.items())]
        # A slot is as old as the database or made as absent since ever, and what a pinned revision needs is kept.
        present = [key for key, holder in found if holder is not None and holder.value is not ABSENT]
        if self.kin is not None and self.kin.origin is not None:
            present += self.kin.origin.present(ingredient, table)
        return present

    def presence_of(self, slot: Node) -> Node:
        """The node that says whether the slot holds a record. The caller holds the lock."""
        node = self.presence.get(slot)
        if node is None:
            node = settled(Node(slot.ingredient.presence, slot.key, slot.value is not ABSENT))
            node.bits = slot.bits
            node.changed_at = node.valid_from = slot.changed_at
            for memo in slot.history or ():
                past = Memo(memo.value is not ABSENT, memo.changed_at, memo.valid_from, memo.valid_to)
                self.history.keep(node, past)
            if self.kin is not None and self.kin.origin is not None:
                self.kin.origin.presence_made(node, slot)
            node = self.presence.setdefault(slot, node)  # it may have been made while the origin was asked
        return node

    def key_set(self, ingredient: Any) -> Node:
        """The node that stands for the set of an input's keys. The caller holds the lock."""
        node = self.key_sets.get(ingredient.index)
        if node is None:
            self.table(ingredient)
            node = settled(Node(ingredient.key_set, (), True))
            if ingredient.durability == 2:
                node.bits = 1 << ingredient.index
            # Nobody has watched the set until now: all that can be said is that it is as it is.
            node.changed_at = node.valid_from = self.newest
            if self.kin is not None and self.kin.origin is not None:
                self.kin.origin.key_set_made(node)
            node = self.key_sets.setdefault(ingredient.index, node)  # as above
        return node

    def untracked_node(self, reason: str) -> Node:
        """The node that changes in every revision."""
        node = self.untracked.get(reason)
        if node is None:
            node = settled(Node(UNTRACKED, reason, reason))
            # A call that is late reads it first: what it saw belongs to its own revision, not to this one.
            node.changed_at = node.valid_from = self.newest
            node = self.untracked.setdefault(reason, node)
        return node

    def decoded(self, holder: Node | Memo, stored: Stored, value: Any) -> bool:
        """*stored*, which *holder* had, was found to be *value*: whether that is what everybody is given."""
        with self.lock:
            if holder.value is not stored:
                return False
            holder.value = value
            if type(holder) is Node:
                self.warm(holder)
        return value is not EMPTY

    def warm(self, node: Node) -> None:
        """Let hits take the value if there is one that they may take."""
        kind = type(node.value)
        node.hot = (
            node.suspects is None
            and kind is not Failure
            and kind is not Stored
            and node.value is not EMPTY
            and not self.cool
        )
        if self.memory is not None:
            self.memory.warmed(node)
