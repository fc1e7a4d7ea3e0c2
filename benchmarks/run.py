"""Compares incr with its peers: `python benchmarks/run.py --quick | --full | check`.

Law: the standard library only; everything measured runs in environments of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import environments
import report
import results
import running
from targets import verdicts
from workloads import DEEPEST, FULL, IMPORT_SAMPLES, QUICK, SYSTEMS

HERE = Path(__file__).resolve().parent
PARTS = ("hits", "trivial", "reading", "chain", "fan", "layers", "keystroke", "memos", "depth", "import")


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    options = _parser().parse_args(arguments)
    path = Path(options.output)
    if options.action == "run":
        _run(options, path)
    if options.action == "report" or options.report:
        _report(path)
    return _check(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", nargs="?", choices=("run", "check", "report"), default="run")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="mode", action="store_const", const="quick", help="a few minutes (default)")
    size.add_argument("--full", dest="mode", action="store_const", const="full", help="the tables of RESULTS.md")
    parser.set_defaults(mode="quick")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to measure with")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="some workloads")
    parser.add_argument("--rounds", type=int, help="processes per figure, at most as many as planned")
    parser.add_argument("--output", default=str(environments.FOLDER / "results.json"), help="where the raw samples go")
    parser.add_argument("--report", action="store_true", help="write RESULTS.md from the samples")
    return parser


def _run(options: argparse.Namespace, path: Path) -> None:
    version = _output([options.python, "-c", "import platform; print(platform.python_version())"])
    interpreters = {name: environments.make(name, options.python, version) for name in options.systems}
    planned = FULL if options.mode == "full" else QUICK
    runs = tuple(
        replace(run, rounds=min(run.rounds, options.rounds or run.rounds))
        for run in planned
        if run.workload in options.only
    )
    machine = _machine(options.mode, version) | {"rounds": options.rounds or "as planned"}
    lines = list(running.rounds(runs, interpreters))
    if "depth" in options.only:
        lines.extend(running.depths(interpreters, DEEPEST[options.mode]))
    if "import" in options.only:
        lines.extend(running.imports(interpreters, IMPORT_SAMPLES[options.mode]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "lines": lines}, indent=1) + "\n", "utf-8")
    for disagreement in results.disagreements(lines):
        print(f"answers differ: {disagreement}")


def _machine(mode: str, version: str) -> dict[str, Any]:
    return {
        "mode": mode,
        "date": datetime.now(UTC).date().isoformat(),
        "CPython": version,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "load average when it began": f"{os.getloadavg()[0]:.1f}",
        "revision": _output(["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"]),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _report(path: Path) -> None:
    found = results.read(path)
    kept = HERE / "results.json"
    if path.resolve() != kept:
        kept.write_bytes(path.read_bytes())
    rounds = found.machine["rounds"]
    command = f"python benchmarks/run.py --{found.machine['mode']}"
    command += f" --rounds {rounds} --report" if isinstance(rounds, int) else " --report"
    page = HERE / "RESULTS.md"
    by_hand = page.read_text("utf-8").partition(report.BY_HAND)[1:]
    page.write_text(report.markdown(found, command, kept.name) + "".join(by_hand), "utf-8")


def _check(path: Path) -> int:
    """Print measured and promised side by side. The exit status is 0 all the same: timing decides nothing."""
    found = verdicts(results.read(path))
    for verdict in found:
        print(f"{verdict.word:13}{verdict.what:58}{verdict.measured:>16}   {verdict.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
