"""Threads that read, write, ask, hold snapshots, die and look around, all at once, on one database.

What a thread was told is noted as a claim: this call, or this slot, was that at some revision between two. Writes are
noted with their revisions. When all threads have ended, each claim is compared with a computation from scratch.
Where the threads come from is the crew's affair: see `stepped_threads` and `free_threads`.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, Protocol, final

import incr
from hand_loop import Cancelled, HandLoop
from incr._write import write
from paused_programs import CELLS, RARES, Cell, Child, Inputs, Rare, ask, from_scratch, plain, random_program
from tasks import no_trace

__all__ = ["Crew", "Stress"]


class Crew(Protocol):
    """Where threads and loops come from."""

    def run(self, functions: Sequence[Callable[[], None]]) -> None:
        """Call each in a thread of its own, to the end."""
        ...

    def in_threads(self, functions: list[Callable[[], Any]]) -> Sequence[Child]:
        """The same, called by one of the threads."""
        ...

    def on_a_loop(self, random: Random, here: Here, coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Run tasks on a loop of the calling thread, and perhaps cancel some."""
        ...


class Here(threading.local):
    """What belongs to the calling thread: the loop that runs there, and whether bodies may die."""

    loop: Any = None
    random: Random | None = None


@final
class _LoopHere:
    """Bodies run on whichever loop their thread has."""

    def __init__(self, here: Here, crew: Crew) -> None:
        self._here = here
        self.in_threads = crew.in_threads

    async def pause(self) -> None:
        await self._here.loop.pause()

    async def gather(self, *coroutines: Coroutine[Any, Any, Any]) -> Sequence[Child]:
        children: Sequence[Child] = await self._here.loop.gather(*coroutines)
        return children


@final
class Stress:
    """One program, one database, and what the threads were told."""

    def __init__(self, random: Random, crew: Crew, *, size: int, files: bool) -> None:
        self.crew = crew
        self.here = Here()
        #: Values are dropped all the time where there is hardly any room: calls run more often, answers stay right.
        self.cramped = random.random() < 0.3
        self.db = incr.Database(max_memory=random.choice([1, 60, 150])) if self.cramped else incr.Database()
        self.program = random_program(random, _LoopHere(self.here, crew), self.db, size, threads=True)
        self.program.hazard = self._hazard
        self.plain = [number for number, one in enumerate(self.program.definitions) if not one.awaited]
        self.awaited = [number for number, one in enumerate(self.program.definitions) if one.awaited]
        self.files = files
        #: Revision and what was written there; a write that changed nothing names the revision that it found.
        self.log: list[tuple[int, Inputs]] = []
        #: First and last revision, what was asked, outcome.
        self.claims: list[tuple[int, int, Any, Any]] = []
        self.claimed = 0
        for _ in range(random.randint(0, 3)):
            self.write(random)

    def _hazard(self) -> None:
        random = self.here.random
        if random is not None and random.random() < 0.02:
            raise Cancelled

    @property
    def newest(self) -> int:
        """The newest revision; asking the database would walk the writes."""
        return self.db._graph.newest

    # --- what threads do ----------------------------------------------------------------------------------------------

    def writer(self, random: Random, goes_on: Callable[[], bool]) -> None:
        """Write until the end."""
        while goes_on():
            self.write(random)
            if random.random() < 0.3:
                self.read_slot(random, self.db)

    def reader(self, random: Random, goes_on: Callable[[], bool]) -> None:
        """Ask, hold snapshots, look around until the end."""
        snapshots: list[incr.Snapshot] = []
        looks = [self.look, self.listen, *([self.save] if self.files else [])]
        try:
            while goes_on():
                view = random.choice([self.db, self.db, *snapshots])
                match random.choices(["ask", "tasks", "slot", "snapshot", "close", "look"], [8, 4, 3, 2, 2, 1])[0]:
                    case "ask":
                        self.ask(random, view)
                    case "tasks":
                        self.tasks(random, [self.db, *snapshots])
                    case "slot":
                        self.read_slot(random, view)
                    case "snapshot":
                        snapshots.append(self.db.snapshot())
                    case "close" if snapshots:
                        snapshots.pop(random.randrange(len(snapshots))).close()
                    case "look":
                        random.choice(looks)()
        finally:
            for snapshot in snapshots:
                snapshot.close()

    def write(self, random: Random) -> None:
        changes = dict[tuple[type[Any], int], Any]()
        batch = incr.Batch(self.db._graph)
        for _ in range(random.choice([1, 1, 1, 3])):
            record, key = random.choice([(Cell, random.choice(CELLS)), (Rare, random.choice(RARES))])
            value = changes[record, key] = random.choice([None, 0, 1, 2, 3])
            if value is None:
                batch.remove(record, key)
            else:
                batch.set(record(key, value), durability=random.choice([None, None, None, incr.Durability.HIGH]))
        # A batch does not say which revision it became; this is what its end calls.
        self.log.append((write(self.db._graph, batch._writes), changes))

    def ask(self, random: Random, view: incr.View) -> None:
        """A plain call, whose body may die."""
        if not self.plain:
            return
        number = random.choice(self.plain)
        first = self.newest
        self.here.random = random
        try:
            outcome: Any = ("value", plain(view, self.program, number))
        except Cancelled:
            return
        except Exception as error:
            outcome = ("error", (type(error), error.args))
        finally:
            self.here.random = None
        self.claim(view, first, number, outcome)

    def tasks(self, random: Random, views: list[incr.View]) -> None:
        """Calls in tasks on a loop of this thread."""
        numbers = self.awaited or self.plain
        coroutines = [self._task(random.choice(views), random.choice(numbers)) for _ in range(random.randint(1, 4))]
        self.crew.on_a_loop(random, self.here, coroutines)

    async def _task(self, view: incr.View, number: int) -> None:
        first = self.newest
        self.claim(view, first, number, await ask(view, self.program, number))

    def read_slot(self, random: Random, view: incr.View) -> None:
        first = self.newest
        match random.choice(["get", "in", "keys", "item"]):
            case "get":
                key = random.choice(CELLS)
                record = view.get(Cell, key)
                self.claim(view, first, ("get", key), None if record is None else record.value)
            case "in":
                key = random.choice(CELLS)
                self.claim(view, first, ("in", key), (Cell, key) in view)
            case "keys":
                self.claim(view, first, ("keys",), list(view.keys(Cell)))
            case "item":
                key = random.choice(CELLS)
                try:
                    value: Any = view[Cell, key].value
                except incr.MissingInputError:
                    value = None
                self.claim(view, first, ("get", key), value)

    def look(self) -> None:
        """What shows the graph is right at any moment."""
        self.db.check_invariant()
        statistics = self.db.statistics()
        assert statistics.memos >= 0
        incr.graph(self.db)

    def listen(self) -> None:
        """A subscriber comes, hears of writes in their order, and goes."""
        heard: list[int] = []

        def hear(event: incr.Event) -> None:
            if isinstance(event, incr.RevisionAdvanced):
                heard.append(int(event.revision))

        with self.db.subscribe(hear):
            for number in range(4):
                self.db.get(Cell, number)
                if self.plain:
                    self.ask(Random(number), self.db)
        assert heard == sorted(heard), heard

    def save(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.db.save(os.path.join(folder, "state"))

    # --- what has to hold ---------------------------------------------------------------------------------------------

    def claim(self, view: incr.View, first: int, asked: Any, outcome: Any) -> None:
        last = self.newest
        if isinstance(view, incr.Snapshot):
            first = last = int(view.revision)
        self.claims.append((first, last, asked, outcome))

    def check(self) -> None:
        """Every answer was right, nothing is left, and everything asked now is right; called by the only thread."""
        self.check_claims()
        no_trace(self.db)
        assert not self.program.running
        twice = {call: count for call, count in Counter(self.program.ran).items() if count > 1}
        assert not twice or self.cramped, f"these ran to their end more than once (call, revision): {twice}"
        loop = self.here.loop = HandLoop()
        for again in (False, True):
            before = len(self.program.ran)
            for number in range(len(self.program.definitions)):
                task = loop.spawn(ask(self.db, self.program, number), "last")
                while loop.ready():
                    loop.step(loop.ready()[0])
                self.claims.append((self.newest, self.newest, number, task.value))
            assert not again or self.cramped or before == len(self.program.ran)
        self.check_claims()
        no_trace(self.db)

    def check_claims(self) -> None:
        """Compare what was noted with a computation from scratch."""
        history: list[Inputs] = [{}]
        log = sorted(self.log, key=lambda entry: entry[0])
        assert {revision for revision, _ in log} - {0} == set(range(1, self.newest + 1)), "revisions are missing"
        for revision, changes in log:
            while len(history) <= revision:
                history.append(dict(history[-1]))
            history[revision] |= changes
        inputs = [{slot: value for slot, value in one.items() if value is not None} for one in history]
        known: dict[tuple[int, Any], Any] = {}
        while self.claims:
            first, last, asked, outcome = self.claims.pop()
            self.claimed += 1
            right = []
            for revision in range(first, last + 1):
                if (revision, asked) not in known:
                    known[revision, asked] = self._right(inputs[revision], revision, asked)
                right.append(known[revision, asked])
                if outcome == right[-1]:
                    break
            else:
                raise AssertionError(f"{asked} at revision {first} to {last}: {outcome}, from scratch one of {right}")

    def _right(self, inputs: Inputs, revision: int, asked: Any) -> Any:
        match asked:
            case ("get", key):
                return inputs.get((Cell, key))
            case ("in", key):
                return (Cell, key) in inputs
            case ("keys",):
                return sorted(key for record, key in inputs if record is Cell)
        return from_scratch(self.program, inputs, revision, asked)
