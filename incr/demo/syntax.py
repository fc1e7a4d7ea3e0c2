"""From text to a `Module`: parsing, and what can be said of a file without looking at another one.

Law: any text gives a value. A file that is not Python is a `Module` with an error, not an exception.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from symtable import symtable

from incr.demo.mentions import mentions, names_in
from incr.demo.scopes import Scope, Scopes, read_scopes
from incr.demo.signatures import symbol
from incr.demo.statements import Place, statements
from incr.demo.values import Import, Lines, Module, Parsed, Symbol

__all__ = ["broken", "lines_of_names", "parse_text"]

#: What modules use to make names that nobody can see.
_MAKES_NAMES = re.compile(r"\b(exec\(|globals\(|global_enum\b|_convert_\(|sys\.modules\[__name__\])")


def parse_text(text: str) -> Parsed:
    """What *text* says."""
    try:
        tree, scopes = _read(text)
    except SyntaxError as error:
        return broken(error.msg, error.lineno or 1)
    except (ValueError, RecursionError, MemoryError) as error:
        # A null character, a lone surrogate; nesting that no parser takes.
        return broken(str(error) or type(error).__name__, 1)
    return _Reading(text, tree, scopes).parsed()


def broken(reason: str, line: int) -> Parsed:
    """The outcome for a file that cannot be analysed."""
    return Parsed(Module(reason, (), (), (), (), (), dynamic=True), Lines(line, ()))


def _read(text: str) -> tuple[ast.Module, Scopes]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about invalid escapes and the like, in code that is not ours
        return ast.parse(text), read_scopes(symtable(text, "<source>", "exec"))


class _Reading:
    """The pass over one module's statements, and what it has met so far."""

    def __init__(self, text: str, tree: ast.Module, scopes: Scopes) -> None:
        self.text = text
        self.tree = tree
        self.scopes = scopes
        self.imports: list[Import] = []
        self.lines: list[int] = []
        self.symbols: list[Symbol] = []
        #: The strings of `__all__`; None if there is none, or one that is made while the module runs.
        self.all: set[str] | None = None
        self.all_is_made = False
        #: Names that are looked for in a `try` that expects them to be missing.
        self.tried: set[str] = set()
        self.deleted: set[str] = set()

    def parsed(self) -> Parsed:
        for statement, place in statements(self.tree.body):
            self._meet(statement, place)
        scopes = self.scopes
        module = Module(
            error="",
            imports=tuple(self._with_uses_elsewhere()),
            symbols=tuple(self.symbols),
            names=tuple(sorted(scopes.bound)),
            public=tuple(sorted(self._public())),
            unbound=tuple(sorted(scopes.read.keys() - scopes.bound - self.tried)),
            dynamic="__getattr__" in scopes.bound or bool(_MAKES_NAMES.search(self.text)),
        )
        return Parsed(module, Lines(0, tuple(self.lines)))

    def _meet(self, statement: ast.stmt, place: Place) -> None:
        match statement:
            case ast.Import() | ast.ImportFrom():
                for item in _imports(statement, place, self.scopes):
                    self.imports.append(item)
                    self.lines.append(statement.lineno)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if place.classes is not None:
                self.symbols.append(symbol(statement, place.classes))
            case ast.Try() | ast.TryStar() if any(_catches_name_error(handler.type) for handler in statement.handlers):
                self.tried.update(names_in(*statement.body))
            case ast.Delete():
                self.deleted.update(names_in(statement))
            case ast.Assign(targets=[ast.Name(id="__all__")]) | ast.AnnAssign(target=ast.Name(id="__all__")):
                self.all = _strings(statement.value)
                self.all_is_made = self.all is None
            case ast.AugAssign(target=ast.Name(id="__all__")):
                more = _strings(statement.value)
                self.all_is_made = self.all_is_made or more is None
                self.all = (self.all or set()) | (more or set())
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="__all__")))):
                self.all_is_made = True  # __all__.extend(...)
            case _:
                pass

    def _public(self) -> frozenset[str]:
        if self.all_is_made:
            return self.scopes.bound
        if self.all is not None:
            return frozenset(self.all)
        return frozenset(name for name in self.scopes.bound if not name.startswith("_"))

    def _with_uses_elsewhere(self) -> Iterator[Import]:
        """The imports, with those uses that `symtable` does not tell of."""
        # Most names that are not used stand in the text just once, and the tree need not be searched for them.
        idle = {item.bound for item in self.imports if not item.used and item.bound}
        often = {name for name in idle if len(re.findall(rf"\b{re.escape(name)}\b", self.text)) > 1}
        used = self.deleted | mentions(self.tree, often)
        return (replace(item, used=item.used or item.bound in used) for item in self.imports)


def _imports(statement: ast.Import | ast.ImportFrom, place: Place, scopes: Scopes) -> Iterator[Import]:
    for alias in statement.names:
        if isinstance(statement, ast.Import):
            module, level, name = alias.name, 0, None
            bound = alias.asname or alias.name.partition(".")[0]
        else:
            module, level, name = statement.module or "", statement.level, alias.name
            bound = alias.asname or ("" if alias.name == "*" else alias.name)
        used = _is_used(module, alias, bound, place.scope, scopes)
        yield Import(module, level, name, bound, used, place.deferred, place.guarded)


def _is_used(module: str, alias: ast.alias, bound: str, scope: Scope, scopes: Scopes) -> bool:
    # ``from x import y as y`` says that it is meant for others.
    return module == "__future__" or alias.asname == alias.name or (scope, bound) not in scopes.idle


def _catches_name_error(kind: ast.expr | None) -> bool:
    return kind is None or any(isinstance(node, ast.Name) and node.id == "NameError" for node in ast.walk(kind))


def _strings(value: ast.expr | None) -> set[str] | None:
    """The strings of a list or tuple that is written out; None if it is anything else."""
    if not isinstance(value, ast.List | ast.Tuple):
        return None
    strings = {item.value for item in value.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)}
    return strings if len(strings) == len(value.elts) else None


def lines_of_names(text: str, names: tuple[str, ...]) -> tuple[int, ...]:
    """The line of the first use of each of *names*, which *text* reads from its globals; 0 for one that is not found.

    Lines are asked for only for the few names that are a problem, so looking for all of them while parsing would be
    work for nothing.
    """
    tree, scopes = _read(text)
    uses: dict[str, list[int]] = {name: [] for name in names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in uses:
            uses[node.id].append(node.lineno)
    # A local variable of the same name may stand above the scope that reads the global one.
    return tuple(
        min((line for line in uses[name] if line >= min(scopes.read.get(name, (0,)))), default=0) for name in names
    )
