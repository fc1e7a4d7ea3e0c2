"""The graph of one database: tables, links, suspicion, validity, history.

Law: every method changes the tables in one stretch, under the database's lock: those that say so leave taking it to
the caller, who decides and changes in the same stretch. No user code runs here and nothing waits, so whoever holds
the lock sees a state in which all invariants hold. Comparing values is done by the caller beforehand.

Keeps: suspect.deferred, history.publish, history.prune, memo.aba, thread.lock, lazy.code.
"""

from __future__ import annotations

from _thread import RLock
from collections.abc import Callable
from typing import Any, final

from incr._checks import ValueChecks
from incr._collected import Collected
from incr._counters import Counters
from incr._events import QueryBackdated, QueryExecuted, QueryVerified
from incr._history import CLOSED, At, History, Holder
from incr._kin import Kin
from incr._listeners import Listeners
from incr._log import Change, Step, Unseen, write_events
from incr._memory import Memory
from incr._node import ABSENT, EMPTY, NEVER, SCAN, Memo, Node, Stored, link, unlink
from incr._pushes import LOST
from incr._revision import OPEN
from incr._state import StateLimit
from incr._suspicion import LISTED, spread_bits, suspect_dependents, suspect_readers
from incr._tables import Tables
from incr._vacant import Vacant

__all__ = ["CLOSED", "At", "Graph"]


@final
class Graph(Tables):
    """All that one database knows."""

    # More attributes than a dictionary that objects share can have: without slots each look-up takes twice as long.
    __slots__ = (
        "_walking", "at", "changes", "checks", "collected", "components", "counts_hits", "find", "folded", "folds",
        "groups", "interned", "listeners", "log", "pins", "release", "sorted_keys", "staleness", "state", "stored",
        "watchers",
    )  # fmt: skip

    # spec: thread.lock
    def __init__(self, *, check_values: bool = False, lock: RLock | None = None) -> None:
        #: Held while tables change, never while user code runs or anybody waits. Re-entrant, because a finalizer that
        #: reads may run at any allocation. A fork has that of its origin.
        self.lock = RLock() if lock is None else lock
        #: The revision of the inputs.
        self.newest = 0
        #: Key -> node, by the ingredient's index. A list, because a hit looks into it.
        self.tables: list[dict[Any, Node]] = []
        #: The ingredients of `tables`; None where this database has not met the index yet.
        self.ingredients: list[Any] = []
        self.at = At(0, self.tables)
        #: Whether a walk of the log has begun and not come to its end.
        self._walking = False
        #: What was written since the last read, as it was before.
        self.log: dict[Node, Unseen] = {}
        self.history = History(self.lock)
        #: Closed revisions that somebody is bound to, ascending.
        self.pins = self.history.pins
        self.release = self.history.release
        self.find = self.history.find
        self.vacant = Vacant()
        self.presence: dict[Node, Node] = {}  #: slot -> the node of its presence, for slots that were asked for it
        #: Ingredient index -> the node of its key set, and the sorted keys with the revision they are right from.
        self.key_sets: dict[int, Node] = {}
        self.sorted_keys: dict[int, tuple[int, tuple[Any, ...]]] = {}
        #: Ingredient index -> exact value -> the canonical instance.
        self.interned: dict[int, dict[Any, Any]] = {}
        self.untracked: dict[str, Node] = {}
        self.counters: dict[Any, Counters] = {}
        #: What is collected from the pushes of calls; None in a database that was never asked for any.
        self.collected: Collected | None = None
        self.components: dict[Node, None] = {}  #: what solved loops depend on, one node for each (see `_component`)
        self.listeners = Listeners()
        #: Copies of memoised values, compared on every read; None unless the program asked for it.
        self.checks = ValueChecks() if check_values else None
        #: Whether no value is for hits: all reads take the slow path, to be compared or counted.
        self.cool = check_values
        self.counts_hits = False
        #: Whose values are dropped when there are too many; None unless something is limited.
        self.memory: Memory | None = None
        self.state: StateLimit | None = None
        #: Call -> its dependencies, and the stretches of them that were read at the same time: start, stop, limit.
        self.groups: dict[Node, tuple[tuple[Node, ...], tuple[tuple[int, int, int | None], ...]]] = {}
        #: What tuples of keys are as arguments (owned by `_fold`).
        self.folds: dict[int, Any] = {}
        #: Told of each new revision, without the lock, in the thread that has written.
        self.watchers: tuple[Callable[[int], object], ...] = ()
        #: When inputs were written, for stale reads (owned by `_stale`); None until the first of them.
        self.staleness: Any = None
        #: Goes up with every change of tables; what a file was written from.
        self.changes = 0
        #: What the last save or load left for the next save (owned by `_persist`).
        self.stored: Any = None
        #: Calls that came from a store, may be wrong and have no links yet by which that could be found out: before
        #: their dependencies are looked at, `unfold` has to see them.
        self.folded: dict[Node, None] = {}
        #: Who shares memos with this graph: None unless it is a fork or has been forked.
        self.kin: Kin | None = None

    # --- revisions ------------------------------------------------------------------------------------------------

    def current(self) -> At:
        """The newest revision, with everything suspect that the writes before it can reach."""
        at = self.at
        if at.tables is CLOSED:
            lock = self.lock
            try:
                lock.acquire()  # a `with` costs three times as much
                at = self.at
                if at.tables is CLOSED:
                    torn, self._walking = self._walking, True
                    if self.log or self.untracked or self.kin is not None:
                        self._walk_log(torn)
                    at = self.at = At(self.newest, self.tables)
                    self.log, self._walking = {}, False
            finally:
                try:  # noqa: SIM105  # an interrupt may come while the lock is waited for; `suppress` takes too long
                    lock.release()
                except RuntimeError:
                    pass
        return at

    def hold(self, holder: Holder, at: At) -> At:
        """Bind *holder* to a revision, the one that `bound` says, which is returned. Goes with `release`."""
        with self.lock:
            at = self.bound(at)
            at.users, holder.held = at.users + 1, at
        return at

    def bound(self, at: At) -> At:
        """The revision that a reader who comes with *at* is bound to; the caller holds the lock."""
        return self.current() if at.tables is CLOSED and not at.users else at

    def good(self, node: Node, at: At) -> Node | Memo | None:
        """Where the outcome that is known to be right at *at* can be read, if it is; the caller holds the lock."""
        if at.tables is CLOSED:
            return self.find(node, at.revision)
        return node if node.suspects is None and node.value is not EMPTY else None

    # spec: lazy.code
    def unfold(self, node: Node) -> None:
        """Let a call of `folded` have the dependencies that may have changed. The caller holds the lock."""
        if self.kin is not None:
            self.kin.unfold(node)

    def _keep_current(self, node: Node) -> None:
        """Before the node's outcome or validity changes: somebody may need them as they are."""
        if self.pins:
            if self.kin is not None:
                self.kin.complete(node)
            if node.value is EMPTY and (self.kin is None or not self.kin.forks):
                return  # only forks go by the stamps and the dependencies of a value that was dropped
            memo = Memo(node.value, node.changed_at, node.valid_from, node.valid_to, node.dependencies, node.pushes)
            self.history.keep(node, memo)

    # --- writing --------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Begin a new revision in which no input is another one. The caller holds the lock."""
        self.current()
        self._apply([], self.newest + 1)
        self.current()

    # spec: write.batch
    def write(self, changes: list[Change]) -> int:
        """Give slots new records (or ABSENT) and durabilities, all in one new revision; no walk, whatever depends.

        The caller has left out what does not change, says what is back at the value that was last looked at, and
        holds the lock. Returns the revision.
        """
        revision = self.newest + 1
        if self.kin is not None:
            self.kin.before_write(changes)
        steps: list[Step] = []
        for change in changes:
            self._add_steps(steps, *change)
        if not steps:
            return self.newest
        events = write_events(steps, revision) if self.listeners.any else ()
        steps.reverse()
        try:
            self._apply(steps, revision)
        except BaseException:  # an interrupt: what is begun is brought to its end
            self._apply(steps, revision)
            raise
        if events:
            for event in events:
                self.listeners.emit(event)
            self.listeners.advanced(revision)
        return revision

    def _add_steps(self, steps: list[Step], slot: Node, value: Any, durability: int, back: bool) -> None:
        """What changes with a slot: the slot, its presence, the set of keys. Nothing is changed here but bits."""
        if durability == 2:  # from now on readers take the bit instead of a link
            slot.bits = 1 << slot.ingredient.index
        there = value is not ABSENT
        steps.append((slot, value, there, back))
        if there is not (slot.value is not ABSENT):
            presence = self.presence.get(slot)
            if presence is not None:
                presence.bits |= slot.bits
                unseen = self.log.get(presence)
                steps.append((presence, there, False, unseen is not None and unseen.value is there))
            keys = self.key_sets.get(slot.ingredient.index)
            if keys is not None:
                steps.append((keys, True, False, False))

    def _apply(self, steps: list[Step], revision: int) -> None:
        """Take the steps, the last one first. Whoever was interrupted may do it again."""
        at = self.at
        at.tables = CLOSED
        if at.users and (not self.pins or self.pins[-1] is not at):
            self.pins.append(at)
        self.newest = revision
        self.changes += 1
        while steps:
            node, value, hot, back = steps[-1]
            if node.valid_from != revision or node.value is not value:
                self._change(node, value, hot, revision, back)
            steps.pop()

    # spec: memo.aba
    def _change(self, node: Node, value: Any, hot: bool, revision: int, back: bool) -> None:
        if self.pins:
            self.history.keep(node, Memo(node.value, node.changed_at, node.valid_from, revision))
        changed_at = revision
        if back:  # nobody can be bound to the revisions in between: for all readers nothing has changed
            changed_at = self.log[node].changed_at
        elif node.dependents is not None or node.bits or self.kin is not None:
            self.log.setdefault(node, Unseen(revision, node.value, node.changed_at))
        node.encoded, node.changed_at, node.value, node.hot, node.valid_from = None, changed_at, value, hot, revision
        if back:
            del self.log[node]

    # spec: suspect.deferred
    def _walk_log(self, torn: bool) -> None:
        """Make suspect what the writes can reach. *torn*: an earlier walk of the same writes was interrupted."""
        seen: set[Node] | None = set() if torn else None
        kin = self.kin
        if kin is not None:
            kin.before_walk()
        for node in list(self.untracked.values()):
            node.changed_at = node.valid_from = self.newest
            suspect_dependents(node, self.at.revision + 1, self.listeners, seen, kin)
        for node, unseen in self.log.items():
            suspect_dependents(node, unseen.revision, self.listeners, seen, kin)
            if node.bits:
                tables = zip(self.ingredients, self.tables, strict=True)
                calls = [table for ingredient, table in tables if ingredient is not None and ingredient.kind == "query"]
                suspect_readers(node, calls, self.components, unseen.revision, self.listeners, kin)
        if kin is not None:
            kin.after_walk()

    # --- outcomes -------------------------------------------------------------------------------------------------

    def verified(self, node: Node, revision: int) -> None:
        """The call's dependencies are what they were: its outcome is good at *revision*, the newest one."""
        self._keep_current(node)
        self._settle(node, revision)
        self.counters[node.ingredient].verified += 1
        if self.listeners.any:
            self.listeners.emit(QueryVerified(node.ingredient.name, node.ingredient.arguments(node.key)))

    def verified_as_of(self, node: Node, at: At) -> Memo:
        """The call's dependencies were at *at*, a closed revision, what they were when it was current."""
        if self.kin is not None:
            self.kin.complete(node)
        revision = at.revision
        memo = Memo(node.value, node.changed_at, revision, revision + 1, node.dependencies, node.pushes)
        self.history.keep(node, memo)
        self.counters[node.ingredient].verified += 1
        return memo

    def publish(
        self, node: Node, at: At, outcome: Any, dependencies: tuple[Node, ...], unchanged: bool, pushes: Any, ran: bool
    ) -> Any:
        """Store what an execution bound to *at* gave, counted now if *ran*. *unchanged*: it compares as the same as
        `node.value`; *pushes* that do are `node.pushes`. Returns the outcome for everybody: an older one if any."""
        if ran:
            self.executed(node)
        if node.value is EMPTY and NEVER < node.valid_from <= at.revision < node.valid_to:
            # It was good there, only its value was gone: no stamp moves, so nothing that used it has to look again.
            node.value = outcome
            node.encoded = None
            if node.pushes is LOST:
                node.pushes = pushes
            if self.kin is not None and node.suspects is None:
                self.kin.filled(node)
            self.warm(node)
            return outcome
        found = self.find(node, at.revision) if node.history is not None or node.covers(at.revision) else None
        if found is not None:  # it was shown meanwhile to hold still, or solved with a loop: then the body says nothing
            return outcome if type(found.value) is Stored else found.value
        if at.tables is CLOSED:
            return self._publish_late(node, at, outcome, dependencies, unchanged, pushes)
        revision = at.revision
        self._keep_current(node)
        if pushes is not node.pushes or self.collected is not None:
            self._give_pushes(node, dependencies, pushes)
        self._relink(node, dependencies)
        if unchanged:
            self.counters[node.ingredient].backdated += 1
            if self.listeners.any:
                self.listeners.emit(QueryBackdated(node.ingredient.name, node.ingredient.arguments(node.key)))
            if type(node.value) is Stored:
                node.value = outcome
        else:
            node.changed_at = revision  # first: an interrupt in between may cost an execution, but hides no change
            node.value = outcome
            node.encoded = None
        outcome = node.value  # it may be too large to be kept
        self._settle(node, revision)
        return outcome

    def executed(self, node: Node) -> None:
        """A body has run to its end."""
        self.changes += 1
        self.counters[node.ingredient].executed += 1
        if self.listeners.any:
            self.listeners.emit(QueryExecuted(node.ingredient.name, node.ingredient.arguments(node.key)))

    def publish_first(self, node: Node, revision: int, outcome: Any, dependencies: tuple[Node, ...]) -> None:
        """`publish` for a call that had no outcome, bound to the newest revision, while nobody listens."""
        self.changes += 1
        self.counters[node.ingredient].executed += 1
        if self.kin is not None:
            self.kin.made[node] = None
        bits = 0
        for dependency in dependencies:
            if dependency.dependents is None and not dependency.bits:
                dependency.dependents = node
            else:
                bits |= dependency.bits
                link(dependency, node)
        node.dependencies, node.bits = dependencies, bits
        node.changed_at = node.valid_from = node.ran_at = revision
        node.value = outcome
        node.valid_to, node.suspects = OPEN, None
        node.hot = not self.cool  # last: what an interrupt leaves behind before is looked at again
        if self.memory is not None:
            self.memory.warmed(node)

    # spec: history.publish
    def _publish_late(
        self, node: Node, at: At, outcome: Any, dependencies: tuple[Node, ...], unchanged: bool, pushes: Any
    ) -> Any:
        """Inputs were written while the call ran: its outcome is right at its own revision, maybe nowhere else."""
        revision = at.revision
        older = node.valid_from <= revision  # the current outcome, if any, is from before this one
        changed_at = node.changed_at if unchanged and older else revision
        self.history.keep(node, Memo(outcome, changed_at, revision, revision + 1, dependencies, pushes))
        # Not if a dependency had another value here than now: a later backdate over it would hide the difference.
        if older and all(dependency.covers(revision) for dependency in dependencies):
            self._keep_current(node)
            self._give_pushes(node, dependencies, pushes)
            self._relink(node, dependencies)
            if not (unchanged and node.value is not EMPTY):
                node.value = outcome
                node.encoded = None
            node.changed_at = changed_at
            closed = [dependency for dependency in dependencies if dependency.suspects is not None]
            if not closed:
                self._settle(node, revision)
            else:  # not settled first: hits take no lock, and would find it good for a moment
                if self.kin is not None:
                    self.kin.established(node, revision)
                node.suspects = closed if len(closed) <= LISTED else SCAN
                node.cause = closed[0]
                node.valid_from, node.valid_to = revision, min(dependency.valid_to for dependency in closed)
                self.warm(node)
        return outcome

    # spec: accumulate.incremental
    # spec: accumulate.replay
    def _give_pushes(self, node: Node, dependencies: tuple[Node, ...], pushes: Any) -> None:
        """The call's own pushes are these from now on; what is collected above it hears of it, if that matters."""
        if self.collected is not None and (pushes is not node.pushes or dependencies != node.dependencies):
            self.collected.mark(node)  # first: after an interrupt in between it is done once more
        node.pushes = pushes

    def _settle(self, node: Node, revision: int) -> None:
        """The outcome is good from *revision* on."""
        if self.kin is not None:
            self.kin.established(node, revision)
        node.valid_from = revision
        node.valid_to = OPEN
        node.suspects = None
        self.warm(node)

    def _relink(self, node: Node, dependencies: tuple[Node, ...]) -> None:
        """Dependents are linked before the node is good: a write in between must find it."""
        if self.kin is not None:
            self.kin.relinked(node)
        bits = 0
        for dependency in dependencies:
            bits |= dependency.bits
        grown = bits & ~node.bits
        node.bits = bits
        before = node.dependencies
        if not before:
            for dependency in dependencies:
                link(dependency, node)
            node.dependencies = dependencies
        elif before != dependencies:
            kept = set(before)
            for dependency in dependencies:
                if dependency not in kept:
                    link(dependency, node)
            kept = set(dependencies)
            for dependency in before:
                if dependency not in kept:
                    if self.kin is not None:
                        self.kin.doubted(node, dependency)
                        self.kin.left(dependency)
                    unlink(dependency, node)
            node.dependencies = dependencies
            node.places = None
        if grown and node.dependents is not None:
            spread_bits(node, grown)
