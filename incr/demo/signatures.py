"""How functions and classes are called, as text: what a reader sees of them without their bodies."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from incr.demo.values import Symbol

__all__ = ["symbol"]


def symbol(statement: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, classes: str) -> Symbol:
    """The symbol that a definition makes; *classes* are those around it, with a dot behind each."""
    name = classes + statement.name
    if isinstance(statement, ast.ClassDef):
        bases = [_text(base) for base in statement.bases]
        bases += (f"{keyword.arg or '**'}={_text(keyword.value)}" for keyword in statement.keywords)
        return Symbol(name, "class", f"({', '.join(bases)})" if bases else "", 0)
    parameters = list(_parameters(statement.args))
    signature = f"({', '.join(parameters)})"
    if statement.returns is not None:
        signature += f" -> {_text(statement.returns)}"
    if isinstance(statement, ast.AsyncFunctionDef):
        signature = f"async {signature}"
    return Symbol(name, "function", signature, sum(parameter not in ("/", "*") for parameter in parameters))


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    for index, parameter in enumerate(positional):
        yield _parameter(parameter, arguments.defaults[index - required] if index >= required else None)
        if index + 1 == len(arguments.posonlyargs):
            yield "/"
    if arguments.vararg is not None:
        yield "*" + _parameter(arguments.vararg, None)
    elif arguments.kwonlyargs:
        yield "*"
    for parameter, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(parameter, default)
    if arguments.kwarg is not None:
        yield "**" + _parameter(arguments.kwarg, None)


def _parameter(parameter: ast.arg, default: ast.expr | None) -> str:
    text = parameter.arg
    if parameter.annotation is not None:
        text += f": {_text(parameter.annotation)}"
    return text if default is None else f"{text}={_text(default)}"


def _text(expression: ast.expr) -> str:
    # Nearly all are one of these two, and `unparse` costs fifty times as much.
    match expression:
        case ast.Name(id=name):
            return name
        case ast.Constant(value=value):
            return repr(value)
        case _:
            return ast.unparse(expression)
