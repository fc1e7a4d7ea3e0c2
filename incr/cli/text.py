"""What the command says, as lines of text made from what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields

from incr.cli.options import Run
from incr.demo.measuring import Call, Cost, Edit
from incr.demo.values import Problem, Summary
from incr.demo.workers import Request

__all__ = ["closing_line", "cost_lines", "edit_lines", "problem_lines", "request_lines", "run_lines", "summary_lines"]

#: Longer lists are cut: there is a limit to what a reader looks at.
_SHOWN_CALLS = 14
_SHOWN_CYCLES = 3


def run_lines(run: Run) -> Iterator[str]:
    """What was opened, read, executed and committed."""
    if run.again:
        yield f"opened {_megabytes(run.state_bytes)} of state in {_time(run.open_seconds)}"
    again = f", {run.change.read:,} of them read" if run.again else ""
    yield f"{run.change.files:,} files looked at{again}, in {_time(run.read_seconds)}"
    by = f", by {run.threads:,} threads that waited for each other {run.cost.joined:,} times" if run.threads else ""
    yield f"{_executed(run.cost)}, in {_time(run.cost.seconds)}{by}"
    if run.commit_seconds is not None:
        yield f"committed in {_time(run.commit_seconds)} to {run.state}, which has {_megabytes(run.state_bytes)} now"


def edit_lines(edit: Edit, memos: int) -> Iterator[str]:
    """What an edit made run, what it did not, and why."""
    yield from cost_lines(edit.cost, memos)
    yield from _difference(edit.before, edit.after)
    yield from str(edit.why).splitlines()


def request_lines(request: Request) -> Iterator[str]:
    """What a request was told, what was written meanwhile, and what it would be told now."""
    yield f"it is answered for revision {request.revision:,}: {request.answer.functions:,} functions"
    yield f"{request.edits:,} edits were written before the answer was there, after {_time(request.seconds)}"
    yield f"asked again, for revision {request.newest:,}: {request.after.functions:,} functions"


def cost_lines(cost: Cost, memos: int) -> Iterator[str]:
    """How many calls of *memos* were touched, and which of them ran."""
    left = memos - len(cost.executed) - cost.verified
    yield f"{_executed(cost)}, {left:,} others in memory not looked at, in {_time(cost.seconds)}"
    for call in cost.executed[:_SHOWN_CALLS]:
        yield f"  ran {_call(call)}: {'the same as before' if call in cost.backdated else 'something new'}"
    if len(cost.executed) > _SHOWN_CALLS:
        others = Counter(query for query, _ in cost.executed[_SHOWN_CALLS:])
        yield "  ran " + ", ".join(f"{query} ({count:,} times)" for query, count in others.most_common())


def closing_line(run: Run, edits: Sequence[Edit]) -> str:
    """What the whole run comes to."""
    parts = [f"{len(run.cost.executed):,} executed {'after the opening' if run.again else 'from nothing'}"]
    parts += (f"{len(edit.cost.executed):,} after an edit of {edit.what}" for edit in edits)
    return ", ".join(parts)


def summary_lines(summary: Summary) -> Iterator[str]:
    """The tree in numbers."""
    yield f"{summary.files:>8,} files, {summary.syntax_errors:,} of them with syntax errors"
    yield f"{summary.functions:>8,} functions with {summary.parameters:,} parameters"
    yield f"{summary.classes:>8,} classes"
    yield f"{summary.inside + summary.outside:>8,} imports, {summary.inside:,} of them of files in the tree"
    yield f"{summary.unused_imports:>8,} unused imports"
    yield f"{summary.missing_names:>8,} imports of names that are never defined"
    yield f"{summary.undefined_names:>8,} uses of names that are never defined"
    yield f"{len(summary.cycles):>8,} import cycles{', the largest:' if summary.cycles else ''}"
    for cycle in summary.cycles[:_SHOWN_CYCLES]:
        yield f"{len(cycle):>12,} files: {', '.join(cycle[:4])}{', ...' if len(cycle) > 4 else ''}"


def problem_lines(problems: dict[str, tuple[Problem, ...]]) -> Iterator[str]:
    """One line for each problem, in the form that editors understand."""
    for path, found in problems.items():
        for problem in found:
            yield f"{path}:{problem.line}: {problem.kind}: {problem.text}"


def _difference(before: Summary, after: Summary) -> Iterator[str]:
    if before is after:
        yield "the summary is the same object as before"
        return
    for name, old in _numbers(before).items():
        new = _numbers(after)[name]
        if old != new:
            yield f"the summary has {new:,} {name} now, {old:,} before"


def _numbers(summary: Summary) -> dict[str, int]:
    numbers = {field.name: getattr(summary, field.name) for field in fields(Summary)}
    return {name.replace("_", " "): value for name, value in (numbers | {"cycles": len(summary.cycles)}).items()}


def _executed(cost: Cost) -> str:
    return f"{len(cost.executed):,} executed, {cost.verified:,} verified"


def _call(call: Call) -> str:
    query, key = call
    return f"{query}({', '.join(map(repr, key))})"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:,.1f} MB"
