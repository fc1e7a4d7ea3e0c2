"""The command `incr`: what can be asked for, and what it exits with.

Exit statuses of `incr demo` (for those of `incr store` see `incr.cli.store`):

=====  ======================================================================================================
    0  done
    1  the state could not be used (a newer format, no permission, open elsewhere); the message says what to do
    2  wrong usage: no such folder, no Python file in it, a package that the option needs is not installed
  130  interrupted from the keyboard
=====  ======================================================================================================

Law: nothing but this package prints.
"""

from __future__ import annotations

import argparse
import io
import sys
import sysconfig
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from incr import StoreError
from incr.cli.demo import run_demo
from incr.cli.options import DemoOptions, UsageError
from incr.cli.state import state_folder
from incr.cli.store_options import add_store

__all__ = ["main"]

_DONE, _STATE, _USAGE, _INTERRUPTED = 0, 1, 2, 130
_MOST_THREADS = 256


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status. *arguments* are those of the process if not given."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may hold what a terminal cannot show
    parser = _parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "action"):
        return _demo(options)
    # The one needs SQLite, the other does not.
    status: int = import_module("incr.cli.store").run_store(options)
    return status


def _demo(options: argparse.Namespace) -> int:
    root = (options.path or Path(sysconfig.get_path("stdlib"))).resolve()
    try:
        if not root.is_dir():
            raise UsageError(f"{root} is not a folder; give the folder of a tree of Python files")
        return run_demo(
            DemoOptions(
                root=root,
                state=options.state or state_folder(root),
                fresh=options.fresh,
                edits=options.edits,
                problems=options.problems,
                json=options.json,
                watch=options.watch,
                threads=options.threads,
                second=options.second,
            )
        )
    except UsageError as error:
        print(f"incr demo: {error}", file=sys.stderr)
        return _USAGE
    except KeyboardInterrupt:
        if options.watch:
            return _DONE  # there is no other way to end it
        print("incr demo: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except StoreError as error:
        print(f"incr demo: {error}", file=sys.stderr)
        return _STATE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="incr", description="An incremental query runtime for Python.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands)
    add_store(commands)
    return parser


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        help="analyse a tree of Python files, and show what an edit costs",
        description=(
            "Analyses a tree of Python files: imports, unused imports, names that are never defined, import cycles. "
            "A first run is followed by a second one in a new process, which opens the state and executes nothing, "
            "and makes three edits in memory. No file of the tree is ever changed."
        ),
        epilog="Exit status: 0 done, 1 the state cannot be used, 2 wrong usage, 130 interrupted.",
    )
    demo.add_argument("path", nargs="?", type=Path, metavar="PATH", help="a folder; this Python's standard library")
    demo.add_argument("--state", type=Path, metavar="DIR", help="where the state is kept; a folder in the user's cache")
    demo.add_argument("--fresh", action="store_true", help="forget the state and begin cold")
    demo.add_argument("--no-edits", dest="edits", action="store_false", help="make no edits")
    demo.add_argument("--problems", action="store_true", help="list what was found, as path:line: kind: text")
    demo.add_argument(
        "--threads",
        type=_threads,
        default=0,
        metavar="N",
        help="analyse by N threads at once, and answer a request on a snapshot while a file is edited",
    )
    output = demo.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    output.add_argument("--watch", action="store_true", help="keep running and react to edits of the files")
    demo.add_argument("--second", action="store_true", help=argparse.SUPPRESS)


def _threads(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of threads from 1 to {_MOST_THREADS}")
    return int(text)
