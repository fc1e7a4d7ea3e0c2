"""What the queries answer with: frozen, compared by value, and made of what a file can hold.

Law: only `Lines` and `Problem` know where in a text something stands. Whatever other files may ask for does not, so
that a line added above it is no change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Exports",
    "Import",
    "Lines",
    "Module",
    "Parsed",
    "Problem",
    "Report",
    "Summary",
    "Symbol",
    "Target",
]

Kind = Literal["function", "class"]
Trouble = Literal["syntax error", "unused import", "undefined name", "missing name"]


@dataclass(frozen=True, slots=True)
class Import:
    """One name of one import statement: ``import a.b as c`` or ``from ..a import b as c``."""

    #: As written: "a.b"; empty in ``from . import b``.
    module: str
    #: The number of leading dots.
    level: int
    #: What is taken out of the module, "*" for all; None if the module itself is imported.
    name: str | None
    #: The name that the statement binds; empty for "*".
    bound: str
    #: Whether anything in its scope reads the bound name, as far as can be told.
    used: bool
    #: Whether it runs only later or never: in a function, or for type checkers alone.
    deferred: bool
    #: Whether it stands in a `try` or `with`: it may fail, or is there to be tried.
    guarded: bool


@dataclass(frozen=True, slots=True)
class Symbol:
    """A function or class that others can reach: at the top of a module, or in a class that is."""

    #: With the classes around it: "Decoder.decode".
    name: str
    kind: Kind
    #: As a reader would write it: "(text, *, strict=True) -> str"; the bases of a class.
    signature: str
    #: How many parameters a function has.
    parameters: int


@dataclass(frozen=True, slots=True)
class Module:
    """What a file says, without where it says so."""

    #: What the compiler said, for a file that is not Python; everything else is empty then.
    error: str
    imports: tuple[Import, ...]
    symbols: tuple[Symbol, ...]
    #: The names bound at its top level, sorted.
    names: tuple[str, ...]
    #: What ``from module import *`` takes, sorted.
    public: tuple[str, ...]
    #: The names that it reads from its own globals or from builtins and does not bind, sorted.
    unbound: tuple[str, ...]
    #: Whether it may have more names than can be seen.
    dynamic: bool


@dataclass(frozen=True, slots=True)
class Lines:
    """Where things stand: lines, from 1, as in the `Module` of the same file."""

    #: The line of the syntax error; 0 if there is none.
    error: int
    #: One for each of the module's imports.
    imports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Parsed:
    """All that one look at a text gives."""

    module: Module
    lines: Lines


@dataclass(frozen=True, slots=True)
class Target:
    """Where an import leads to, in files of the tree."""

    #: The file of the module that is named; None if it is not in the tree.
    file: str | None
    #: The file of the name itself, where it is a module in a package.
    submodule: str | None
    #: The file that has to be loaded: one of the two, or the nearest package above (os.py for ``import os.path``).
    needs: str | None


@dataclass(frozen=True, slots=True)
class Exports:
    """The names that can be imported from a file."""

    #: All of them, sorted.
    names: tuple[str, ...]
    #: Those that ``import *`` takes, sorted.
    public: tuple[str, ...]
    #: Whether there can be no others.
    complete: bool


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something that a person may want to look at."""

    line: int
    kind: Trouble
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """One file's share of the summary."""

    functions: int
    classes: int
    parameters: int
    #: Imports that lead to files of the tree, and all others.
    inside: int
    outside: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole tree in a few numbers."""

    files: int
    functions: int
    classes: int
    parameters: int
    inside: int
    outside: int
    syntax_errors: int
    unused_imports: int
    undefined_names: int
    missing_names: int
    #: Groups of files that import each other when they are loaded, the largest first.
    cycles: tuple[tuple[str, ...], ...]
