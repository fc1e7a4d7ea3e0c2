"""Which modules are the program's own: their code is looked into, that of all others counts by name only.

Law: incr itself is never the program's own; `incr._fingerprint.SEMANTICS` stands for it. (Its demo is a program.)
"""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple

__all__ = ["Home", "home_of", "module_name"]


class Home(NamedTuple):
    """A program's own modules: those under a name, and for a program of loose files those under a folder too."""

    top: str
    folder: str | None

    def owns(self, module_globals: dict[str, Any]) -> bool:
        """Whether the module with these globals is the program's own."""
        name = module_name(module_globals)
        if _top(name) == self.top:
            return name != "incr"
        if self.folder is None or _top(name).partition(".")[0] in _NEVER:
            return False
        file = module_globals.get("__file__")
        return isinstance(file, str) and os.path.abspath(file).startswith(self.folder) and not _installed(file)

    def owns_class(self, kind: type) -> bool:
        """Whether *kind* was defined in one of the program's own modules."""
        module = sys.modules.get(kind.__module__)
        return self.owns(vars(module) if module is not None else {"__name__": kind.__module__})


def home_of(module_globals: dict[str, Any]) -> Home:
    """The home of the program that the module with these globals belongs to.

    A module inside a package belongs to the top-level package. A loose file (a script, a module of its own) shares its
    home with the modules beside and below it.
    """
    name = module_name(module_globals)
    file = module_globals.get("__file__")
    if "." in name or "__path__" in module_globals or not isinstance(file, str) or _installed(file):
        return Home(_top(name), None)
    return Home(name, os.path.join(os.path.dirname(os.path.abspath(file)), ""))


def module_name(module_globals: dict[str, Any]) -> str:
    """The module's name; for a module that was started with ``-m`` the one that it would be imported by."""
    name = module_globals.get("__name__")
    spec_name = getattr(module_globals.get("__spec__"), "name", None)
    if name == "__main__" and isinstance(spec_name, str):
        return spec_name
    return name if isinstance(name, str) else ""


def _top(name: str) -> str:
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "incr" else parts[0]


def _installed(file: str) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(file.split(os.sep))


#: Top-level names that are nobody's own code, wherever their files are.
_NEVER = frozenset({*sys.stdlib_module_names, "incr", ""})
