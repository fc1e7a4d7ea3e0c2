"""The tables: one run's medians in Markdown.

Law: every number comes from the results; the words around the tables are written here too.
"""

from __future__ import annotations

from collections.abc import Iterable

from results import Results
from targets import amount, verdicts
from workloads import FIGURES, FULL, QUICK, SYSTEMS, TITLES, Run

HEAD = """# What things cost

Made by `{command}`.
The raw samples are in [{raw}]({raw}); [README.md](README.md) says what is
measured and how. Every number is the median over interleaved processes; ratios were taken within one run. Numbers of
two runs, or of two machines, must not be compared.

{machine}

Versions: {versions}.
"""

#: What comes from here on in RESULTS.md is written by hand, and kept.
BY_HAND = "\n# Figures of single scripts\n"

NOTES = """## Reading the tables

- `lru_cache` (unbounded, its fastest form) is the floor: it records no dependencies, so "after a change" there means
  that everything was forgotten and computed again, and it cannot tell an unrelated write.
- signified and incr-compute are compiled. Their nodes are made by hand and read through handles; there is no call by
  arguments, no key, no `async def`, nothing on disk. Making the nodes is part of *cold*.
- pytracked has no early cutoff: a change forgets everything above it. Its attributes without arguments are faster and
  give stale answers (`peers/pytracked.py` says why), so attributes with arguments were measured.
- An empty cell: the system cannot express it. revlet and pytracked have neither `async def` nor a file; query-cascade's
  awaited queries ran on asyncio, incr's on trio.
- ° the default recursion limit was not enough; measured with a raised limit and a stack of 512 MiB.
- For files, `lru_cache` stands for `pickle` of one dictionary of the same memos, which checks nothing.
"""


def markdown(results: Results, command: str, raw: str) -> str:
    """The whole of RESULTS.md."""
    machine = "\n".join(f"- {key}: {value}" for key, value in results.machine.items() if key not in ("mode", "rounds"))
    versions = ", ".join(f"{TITLES[name]} {results.versions[name]}" for name in SYSTEMS if name in results.versions)
    parts = [HEAD.format(command=command, raw=raw, machine=machine, versions=versions), _targets(results)]
    runs = FULL if results.machine["mode"] == "full" else QUICK
    parts.extend(_table(results, run) for run in runs)
    parts.append(_table(results, Run("import", 1, 0, 1, "`import incr`, less an empty process")))
    parts.extend((_depths(results), NOTES))
    return "\n".join(parts)


def _rows(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(header)
    lines = [names, ["---"] + ["--:"] * (len(names) - 1), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _targets(results: Results) -> str:
    rows = [[verdict.what, verdict.measured, verdict.target, verdict.word] for verdict in verdicts(results)]
    return "## Targets of incr\n\n" + _rows(("figure", "measured", "target", ""), rows)


def _cell(results: Results, run: Run, figure: str, system: str) -> str:
    value = results.get(run.workload, run.size, figure, system)
    if value is None:
        return ""
    raised = any("recursion limit raised" in note for note in results.notes[run.workload, run.size, system])
    return amount(figure, value) + ("°" if raised else "")


def _table(results: Results, run: Run) -> str:
    rows = []
    for figure, title in FIGURES[run.workload].items():
        cells = [_cell(results, run, figure, system) for system in SYSTEMS]
        if any(cells):
            rows.append([title, *cells])
    notes = []
    for system in SYSTEMS:
        said = [note for note in results.notes[run.workload, run.size, system] if "recursion limit" not in note]
        if said:
            notes.append(f"- {TITLES[system]}: {'; '.join(said)}\n")
    table = _rows(("", *(TITLES[system] for system in SYSTEMS)), rows) if rows else "Not measured in this run.\n"
    return f"## {run.title}\n\n{table}" + ("\n" + "".join(notes) if notes else "")


def _depths(results: Results) -> str:
    rows = []
    for workload, title in (("depth", "sync"), ("depth_async", "async")):
        rows.append([title, *(_depth(results, workload, system) for system in SYSTEMS)])
    table = _rows(("", *(TITLES[system] for system in SYSTEMS)), rows)
    return f"## Deepest chain under the default recursion limit, cold and after a change\n\n{table}"


def _depth(results: Results, workload: str, system: str) -> str:
    found = results.depths.get((workload, system))
    if found is None:
        return ""
    deepest, why = found
    return f"{deepest:,}, then {why}" if why else f"{deepest:,} or more"
