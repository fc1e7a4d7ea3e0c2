"""Kin: what a graph has come from, which databases share memos with it, and what they have to be told of its changes.

Law: a graph has none until somebody forks a snapshot of it or it lives in a store, and pays one test for that. The lock
is held; all forks of a database share it.

Keeps: fork.isolated, fork.closed.
"""

from __future__ import annotations

from collections import deque
from typing import Any, final

from incr._node import Node

__all__ = ["Kin"]


@final
class Kin:
    """What a graph was forked from, if it was, and the forks that were made of it."""

    __slots__ = ("dropped", "forks", "fresh", "is_fork", "made", "origin")

    def __init__(self, origin: Any) -> None:
        #: What this graph has from another one (an `Inheritance`) or from a store (a `Backing`), or None.
        self.origin = origin
        #: Queries of which nobody else knows any calls, nor has to hear of those that are made, as far as somebody has
        #: asked; and where new calls of these are noted.
        self.fresh: set[Any] = set()
        self.made: dict[Node, None] = {}
        #: Whether it belongs to another database.
        self.is_fork: bool = origin is not None and origin.is_fork
        #: What others inherit from this one.
        self.forks: list[Any] = []
        #: Forks that were closed or dropped and are still to be taken out. Noted by finalizers, which may run at any
        #: allocation and so must touch nothing else.
        self.dropped: deque[Any] = deque()

    # --- what is asked of the origin before the graph's own tables are used ------------------------------------------

    def knows(self, ingredient: Any) -> bool:
        """Whether somebody else may know calls of the query that have no node here, or has to hear of those made."""
        if ingredient in self.fresh:
            return False
        if self.forks or self.origin is None or self.origin.knows(ingredient):
            return True
        self.fresh.add(ingredient)
        return False

    def forked(self, fork: Any) -> None:
        """Somebody inherits from this graph from now on."""
        self.forks.append(fork)
        self.fresh.clear()

    def keeps(self, slot: Node) -> bool:
        """Whether somebody else may depend on an empty slot."""
        return bool(self.forks) or self.origin is None or self.origin.keeps(slot)

    def reach(self, node: Node) -> None:
        """Before the walk goes on to the dependents of *node*: let those that are only known to the origin be here."""
        if self.origin is not None:
            self.origin.spread(node)

    def before_write(self, changes: list[Any]) -> None:
        """Before slots change."""
        self.bury()
        if self.origin is not None:
            self.origin.before_write(changes)

    def before_walk(self) -> None:
        """Before suspicion is pushed."""
        if self.origin is not None:
            self.origin.before_walk()

    def prepare(self) -> None:
        """Before a fork of this graph pushes suspicion: it goes by the links that are here."""
        if self.origin is not None:
            self.origin.prepare()

    def after_walk(self) -> None:
        """After suspicion was pushed."""
        if self.origin is not None:
            self.origin.after_walk()

    def settle(self) -> None:
        """After links were made."""
        if self.origin is not None:
            self.origin.settle()

    def high(self, bits: int) -> None:
        """A HIGH input was written: before those who have its bit become suspect."""
        if self.origin is not None:
            self.origin.high(bits)

    def complete(self, node: Node) -> None:
        """Before somebody has to know all that *node* depends on."""
        if self.origin is not None:
            self.origin.complete(node)

    def unfold(self, node: Node) -> None:
        """Before the dependencies are looked at that may have made *node* wrong."""
        if self.origin is not None:
            self.origin.unfold(node)

    def relinked(self, node: Node) -> None:
        """Before *node* is given the dependencies of a run of its own."""
        if self.origin is not None:
            self.origin.ran(node)

    def left(self, dependency: Node) -> None:
        """A call that has run depends on it no more."""
        if self.origin is not None:
            self.origin.left(dependency)

    def filled(self, node: Node) -> None:
        """*node*, which is good and had lost its value, has it again."""
        if self.origin is not None:
            self.origin.filled(node)

    # --- what the forks have to know ------------------------------------------------------------------------------

    def doubted(self, node: Node, dependency: Node | None) -> None:
        """*dependency* of *node* may be another one from now on, or *node* does not depend on it any more (None: that
        may be any of them)."""
        if self.origin is not None:
            self.origin.suspected(node)
        for fork in self.forks:
            fork.doubted(node, dependency)

    def established(self, node: Node, revision: int) -> None:
        """*node* is about to have an outcome that is known to be right from *revision* on."""
        if self.origin is not None:
            self.origin.proved(node, revision)
        for fork in self.forks:
            fork.established(node, revision)

    def taken_over(self, node: Node, *, all_linked: bool) -> None:
        """*node* has an outcome that this graph has from its own origin."""
        for fork in self.forks:
            fork.taken_over(node, all_linked=all_linked)

    # spec: fork.closed
    def bury(self) -> None:
        """Take out the forks that were closed or dropped, unless a snapshot or a call is still bound to one."""
        for _ in range(len(self.dropped)):
            fork = self.dropped[0]
            if not fork.end():
                self.dropped.append(fork)
            self.dropped.popleft()
