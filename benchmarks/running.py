"""Starts the workers, one process per sample, and writes down every line they print.

Law: within a round every system has its turn before the next round begins, in an order that turns with the round, so
that a slow minute of the machine is shared out. What does not work is written down as a note, never left out silently.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from workloads import DEPTH_TOLERANCE, Run

WORKER = Path(__file__).resolve().parent / "worker.py"
TIME_LIMIT = 900
Line = dict[str, Any]
Interpreters = dict[str, Path]


def worker(interpreter: Path, system: str, workload: str, size: int, edits: int) -> Line:
    """What one worker says; a worker that dies says so in its notes."""
    command = [str(interpreter), str(WORKER), system, workload, str(size), str(edits)]
    said: Line = {"system": system, "workload": workload, "size": size, "figures": {}, "answers": {}}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        return said | {"notes": [f"no answer within {TIME_LIMIT} s"]}
    if done.returncode < 0:
        return said | {"notes": [f"killed by signal {-done.returncode}"]}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["?"])[-1]
        return said | {"notes": [last[:200]]}
    line: Line = json.loads(done.stdout.splitlines()[-1])
    return line


def rounds(runs: tuple[Run, ...], interpreters: Interpreters) -> Iterator[Line]:
    """All samples, interleaved."""
    systems = list(interpreters)
    for run in runs:
        for turn in range(run.rounds):
            for system in systems[turn % len(systems) :] + systems[: turn % len(systems)]:
                _say(f"{run.workload} {run.size}, round {turn + 1} of {run.rounds}: {system}")
                yield worker(interpreters[system], system, run.workload, run.size, run.edits)


def depths(interpreters: Interpreters, deepest: int) -> Iterator[Line]:
    """How deep a chain may be under the default recursion limit: doubled until it fails, then halved."""
    for system, interpreter in interpreters.items():
        for workload in ("depth", "depth_async"):
            line = _deepest(interpreter, system, workload, deepest)
            if line is not None:
                yield line


def _deepest(interpreter: Path, system: str, workload: str, deepest: int) -> Line | None:
    works, fails, why = 0, deepest + 1, ""
    tried = 50
    while fails - works > max(1, works * DEPTH_TOLERANCE):
        _say(f"{workload} {tried}: {system}")
        line = worker(interpreter, system, workload, tried, 1)
        if line["notes"] == ["none"]:
            return None
        if line["notes"]:
            fails, why = tried, line["notes"][0]
        else:
            works = tried
        tried = min(works * 2, deepest) if fails > deepest else (works + fails) // 2
    return {"system": system, "workload": workload, "deepest": works, "notes": [why] if why else []}


def imports(interpreters: Interpreters, samples: int) -> Iterator[Line]:
    """Seconds of `import incr`: a process that does it less one that does nothing, in turns."""
    if "incr_runtime" not in interpreters:
        return
    python = interpreters["incr_runtime"]
    _say("import incr")
    figures: dict[str, list[float]] = {"wall": [], "processor": []}
    for _ in range(samples):
        bare, bare_processor = _process(python, "pass")
        wall, processor = _process(python, "import incr")
        figures["wall"].append(wall - bare)
        figures["processor"].append(processor - bare_processor)
    yield {"system": "incr_runtime", "workload": "import", "size": 1, "figures": figures, "notes": [], "answers": {}}


def _process(python: Path, program: str) -> tuple[float, float]:
    """Seconds on the clock and on the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = perf_counter()
    # -I: the installed package, not the folder that this runs in.
    subprocess.run([str(python), "-I", "-c", program], check=True)
    wall = perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
