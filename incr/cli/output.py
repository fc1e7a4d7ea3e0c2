"""How the command talks: with colours and a bar on a terminal that `rich` is there for, in plain lines otherwise.

Law: whoever prints does not ask where to. What is said is the same everywhere but for the moving parts.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["Output", "Plain", "Progress", "Silent", "choose_output"]

#: Told how many of how many are done.
Progress = Callable[[int, int], None]

#: Seconds between two lines about the progress of one thing.
_PATIENCE = 3.0


class Output(Protocol):
    """Where the command's lines go."""

    def heading(self, text: str) -> None:
        """A line that opens a part."""
        ...

    def lines(self, lines: Iterable[str]) -> None:
        """Lines of a part."""
        ...

    def progress(self, label: str) -> AbstractContextManager[Progress]:
        """Show how far something is while the block runs."""
        ...


def choose_output() -> Output:
    """The one that fits to standard output."""
    if sys.stdout.isatty() and importlib.util.find_spec("rich") is not None:
        return _Rich()
    return Plain()


class Silent:
    """For ``--json``: what is to be said stands in the document."""

    def heading(self, text: str) -> None:
        """Nothing."""

    def lines(self, lines: Iterable[str]) -> None:
        """Nothing."""

    @contextmanager
    def progress(self, label: str) -> Generator[Progress, None, None]:
        """Nothing."""
        yield lambda done, total: None


class Plain:
    """Lines without colours, for pipes and files."""

    def heading(self, text: str) -> None:
        """An empty line, then the text."""
        print(f"\n{text}", flush=True)

    def lines(self, lines: Iterable[str]) -> None:
        """The lines, indented."""
        for line in lines:
            print(f"  {line}", flush=True)

    @contextmanager
    def progress(self, label: str) -> Generator[Progress, None, None]:
        """A line now and then, if it takes long."""
        told = time.monotonic()

        def advance(done: int, total: int) -> None:
            nonlocal told
            if time.monotonic() - told > _PATIENCE:
                told = time.monotonic()
                self.lines([f"{label}: {done:,} of {total:,}"])

        yield advance


class _Rich:
    """Colours, and a bar that goes away when it is full."""

    def __init__(self) -> None:
        from rich.console import Console  # 60 ms that a pipe need not pay

        self._console = Console(highlight=True, soft_wrap=True)

    def heading(self, text: str) -> None:
        self._console.print(f"\n{text}", style="bold cyan", markup=False, highlight=False)

    def lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._console.print(f"  {line}", markup=False)

    @contextmanager
    def progress(self, label: str) -> Generator[Progress, None, None]:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task(label, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
