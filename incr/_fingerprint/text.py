"""A function's code without what has no meaning: positions, comments, docstrings, layout.

The source is used where it provably is that of the running code: the file is compiled again and compared, because it
may have been edited since it was imported. Everything else (code from `exec`, of an interactive session, rewritten by
a tool) is described by its bytecode, constants and names.
"""

from __future__ import annotations

import os
from functools import lru_cache
from types import CodeType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import ast

__all__ = ["code_text", "nested_codes", "source_text"]

#: Fields of syntax nodes that follow from the rest, or that mean nothing.
_SKIPPED: Final = frozenset({"ctx", "kind", "type_comment", "type_ignores"})

#: Where statements stand in statements. Lambdas are not looked for: their bytecode does.
_BLOCKS: Final = ("body", "orelse", "finalbody", "handlers", "cases")


class _File(NamedTuple):
    """The functions of a source file and their code, by name and first line."""

    nodes: dict[tuple[str, int], list[ast.AST]]
    codes: dict[tuple[str, int], list[CodeType]]


def source_text(code: CodeType, module_globals: dict[str, Any]) -> bytes | None:
    """The normalised source of the function that runs *code*; None where it is not known for certain."""
    file = _file_of(code.co_filename, module_globals)
    place = (code.co_name, code.co_firstlineno)
    if file is None or len(file.nodes.get(place, ())) != 1 or file.codes.get(place) != [code]:
        return None
    return _dump(file.nodes[place][0], module_globals)


def code_text(code: CodeType) -> tuple[object, ...]:
    """What *code* does, nested code included, as plain values."""
    constants: list[object] = [code_text(item) if isinstance(item, CodeType) else item for item in code.co_consts]
    if constants and isinstance(constants[0], str) and not code.co_name.startswith("<"):
        constants[0] = None  # the docstring's place
    return (
        code.co_name,
        code.co_flags,
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
        (code.co_varnames, code.co_cellvars, code.co_freevars, code.co_names),
        code.co_code,
        code.co_exceptiontable,
        tuple(constants),
    )


def nested_codes(code: CodeType) -> list[CodeType]:
    """*code* and all code inside of it, outer before inner."""
    found = [code]
    for outer in found:
        found.extend(item for item in outer.co_consts if isinstance(item, CodeType))
    return found


def _file_of(filename: str, module_globals: dict[str, Any]) -> _File | None:
    import linecache

    try:
        status = os.stat(filename)
        stamp = (status.st_mtime_ns, status.st_size)
    except (OSError, ValueError):
        # Not a file: the module's loader may know the source (a zip archive), or nobody does.
        stamp = (0, 0)
        linecache.lazycache(filename, module_globals)
    return _parsed(filename, stamp)


@lru_cache(maxsize=32)
def _parsed(filename: str, stamp: tuple[int, int]) -> _File | None:
    """The file as it was at *stamp* (modification time, size), parsed and compiled once for all of its queries."""
    import ast
    import linecache

    linecache.checkcache(filename)
    source = "".join(linecache.getlines(filename))
    try:
        tree = ast.parse(source)
        module = compile(tree, filename, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    file = _File({}, {})
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min(part.lineno for part in [node, *node.decorator_list])
            file.nodes.setdefault((node.name, first), []).append(node)
        for block in _BLOCKS:
            waiting += getattr(node, block, ())
    for code in nested_codes(module):
        file.codes.setdefault((code.co_name, code.co_firstlineno), []).append(code)
    return file


def _dump(root: ast.AST, module_globals: dict[str, Any]) -> bytes:
    """The syntax tree as text, like `ast.dump` without docstrings.

    A node's children follow after the whole node ("@" stands in their place), the last one first: with the nodes'
    classes and the lists' lengths that says where each belongs, and no nesting is too deep.
    """
    import ast

    documented = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    out: list[str] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        kind = type(node)
        out.append(kind.__name__)
        for field in kind._fields:
            if field in _SKIPPED:
                continue
            value: Any = getattr(node, field, None)
            if field == "body" and isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
                value = value[1:]
            elif field == "decorator_list" and node is root:
                value = [part for part in value if not _declares(part, module_globals)]
            if value.__class__ is list:
                out.append(f"[{len(value)}")
            else:
                value = (value,)
            for part in value:
                if isinstance(part, ast.AST):
                    out.append("@")
                    waiting.append(part)
                else:
                    out.append(hex(part) if part.__class__ is int else repr(part))
    return "\0".join(out).encode("utf-8", "surrogatepass")


def _declares(decorator: ast.expr, module_globals: dict[str, Any]) -> bool:
    """Whether it is incr's own decorator: its arguments say how to remember, not what is computed."""
    import ast

    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    names: list[str] = []
    while isinstance(target, ast.Attribute):
        names.append(target.attr)
        target = target.value
    if not isinstance(target, ast.Name):
        return False
    value: object = module_globals.get(target.id)
    for name in reversed(names):
        value = getattr(value, "__dict__", {}).get(name)
    return getattr(value, "__module__", "").partition(".")[0] == "incr"
