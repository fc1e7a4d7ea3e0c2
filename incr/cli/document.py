"""What ``--json`` prints: the same facts as the lines, for programs.

.. code-block:: text

    {"path": ..., "runs": [{"kind": "cold" | "again", "files", "read", "changed", "executed", "verified",
     "state_bytes", "threads", "joined", "seconds": {"open", "read", "analyse", "commit"}}, ...],
     "edits": [{"what", "path", "function", "executed": [[query, [argument, ...]], ...], "backdated": as executed,
     "verified", "seconds", "why"}, ...],
     "request": null or {"path", "threads", "revision", "newest", "edits", "seconds", "answer": as summary,
     "after": as summary},
     "summary": the fields of `incr.demo.values.Summary`, "problems": {path: [{"line", "kind", "text"}, ...]}}
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from incr.cli.options import Run
from incr.demo.measuring import Call, Edit
from incr.demo.values import Problem, Summary
from incr.demo.workers import Request

__all__ = ["document"]


def document(
    root: Path,
    runs: Sequence[Run],
    edits: Sequence[Edit],
    request: Request | None,
    summary: Summary | None,
    problems: dict[str, tuple[Problem, ...]],
) -> dict[str, Any]:
    """Everything that was measured and found, as JSON's types."""
    return {
        "path": str(root),
        "runs": [_run(run) for run in runs],
        "edits": [_edit(edit) for edit in edits],
        "request": None if request is None else asdict(request),
        "summary": None if summary is None else asdict(summary),
        "problems": {path: [asdict(problem) for problem in found] for path, found in problems.items()},
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "kind": "again" if run.again else "cold",
        "files": run.change.files,
        "read": run.change.read,
        "changed": run.change.changed,
        "executed": len(run.cost.executed),
        "verified": run.cost.verified,
        "state_bytes": run.state_bytes,
        "threads": run.threads,
        "joined": run.cost.joined,
        "seconds": {
            "open": run.open_seconds,
            "read": run.read_seconds,
            "analyse": run.cost.seconds,
            "commit": run.commit_seconds,
        },
    }


def _edit(edit: Edit) -> dict[str, Any]:
    return {
        "what": edit.what,
        "path": edit.path,
        "function": edit.function,
        "executed": _calls(edit.cost.executed),
        "backdated": _calls(call for call in edit.cost.executed if call in edit.cost.backdated),
        "verified": edit.cost.verified,
        "seconds": edit.cost.seconds,
        "why": str(edit.why),
    }


def _calls(calls: Iterable[Call]) -> list[Any]:
    return [[query, list(key)] for query, key in calls]
