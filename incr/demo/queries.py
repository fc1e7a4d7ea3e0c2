"""The analysis: each question about a file, or about the tree, is one query.

    Source ── parse ──┬── lines ─────────────────────────────────────────────┐
                      └── module ──┬── symbols ──────────────────────────────┤
                                   ├── imports ──┬── loads ────── cycles     ├── report ── summary
                                   │             └── exports ── defines ──┐  │
                                   └── unused, undefined, missing ────────┴──┘

Law: what many files ask of one file is asked through a query that answers little: `defines("os.py", "walk")`, not
"all about os.py". Its answer seldom changes, and where it does not, none of the many runs again.

Keeps: demo.edit.
"""

from __future__ import annotations

import incr
from incr.demo.inputs import Interpreter, Source, Tree
from incr.demo.modules import candidates, folder_of, in_folder, parent_name, relative_place, rest_of_name
from incr.demo.syntax import broken, lines_of_names, parse_text
from incr.demo.values import Exports, Import, Lines, Module, Parsed, Problem, Report, Summary, Symbol, Target

__all__ = [
    "cycles",
    "defines",
    "exports",
    "find_module",
    "imports",
    "lines",
    "loads",
    "missing",
    "module",
    "parse",
    "report",
    "summary",
    "symbols",
    "undefined",
    "unused",
]

#: Names that the import system puts into every module, and the compiler into every class.
_GIVEN = frozenset({
    "__annotations__", "__builtins__", "__cached__", "__class__", "__dict__", "__doc__", "__file__",
    "__firstlineno__", "__loader__", "__module__", "__name__", "__package__", "__path__", "__qualname__", "__spec__",
    "__static_attributes__",
})  # fmt: skip


# --- one file, by itself --------------------------------------------------------------------------------------------


# A file of state need not hold this value: `module` and `lines` hold the same, and nothing else asks for it.
@incr.query(persist=False)
def parse(db: incr.View, path: str) -> Parsed:
    """All that one look at the text gives."""
    source = db[Source, path]
    return broken(source.problem, 1) if source.problem else parse_text(source.text)


@incr.query
def module(db: incr.View, path: str) -> Module:
    """What the file says. An edit that only moves lines, or only changes what happens in functions, stops here."""
    return parse(db, path).module


@incr.query
def lines(db: incr.View, path: str) -> Lines:
    """Where the file says it. Only a report with problems asks for it."""
    return parse(db, path).lines


@incr.query
def symbols(db: incr.View, path: str) -> tuple[Symbol, ...]:
    """The functions and classes of the file, with their signatures."""
    return module(db, path).symbols


@incr.query
def unused(db: incr.View, path: str) -> tuple[int, ...]:
    """Which of the file's imports bind a name that nothing reads, as places in `Module.imports`."""
    # What a package's own module imports is there for others, and what may fail is there to be tried.
    if path.endswith("__init__.py"):
        return ()
    return tuple(
        place
        for place, item in enumerate(module(db, path).imports)
        if not (item.used or item.guarded or item.name == "*" or item.bound.startswith("__"))
    )


# --- from file to file ----------------------------------------------------------------------------------------------


@incr.query
def find_module(db: incr.View, name: str, folder: str) -> str | None:
    """The file of the module *name*, looked for in *folder* (if it is not "") and then where the tree begins.

    It depends on which files are there, not on what is in them.
    """
    tree = db[Tree]
    rest = rest_of_name(name, tree.package)
    places = [*candidates(folder, name)] if folder else []
    if rest is not None:
        places += (path for start in tree.starts for path in candidates(start, rest))
    return next((path for path in places if (Source, path) in db), None)


@incr.query
def imports(db: incr.View, path: str) -> tuple[Target, ...]:
    """Where each of the file's imports leads to, in the order of `Module.imports`."""
    return tuple(_target(db, path, item) for item in module(db, path).imports)


def _target(db: incr.View, path: str, item: Import) -> Target:
    file = _file(db, path, item.level, item.module)
    submodule = None
    if item.name not in (None, "*") and (file is None or file.endswith("__init__.py")):
        submodule = _file(db, path, item.level, f"{item.module}.{item.name}".lstrip("."))
    return Target(file, submodule, submodule or file or _package(db, path, item))


def _file(db: incr.View, path: str, level: int, name: str) -> str | None:
    if not level:
        return find_module(db, name, _script_folder(db, path)) if name else None
    folder = relative_place(path, level)
    if folder is None:
        return None
    return next((file for file in candidates(folder, name) if (Source, file) in db), None)


def _script_folder(db: incr.View, path: str) -> str:
    """A program that lies beside its modules finds them; a module of a package does not."""
    folder = folder_of(path)
    return "" if (Source, in_folder(folder, "__init__.py")) in db else folder


def _package(db: incr.View, path: str, item: Import) -> str | None:
    """The nearest file above a module that is not there itself: os.py for ``os.path``."""
    name = parent_name(item.module)
    while name:
        file = _file(db, path, item.level, name)
        if file is not None:
            return file
        name = parent_name(name)
    return None


@incr.query
def loads(db: incr.View, path: str) -> tuple[str, ...]:
    """The files that are loaded when this one is, by what it says itself; sorted."""
    needed = {
        target.needs
        for item, target in zip(module(db, path).imports, imports(db, path), strict=True)
        if target.needs is not None and not item.deferred
    }
    return tuple(sorted(needed - {path}))


@incr.query
def exports(db: incr.View, path: str) -> Exports:
    """The names that can be imported from the file, those that it has by ``import *`` included."""
    # A walk and not a recursion: modules may take everything from each other in a circle.
    own = module(db, path)
    taken: set[str] = set()
    complete = True
    seen = {path}
    waiting = [path]
    while waiting:
        here = waiting.pop()
        code = module(db, here)
        complete = complete and not code.dynamic
        for item, target in zip(code.imports, imports(db, here), strict=True):
            if item.name != "*":
                continue
            if target.file is None:
                complete = False
            elif target.file not in seen:
                seen.add(target.file)
                waiting.append(target.file)
                taken.update(module(db, target.file).public)
    return Exports(tuple(sorted(taken.union(own.names))), tuple(sorted(taken.union(own.public))), complete)


@incr.query
def defines(db: incr.View, path: str, name: str) -> bool:
    """Whether the file defines the name, or may do so."""
    found = exports(db, path)
    return name in found.names or not found.complete or name in _GIVEN


@incr.query
def missing(db: incr.View, path: str) -> tuple[int, ...]:
    """Which of the file's imports ask a file of the tree for a name that it never defines."""
    found: list[int] = []
    for place, (item, target) in enumerate(zip(module(db, path).imports, imports(db, path), strict=True)):
        if item.name is None or item.name == "*" or item.guarded or target.submodule or target.file is None:
            continue
        if not (_may_be_no_python(target.file, item.module, item.name) or defines(db, target.file, item.name)):
            found.append(place)
    return tuple(found)


def _may_be_no_python(file: str, module: str, name: str) -> bool:
    """Whether it may be a compiled module or a folder of data in a package: those are no inputs here."""
    return file.endswith("__init__.py") and (name.startswith("_") or not module)


@incr.query
def undefined(db: incr.View, path: str) -> tuple[str, ...]:
    """The names that the file reads and that neither it nor what it imports ever defines."""
    code = module(db, path)
    unknown = set(code.unbound) - _GIVEN
    if code.dynamic or not unknown:
        return ()
    unknown.difference_update(db[Interpreter].builtins)
    if path.endswith("__init__.py"):
        # Importing anything out of a submodule makes the submodule a name of the package.
        unknown.difference_update(item.module.partition(".")[0] for item in code.imports if item.level == 1)
    for item, target in zip(code.imports, imports(db, path), strict=True):
        if unknown and item.name == "*":
            found = None if target.file is None else exports(db, target.file)
            if found is None or not found.complete:
                return ()  # any name may come out of a file that is not here
            unknown.difference_update(found.public)
    return tuple(sorted(unknown))


# --- the tree -------------------------------------------------------------------------------------------------------


@incr.query
def cycles(db: incr.View) -> tuple[tuple[str, ...], ...]:
    """Groups of files that import each other when they are loaded, the largest first."""
    import networkx  # a fifth of a second, which a second run does not need

    graph: networkx.DiGraph[str] = networkx.DiGraph(
        (path, needed) for path in db.keys(Source) for needed in loads(db, path)
    )
    # Not find_cycle or simple_cycles: their time explodes with the size of the graph, this one's does not.
    groups = (tuple(sorted(group)) for group in networkx.strongly_connected_components(graph) if len(group) > 1)
    return tuple(sorted(groups, key=lambda group: (-len(group), group)))


@incr.query
def report(db: incr.View, path: str) -> Report:
    """One file's numbers and problems."""
    defined = symbols(db, path)
    targets = imports(db, path)
    inside = sum(target.needs is not None for target in targets)
    return Report(
        functions=sum(symbol.kind == "function" for symbol in defined),
        classes=sum(symbol.kind == "class" for symbol in defined),
        parameters=sum(symbol.parameters for symbol in defined),
        inside=inside,
        outside=len(targets) - inside,
        problems=_problems(db, path),
    )


def _problems(db: incr.View, path: str) -> tuple[Problem, ...]:
    error = module(db, path).error
    idle, lost, strange = unused(db, path), missing(db, path), undefined(db, path)
    # Without a problem nobody asks where things stand, so moving them about is no change here.
    if not (error or idle or lost or strange):
        return ()
    here = lines(db, path)
    items = module(db, path).imports
    found = [Problem(here.error, "syntax error", error)] if error else []
    found += (Problem(here.imports[place], "unused import", items[place].bound) for place in idle)
    found += (Problem(here.imports[place], "missing name", _imported(items[place])) for place in lost)
    if strange:
        places = lines_of_names(db[Source, path].text, strange)
        found += (Problem(line, "undefined name", name) for line, name in zip(places, strange, strict=True))
    return tuple(sorted(found))


def _imported(item: Import) -> str:
    return f"{'.' * item.level}{item.module}{'.' * bool(item.module)}{item.name}"


@incr.query
def summary(db: incr.View) -> Summary:
    """The whole tree in a few numbers.

    It reads one report for each file. After an edit those few are looked at that the edit can reach, not all of them.
    """
    reports = [report(db, path) for path in db.keys(Source)]
    kinds = [problem.kind for one in reports for problem in one.problems]
    return Summary(
        files=len(reports),
        functions=sum(one.functions for one in reports),
        classes=sum(one.classes for one in reports),
        parameters=sum(one.parameters for one in reports),
        inside=sum(one.inside for one in reports),
        outside=sum(one.outside for one in reports),
        syntax_errors=kinds.count("syntax error"),
        unused_imports=kinds.count("unused import"),
        undefined_names=kinds.count("undefined name"),
        missing_names=kinds.count("missing name"),
        cycles=cycles(db),
    )
