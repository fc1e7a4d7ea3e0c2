"""What a function's code names outside of itself: global names with the attributes read from them, and imports.

The bytecode is read, not the source: the compiler has already decided which names are local.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from incr._fingerprint.text import nested_codes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CellType, CodeType

    from incr._fingerprint.home import Home

__all__ = [
    "MISSING",
    "References",
    "annotation_chains",
    "cell_value",
    "follow",
    "imported",
    "module_attribute",
    "references",
]


class _Missing:
    """A name that is not bound (yet)."""


MISSING: Final = _Missing()

_OTHER, _NOTHING, _NAME, _ATTRIBUTE, _CONSTANT, _IMPORT, _EXTENDED = range(7)
_KINDS: Final = {
    "CACHE": _NOTHING,
    "EXTENDED_ARG": _EXTENDED,
    "IMPORT_NAME": _IMPORT,
    "LOAD_ATTR": _ATTRIBUTE,
    "LOAD_CONST": _CONSTANT,
    "LOAD_FROM_DICT_OR_GLOBALS": _NAME,
    "LOAD_GLOBAL": _NAME,
    "LOAD_METHOD": _ATTRIBUTE,
    "LOAD_NAME": _NAME,
}


class References(NamedTuple):
    """What code reads from outside of itself.

    `chains` are global names, each with the attributes that are read from it at once (`module.f`), sorted;
    `imports` are modules with the names that are imported from them, as the code has them.
    """

    chains: list[tuple[str, ...]]
    imports: list[tuple[str, tuple[str, ...]]]


def references(code: CodeType) -> References:
    """What *code*, nested code included, reads from outside: read off the bytecode in one pass.

    `dis.get_instructions` says the same and takes fifteen times as long, which a thousand queries would feel.
    """
    chains: set[tuple[str, ...]] = set()
    imports: list[tuple[str, tuple[str, ...]]] = []
    for part in nested_codes(code):
        chain: list[str] = []
        constants: list[Any] = []
        for kind, argument in _steps(part):
            if kind == _ATTRIBUTE and chain:
                chain.append(part.co_names[argument])
                continue
            chains.add(tuple(chain))
            chain = [part.co_names[argument]] if kind == _NAME else []
            if kind == _IMPORT:
                # The compiler puts the level and the names right before it.
                level, names = constants[-2:]
                imports.append(("." * level + part.co_names[argument], names or ()))
            elif kind == _CONSTANT:
                constants.append(part.co_consts[argument])
        chains.add(tuple(chain))
    chains.discard(())
    return References(sorted(chains), imports)


def _steps(code: CodeType) -> Iterator[tuple[int, int]]:
    """Each instruction as (what it does, its argument); what concerns nobody here is _OTHER."""
    kinds, shifts = _opcodes()
    opcodes, arguments = code.co_code[::2], code.co_code[1::2]
    prefix = 0
    for kind, shift, low in zip(opcodes.translate(kinds), opcodes.translate(shifts), arguments, strict=True):
        if kind == _EXTENDED:
            prefix = (prefix | low) << 8
        elif kind != _NOTHING:
            yield kind, (prefix | low) >> shift
            prefix = 0


@lru_cache(maxsize=1)
def _opcodes() -> tuple[bytes, bytes]:
    """For each opcode of this Python what it does, and by how much its argument is shifted."""
    from opcode import opmap

    kinds = bytearray([_OTHER] * 256)
    shifts = bytearray(256)
    for name, kind in _KINDS.items():
        if opmap.get(name, 256) < 256:  # larger ones are the compiler's own
            kinds[opmap[name]] = kind
    # The lowest bit says how the value will be called (since 3.11; for attributes since 3.12).
    shifts[opmap["LOAD_GLOBAL"]] = 1
    shifts[opmap["LOAD_ATTR"]] = int(sys.version_info >= (3, 12))
    return bytes(kinds), bytes(shifts)


@lru_cache(maxsize=1024)  # a program has few different ones
def annotation_chains(text: str) -> tuple[tuple[str, ...], ...]:
    """The same for an annotation that is kept as text."""
    import ast

    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    chains: set[tuple[str, ...]] = set()
    for node in ast.walk(tree):
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            chains.add((node.id, *reversed(names)))
    return tuple(sorted(chains))


def imported(references: References, module_globals: dict[str, Any], home: Home) -> Iterator[Any]:
    """What code imports for itself from the program's own modules: objects, or whole modules.

    Such a module is imported here if it was not yet: the answer must not depend on what ran before.
    """
    for target, names in references.imports:
        module = _own_module(target, module_globals, home)
        if module is not None:
            yield from [module_attribute(module, name) for name in names] if names else [module]


def _own_module(name: str, module_globals: dict[str, Any], home: Home) -> ModuleType | None:
    import importlib.util

    try:
        name = importlib.util.resolve_name(name, module_globals.get("__package__") or "")
        spec = importlib.util.find_spec(name)
        if spec is None or not home.owns({"__name__": name, "__file__": spec.origin}):
            return None
        return importlib.import_module(name)
    except Exception:  # an import runs code, which may raise anything; the query will meet it by itself
        return None


def follow(chain: tuple[str, ...], module_globals: dict[str, Any], home: Home) -> Any:
    """What a chain of names stands for, going through the program's own modules; MISSING where it is not bound."""
    value = module_globals.get(chain[0], MISSING)
    for name in chain[1:]:
        if not isinstance(value, ModuleType) or not home.owns(vars(value)):
            break
        value = module_attribute(value, name)
    return value


def module_attribute(module: ModuleType, name: str) -> Any:
    """A module's attribute or submodule, without running anything."""
    found = vars(module).get(name, MISSING)
    return sys.modules.get(f"{module.__name__}.{name}", MISSING) if found is MISSING else found


def cell_value(cell: CellType) -> Any:
    """What a closure's variable holds; MISSING where it is not bound."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING
