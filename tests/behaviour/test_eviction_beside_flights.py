"""A value that is being computed anew is not dropped meanwhile; once that is over, the limit holds again."""

from __future__ import annotations

import pytest

import incr
from hand_loop import HandLoop, Task, pause
from tasks import no_trace


@incr.input
class Number:
    key: int = incr.key()
    value: int


def to_the_end(loop: HandLoop, task: Task) -> None:
    while not task.ended.done():
        loop.step(task)


@pytest.mark.spec("memory.lru", "flight.cancel")
@pytest.mark.parametrize("ends", ["with the same value", "with another value", "cancelled"])
def test_the_limit_holds_again_when_the_call_that_kept_its_value_has_ended(db: incr.Database, ends: str) -> None:
    slow: list[bool] = []

    @incr.query(lru=1)
    async def last_digit(db: incr.View, key: int) -> int:
        value = db[Number, key].value
        if key == 0 and slow:
            await pause()
        return value % 10

    loop = HandLoop()
    db.set(Number(0, 1))
    db.set(Number(1, 2))
    to_the_end(loop, loop.spawn(last_digit(db, 0), "first"))
    db.set(Number(0, 12 if ends == "with another value" else 11))
    slow.append(True)
    again = loop.spawn(last_digit(db, 0), "again")
    loop.step(again)  # to the checkpoint before the body
    loop.step(again)  # into the body
    to_the_end(loop, loop.spawn(last_digit(db, 1), "other"))
    db.check_invariant()
    if ends == "cancelled":
        again.cancel()
    to_the_end(loop, again)
    assert db.statistics().queries["last_digit"].evicted == 1
    no_trace(db)
