"""Solving a component: calls that need each other's results, and whose queries say what then comes of them.

A `Solve` runs the calls of a loop, its *members*, in rounds. In each round every member takes a new value from its
body, which is run against the values of the other members; the order of the members, and who of them reads a new
value and who that of the round before, follows from who read whom in the rounds before, and from nothing else.
Frames inside of a solve are private to it: nobody waits for them from outside, and they wait for nobody outside, so
that a solve always comes to its end, and may be abandoned at any moment without a trace.

Law: what has used a member's value, directly or not, is *tainted*: it stands as long as that value does. A recovering
call that turns out tainted is on a loop with the members and becomes one of them; then all begin again. What is not
tainted is published like any other outcome. docs/internals/cycles.md says why the answer is the same from everywhere.

Keeps: cycle.fallback, cycle.fixpoint, cycle.rounds, cycle.component.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Any, Final, final

from incr._component import forget_component, is_component, publish_component
from incr._errors import CycleError, short_repr
from incr._frame import Frame
from incr._graph import At, Graph
from incr._node import Failure, Node
from incr._outcome import is_unchanged, same_outcome
from incr._pushes import BARRED, weigh
from incr._turns import groups, in_turn

__all__ = ["ROUNDS", "Given", "Solve", "known", "recovering"]

#: Values that have not settled after so many rounds are given up.
ROUNDS: Final = 200

#: How a round ends: another solve has the members now, there is one more, values have changed, none has.
_LOST, _GROWN, _MOVED, _SETTLED = range(4)


@final
class Given:
    """What a tainted call gave. It has `value`, as a memo has."""

    __slots__ = ("outside", "pushes", "reads", "touched", "value")

    def __init__(
        self,
        value: Any,
        touched: dict[Node, Any],
        outside: dict[Node, None],
        reads: tuple[Node, ...],
        pushes: Any = None,
    ) -> None:
        self.value = value
        #: The members that it has used, directly or not, with the values that they had.
        self.touched = touched
        #: What it has read that no member has to do with, directly or not, in order.
        self.outside = outside
        #: What it has read itself.
        self.reads = reads
        #: What it has pushed to accumulators itself.
        self.pushes = pushes

    def read_by(self, frame: Any, node: Node) -> Any:
        """The value, for a frame inside of a solve that has read the call *node*."""
        frame.part.tainted[node] = self
        return self.value


@final
class Solve:
    """One component while its values are looked for; within another solve's round if that met a loop of its own."""

    __slots__ = (
        "_current", "_edges", "_first", "_grown", "_last", "_moved", "_outside", "_start", "at", "flights", "graph",
        "outer", "poison", "reader", "table", "values",
    )  # fmt: skip

    def __init__(self, graph: Graph, at: At, outer: Solve | None, reader: Frame, start: Iterable[Node]) -> None:
        self.graph = graph
        self.at = at
        self.outer = outer
        #: The frame that closed the loop: the one that members run for.
        self.reader = reader
        self._start = list(start)
        #: The members with their values, and with their first values.
        self.values: dict[Node, Any] = {}
        self._first: dict[Node, Any] = {}
        #: The values of the round before, of the members that have another one now.
        self._moved: dict[Node, Any] = {}
        #: The member whose turn it is.
        self._current: Node | None = None
        #: Whether a call has become a member since all began.
        self._grown = False
        #: What the calls between the members gave last; one that another has read comes first.
        self.table: dict[Node, Given] = {}
        #: The frames of such calls that are running, newest first by `next_flight`.
        self.flights: dict[Node, Frame] = {}
        #: As on a revision: calls found on a loop that nobody recovers, before they had a frame in this turn.
        self.poison: dict[Node, BaseException] | None = None
        #: What each member's body gave last.
        self._last: dict[Node, Given] = {}
        #: Since all began: which members each one has used, and what it has read outside.
        self._edges: dict[Node, dict[Node, None]] = {}
        self._outside: dict[Node, dict[Node, None]] = {}

    # --- members --------------------------------------------------------------------------------------------------

    def levels(self) -> Iterator[Solve]:
        """This solve and those around it."""
        level: Solve | None = self
        while level is not None:
            yield level
            level = level.outer

    def home_of(self, touched: Iterable[Node]) -> Solve | None:
        """The innermost solve, of this one and those around it, that has one of these members."""
        for level in self.levels():
            if any(node in level.values for node in touched):
                return level
        return None

    def adopt(self, node: Node) -> Given:
        """Make the call a member; what its readers get until all begin again."""
        if node not in self.values:
            self._first[node] = node.ingredient.recovery.first(node)
            self.values[node] = self._first[node]
            self._grown = True
        return self.member(node)

    def keep(self, node: Node, given: Given) -> None:
        """Remember what a call between members gave, behind what it has read."""
        self.table.pop(node, None)
        self.table[node] = given

    def member(self, node: Node) -> Given:
        """A member for the one whose turn it is: its new value only if it is known to come before that one."""
        value = self.values[node]
        if node in self._moved and (self._current is None or node not in self._edges[self._current]):
            value = self._moved[node]
        return Given(value, {node: value}, {}, ())

    def stands(self, given: Given) -> bool:
        """Whether all members still have the values that were used."""
        for node, value in given.touched.items():
            level = self.home_of((node,))
            if level is None or level.member(node).value is not value:
                return False
        return True

    # --- rounds ---------------------------------------------------------------------------------------------------

    # spec: cycle.fixpoint
    # spec: cycle.rounds
    def steps(self) -> Generator[Node, Given, None]:
        """Yields the members that have to run, and publishes what comes of them.

        Ends early if they turn out to be on a loop with members of a solve around this one, which then has them.
        """
        while True:
            open_ = [node for node in self._start if not self._known(node)]
            if not open_:
                return
            self.values = {}
            for node in open_:
                self.adopt(node)
            verdict = _GROWN
            while verdict == _GROWN:
                self._begin()
                for number in range(ROUNDS):
                    verdict = yield from self._round(number)
                    if verdict != _MOVED:
                        break
            if verdict == _LOST:
                return
            if not self._publish():
                return

    def _begin(self) -> None:
        """All members at their first values; what was found out with these stands."""
        self._grown = False
        order = sorted(self.values, key=_rank)
        self.values = {node: self._first[node] for node in order}
        self._edges = {node: {} for node in order}
        self._outside = {node: {} for node in order}
        self._moved = {}

    def _round(self, number: int) -> Generator[Node, Given, int]:
        self._moved = {}
        for node in in_turn(self._edges, back=number % 2 == 0):
            self._current = node
            given = self._last.get(node)
            if given is None or not self.stands(given):
                self.poison = None
                given = self._last[node] = yield node
                home = None if self.outer is None else self.outer.home_of(given.touched)
                if home is not None:
                    for member in self.values:  # those found meanwhile too: to look for them again takes as long
                        home.adopt(member)
                    return _LOST
            self._current = None
            if self._grown:
                return _GROWN
            self._edges[node].update(dict.fromkeys(given.touched))
            self._outside[node].update(given.outside)
            before = self.values[node]
            value = node.ingredient.recovery.next(before, given.value)
            if not _settled(node, before, value):
                self._moved[node] = before
                self.values[node] = value
        return _MOVED if self._moved else _SETTLED

    # --- what comes of it -----------------------------------------------------------------------------------------

    # spec: cycle.component
    def _publish(self) -> bool:
        """Publish the members that have used no others but each other; the rest begins again, if it is a loop at all.

        More than one group is rare: calls became members by what others read in a round, and that is not read now.
        """
        published = False
        settled: set[Node] = set()
        kept: set[Node] = set()
        between = {node: given for node, given in self.table.items() if self.stands(given)}
        for group in groups(self._edges):
            if not all(other in group for node in group for other in self._edges[node]):
                continue
            published = True
            alone = next(iter(group))
            if not self._edges[alone]:
                last = self._last[alone]
                self.publish({alone: last.value}, last.reads, last.pushes)
                continue
            moved = any(node in self._moved for node in group)
            outcomes = {node: self._given_up(node, group) if moved else self.values[node] for node in group}
            # What calls between the members push is kept with them: all of it belongs to the loop.
            inside = [node for node, given in between.items() if all(other in group for other in given.touched)]
            kept.update(inside)
            givens = [self._last[node] for node in group] + [between[node] for node in sorted(inside, key=_rank)]
            pushed = [push for given in givens if type(given.pushes) is list for push in given.pushes]
            self.publish(outcomes, None, [(accumulator, 0, value) for accumulator, _, value in pushed])
            if not moved:
                settled.update(group)
        for node, given in between.items():
            if settled.issuperset(given.touched) and not self._known(node) and all(map(self._known, given.reads)):
                pushes = given.pushes if node not in kept or given.pushes is BARRED else None
                self.publish({node: given.value}, given.reads, pushes)
        return published

    def _known(self, node: Node) -> bool:
        with self.graph.lock:
            return self.graph.find(node, self.at.revision) is not None

    def _given_up(self, node: Node, group: Iterable[Node]) -> Any:
        if node.ingredient.recovery.settled:
            return self.values[node]
        calls = [(member.ingredient.name, member.ingredient.arguments(member.key)) for member in group]
        return Failure(CycleError(calls, ROUNDS), None)

    def publish(self, outcomes: dict[Node, Any], dependencies: tuple[Node, ...] | None, pushed: Any) -> dict[Node, Any]:
        """Publish outcomes together; without dependencies of their own they depend on a component, which has what was
        pushed then.

        Returns the outcomes that everybody is given: those that are there already, where there are such.
        """
        graph, at = self.graph, self.at
        while True:
            before = {node: (node.value, node.valid_from) for node in outcomes}
            unchanged = {node: is_unchanged(node, at, before[node][0], outcome) for node, outcome in outcomes.items()}
            known = next(iter(outcomes)).pushes if dependencies is not None else None
            pushes = pushed if pushed is BARRED else weigh(known, pushed)
            with graph.lock:
                if any(node.value is not value or node.valid_from != since for node, (value, since) in before.items()):
                    continue  # another thread was here while the values were compared
                stored = self._store(outcomes, dependencies, unchanged, pushes)
            if graph.checks is not None:
                for node in outcomes:
                    graph.checks.note(node)
            return stored

    def _store(
        self, outcomes: dict[Node, Any], dependencies: tuple[Node, ...] | None, unchanged: dict[Node, bool], pushes: Any
    ) -> dict[Node, Any]:
        graph, at = self.graph, self.at
        if dependencies is None:
            if any(graph.find(node, at.revision) is not None for node in outcomes):
                return outcomes  # somebody else has solved the same loop meanwhile
            outside: dict[Node, None] = {}
            for node in outcomes:
                outside.update(self._outside[node])
            dependencies = (publish_component(graph, at, tuple(outcomes), tuple(outside), pushes),)
            pushes = None
        before = {component for node in outcomes for component in node.dependencies if is_component(component)}
        stored: dict[Node, Any] = {}
        for node, outcome in outcomes.items():
            stored[node] = graph.publish(node, at, outcome, dependencies, unchanged[node], pushes, ran=False)
            node.ran_at = at.revision
        for component in before:
            if component.dependents is None:  # nobody is on that loop any more
                forget_component(graph, component)
        return stored


def known(frame: Frame, node: Node) -> Given | None:
    """What the call is at this turn for somebody inside of a solve, if that is known; noted as tainted."""
    solve: Solve = frame.part.solve
    for level in solve.levels():
        given = level.member(node) if node in level.values else level.table.get(node)
        if given is not None and level.stands(given):
            given.read_by(frame, node)
            return given
    return None


def recovering(path: Iterable[Frame | Node], at: At) -> list[Node]:
    """The calls on a loop whose queries say what comes of it; none if it goes through another database or revision."""
    nodes: list[Node] = []
    for step in path:
        if isinstance(step, Frame):
            if step.at is not at:
                return []
            step = step.node
        if step.ingredient.kind == "query" and step.ingredient.recovery is not None:
            nodes.append(step)
    return nodes


def _rank(node: Node) -> tuple[str, ...]:
    return node.ingredient.name, *(short_repr(argument, 1000) for argument in node.ingredient.arguments(node.key))


def _settled(node: Node, before: Any, value: Any) -> bool:
    """By the query's `eq`; one that calls every execution a change would never settle, so that counts as none."""
    return before is value or same_outcome(before, value, node.ingredient.equal or None)
