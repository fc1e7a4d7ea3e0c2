"""`incr demo --watch`: take what changes on the disk as new inputs, and say what that costs.

Law: the loop knows changes as sets of paths and nothing of where they come from, so that a test can play the disk.

Keeps: demo.watch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import incr
from incr.cli.options import UsageError
from incr.cli.output import Output
from incr.cli.text import cost_lines, problem_lines
from incr.demo.inputs import Source
from incr.demo.measuring import Cost, cost_of
from incr.demo.queries import report, summary
from incr.demo.reading import Change, update_files

if TYPE_CHECKING:
    from watchfiles import Change as Kind

__all__ = ["file_changes", "react", "require_watchfiles", "watch"]


async def watch(db: incr.Database, root: Path, changes: AsyncIterable[set[str]], output: Output) -> None:
    """React to *changes*, sets of paths relative to *root*, until there are no more."""
    async for paths in changes:
        change, cost = await react(db, root, paths)
        if not change.changed:
            continue  # saved without a difference, or a file that is not looked at
        output.heading(f"Changed: {', '.join(sorted(paths))}")
        output.lines(cost_lines(cost, db.statistics().memos))
        output.lines(str(db.explain(summary)).splitlines())
        output.lines(problem_lines({path: report(db, path).problems for path in sorted(paths) if (Source, path) in db}))


async def react(db: incr.Database, root: Path, paths: set[str]) -> tuple[Change, Cost]:
    """Read the files at *paths* again, and bring the summary up to date."""
    change = await update_files(db, root, paths)
    with cost_of(db) as cost:
        summary(db)
    return change, cost


def require_watchfiles() -> None:
    """Find out early whether it is possible to watch.

    Raises:
        UsageError: `watchfiles` is not installed.
    """
    if importlib.util.find_spec("watchfiles") is None:
        raise UsageError("--watch needs the package watchfiles; install it with: pip install 'incr-runtime[demo]'")


async def file_changes(root: Path) -> AsyncIterator[set[str]]:
    """What changes below *root* from now on, as sets of relative paths."""
    import watchfiles

    def wanted(_: Kind, path: str) -> bool:
        return "__pycache__" not in path

    async for changes in watchfiles.awatch(root, watch_filter=wanted):
        yield {Path(path).relative_to(root).as_posix() for _, path in changes}
