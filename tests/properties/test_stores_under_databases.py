"""Any program, any edits, commits, crashes, reopenings and changes of code: every answer is that of a computation from
scratch over the inputs that are there, a crash leaves one of the commits that may be there, and databases on all kinds
of stores say the same and run the same.

A failure names its seed; INCR_SEED=<seed> runs that one alone.
"""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import settings

import incr
from incr._durable import _opening
from incr.store import MemoryStore
from incr.store.file_store import FileStore
from incr.store.options import StoreLimits
from incr.store.rows import Store
from incr.store.sqlite_store import SqliteStore
from incr.testing import FakeDirectory
from random_programs import CELLS, Boom, Cell, Config
from stored_worlds import ARGUMENTS, Opaque, World, inputs_of, pushed
from strict_store import StrictStore

Inputs = dict[Any, Any]


def image(place: MemoryStore) -> MemoryStore:
    """What is in a store at this moment, as one of its own."""
    found = MemoryStore()
    for name in MemoryStore.__slots__:
        if name not in ("_lock", "_open"):
            setattr(found, name, copy.deepcopy(getattr(place, name)))
    return found


class Place:
    """Where one of the databases lives."""

    db: incr.Database

    def store(self) -> Store:
        """Opens it."""
        raise NotImplementedError

    def crash(self, last: int) -> None:
        """What was committed behind delta *last* was never there."""

    @property
    def last(self) -> int:
        """The newest delta."""
        return int(self.db._session.store.head().last)


class InMemory(Place):
    """With images of each commit, and a look at each delta."""

    def __init__(self) -> None:
        self.place = MemoryStore()
        self.images: dict[int, MemoryStore] = {}

    def store(self) -> Store:
        found: Any = StrictStore(self.place.open())
        return found

    def keep(self) -> None:
        if self.last not in self.images:
            self.images[self.last] = image(self.place)

    def crash(self, last: int) -> None:
        self.place = image(self.images[last]) if last else MemoryStore()


class InSqlite(Place):
    def __init__(self, path: Path) -> None:
        self.path = path / "state.sqlite"

    def store(self) -> Store:
        return SqliteStore.open(self.path, durability="relaxed")


class InFiles(Place):
    """On a disk that may forget."""

    def __init__(self, chance: random.Random, durability: Any) -> None:
        self.chance = chance
        self.durability = durability
        self.disk = FakeDirectory()
        self.limits = StoreLimits(
            segment_bytes=chance.choice([1_000, 8_000]), entry_bytes=chance.choice([300, 1 << 20])
        )

    def store(self) -> Store:
        return FileStore.open(self.disk, durability=self.durability, limits=self.limits)

    def crash_after(self, calls: int) -> None:
        states = list(islice(self.disk.crash_states(calls, samples=2, seed=self.chance.randrange(1000)), 40))
        self.disk = FakeDirectory(self.chance.choice(states))


class Story:
    """The same is done to all databases, and the same has to come of it."""

    def __init__(self, seed: int, path: Path) -> None:
        self.chance = chance = random.Random(seed)
        self.world = World(chance, chance.randrange(2, 8))
        self.relaxed = chance.random() < 0.3
        self.memory = InMemory()
        self.files = InFiles(chance, "relaxed" if self.relaxed else "commit")
        self.places: list[Place] = [self.memory, self.files]
        if not self.relaxed and chance.random() < 0.5:
            self.places.append(InSqlite(path))
        self.inputs: Inputs = {}
        #: Delta -> the inputs that it has.
        self.committed: dict[int, Inputs] = {0: {}}
        #: (Calls of the disk before, after, delta) of what was committed to it.
        self.attempts: list[tuple[int, int, int]] = []
        self.snapshots: list[tuple[list[incr.Snapshot], Inputs]] = []
        self.said = [f"seed {seed} relaxed={self.relaxed} {len(self.places)} {self.world.definitions}"]
        self.open()

    # --- all at once ----------------------------------------------------------------------------------------------

    def alike(self, function: Callable[[Any], Any], views: list[Any] | None = None) -> Any:
        """What comes of it, for all of them, and that the same runs for it."""
        found = []
        for view in [place.db for place in self.places] if views is None else views:
            self.world.runs.clear()
            found.append((function(view), sorted(self.world.runs)))
        for other in found[1:]:
            assert other == found[0]
        return found[0][0]

    def open(self) -> None:
        numbers = range(len(self.world.definitions))
        declared = [number for number in numbers if self.chance.random() < 0.8]
        _opening.BUDGET = self.chance.choice([0, 0, 3, 256])
        self.said.append(f"open {declared} with {_opening.BUDGET}")
        for place in self.places:
            place.db = self.world.opened(place.store(), declared)
        self.begun = self.files.disk.calls
        self.attempts = [(self.begun, self.begun, self.files.last)]
        self.alike(lambda db: int(db.revision))
        assert self.alike(inputs_of) == self.inputs
        # Other code is noticed when it is declared, or used for the first time: until then callers are trusted.
        for number in numbers:
            if number not in declared and self.world.definitions[number].version > len(numbers):
                self.do_ask(number=number)

    def close(self) -> None:
        for views, _ in self.snapshots:
            for view in views:
                view.close()
        self.snapshots = []
        for place in self.places:
            place.db.close()

    # --- steps ----------------------------------------------------------------------------------------------------

    def step(self) -> None:
        weights = {"write": 8, "ask": 12, "ask_many": 2, "look": 2, "look_back": 4, "fork": 1, "cancel": 1}
        weights |= {"commit": 6, "collect": 2, "close": 2, "crash": 2}
        name = self.chance.choices(list(weights), list(weights.values()))[0]
        self.said.append(name)
        getattr(self, f"do_{name}")()

    def do_write(self) -> None:
        chance = self.chance
        changes: Inputs = {}
        for _ in range(chance.choice([1, 1, 2, 4])):
            if chance.random() < 0.2:
                changes[Config, ()] = Config(chance.randrange(3))
            else:
                key = chance.choice(CELLS)
                changes[Cell, key] = None if chance.random() < 0.3 else Cell(key, chance.randrange(4))
        durability = chance.choice([None, None, incr.Durability.HIGH, incr.Durability.LOW])
        self.said.append(f"{changes}, {durability}")

        def write(db: incr.Database) -> int:
            with db.batch() as batch:
                for (record, key), value in changes.items():
                    if value is None:
                        batch.remove(record, key)
                    else:
                        batch.set(value, durability=durability)
            return int(db.revision)

        self.alike(write)
        self.inputs = {slot: value for slot, value in (self.inputs | changes).items() if value is not None}

    def some(self) -> tuple[int, Any]:
        chance = self.chance
        argument = chance.choice(ARGUMENTS)
        return chance.randrange(len(self.world.definitions)), Opaque(argument) if chance.random() < 0.1 else argument

    def do_ask(self, views: list[Any] | None = None, inputs: Inputs | None = None, number: int | None = None) -> None:
        some, argument = self.some()
        number = some if number is None else number
        self.said.append(f"{number} {argument}")
        self.world.library = self.chance.choice(["asyncio", "trio"])
        outcome = self.alike(lambda view: self.world.ask(view, number, argument), views)
        expected = self.world.from_scratch(self.inputs if inputs is None else inputs, number, int(argument))
        assert outcome == expected, (number, int(argument))

    def do_ask_many(self) -> None:
        """Calls at the same time, one of which may be cancelled."""
        self.many(cancelled=False)

    def do_cancel(self) -> None:
        self.many(cancelled=True)

    def many(self, *, cancelled: bool) -> None:
        world = self.world
        chosen = [number for number in range(world.awaited, len(world.definitions)) for _ in range(2)]
        if not chosen:
            return
        steps = self.chance.randrange(6)

        def ask(db: incr.Database) -> list[Any]:
            found: list[Any] = []

            async def one(number: int, argument: int) -> None:
                try:
                    found.append((number, argument, "value", int(await world.queries[number](db, argument))))
                except (Boom, incr.MissingInputError) as error:
                    found.append((number, argument, "error", type(error), error.args))

            async def main() -> None:
                async with anyio.create_task_group() as group:
                    for place, number in enumerate(chosen):
                        group.start_soon(one, number, place % 2)
                    if cancelled:
                        for _ in range(steps):
                            await anyio.lowlevel.checkpoint()
                        group.cancel_scope.cancel()

            world.waits = True
            anyio.run(main, backend="asyncio")
            world.waits = False
            return sorted(found, key=repr)

        for number, argument, *outcome in self.alike(ask):
            assert tuple(outcome) == world.from_scratch(self.inputs, number, argument)

    def do_look(self) -> None:
        self.snapshots.append(([place.db.snapshot() for place in self.places], self.inputs))

    def do_look_back(self) -> None:
        if self.snapshots:
            self.do_ask(*self.chance.choice(self.snapshots))

    def do_fork(self) -> None:
        if not self.snapshots:
            return
        views, inputs = self.chance.choice(self.snapshots)
        forks = [view.fork() for view in views]
        cell = Cell(self.chance.choice(CELLS), 2)
        for fork in forks:
            fork.set(cell)
        self.do_ask(forks, inputs | {(Cell, cell.number): cell})
        self.do_ask()
        self.do_ask(forks, inputs | {(Cell, cell.number): cell})
        for fork in forks:
            fork.close()

    def do_collect(self) -> None:
        number, _ = self.some()
        if number >= self.world.awaited:
            return
        query = self.world.queries[number]
        fresh = incr.Database()
        for record in self.inputs.values():
            fresh.set(record)
        expected = self.collected(fresh, query)
        assert self.alike(lambda db: self.collected(db, query)) == expected

    def collected(self, db: incr.Database, query: Any) -> Any:
        try:
            return list(pushed.of(db, query, 1))
        except Exception as error:
            return repr(error)

    # --- commits --------------------------------------------------------------------------------------------------

    def commit(self, place: Place, how: str) -> int:
        before = self.files.disk.calls
        if how == "commit":
            revision = place.db.commit()
        elif how == "checkpoint":
            revision = place.db.checkpoint()
        else:
            revision = anyio.run(getattr(place.db, how), backend=self.world.library)
        if place is self.files:
            self.attempts.append((before, self.files.disk.calls, place.last))
        return int(revision)

    def do_commit(self) -> None:
        how = self.chance.choice(["commit", "commit", "commit", "acommit", "checkpoint", "acheckpoint"])
        self.said.append(how)
        before = self.memory.last
        revisions = {self.commit(place, how) for place in self.places}
        assert revisions == {int(self.memory.db.revision)}
        self.note()
        assert self.memory.last <= before + 1
        for place in self.places:
            last = place.last
            place.db.commit()
            assert place.last == last == self.memory.last  # with nothing new nothing is written

    def note(self) -> None:
        self.memory.keep()
        assert self.committed.setdefault(self.memory.last, self.inputs) == self.inputs

    def do_close(self) -> None:
        """The process ends well; what was not committed is gone. The next one may have other code."""
        last = self.memory.last
        self.close()
        self.forget(last)

    def forget(self, last: int) -> None:
        self.inputs = self.committed[last]
        for gone in [number for number in self.committed if number > last]:
            del self.committed[gone]
            self.memory.images.pop(gone, None)
        if self.chance.random() < 0.4:
            self.world.change()
            self.said.append(f"{self.world.definitions}")
        self.world.clock = self.chance.randrange(2)
        self.open()

    def do_crash(self) -> None:
        """The power goes, at any moment of a commit or checkpoint, or before it."""
        last = self.memory.last
        how = self.chance.choice(["commit", "checkpoint", "none"])
        if how != "none":
            self.commit(self.files, how)
            self.committed.setdefault(self.files.last, self.inputs)
        since = self.begun if self.relaxed else self.attempts[-1][how == "none"]
        calls = self.chance.randint(since, self.files.disk.calls)
        attempted = max(number for before, _, number in self.attempts if before <= calls)
        acknowledged = max(number for _, after, number in self.attempts if after <= calls)
        least = self.attempts[0][2] if self.relaxed else acknowledged
        self.files.db.close()
        self.files.crash_after(calls)
        with FileStore.open(self.files.disk, limits=self.files.limits) as found:
            left = found.head().last
        assert least <= left <= attempted, (least, left, attempted)
        self.said.append(f"{how} {last} -> {left}")
        for place in self.places:
            if place is not self.files:
                if left > last:
                    place.db.commit()
                    assert place.last == left
                place.db.close()
        if left > last:
            self.memory.images[left] = image(self.memory.place)
        if left < last:
            self.memory.crash(left)
        for views, _ in self.snapshots:
            for view in views:
                view.close()
        self.snapshots = []
        self.forget(left)

    def check(self) -> None:
        for place in self.places:
            place.db.check_invariant()


def run(seed: int, steps: int, path: Path) -> None:
    story = Story(seed, path)
    try:
        for _ in range(steps):
            story.step()
            story.check()
        story.close()
    except BaseException:
        print("\n".join(story.said))
        raise


@pytest.mark.spec(
    "lazy.trust", "lazy.suspect", "lazy.code", "load.code", "load.unknown", "commit.atomic", "commit.durable"
)
def test_databases_on_any_store_are_right_whatever_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_opening, "BUDGET", _opening.BUDGET)  # each opening has another one
    named = os.environ.get("INCR_SEED")
    seeds = [int(named)] if named else range(min(settings().max_examples * 3 // 2, 3000))
    for seed in seeds:
        try:
            path = tmp_path / str(seed)
            path.mkdir()
            run(seed, 40, path)
        except BaseException:
            print(f"INCR_SEED={seed}")
            raise
