"""`incr demo`: a cold run that commits its state, a second process that executes nothing, and three edits.

Law: the state only saves time. Without it, or with a damaged one, the answers are the same.

Keeps: demo.again, demo.edit, demo.threads, demo.watch.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import incr
from incr.cli.document import document
from incr.cli.options import DemoOptions, Run, UsageError
from incr.cli.output import Output, Progress, Silent, choose_output
from incr.cli.state import forget, put_aside, size_of
from incr.cli.text import closing_line, edit_lines, problem_lines, request_lines, run_lines, summary_lines
from incr.cli.watch import file_changes, require_watchfiles, watch
from incr.demo.inputs import Source
from incr.demo.measuring import Edit, analyse, cost_of, make_edits, most_imported
from incr.demo.queries import report, summary
from incr.demo.reading import Change, list_folders, look, read_sources, settle
from incr.demo.values import Problem
from incr.demo.workers import Request, analyse_in_threads, answer_while_typing
from incr.store.directory import explained

__all__ = ["run_demo"]


Result = TypeVar("Result")


def run_demo(options: DemoOptions) -> int:
    """Do what was asked for and return the exit status."""
    if options.watch:
        require_watchfiles()
    if next(list_folders(options.root), None) is None:
        raise UsageError(f"there is no Python file in {options.root}; give the folder of a tree of Python files")
    output = Silent() if options.json else choose_output()
    # Syntax trees are millions of objects that die young; looking for garbage among them so often finds none.
    gc.set_threshold(50_000, 20, 20)
    if options.fresh:
        forget(options.state)
    with explained(str(options.state), "made"):
        options.state.parent.mkdir(parents=True, exist_ok=True)
    try:
        first = _here(options, output)
    except incr.CorruptError as error:
        aside = put_aside(options.state)
        output.lines([f"{error}", f"the state was moved to {aside}, and this run begins from nothing"])
        first = _here(options, output)
    return 0 if first is None else _second_process(options, first)


def _here(options: DemoOptions, output: Output) -> Run | None:
    """Run in this process; returns the run if a second process should go on."""
    output.heading(f"{_title(options)}: {options.root}")
    began = time.perf_counter()
    with incr.open(options.state, keep_bases=1) as db:
        run = _run(db, options, output, time.perf_counter() - began)
        if options.watch:
            _in_loop(_watch, db, options, output)
        elif run.again or options.second:
            _finish(db, options, output, run)
        else:
            return run  # the state is closed before another process opens it
    return None


def _run(db: incr.Database, options: DemoOptions, output: Output, open_seconds: float) -> Run:
    again = db.revision > 0
    began = time.perf_counter()
    with output.progress("reading") as progress:
        change = _read(db, options.root, progress)
    read_seconds = time.perf_counter() - began
    with cost_of(db) as cost, output.progress("analysing") as progress:
        if again and not change.changed:
            summary(db)
        elif options.threads:
            analyse_in_threads(db, options.threads, progress)
        else:
            analyse(db, progress)
    commit_seconds = _commit(db, again) if cost.executed or change.read or not again else None
    run = Run(
        again,
        options.state,
        size_of(options.state),
        change,
        cost,
        options.threads,
        open_seconds,
        read_seconds,
        commit_seconds,
    )
    output.lines(run_lines(run))
    return run


def _title(options: DemoOptions) -> str:
    if options.second:
        return "The second run, in a new process"
    if not options.state.exists():
        return "A first run, from nothing"
    return "A run with the state of an earlier one"


def _read(db: incr.Database, root: Path, progress: Progress) -> Change:
    """Bring the inputs up to date; an event loop is started only if there is a file to read."""
    found = look(db, root)
    sources = _in_loop(read_sources, root, found.stale, progress) if found.stale else []
    return settle(db, found, sources)


def _in_loop(function: Callable[..., Awaitable[Result]], *arguments: object) -> Result:
    import trio  # a tenth of a second, which a run that has nothing to wait for does not need

    try:
        return trio.run(function, *arguments)
    except BaseExceptionGroup as group:
        # Ctrl-C while many files are being read comes out of a nursery.
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        raise KeyboardInterrupt from group


def _commit(db: incr.Database, again: bool) -> float:
    """How long it takes; what is committed first goes into a base at once, for the next one to open."""
    began = time.perf_counter()
    if again:
        db.commit()
    else:
        db.checkpoint()
    return time.perf_counter() - began


def _finish(db: incr.Database, options: DemoOptions, output: Output, run: Run) -> None:
    """Edits, problems and the summary of the tree as it is on the disk."""
    whole = summary(db)
    problems = _problems(db) if options.problems or options.json else {}
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
        import json  # like all that most starts do not need

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
    """Go on in a new process, which has nothing but the state."""
    import json
    import subprocess

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
    import trio

    output.heading(f"Watching {options.root}; Ctrl-C ends it")
    try:
        await watch(db, options.root, file_changes(options.root), output)
    finally:
        with trio.CancelScope(shield=True):
            await db.acommit()
