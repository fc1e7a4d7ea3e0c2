"""Many async calls in flight at bound revisions, stepped in random order, with writes and cancellations in between.

Each answer has to be what the program gives from scratch over the inputs of the revision that the call was bound to.
A failure names its seed; INCR_SEED=<seed> runs that interleaving alone, and prints its steps.
"""

from __future__ import annotations

import os
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import settings

import incr
from hand_loop import Cancelled, HandLoop, Task
from paused_programs import CELLS, RARES, Cell, Inputs, Program, Rare, ask, from_scratch, plain, random_program

#: Interleavings per test: enough for the sum to be thousands, few enough that one test takes a second or so.
BLOCK = 100
#: 60 examples in the usual profile are 3,000 interleavings, the deep one's 5,000 are 250,000.
BLOCKS = settings.default.max_examples // 2  # type: ignore[union-attr]  # tests/conftest.py loads a profile


class Machine:
    """One program, one database, and everything that is going on."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.loop = HandLoop()
        self.db = incr.Database()
        self.program = random_program(random, self.loop, self.db, random.randint(2, 9))
        self.revision = 0
        self.history: dict[int, Inputs] = {0: {}}
        self.asked: list[Task] = []
        self.snapshots: list[incr.Snapshot] = []
        #: Checking walks the writes, so some runs check only at the end and leave several writes to one walk.
        self.checks_each_step = random.random() < 0.5
        self.steps: list[str] = []

    def run(self) -> None:
        random = self.random
        for _ in range(random.randint(0, 6)):
            self.write()
        busy = [self.go_on, self.start, self.write, self.start_at_snapshot, self.read_now, self.cancel]
        weights = [30, 6, random.choice([1, 4]), 2, 2, random.choice([0, 2])]
        quiet = [self.open_snapshot, self.close_snapshot]
        for _ in range(random.randint(20, 120)):
            random.choices([*busy, *quiet], [*weights, 1, 1])[0]()
            if self.checks_each_step:
                self.db.check_invariant()
        self.finish()

    def finish(self) -> None:
        while self.go_on():
            if self.checks_each_step:
                self.db.check_invariant()
        assert not self.loop.tasks, f"these wait for ever: {self.loop.tasks}"
        for task in self.asked:
            self.check(task)
        while self.snapshots:
            self.close_snapshot()
        self.no_trace()
        self.settled()

    # --- the steps ----------------------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        self.steps.append(text)

    def go_on(self) -> bool:
        ready = self.loop.ready()
        if not ready:
            return False
        task = self.random.choice(ready)
        self.note(f"step {task}")
        self.loop.step(task)
        return True

    def start(self) -> None:
        self.ask(self.db, "database")

    def start_at_snapshot(self) -> None:
        if self.snapshots:
            view = self.random.choice(self.snapshots)
            self.ask(view, repr(view))

    def ask(self, view: incr.View, name: str) -> None:
        number = self.random.randrange(len(self.program.definitions))
        task = self.loop.spawn(self.answer(view, number), f"{len(self.asked)}: call {number} of {name}")
        self.note(f"start {task}")
        self.asked.append(task)

    async def answer(self, view: incr.View, number: int) -> Any:
        try:
            revision = view.revision
        except incr.FinishedFrameError:
            return None  # the snapshot was closed before the task began
        return revision, number, await ask(view, self.program, number)

    def cancel(self) -> None:
        going = [task for task in self.loop.tasks if not task.ended.done()]
        if going:
            task = self.random.choice(going)
            self.note(f"cancel {task}")
            task.cancel()

    def write(self) -> None:
        random = self.random
        changes = dict[tuple[type[Any], int], int | None]()
        with self.db.batch() as batch:
            for _ in range(random.choice([1, 1, 1, 3])):
                record, key = random.choice([(Cell, random.choice(CELLS)), (Rare, random.choice(RARES))])
                value = changes[record, key] = random.choice([None, 0, 1, 2, 3])
                if value is None:
                    batch.remove(record, key)
                else:
                    batch.set(record(key, value), durability=random.choice([None, None, incr.Durability.HIGH]))
        after = {**self.history[self.revision], **changes}
        inputs = {slot: value for slot, value in after.items() if value is not None}
        # Asking the database for its revision would walk the writes.
        if inputs != self.history[self.revision]:
            self.revision += 1
            self.history[self.revision] = inputs
        self.note(f"write {changes}: revision {self.revision}")

    def open_snapshot(self) -> None:
        if len(self.snapshots) < 3:
            self.snapshots.append(self.db.snapshot())
            self.note(f"open {self.snapshots[-1]}")

    def close_snapshot(self) -> None:
        if self.snapshots:
            view = self.snapshots.pop(self.random.randrange(len(self.snapshots)))
            self.note(f"close {view}")
            view.close()

    def read_now(self) -> None:
        """Read without a task: a plain call and the inputs, at a snapshot or now."""
        view = self.random.choice([self.db, *self.snapshots])
        inputs = self.history[view.revision]
        for key in CELLS:
            record = view.get(Cell, key)
            assert (None if record is None else record.value) == inputs.get((Cell, key))
            assert ((Cell, key) in view) == ((Cell, key) in inputs)
        assert list(view.keys(Cell)) == sorted(key for record, key in inputs if record is Cell)
        numbers = [number for number, one in enumerate(self.program.definitions) if not one.awaited]
        if numbers:
            number = self.random.choice(numbers)
            self.note(f"call {number} of {view!r} now")
            self.compare(view.revision, number, _now(view, self.program, number))

    # --- what has to hold ---------------------------------------------------------------------------------------------

    def check(self, task: Task) -> None:
        if task.error is not None:
            if not isinstance(task.error, Cancelled):
                raise task.error
        elif task.value is not None:
            self.compare(*task.value)

    def compare(self, revision: int, number: int, outcome: Any) -> None:
        expected = from_scratch(self.program, self.history[revision], revision, number)
        assert outcome == expected, f"call {number} at revision {revision}: {outcome}, from scratch {expected}"

    def no_trace(self) -> None:
        """Nothing is pinned, in flight, or kept for anybody once everybody has gone."""
        self.db.check_invariant()
        graph = self.db._graph
        assert not graph.pins
        assert not graph.at.users
        for table in graph.tables:
            for node in table.values():
                assert node.flight is None, node
                assert node.history is None, node
        twice = {call: count for call, count in Counter(self.program.ran).items() if count > 1}
        assert not twice, f"these ran to their end more than once (call, revision): {twice}"

    def settled(self) -> None:
        """Everything asked now is right, and asked again it runs nothing."""
        for again in (False, True):
            before = len(self.program.ran)
            for number in range(len(self.program.definitions)):
                task = self.loop.spawn(ask(self.db, self.program, number), "last")
                while self.loop.ready():
                    self.go_on()
                self.compare(self.db.revision, number, task.value)
                self.db.check_invariant()
            assert not again or before == len(self.program.ran)


def _now(view: incr.View, program: Program, number: int) -> Any:
    try:
        return "value", plain(view, program, number)
    except Exception as error:
        return "error", (type(error), error.args)


def interleave(seed: int) -> None:
    machine = Machine(seed)
    try:
        machine.run()
    except BaseException as error:
        error.add_note(f"after {len(machine.steps)} steps; run this one again with INCR_SEED={seed}")
        if "INCR_SEED" in os.environ:
            print(f"seed {seed}")
            for number, definition in enumerate(machine.program.definitions):
                print("definition", number, definition)
            print(*machine.steps, sep="\n")
        raise
    finally:
        machine.loop.close()


@pytest.mark.spec("memo.consistency", "frame.bound", "history.publish", "history.snapshot", "flight.single")
@pytest.mark.spec("flight.cancel", "flight.handover", "history.prune", "frame.tasks", "high.bits", "memo.aba")
@pytest.mark.parametrize("block", range(1 if "INCR_SEED" in os.environ else BLOCKS))
def test_any_interleaving_gives_the_answers_of_a_database_without_memos(block: int) -> None:
    if "INCR_SEED" in os.environ:
        interleave(int(os.environ["INCR_SEED"]))
        return
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        interleave(seed)
