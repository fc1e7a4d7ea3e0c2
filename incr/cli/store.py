"""`incr store`: looking after the store of a database, in a directory or in an SQLite file.

Exit statuses, for scripts:

=====  ======================================================================================================
    0  done, and nothing is wrong
    1  damage was found: `verify` lists it, `repair` had to leave something out, or the store is too damaged for
       what was asked
    2  wrong usage: nothing at the path, something at the path of what is to be made, a name that is not there
    3  the store cannot be read or written: locked, no permission, a full disk, another program's, a newer format
  130  interrupted from the keyboard
=====  ======================================================================================================

Law: `compact` apart, nothing here changes the store that it is given.

Keeps: cli.store.stat, cli.store.verify, cli.store.dump, cli.store.migrate, cli.store.repair, cli.store.compact,
cli.store.json, cli.store.status.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from incr import CorruptError, StoreError
from incr.cli.options import UsageError
from incr.cli.output import Output, Progress, Silent, choose_output
from incr.cli.places import (
    Backend,
    as_original,
    backend_of,
    create,
    gone_back,
    opened,
    replace_folder,
    salvageable,
    size_of,
    unfinished,
)
from incr.cli.store_text import problem_lines, row_lines, salvage_lines, stat_document, stat_lines
from incr.maintenance import Problem, copy, count, dump, export, salvage, verify
from incr.store import FileDirectory
from incr.store.directory import explained
from incr.store.file_store import FileStore
from incr.store.lock import Lock
from incr.store.sqlite_store import SqliteStore

__all__ = ["run_store"]

_DONE, _DAMAGE, _USAGE, _UNREADABLE, _INTERRUPTED = 0, 1, 2, 3, 130


# spec: cli.store.status
def run_store(options: Namespace) -> int:
    """Do what was asked for and return the exit status."""
    try:
        return _COMMANDS[options.action](options, Silent() if options.json else choose_output())
    except UsageError as error:
        return _say(error, _USAGE)
    except CorruptError as error:
        return _say(error, _DAMAGE)
    except StoreError as error:
        return _say(error, _UNREADABLE)
    except KeyboardInterrupt:
        return _say("interrupted", _INTERRUPTED)
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _DONE


def _say(error: object, status: int) -> int:
    print(f"incr store: {str(error).removesuffix('; see the cause above')}", file=sys.stderr)  # none is shown
    return status


# spec: cli.store.json
def _document(options: Namespace, found: dict[str, Any]) -> None:
    if options.json:
        print(json.dumps({"path": str(options.place)} | found, indent=2))


# spec: cli.store.stat
def _stat(options: Namespace, output: Output) -> int:
    with opened(options.place) as store, output.progress("counting") as progress:
        found = stat_document(store, backend_of(options.place), size_of(options.place), count(store, progress))
    output.heading(str(options.place))
    output.lines(stat_lines(found))
    _document(options, found)
    return _DONE


# spec: cli.store.verify
def _verify(options: Namespace, output: Output) -> int:
    problems: list[Problem] = []
    try:
        with opened(options.place) as store, output.progress("verifying") as progress:
            problems.extend(verify(store, deep=options.deep, progress=progress))
    except CorruptError as error:
        problems.append(Problem("", None, str(error)))
    output.heading(str(options.place))
    output.lines(problem_lines(problems))
    _document(options, {"problems": [problem._asdict() for problem in problems]})
    return _DAMAGE if problems else _DONE


# spec: cli.store.dump
def _dump(options: Namespace, output: Output) -> int:
    with opened(options.place) as store:
        for row in dump(store, options.section, options.prefix, values=options.values):
            print(json.dumps(row)) if options.json else output.lines(row_lines(row))
    return _DONE


# spec: cli.store.dump
def _export(options: Namespace, output: Output) -> int:
    with opened(options.place) as store:
        if options.to is None:
            for line in export(store):
                print(line)
            return _DONE
        with unfinished(options.to) as aside, output.progress("exporting") as progress:
            _write(aside, export(store, progress))
    output.lines([f"{options.place} was exported to {options.to}"])
    _document(options, {"to": str(options.to)})
    return _DONE


def _write(path: Path, lines: Iterable[str]) -> None:
    with explained(str(path), "written"), open(path, "x", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())


# spec: cli.store.migrate
def _migrate(options: Namespace, output: Output) -> int:
    other: Backend = "sqlite" if backend_of(options.place) == "file" else "file"
    backend = options.backend or other
    with opened(options.place) as source, unfinished(options.target) as aside:
        target = create(aside, backend)
        try:
            with output.progress("copying") as progress:
                rows = copy(source, target, progress)
        finally:
            target.close()
    output.lines([f"{rows:,} rows were copied to {options.target}, and compared"])
    _document(options, {"target": str(options.target), "backend": backend, "rows": rows})
    return _DONE


# spec: cli.store.repair
def _repair(options: Namespace, output: Output) -> int:
    if not options.salvage:
        raise UsageError("repair needs --salvage; what a crash has left unfinished is repaired by opening the store")
    to: Path = options.to or options.place.with_name(f"{options.place.name}.salvaged")
    with unfinished(to) as aside, salvageable(options.place) as source:
        target = create(aside, backend_of(options.place))
        try:
            with output.progress("salvaging") as progress:
                found = salvage(source, target, progress)
        finally:
            target.close()
        back = [as_original(text, source.path, options.place) for text in gone_back(source)]
        lost = [(section, row, as_original(why, source.path, options.place)) for section, row, why in found.lost]
        found = found._replace(lost=lost)
    output.heading(str(to))
    output.lines(salvage_lines(found, back))
    _document(options, {"to": str(to), "went_back": back} | found._asdict())
    return _DAMAGE if found.lost or back else _DONE


# spec: cli.store.compact
def _compact(options: Namespace, output: Output) -> int:
    before = size_of(options.place)
    with output.progress("compacting") as progress:
        if backend_of(options.place) == "file":
            _compact_folder(options.place, progress)
        else:
            store = SqliteStore.open(options.place)
            try:
                store.compact()
            finally:
                store.close()
    after = size_of(options.place)
    output.lines([f"{options.place} had {before:,} bytes, and has {after:,} now"])
    _document(options, {"before": before, "after": after})
    return _DONE


def _compact_folder(path: Path, progress: Progress) -> None:
    aside = path.with_name(f"{path.name}.compacted-{os.getpid()}")
    with FileStore.open(path) as store:
        store.backup(aside, progress)
        last = store.head().last
    lock = Lock(FileDirectory(path))

    def unchanged() -> bool:
        with FileStore.open(path, mode="ro") as store:
            return store.head().last == last

    try:
        replace_folder(path, aside, unchanged)
    finally:
        lock.release()


_COMMANDS: dict[str, Callable[[Namespace, Output], int]] = {
    "stat": _stat,
    "verify": _verify,
    "dump": _dump,
    "export": _export,
    "migrate": _migrate,
    "repair": _repair,
    "compact": _compact,
}
