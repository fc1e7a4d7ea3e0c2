"""What a query says about calls of its own that need their own results: a fallback, or where an iteration begins.

Law: the functions in here see a call's arguments and values, never a database: what a loop comes to depends on what its
calls read, and on nothing else.

Keeps: cycle.options, cycle.fallback, cycle.fixpoint.
"""

from __future__ import annotations

from typing import Any, Final, final

from incr._errors import short_repr
from incr._node import Failure, Marker, Node

__all__ = ["NOT_GIVEN", "Recovery", "recovery_of"]

#: The option was not given; None may be a fallback.
NOT_GIVEN: Final = Marker("NOT_GIVEN")

#: These speak of the machine, not of the arguments.
_MACHINE: Final = (RecursionError, MemoryError)


@final
class Recovery:
    """One query's `on_cycle`, or its `cycle_initial` and `cycle_join`."""

    __slots__ = ("digest", "fallback", "initial", "join")

    def __init__(self, fallback: Any, initial: Any, join: Any) -> None:
        self.fallback = fallback
        self.initial = initial
        self.join = join
        #: What code this is, once somebody has asked (owned by `_persist`).
        self.digest: bytes | None = None

    @property
    def parts(self) -> tuple[Any, ...]:
        """All that decides what comes of a loop."""
        given = [None if part is NOT_GIVEN else (part,) for part in (self.fallback, self.initial, self.join)]
        return tuple(given)

    @property
    def settled(self) -> bool:
        """Whether the first value is the last one."""
        return self.fallback is not NOT_GIVEN

    def first(self, node: Node) -> Any:
        """The value of a call before its first round."""
        option = self.fallback if self.settled else self.initial
        if not callable(option):
            return option
        try:
            return node.ingredient.called(option, node.key)
        except _MACHINE:
            raise
        except Exception as error:
            return Failure(error, error.__traceback__)

    def next(self, previous: Any, outcome: Any) -> Any:
        """The value of a call after a round in which its body gave *outcome*."""
        if self.settled:
            return previous
        if self.join is NOT_GIVEN or type(previous) is Failure or type(outcome) is Failure:
            return outcome
        try:
            return self.join(previous, outcome)
        except _MACHINE:
            raise
        except Exception as error:
            return Failure(error, error.__traceback__)


# spec: cycle.options
def recovery_of(on_cycle: Any, cycle_initial: Any, cycle_join: Any) -> Recovery | None:
    """The options of a declaration as one; None if none was given.

    Raises:
        TypeError: they do not go together, or the join is not a function.
    """
    if on_cycle is not NOT_GIVEN and (cycle_initial is not NOT_GIVEN or cycle_join is not NOT_GIVEN):
        raise TypeError(
            "@incr.query(on_cycle=...) ends a loop with a fallback, cycle_initial= and cycle_join= iterate; give one "
            "or the other"
        )
    if cycle_join is not NOT_GIVEN:
        if cycle_initial is NOT_GIVEN:
            raise TypeError("@incr.query(cycle_join=...) needs cycle_initial=, the value that it begins with")
        if not callable(cycle_join):
            raise TypeError(
                f"@incr.query(cycle_join=...) wants a function of the previous value and the new one, not "
                f"{short_repr(cycle_join)}"
            )
    if on_cycle is NOT_GIVEN and cycle_initial is NOT_GIVEN:
        return None
    return Recovery(on_cycle, cycle_initial, cycle_join)
