"""Two checkouts of incr, side by side: how much slower or faster is one of them?

Usage: python benchmarks/paired.py BEFORE AFTER [--only WORD ...] [--pairs N] [--turns N] [--core N] [--table]
BEFORE and AFTER are folders that hold a package `incr` (`git worktree add FOLDER REVISION` makes one).

For each case (`paired_cases.py`) some pairs of fresh processes are started, one for each checkout, pinned to the same
core where the system can do that. They take turns in slices of some ten milliseconds, so that a slow minute of the
machine is slow for both. A turn gives one ratio, AFTER / BEFORE; a pair the median of its turns. What is printed is
the median of the pairs and an interval for it at 95 % confidence, from the order of the pairs alone (no distribution is
assumed): where it does not hold 1.00, there is a difference.

Law: timing decides nothing; this is for people.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from math import comb
from pathlib import Path
from statistics import median
from typing import Self

from targets import amount

WORKER = Path(__file__).resolve().parent / "paired_cases.py"
CONFIDENCE = 0.95


class Side:
    """One process, which measures one case of one checkout."""

    def __init__(self, checkout: Path, case: str, seed: int) -> None:
        # The same seed on both sides: dictionaries of texts are laid out alike.
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        command = [sys.executable, str(WORKER), str(checkout), case]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def ready(self) -> None:
        """Wait until it can begin."""
        self._line()

    def slice(self) -> float:
        """The seconds per operation of one slice."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args} ended")
        return line


def pair(before: Path, after: Path, case: str, turns: int, seed: int) -> tuple[float, float, float]:
    """One pair of fresh processes: the median seconds of each, and the median of the ratios of their turns."""
    with Side(before, case, seed) as first, Side(after, case, seed) as second:
        first.ready()
        second.ready()
        found: list[tuple[float, float]] = []
        for turn in range(turns):
            if turn % 2:
                later = second.slice()
                found.append((first.slice(), later))
            else:
                found.append((first.slice(), second.slice()))
    seconds = median(one for one, _ in found), median(other for _, other in found)
    return *seconds, median(other / one for one, other in found)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Where the median lies with at least the confidence, or the whole range where there are too few values."""
    ordered = sorted(values)
    count = len(ordered)
    outside, cut = 0.0, 0
    while cut < count // 2:
        outside += 2 * comb(count, cut) / 2**count
        if outside > 1 - CONFIDENCE:
            break
        cut += 1
    cut = max(cut - 1, 0)
    return ordered[cut], ordered[count - 1 - cut]


def pin(core: int | None) -> None:
    """Stay on one core, and all processes that are started from here with it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0)) if core is None else core})


def cases(words: Sequence[str]) -> list[str]:
    """The names of the cases that hold one of the words; all, if there are none."""
    from paired_cases import CASES  # it imports incr, which is needed for nothing else here

    return [case for case in CASES if not words or any(word in case for word in words)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="cases whose names hold one of these")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--core", type=int, help="the core to stay on; the last one if not given")
    parser.add_argument("--table", action="store_true", help="print a table for a page")
    options = parser.parse_args()
    if options.pairs < 1 or options.turns < 1:
        parser.error("--pairs and --turns are at least 1")
    pin(options.core)
    if options.table:
        print("| case | before | after | ratio | 95 % |\n| --- | --: | --: | --: | --: |")
    for case in cases(options.only):
        found = [pair(options.before, options.after, case, options.turns, seed) for seed in range(options.pairs)]
        before, after = (amount("", median(one[side] for one in found)) for side in (0, 1))
        ratio = median(one[2] for one in found)
        low, high = interval([one[2] for one in found])
        if options.table:
            print(f"| {case} | {before} | {after} | {ratio:.3f} | {low:.3f} – {high:.3f} |", flush=True)
        else:
            print(f"{case:34}{before:>10}{after:>10}   {ratio:.3f}  ({low:.3f} – {high:.3f})", flush=True)


if __name__ == "__main__":
    main()
