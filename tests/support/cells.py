"""A small program over cells, and a computation of it from scratch."""

from __future__ import annotations

import incr

__all__ = ["CELLS", "Cell", "Inputs", "everything", "from_scratch", "half", "pair"]

CELLS = 12
Inputs = dict[int, int]


@incr.input
class Cell:
    number: int = incr.key()
    value: int


@incr.query
def half(db: incr.View, number: int) -> int:
    cell = db.get(Cell, number)
    return -1 if cell is None else cell.value // 2


@incr.query
def pair(db: incr.View, number: int) -> int:
    return half(db, number) + 10 * half(db, (number + 1) % CELLS)


@incr.query
def everything(db: incr.View) -> int:
    return sum(pair(db, number) * (number + 1) for number in range(CELLS)) + 7 * len(list(db.keys(Cell)))


def from_scratch(inputs: Inputs) -> int:
    halves = [inputs[number] // 2 if number in inputs else -1 for number in range(CELLS)]
    pairs = [halves[number] + 10 * halves[(number + 1) % CELLS] for number in range(CELLS)]
    return sum(value * (number + 1) for number, value in enumerate(pairs)) + 7 * len(inputs)
