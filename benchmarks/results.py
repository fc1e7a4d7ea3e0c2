"""Raw lines to one number per figure: the median over the processes of each process's own median.

Law: a ratio to `lru_cache` is taken inside a process, any other within one run; nothing is compared across runs.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Key = tuple[str, int, str, str]


@dataclass(frozen=True)
class Results:
    """One run: where it was made, the medians, and what else the workers said."""

    machine: dict[str, Any]
    #: (workload, size, figure, system) -> seconds, or a ratio
    medians: dict[Key, float]
    #: (workload, size, system) -> notes
    notes: dict[tuple[str, int, str], list[str]]
    #: (workload, system) -> deepest chain, why not deeper
    depths: dict[tuple[str, str], tuple[int, str]]
    versions: dict[str, str]

    def get(self, workload: str, size: int, figure: str, system: str) -> float | None:
        """The median, or None when the system has none."""
        return self.medians.get((workload, size, figure, system))


def read(path: Path) -> Results:
    """The results of the run that wrote *path*."""
    raw = json.loads(path.read_text("utf-8"))
    samples: dict[Key, list[float]] = defaultdict(list)
    notes: dict[tuple[str, int, str], list[str]] = defaultdict(list)
    depths: dict[tuple[str, str], tuple[int, str]] = {}
    versions: dict[str, str] = {}
    for line in raw["lines"]:
        workload, system = line["workload"], line["system"]
        if "deepest" in line:
            depths[workload, system] = (line["deepest"], "".join(line["notes"]))
            continue
        if "version" in line:
            versions[system] = line["version"]
        for figure, values in line["figures"].items():
            samples[workload, line["size"], figure, system].append(statistics.median(values))
        known = notes[workload, line["size"], system]
        known.extend(note for note in line["notes"] if note not in known)
    medians = {key: statistics.median(values) for key, values in samples.items()}
    return Results(raw["machine"], medians, notes, depths, versions)


def disagreements(lines: list[dict[str, Any]]) -> list[str]:
    """Answers that differ between systems: such a figure measures something else."""
    answers: dict[tuple[str, int, str], dict[str, Any]] = defaultdict(dict)
    for line in lines:
        for name, answer in line.get("answers", {}).items():
            answers[line["workload"], line["size"], name][line["system"]] = answer
    return [f"{key}: {found}" for key, found in answers.items() if len(set(found.values())) > 1]
