"""Uses of names that `symtable` does not tell of: in postponed annotations, in inlined comprehensions, and in strings.

Law: a string counts as code if it can be read as code. Better one use too many than a complaint about a name in use.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

__all__ = ["mentions", "names_in"]


def names_in(*nodes: ast.AST) -> Iterator[str]:
    """The names that stand anywhere in *nodes*."""
    return (inner.id for node in nodes for inner in ast.walk(node) if isinstance(inner, ast.Name))


def mentions(tree: ast.AST, names: set[str]) -> set[str]:
    """Those of *names* that a comprehension, an annotation, or a string of *tree* mentions."""
    if not names:
        return set()
    word = re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b")
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ListComp() | ast.SetComp() | ast.DictComp():
                found.update(names_in(node))
            case ast.arg(annotation=ast.expr() as hint) | ast.AnnAssign(annotation=hint):
                found.update(names_in(hint))
            case ast.FunctionDef(returns=ast.expr() as hint) | ast.AsyncFunctionDef(returns=ast.expr() as hint):
                found.update(names_in(hint))
            case ast.Constant(value=str(text)) if word.search(text):
                found.update(_names_in_text(text))
            case _:
                pass
    return found & names


def _names_in_text(text: str) -> set[str]:
    examples = re.findall(r"^\s*(?:>>>|\.\.\.) (.*)", text, re.MULTILINE)
    if examples:
        return set(re.findall(r"\w+", "\n".join(examples)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return set(names_in(ast.parse(text.strip())))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
