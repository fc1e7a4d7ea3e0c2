"""`incr demo`: a cold run that saves its state, a second process that executes nothing, and three edits.

Law: the state file only saves time. Without it, or with a damaged one, the answers are the same.

Keeps: demo.again, demo.edit, demo.threads, demo.watch.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import trio

import incr
from incr.cli.document import document
from incr.cli.options import DemoOptions, Run, UsageError
from incr.cli.output import Output, Silent, choose_output
from incr.cli.text import closing_line, edit_lines, problem_lines, request_lines, run_lines, summary_lines
from incr.cli.watch import file_changes, require_watchfiles, watch
from incr.demo.inputs import Source
from incr.demo.measuring import Edit, analyse, cost_of, make_edits, most_imported
from incr.demo.queries import report, summary
from incr.demo.reading import read_tree
from incr.demo.values import Problem
from incr.demo.workers import Request, analyse_in_threads, answer_while_typing

__all__ = ["run_demo"]


def run_demo(options: DemoOptions) -> int:
    """Do what was asked for and return the exit status."""
    if options.watch:
        require_watchfiles()
    output = Silent() if options.json else choose_output()
    # Syntax trees are millions of objects that die young; looking for garbage among them so often finds none.
    gc.set_threshold(50_000, 20, 20)
    first = _until_interrupted(options, output)
    return 0 if first is None else _second_process(options, first)


def _until_interrupted(options: DemoOptions, output: Output) -> Run | None:
    try:
        return trio.run(_here, options, output)
    except BaseExceptionGroup as group:
        # Ctrl-C while many files are being read comes out of a nursery.
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        raise KeyboardInterrupt from group


async def _here(options: DemoOptions, output: Output) -> Run | None:
    """Run in this process; returns the run if a second process should go on."""
    db = incr.Database()
    run = await _run(db, options, output)
    if options.watch:
        await _watch(db, options, output)
        return None
    if not (run.loaded or options.second):
        return run
    _finish(db, options, output, run)
    return None


async def _run(db: incr.Database, options: DemoOptions, output: Output) -> Run:
    output.heading(f"{_title(options)}: {options.root}")
    began = time.perf_counter()
    loaded = await _load(db, options, output)
    load_seconds = time.perf_counter() - began
    began = time.perf_counter()
    with output.progress("reading") as progress:
        change = await read_tree(db, options.root, progress)
    read_seconds = time.perf_counter() - began
    if not change.files:
        raise UsageError(f"there is no Python file in {options.root}; give the folder of a tree of Python files")
    with cost_of(db) as cost, output.progress("analysing") as progress:
        if options.threads:
            analyse_in_threads(db, options.threads, progress)
        else:
            analyse(db, progress)
    save_seconds = await _save(db, options.state) if cost.executed or change.read or not loaded else None
    state_bytes = options.state.stat().st_size
    run = Run(
        loaded, options.state, state_bytes, change, cost, options.threads, load_seconds, read_seconds, save_seconds
    )
    output.lines(run_lines(run))
    return run


def _title(options: DemoOptions) -> str:
    if options.second:
        return "The second run, in a new process"
    if options.fresh or not options.state.exists():
        return "A first run, from nothing"
    return "A run with the state of an earlier one"


async def _load(db: incr.Database, options: DemoOptions, output: Output) -> bool:
    if options.fresh:
        return False
    there = options.state.exists()
    loaded = await db.aload(options.state, on_corrupt="quarantine")
    if there and not loaded:
        output.lines([f"{options.state} was damaged: it was moved aside, and this run begins from nothing"])
    return loaded


async def _save(db: incr.Database, state: Path) -> float:
    began = time.perf_counter()
    await db.asave(state)
    return time.perf_counter() - began


def _finish(db: incr.Database, options: DemoOptions, output: Output, run: Run) -> None:
    """Edits, problems and the summary of the tree as it is on the disk."""
    whole = summary(db)
    problems = _problems(db)
    edits: list[Edit] = []
    request = None
    if options.edits:
        edits += _edits(db, output)
    if options.threads and options.edits:
        request = _request(db, options.threads, output)
    if options.problems:
        output.heading("Problems")
        output.lines(problem_lines(problems))
    output.heading(f"Summary of {options.root}")
    output.lines(summary_lines(whole))
    output.lines([closing_line(run, edits)])
    if options.json:
        print(json.dumps(document(options.root, [run], edits, request, whole, problems), indent=2))


def _edits(db: incr.Database, output: Output) -> Iterator[Edit]:
    chosen = most_imported(db)
    if chosen is None:
        output.lines(["no file has a function that the demo could edit"])
        return
    path, importers = chosen
    memos = db.statistics().memos
    for edit in make_edits(db, path):
        output.heading(f"Edit of {edit.what}, in memory: {edit.function}() in {path}, which {importers:,} files import")
        output.lines(edit_lines(edit, memos))
        yield edit


def _request(db: incr.Database, threads: int, output: Output) -> Request | None:
    chosen = most_imported(db)
    if chosen is None:
        return None
    output.heading(f"A request of all files, answered on a snapshot by {threads:,} threads while {chosen[0]} is edited")
    request = answer_while_typing(db, chosen[0], threads)
    output.lines(request_lines(request))
    return request


def _problems(db: incr.Database) -> dict[str, tuple[Problem, ...]]:
    return {path: problems for path in db.keys(Source) if (problems := report(db, path).problems)}


# spec: demo.again
def _second_process(options: DemoOptions, first: Run) -> int:
    """Go on in a new process, which has nothing but the state file."""
    command = [sys.executable, "-m", "incr", "demo", os.fspath(options.root), "--state", os.fspath(options.state)]
    command += ["--second", *["--no-edits"] * (not options.edits), *["--problems"] * options.problems]
    if options.threads:
        command += ["--threads", str(options.threads)]
    if not options.json:
        return subprocess.run(command, check=False).returncode
    second = subprocess.run([*command, "--json"], check=False, stdout=subprocess.PIPE)
    if second.returncode == 0:
        found = json.loads(second.stdout)
        found["runs"] = document(options.root, [first], [], None, None, {})["runs"] + found["runs"]
        print(json.dumps(found, indent=2))
    return second.returncode


# spec: demo.watch
async def _watch(db: incr.Database, options: DemoOptions, output: Output) -> None:
    output.heading(f"Watching {options.root}; Ctrl-C ends it")
    try:
        await watch(db, options.root, file_changes(options.root), output)
    finally:
        with trio.CancelScope(shield=True):
            await _save(db, options.state)
