"""One pass over the statements of a module, with what surrounds each of them.

Law: expressions are not entered. They are nine tenths of a tree, and `symtable` has told about the names in them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

from incr.demo.scopes import MODULE, Scope

__all__ = ["Place", "statements"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a statement stands."""

    scope: Scope = MODULE
    #: The classes around it, each with a dot behind it; None inside of a function.
    classes: str | None = ""
    #: In the body of a function, or of ``if TYPE_CHECKING``.
    deferred: bool = False
    #: In a `try` or `with`.
    guarded: bool = False


def statements(body: list[ast.stmt], place: Place = Place()) -> Iterator[tuple[ast.stmt, Place]]:
    """Each statement of *body* and of the blocks in it, in the order of the text."""
    for statement in body:
        yield statement, place
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                inner = Place((statement.lineno, statement.name), None, deferred=True)
                yield from statements(statement.body, inner)
            case ast.ClassDef():
                yield from statements(statement.body, _in_class(statement, place))
            case ast.Try() | ast.TryStar():
                guarded = replace(place, guarded=True)
                yield from statements(statement.body, guarded)
                for handler in statement.handlers:
                    yield from statements(handler.body, guarded)
                yield from statements(statement.orelse, place)
                yield from statements(statement.finalbody, place)
            case ast.With() | ast.AsyncWith():
                yield from statements(statement.body, replace(place, guarded=True))
            case ast.If():
                for_checkers = replace(place, deferred=True) if _for_type_checkers(statement.test) else place
                yield from statements(statement.body, for_checkers)
                yield from statements(statement.orelse, place)
            case ast.For() | ast.AsyncFor() | ast.While():
                yield from statements(statement.body, place)
                yield from statements(statement.orelse, place)
            case ast.Match():
                for case in statement.cases:
                    yield from statements(case.body, place)
            case _:
                pass


def _in_class(statement: ast.ClassDef, place: Place) -> Place:
    classes = None if place.classes is None else f"{place.classes}{statement.name}."
    return replace(place, scope=(statement.lineno, statement.name), classes=classes)


def _for_type_checkers(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
        case _:
            return False
