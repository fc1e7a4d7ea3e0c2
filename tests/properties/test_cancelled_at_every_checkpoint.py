"""A workload of calls in tasks is run once to count its steps, and then again for each step, cancelled there.

What is cancelled is everything, or one call of one caller, while the others go on. Whatever it is and whenever it
comes: nobody hangs, nothing is left in flight or pinned, and every answer is what the program gives from scratch.
A failure names the seed, the step and the victim; INCR_SEED=<seed> runs that workload alone.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import settings

import incr
from hand_loop import HandLoop
from paused_programs import CELLS, RARES, Cell, Definition, Inputs, Program, Rare, ask, from_scratch, random_program
from struck_loops import EVERYBODY, AsyncioLoop, Attempt, StruckLoop, TrioLoop
from tasks import no_trace

#: 60 examples in the usual profile are 5 workloads, the deep one's 5,000 are 416.
SEEDS = range(settings.default.max_examples // 12)  # type: ignore[union-attr]  # tests/conftest.py loads a profile
CALLERS = 6
VICTIMS = [EVERYBODY, *range(CALLERS)]
#: Whether each of them is struck at every step, or at each step another one.
EACH = len(SEEDS) > 10
SIZE = 9
#: A chain of so many calls, begun on a stack of so many frames, goes on in a task of its own twice.
CHAIN = 40
FRAMES = 500

Kind = type[TrioLoop] | type[AsyncioLoop]
Changes = dict[tuple[type[Any], int], int | None]


class Workload:
    """One database with a past, a program, and callers that ask, write, and hold snapshots. The seed decides it all."""

    def __init__(self, seed: int, loop: StruckLoop, chain: bool) -> None:
        self.random = random = Random(seed)
        self.db = incr.Database()
        if chain:
            self.program = Program(_chain(), loop, self.db)
            self.numbers = [CHAIN - 1, CHAIN - 2, CHAIN // 2]
        else:
            self.program = random_program(random, loop, self.db, SIZE)
            self.numbers = list(range(SIZE))
        self.revision = 0
        self.history: dict[int, Inputs] = {0: {}}
        self.scripts = [self._script() for _ in range(CALLERS)]
        self._past()

    def _script(self) -> list[tuple[Any, ...]]:
        random = self.random
        kinds = random.choices(["ask", "old", "snapshot", "write", "pause"], [6, 2, 2, 2, 1], k=random.randint(2, 5))
        return [(kind, random.choice(self.numbers), self._changes()) for kind in kinds]

    def _changes(self) -> Changes:
        random = self.random
        slots = [*((Cell, key) for key in CELLS), *((Rare, key) for key in RARES)]
        return {slot: random.choice([None, 0, 1, 2, 3]) for slot in random.sample(slots, random.choice([1, 3]))}

    def _past(self) -> None:
        """Memos of some calls, some of them suspect, and a snapshot of what was before."""
        known = sorted(self.numbers)[: len(self.numbers) // 2]
        quiet = self.program.loop, HandLoop()
        self.program.loop = quiet[1]
        for _ in range(3):
            self.write(self._changes())
            for number in known:
                task = quiet[1].spawn(ask(self.db, self.program, number), "past")
                while not task.ended.done():
                    quiet[1].step(quiet[1].ready()[-1])
        self.program.loop = quiet[0]
        self.old = self.db.snapshot()
        self.write(self._changes())

    def write(self, changes: Changes) -> None:
        with self.db.batch() as batch:
            for (record, key), value in changes.items():
                if value is None:
                    batch.remove(record, key)
                else:
                    batch.set(record(key, value))
        inputs = {slot: value for slot, value in (self.history[self.revision] | changes).items() if value is not None}
        if inputs != self.history[self.revision]:
            self.revision += 1
            self.history[self.revision] = inputs

    def caller(self, script: list[tuple[Any, ...]]) -> Callable[[Attempt], Any]:
        async def calls(attempt: Attempt) -> None:
            for kind, number, changes in script:
                match kind:
                    case "ask":
                        await attempt(lambda number=number: self.ask(self.db, number))
                    case "old":
                        await attempt(lambda number=number: self.ask(self.old, number))
                    case "snapshot":
                        await attempt(lambda number=number: self.ask_frozen(number))
                    case "write":
                        self.write(changes)
                    case "pause":
                        await attempt(self.program.loop.pause)

        return calls

    async def ask_frozen(self, number: int) -> None:
        with self.db.snapshot() as snapshot:
            await self.ask(snapshot, number)
            await self.program.loop.pause()
            await self.ask(snapshot, number)

    async def ask(self, view: incr.View, number: int) -> None:
        revision = int(view.revision)
        self.compare(revision, number, await ask(view, self.program, number))

    def compare(self, revision: int, number: int, outcome: Any) -> None:
        expected = from_scratch(self.program, self.history[revision], revision, number)
        assert outcome == expected, f"call {number} at revision {revision}: {outcome}, from scratch {expected}"

    def check(self) -> None:
        """Nobody has left a trace, and everything asked now is right."""
        self.old.close()
        no_trace(self.db)
        assert not self.program.running
        twice = {call: count for call, count in Counter(self.program.ran).items() if count > 1}
        assert not twice, f"these ran to their end more than once (call, revision): {twice}"
        loop = self.program.loop = HandLoop()
        for number in self.numbers:
            task = loop.spawn(ask(self.db, self.program, number), "last")
            while not task.ended.done():
                loop.step(loop.ready()[-1])
            self.compare(self.revision, number, task.value)
        no_trace(self.db)


def _chain() -> list[Definition]:
    first = Definition(True, 1000, [("cell", 0), ("pause",)])
    return [first, *(Definition(True, 1000, [("call", number), ("get", number % 4)]) for number in range(CHAIN - 1))]


def _on_a_deep_stack(function: Callable[[], None]) -> None:
    try:
        sys._getframe(FRAMES)
    except ValueError:
        _on_a_deep_stack(function)
    else:
        function()


def run(kind: Kind, seed: int, chain: bool, at: int = 0, victim: int = EVERYBODY) -> int:
    """Run the workload once, struck at one step; the number of its steps."""
    loop: StruckLoop = kind(seed, at, victim)
    try:
        workload = Workload(seed, loop, chain)
        callers = [workload.caller(script) for script in workload.scripts]
        if chain:
            _on_a_deep_stack(lambda: loop.run(callers))
        else:
            loop.run(callers)
        assert not loop.hung, "all tasks wait for each other"
        workload.check()
    except BaseException as error:
        error.add_note(f"{kind.__name__}, INCR_SEED={seed}, step {at}, victim {victim} ({EVERYBODY}: everybody)")
        raise
    return loop.steps


@pytest.mark.spec("flight.cancel", "flight.handover", "loop.both", "error.interrupt", "memo.consistency")
@pytest.mark.parametrize("seed", [int(os.environ["INCR_SEED"])] if "INCR_SEED" in os.environ else SEEDS)
@pytest.mark.parametrize("kind", [TrioLoop, AsyncioLoop])
def test_a_workload_that_is_cancelled_at_any_step(kind: Kind, seed: int) -> None:
    strike_everywhere(kind, seed, chain=False)


@pytest.mark.spec("flight.cancel", "flight.handover", "depth.async")
@pytest.mark.parametrize("kind", [TrioLoop, AsyncioLoop])
def test_deep_chains_that_are_cancelled_at_any_step(kind: Kind) -> None:
    strike_everywhere(kind, 1, chain=True)


def strike_everywhere(kind: Kind, seed: int, *, chain: bool) -> None:
    steps = run(kind, seed, chain)
    assert steps == run(kind, seed, chain), "the run does not repeat"
    for at in range(1, steps + 1):
        for victim in VICTIMS if EACH else [VICTIMS[at % len(VICTIMS)]]:
            run(kind, seed, chain, at, victim)
