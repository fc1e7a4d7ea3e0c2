"""Names and scopes, as the compiler sees them: the standard library's `symtable` knows every rule about them.

Law: in doubt nothing is reported. A name counts as used or bound if it might be.
"""

from __future__ import annotations

from dataclasses import dataclass
from symtable import Symbol, SymbolTable

__all__ = ["MODULE", "Scope", "Scopes", "read_scopes"]

#: Where a scope begins: the line and the name of its `def`.
Scope = tuple[int, str]
MODULE: Scope = (0, "")


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a module's scopes say about names, all scopes together."""

    #: Bound at the top level of the module, or by a function that declared them global.
    bound: frozenset[str]
    #: Read from the module's globals or from builtins, with the first line of the scopes that read them.
    read: dict[str, list[int]]
    #: Imported names, with their scope, that nothing in their scope or in those within reads.
    idle: frozenset[tuple[Scope, str]]


def read_scopes(module: SymbolTable) -> Scopes:
    """Collect from the table of a whole module."""
    bound: set[str] = set()
    read: dict[str, list[int]] = {}
    idle: set[tuple[Scope, str]] = set()

    def visit(table: SymbolTable) -> set[str]:
        """Returns the names that *table* and the scopes within take from scopes around them."""
        wanted: set[str] = set()
        for child in table.get_children():
            wanted |= visit(child)
        scope = (table.get_lineno(), table.get_name())
        own_imports = table.get_type() != "class"
        for symbol in table.get_symbols():
            name = symbol.get_name()
            if symbol.is_free():
                wanted.add(name)
            elif symbol.is_global():
                if _binds(symbol):
                    bound.add(name)
                if symbol.is_referenced():
                    read.setdefault(name, []).append(scope[0])
            else:
                if own_imports and symbol.is_imported() and not symbol.is_referenced() and name not in wanted:
                    idle.add((scope, name))
                # The scopes around a class are those of its methods too.
                if own_imports:
                    wanted.discard(name)
        return wanted

    for table in module.get_children():
        visit(table)
    imported: set[str] = set()
    for symbol in module.get_symbols():
        name = symbol.get_name()
        if symbol.is_referenced():
            read.setdefault(name, []).append(0)
        # A walrus in a comprehension that was inlined shows as a declaration only.
        if _binds(symbol) or symbol.is_declared_global():
            bound.add(name)
        if symbol.is_imported():
            imported.add(name)
    idle |= {(MODULE, name) for name in imported - read.keys()}
    return Scopes(frozenset(bound), read, frozenset(idle))


def _binds(symbol: Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace() or symbol.is_parameter()
