"""What has to run, by reasoning from scratch: a pull-only model without dependents, suspicion or links.

The model visits everything that a call has read, in order, in every revision. It is as slow as that sounds and as
simple; what it runs is what the engine has to run, in the same order.
"""

from __future__ import annotations

from typing import Any

from random_programs import Cell, Config, Outcome, Program, Scratch, evaluate, finish, outcome_of


class _Memo:
    def __init__(self) -> None:
        self.outcome: Outcome = ()
        self.reads: list[tuple[Any, ...]] = []
        self.changed_at = 0
        self.verified_at = 0
        self.has_value = True


class _Recording(Scratch):
    """Notes each read in the order of reading, once."""

    def __init__(self, inputs: dict[Any, Any], reads: list[tuple[Any, ...]]) -> None:
        super().__init__(inputs)
        self.reads = reads

    def note(self, read: tuple[Any, ...]) -> None:
        if read not in self.reads:
            self.reads.append(read)

    def __getitem__(self, slot: Any) -> Any:
        self.note(("slot", slot if isinstance(slot, tuple) else (slot, ())))
        return super().__getitem__(slot)

    def get(self, record: Any, key: Any) -> Any:
        self.note(("slot", (record, key)))
        return super().get(record, key)

    def __contains__(self, slot: Any) -> bool:
        self.note(("presence", slot))
        return super().__contains__(slot)

    def keys(self, record: Any) -> list[Any]:
        self.note(("keys",))
        return super().keys(record)


class Reference:
    """The model of one database."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.inputs: dict[Any, Any] = {}
        self.revision = 0
        self.memos: dict[int, _Memo] = {}
        self.ran: list[int] = []
        self._changed_at: dict[tuple[Any, ...], int] = {}

    def write(self, changes: dict[Any, Any]) -> None:
        """One revision in which the slots have these records (None: none), or nothing if they have them already."""
        changes = {slot: record for slot, record in changes.items() if self.inputs.get(slot) != record}
        if not changes:
            return
        self.revision += 1
        for slot, record in changes.items():
            self._changed_at["slot", slot] = self.revision
            if (record is None) is not (slot not in self.inputs):
                self._changed_at["presence", slot] = self.revision
                if slot[0] is Cell:
                    self._changed_at["keys",] = self.revision
            if record is None:
                del self.inputs[slot]
            else:
                self.inputs[slot] = record

    def reloaded(self, revision: int) -> None:
        """The database was saved and loaded, and nothing has changed. Errors are not in files."""
        self.revision = revision
        for memo in self.memos.values():
            memo.has_value = memo.outcome[0] == "value"

    def ask(self, number: int) -> Outcome:
        """The outcome; what ran for it is added to `ran`."""
        memo = self._touch(number)
        if not memo.has_value:
            self._run(number, good=True)
        return memo.outcome

    def _touch(self, number: int) -> _Memo:
        memo = self.memos.get(number)
        if memo is None:
            self.memos[number] = memo = _Memo()
            self._run(number)
            return memo
        for read in memo.reads:
            if read[0] == "call":
                # One that is known to have changed needs no further look: the body will ask for it.
                changed_at = self.memos[read[1]].changed_at
                if changed_at <= memo.verified_at:
                    changed_at = self._touch(read[1]).changed_at
            else:
                changed_at = self._changed_at.get(read, 0)
            if changed_at > memo.verified_at:
                self._run(number)
                return memo
        memo.verified_at = self.revision
        return memo

    def _run(self, number: int, *, good: bool = False) -> None:
        """Run the body; *good* if only its value was missing."""
        memo = self.memos[number]
        reads: list[tuple[Any, ...]] = []
        view = _Recording(self.inputs, reads)
        self.ran.append(number)

        async def call(inner: int) -> int:
            outcome = self.ask(inner)
            view.note(("call", inner))
            if outcome[0] == "error":
                raise outcome[1](*outcome[2])
            return int(outcome[1])

        outcome = outcome_of(lambda: finish(evaluate(view, self.program[number][1], call)))
        # Without a value there is nothing to compare with: if it had to run, it counts as changed.
        if not good and (outcome != memo.outcome or not memo.has_value):
            memo.changed_at = self.revision
        memo.outcome = outcome
        memo.reads = reads
        memo.verified_at = self.revision
        memo.has_value = True


CONFIG = (Config, ())
