"""The facts that the analysis starts from. Nothing below `Source` ever looks at the disk.

Law: what an answer depends on is an input, the machine's own builtin names included.
"""

from __future__ import annotations

import builtins

import incr

__all__ = ["Interpreter", "Source", "Stamp", "Tree", "this_interpreter"]


@incr.input
class Source:
    """One file's text, by its path below the tree's root, with slashes."""

    path: str = incr.key()
    text: str
    #: Why there is no text (no such encoding, not that encoding, not readable); empty if there is.
    problem: str = ""


@incr.input
class Stamp:
    """What the file system said of a file when it was read. No query reads stamps: they save reading files again."""

    path: str = incr.key()
    #: size in bytes, time of change of the content and of the entry in nanoseconds
    state: tuple[int, int, int]


@incr.input(durability=incr.Durability.HIGH)
class Tree:
    """Where absolute imports are looked for, in the tree's own terms."""

    #: Absolute path of the root; stamps of another root mean nothing here.
    root: str
    #: The dotted name of the package that the root folder itself is; empty if it is none.
    package: str = ""
    #: Folders below the root in which the search for an absolute name begins, in order; "" is the root itself.
    starts: tuple[str, ...] = ("",)


@incr.input(durability=incr.Durability.HIGH)
class Interpreter:
    """The names that exist everywhere in the Python whose rules are applied."""

    builtins: tuple[str, ...]


def this_interpreter() -> Interpreter:
    """The record for the running Python."""
    # site adds some for people at the prompt, gettext adds "_", and one is there on Windows only.
    names = {*dir(builtins), "_", "copyright", "credits", "exit", "help", "license", "quit", "WindowsError"}
    return Interpreter(builtins=tuple(sorted(names)))
