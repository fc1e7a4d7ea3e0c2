"""Three edits of a file's text, as a person at an editor would make them, to see what each of them costs.

Law: an edited text is still Python, and only what the edit is named after is different.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Iterator

__all__ = ["EDITS", "editable_function"]


def editable_function(text: str) -> str | None:
    """The name of the first function at the top of a module that all three edits fit to; None if there is none."""
    return next((function.name for function in _functions(text)), None)


def _functions(text: str) -> Iterator[ast.FunctionDef]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    lines = _lines(text)
    for statement in body:
        if isinstance(statement, ast.FunctionDef) and _opening(lines, statement) is not None:
            last = statement.body[-1]
            if last.lineno > statement.lineno and not lines[last.lineno - 1][: last.col_offset].strip():
                yield statement


def _lines(text: str) -> list[str]:
    # str.splitlines would end a line at a form feed too, which the parser does not.
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)


def _opening(lines: list[str], function: ast.FunctionDef) -> re.Match[str] | None:
    return re.match(rf"def\s+{re.escape(function.name)}\s*\(", lines[function.lineno - 1])


def _find(text: str, name: str) -> tuple[list[str], ast.FunctionDef]:
    for function in _functions(text):
        if function.name == name:
            return _lines(text), function
    raise LookupError(f"there is no function {name}() at the top of the module that could be edited")


def edit_body(text: str, name: str) -> str:
    """A new statement before the last one of the function: the lines below it move."""
    lines, function = _find(text, name)
    last = function.body[-1]
    line = lines[last.lineno - 1]
    indent, end = line[: len(line) - len(line.lstrip())], line[len(line.rstrip("\r\n")) :] or "\n"
    lines.insert(last.lineno - 1, f"{indent}added_to_the_body = None{end}")
    return "".join(lines)


def edit_signature(text: str, name: str) -> str:
    """A new first parameter: this is what others may see."""
    lines, function = _find(text, name)
    opening = _opening(lines, function)
    assert opening is not None
    line = lines[function.lineno - 1]
    lines[function.lineno - 1] = f"{opening[0]}added_parameter, {line[opening.end() :].lstrip(' ')}"
    return "".join(lines)


def edit_comment(text: str, name: str) -> str:
    """A comment behind the last line of the function: nothing moves, and nothing means anything else."""
    lines, function = _find(text, name)
    assert function.end_lineno is not None
    line = lines[function.end_lineno - 1]
    code = line.rstrip("\r\n")
    lines[function.end_lineno - 1] = f"{code}  # a comment was added{line[len(code) :]}"
    return "".join(lines)


#: What each edit is, and the function of a text and a function's name that makes it.
EDITS: tuple[tuple[str, Callable[[str, str], str]], ...] = (
    ("a function body", edit_body),
    ("a signature", edit_signature),
    ("a comment", edit_comment),
)
