"""Measures one workload of one system in this process and prints one line of JSON.

Usage: worker.py SYSTEM WORKLOAD SIZE EDITS. Law: it runs in the measured system's own environment, so it imports the
standard library, that system and this folder, nothing else.
"""

from __future__ import annotations

import importlib
import json
import platform
import sys
from types import ModuleType

import measuring
from measuring import Outcome


def hits(system: ModuleType, size: int, edits: int, outcome: Outcome) -> None:
    """Memo hits: inside a query, outside, awaited."""
    measuring.hit(system.hit_inside, outcome, "inside a query")
    measuring.hit(system.hit_outside, outcome, "outside")
    for name, figure in (("hit_awaited", "awaited"), ("hit_awaited_outside", "awaited, outside")):
        if hasattr(system, name):
            made = getattr(system, name)()
            system.run(lambda made=made, figure=figure: measuring.hit_awaited(made, outcome, figure))


def _cold(system: ModuleType, name: str, size: int, outcome: Outcome) -> None:
    measuring.program(getattr(system, name), size, outcome, 0, per=size)
    if hasattr(system, f"{name}_async"):
        make = getattr(system, f"{name}_async")
        system.run(lambda: measuring.program_async(make, size, outcome, 0, per=size))


def trivial(system: ModuleType, size: int, edits: int, outcome: Outcome) -> None:
    """Seconds per execution of a body that reads nothing."""
    _cold(system, "trivial", size, outcome)


def reading(system: ModuleType, size: int, edits: int, outcome: Outcome) -> None:
    """Seconds per execution of a body that reads one input of its own."""
    _cold(system, "reading", size, outcome)


def chain(system: ModuleType, size: int, edits: int, outcome: Outcome) -> None:
    """A chain, sync and async."""

    def sync(attempt: Outcome) -> None:
        measuring.program(system.chain, size, attempt, edits)

    def awaited(attempt: Outcome) -> None:
        system.run(lambda: measuring.program_async(system.chain_async, size, attempt, edits))

    measuring.with_room(system, outcome, sync)
    if hasattr(system, "chain_async"):
        measuring.with_room(system, outcome, awaited)


def fan(system: ModuleType, size: int, edits: int, outcome: Outcome) -> None:
    """A wide root."""
    measuring.program(system.fan, size, outcome, edits)


def layers(system: ModuleType, size: int, edits: int, outcome: Outcome) -> None:
    """Ten layers."""
    measuring.program(system.layers, size, outcome, edits)


def keystroke(system: ModuleType, size: int, edits: int, outcome: Outcome) -> None:
    """A file is edited, or something else is written, and the root asked."""
    measuring.program(system.keystroke, size, outcome, edits)


def memos(system: ModuleType, size: int, edits: int, outcome: Outcome) -> None:
    """Save and load."""
    if hasattr(system, "memos"):
        measuring.persistence(system, outcome, size)


def depth(system: ModuleType, size: int, edits: int, outcome: Outcome) -> None:
    """Whether a chain of this depth works under the default recursion limit, cold and after a change."""
    try:
        measuring.program(system.chain, size, outcome, 1)
    except system.RECURSION as error:
        outcome.notes.append(type(error).__name__)


def depth_async(system: ModuleType, size: int, edits: int, outcome: Outcome) -> None:
    """The same with awaited calls."""
    if not hasattr(system, "chain_async"):
        outcome.notes.append("none")
        return
    try:
        system.run(lambda: measuring.program_async(system.chain_async, size, outcome, 1))
    except (*system.RECURSION, MemoryError) as error:
        outcome.notes.append(type(error).__name__)


WORKLOADS = (hits, trivial, reading, chain, fan, layers, keystroke, memos, depth, depth_async)


def main(arguments: list[str]) -> None:
    name, workload, size, edits = arguments
    system = importlib.import_module(f"peers.{name}")
    outcome = Outcome()
    measure = {one.__name__: one for one in WORKLOADS}[workload]
    measure(system, int(size), int(edits), outcome)
    line = {
        "system": name,
        "version": system.VERSION,
        "python": platform.python_version(),
        "workload": workload,
        "size": int(size),
        "figures": outcome.figures,
        "notes": outcome.notes,
        "answers": outcome.answers,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main(sys.argv[1:])
