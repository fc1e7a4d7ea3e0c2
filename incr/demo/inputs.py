"""The facts that the analysis starts from. Nothing below `Source` ever looks at the disk.

Law: what an answer depends on is an input, the machine's own builtin names included.
"""

from __future__ import annotations

import builtins

import incr

__all__ = ["Folder", "Interpreter", "Source", "Tree", "this_interpreter"]


@incr.input
class Source:
    """One file's text, by its path below the tree's root, with slashes."""

    path: str = incr.key()
    text: str
    #: Why there is no text (no such encoding, not that encoding, not readable); empty if there is.
    problem: str = ""


@incr.input
class Folder:
    """What the file system said of a folder's files when they were read. No query reads it: it saves reading again."""

    path: str = incr.key()
    #: The name of each file that is a `Source`, and its stamp: size and times as text, which is quick to load and to
    #: compare. An empty one is never right.
    stamps: dict[str, str]


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
