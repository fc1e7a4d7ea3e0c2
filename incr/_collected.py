"""Which calls below a call pushed: one tree per accumulator, over the calls that somebody has collected.

A `Tree` stands for one call: its own pushes, and the trees of those of its dependencies that are not empty. Trees are
kept up to date in place: when a call pushed or read otherwise than before, it and what is above it are marked, and the
next one who collects rebuilds what is marked and nothing else.

Law: a tree that is not marked has been built from its call's pushes and dependencies as they are, and so have all trees
below it. The caller holds the database's lock; no code of the program runs here.

Keeps: accumulate.order, accumulate.once, accumulate.incremental.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar, final

from incr._kin import Kin
from incr._node import NEVER, Node, each_dependent
from incr._pushes import BARRED, LOST, Push, Pushes

__all__ = ["Collected", "Tree", "flatten", "is_call", "is_collection", "merged"]

T = TypeVar("T")

#: The kinds of nodes that nothing is below.
_INPUTS: Final = frozenset({"input", "presence", "keys", "untracked"})
#: As `stale`: the call itself pushed or read otherwise.
_ALL: Final[dict[Node, None]] = {}
#: More dependencies than this are not searched for one of them.
_WIDE: Final = 64


def is_call(node: Node) -> bool:
    """Whether there may be pushes at or below the dependency."""
    return node.ingredient.kind not in _INPUTS


def is_collection(node: Node) -> bool:
    """Whether the node is what is collected for one call, rather than a call of the program's."""
    return getattr(node.ingredient, "accumulator", None) is not None


@final
class Tree:
    """What is pushed to one accumulator at and below one call."""

    __slots__ = ("below", "changed_at", "node", "places", "pushes", "stale")

    def __init__(self, node: Node) -> None:
        self.node = node
        #: The call's own: how many dependencies had been read before, and the value.
        self.pushes: tuple[Push, ...] = ()
        #: Where the dependencies with something to collect stand among the call's, ascending, and their trees.
        self.places: list[int] = []
        self.below: list[Tree] = []
        #: The newest revision in which something in it may have become different.
        self.changed_at = NEVER
        #: None if it is up to date; else the dependencies whose trees are not, or `_ALL`.
        self.stale: dict[Node, None] | None = _ALL


# spec: accumulate.order
def merged(pushes: Sequence[Push], places: Sequence[int], below: Sequence[T]) -> Iterator[tuple[T | None, Any]]:
    """Pushes as (None, value) and what was read as (it, None), in the order in which the body came to them."""
    done = 0
    for _, position, value in pushes:
        while done < len(places) and places[done] < position:
            yield below[done], None
            done += 1
        yield None, value
    for place in range(done, len(places)):
        yield below[place], None


# spec: accumulate.once
def flatten(tree: Tree, seen: set[Node], values: list[Any]) -> None:
    """Append what the tree has to *values*, each call once: not those in *seen*, where the others are added."""
    if tree.node in seen:
        return
    seen.add(tree.node)
    stack = [merged(tree.pushes, tree.places, tree.below)]
    while stack:
        for below, value in stack[-1]:
            if below is None:
                values.append(value)
            elif below.node not in seen:
                seen.add(below.node)
                if not below.below:
                    values += [push[2] for push in below.pushes]
                    continue
                stack.append(merged(below.pushes, below.places, below.below))
                break
        else:
            stack.pop()


@final
class Collected:
    """The trees of one database."""

    __slots__ = ("_trees", "built")

    def __init__(self) -> None:
        self._trees: dict[Any, dict[Node, Tree]] = {}
        #: How many trees were built or rebuilt.
        self.built = 0

    # spec: accumulate.incremental
    def mark(self, node: Node) -> None:
        """The call pushed or read otherwise than before; what is collected above it is out of date."""
        try:
            self._mark(node)
        except BaseException:  # an interrupt: half of it is worse than nothing
            self._trees.clear()
            raise

    def _mark(self, node: Node) -> None:
        for trees in self._trees.values():
            tree = trees.get(node)
            if tree is None or tree.stale is _ALL:
                continue
            known = tree.stale is not None
            tree.stale = _ALL
            stack = [] if known else [node]
            while stack:
                below = stack.pop()
                for dependent in each_dependent(below):
                    tree = trees.get(dependent)
                    if tree is None:
                        continue
                    if tree.stale is None:
                        tree.stale = {below: None}
                        stack.append(dependent)
                    elif tree.stale is not _ALL:
                        tree.stale[below] = None

    def drop(self, node: Node) -> None:
        """Nobody will ask for the node again."""
        for trees in self._trees.values():
            trees.pop(node, None)

    def unsure(self, node: Node) -> bool:
        """Whether the node is a collection that may give something else although nothing that it read has changed."""
        if not is_collection(node):
            return False
        tree = self._trees.get(node.ingredient.accumulator, {}).get(node.key)
        return tree is None or tree.stale is not None or tree.changed_at > node.valid_from

    def refresh(self, accumulator: Any, root: Node, revision: int, kin: Kin | None) -> Tree | Node:
        """The tree of a call that is good, up to date; or the call whose pushes have to be read or found out first."""
        try:
            return self._refresh(accumulator, root, revision, kin)
        except BaseException:  # an interrupt, as above
            self._trees.clear()
            raise

    def _refresh(self, accumulator: Any, root: Node, revision: int, kin: Kin | None) -> Tree | Node:
        trees = self._trees.setdefault(accumulator, {})
        stack = [root]
        opened: set[Node] = set()
        while stack:
            node = stack[-1]
            tree = trees.get(node)
            if tree is None:
                tree = trees[node] = Tree(node)
            if tree.stale is None:
                stack.pop()
            elif node in opened:
                stack.pop()
                self._rebuild(trees, tree, accumulator, revision)
            elif node.pushes is LOST or (type(node.pushes) is Pushes and node.pushes.entries is None):
                return node
            else:
                opened.add(node)
                if kin is not None:
                    kin.complete(node)
                    if node.pushes is LOST:  # found out just now
                        return node
                missing: list[Node] = []
                for dependency in node.dependencies if tree.stale is _ALL else tree.stale:
                    below = trees.get(dependency)
                    current = below is not None and below.stale is None
                    if not current and dependency not in opened and is_call(dependency):
                        missing.append(dependency)
                stack += reversed(missing)
        return trees[root]

    def _rebuild(self, trees: dict[Node, Tree], tree: Tree, accumulator: Any, revision: int) -> None:
        self.built += 1
        node, stale = tree.node, tree.stale
        if stale is None:
            return
        if stale is _ALL:
            before = tree.changed_at == NEVER or tree.pushes or tree.below
            _build(trees, tree, accumulator)
            changed = bool(before or tree.pushes or tree.below)
        else:
            changed = False
            if node.pushes is not BARRED:
                for dependency in stale:
                    changed |= _patch(tree, _place_of(node, dependency), trees[dependency])
        if changed:
            tree.changed_at = revision
        tree.stale = None


def _build(trees: dict[Node, Tree], tree: Tree, accumulator: Any) -> None:
    node = tree.node
    pushes = node.pushes
    tree.pushes, tree.places, tree.below = (), [], []
    if pushes is BARRED:
        return
    if pushes is not None:
        tree.pushes = tuple(push for push in pushes.entries if push[0] is accumulator)
    for place, dependency in enumerate(node.dependencies):
        below = trees.get(dependency)
        # One that is not up to date here is on a loop of calls: what is in it is not known yet.
        if below is not None and (below.pushes or below.below or below.stale is not None):
            tree.places.append(place)
            tree.below.append(below)


def _patch(tree: Tree, place: int, below: Tree) -> bool:
    """Take the dependency in or out; whether it has or had something to collect."""
    found = bisect_left(tree.places, place)
    was = found < len(tree.places) and tree.places[found] == place
    now = bool(below.pushes or below.below or below.stale is not None)
    if now and not was:
        tree.places.insert(found, place)
        tree.below.insert(found, below)
    elif was and not now:
        del tree.places[found], tree.below[found]
    return was or now


def _place_of(node: Node, dependency: Node) -> int:
    dependencies = node.dependencies
    if len(dependencies) <= _WIDE:
        return dependencies.index(dependency)
    places = node.places
    if places is None:
        places = node.places = {dependency: place for place, dependency in enumerate(dependencies)}
    return places[dependency]
