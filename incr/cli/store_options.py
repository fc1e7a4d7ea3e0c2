"""The words of `incr store`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

__all__ = ["add_store"]

_STATUS = (
    "Exit status: 0 done and nothing wrong, 1 damage found, 2 wrong usage, 3 the store cannot be read or written "
    "(locked, no permission, another format), 130 interrupted."
)


def add_store(commands: Any) -> None:
    """Add the command and its own ones."""
    store = commands.add_parser(
        "store",
        help="look after the store of a database",
        description="Looks after the store of a database: a directory, or an SQLite file. `compact` needs it alone.",
        epilog=_STATUS,
    )
    actions = store.add_subparsers(required=True, metavar="ACTION", dest="action")
    _add(actions, "stat", "how much there is of what, and how much of it can be used as it is")
    verify = _add(actions, "verify", "look for damage, and list all that is found")
    verify.add_argument("--deep", action="store_true", help="also read values, and compare dependents and dependencies")
    _add_dump(actions)
    export = _add(actions, "export", "write everything as lines of JSON")
    export.add_argument("--to", type=Path, metavar="FILE", help="a new file; standard output")
    migrate = _add(actions, "migrate", "copy to a new store of the other backend, and compare the two")
    migrate.add_argument("target", type=Path, metavar="TARGET", help="where the new store will be")
    migrate.add_argument("--backend", choices=["file", "sqlite"], help="of the new store; the one that this one is not")
    _add(actions, "compact", "write the store anew without what nobody needs")
    repair = _add(actions, "repair", "take what can still be read to a new store; the damaged one is left as it is")
    repair.add_argument("--salvage", action="store_true", help="needed: nothing else is done so far")
    repair.add_argument("--to", type=Path, metavar="PLACE", help="of the new store; PLACE.salvaged")


def _add(actions: Any, name: str, what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what, description=f"{what}.", epilog=_STATUS)
    parser.add_argument("place", type=Path, metavar="PLACE", help="the directory or the SQLite file of a store")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    return parser


def _add_dump(actions: Any) -> None:
    dump = _add(actions, "dump", "list rows; with --json one line of JSON for each")
    dump.add_argument("--section", metavar="NAME", help="only the rows of this input or query")
    dump.add_argument(
        "--prefix",
        type=_components,
        default=(),
        metavar="JSON",
        help="""only keys that begin with these components: '["user", 1]'""",
    )
    dump.add_argument("--values", action="store_true", help="what values are, not only how long")


def _components(text: str) -> tuple[Any, ...]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(type(one) in (str, int, float, bool, type(None)) for one in found):
        raise argparse.ArgumentTypeError(f"""{text!r} is not a JSON list of texts and numbers, like '["user", 1]'""")
    return tuple(found)
