"""The house stands: modules import from lower floors only and never in circles; files and functions stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from project import modules

#: The modules and packages of incr, lowest floor first. An import goes down, or stays inside of one package.
FLOORS: list[list[str]] = [
    [
        "_counters",
        "_depth",
        "_errors",
        "_estimate",
        "_exact",
        "_fingerprint",
        "_loop",
        "_record",
        "_registered",
        "_registry",
        "_revision",
        "_running",
        "_turns",
    ],
    ["_codec", "_concurrent", "_events", "_node", "store"],
    ["_checks", "_history", "_kin", "_listeners", "_log", "_pushes", "_recovery", "_signature", "codec", "maintenance"],
    ["_collected", "_invariant", "_memory", "_state", "_stream", "_suspicion", "_vacant"],
    ["_tables"],
    ["_graph"],
    ["_component"],
    ["_explain", "_statistics", "_twins", "_verify", "_view"],
    ["_frame", "_inherit"],
    ["_flight"],
    ["_outcome"],
    ["_solve"],
    ["_inside"],
    ["_pull"],
    ["_execute"],
    ["_aexecute", "_first"],
    ["_input", "_interned", "_query"],
    ["_accumulator", "_parallel"],
    ["_fold", "_persist", "_stale", "_write"],
    ["_durable", "_keeping"],
    ["_database"],
    ["_latest", "_networkx", "_open"],
    [""],  # incr itself: the public names
    ["testing"],
    ["demo", "pytest_plugin"],
    ["cli"],
    ["__main__"],
]

LONGEST_FILE = 500
LONGEST_FUNCTION = 75


class Import(NamedTuple):
    """One import of incr: which module has it in which line, what it imports, and whether that is in a function."""

    module: str
    line: int
    target: str
    inside: bool


def unit(module: str) -> str:
    """The module or package directly below incr that a module belongs to; for incr itself nothing."""
    return module.partition(".")[2].partition(".")[0]


def imports(module: str, source: str, known: set[str]) -> Iterator[Import]:
    """Each import of incr in the source of *module*. What is imported only for type checkers counts like the rest."""
    tree = ast.parse(source)
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno}: a relative import"
            # `from incr import _node` imports a module, `from incr import View` a name of incr's own.
            inner_modules = [f"{node.module}.{name.name}" for name in node.names]
            targets = [name if name in known else str(node.module) for name in inner_modules]
        for target in targets:
            if target.partition(".")[0] == "incr":
                yield Import(module, node.lineno, target, id(node) in inner)


def wrong_imports(found: list[Import], floors: list[list[str]]) -> list[str]:
    """What is wrong with these imports, as a reader would say it."""
    floor = {name: height for height, names in enumerate(floors) for name in names}
    wrong: list[str] = []
    for item in found:
        above, below = unit(item.module), unit(item.target)
        place = f"{item.module}:{item.line}: imports {item.target}"
        if item.inside:
            wrong.append(f"{place} inside of a function")
        if (above != below or not above) and floor[below] >= floor[above]:
            wrong.append(f"{place}, which is {'beside' if floor[below] == floor[above] else 'above'}")
    return wrong


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return {name: file.read_text(encoding="utf-8") for name, file in modules().items()}


@pytest.fixture(scope="module")
def found(sources: dict[str, str]) -> list[Import]:
    return [item for name, source in sources.items() for item in imports(name, source, set(sources))]


def test_each_module_has_a_floor(sources: dict[str, str]) -> None:
    placed = [name for floor in FLOORS for name in floor]
    assert sorted(placed) == sorted({unit(name) for name in sources})


def test_imports_go_down(found: list[Import]) -> None:
    assert wrong_imports(found, FLOORS) == []


def test_no_imports_go_in_circles(found: list[Import], sources: dict[str, str]) -> None:
    graph: dict[str, set[str]] = {name: set() for name in sources}
    for item in found:
        if item.target != item.module:
            graph[item.module].add(item.target)
    list(TopologicalSorter(graph).static_order())  # raises CycleError with the circle


def test_files_are_short(sources: dict[str, str]) -> None:
    assert {name: source.count("\n") for name, source in sources.items() if source.count("\n") > LONGEST_FILE} == {}


def test_functions_are_short(sources: dict[str, str]) -> None:
    long = {
        f"{name}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for name, source in sources.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {place: lines for place, lines in long.items() if lines > LONGEST_FUNCTION} == {}


def test_each_module_opens_with_its_law(sources: dict[str, str]) -> None:
    assert [name for name, source in sources.items() if not ast.get_docstring(ast.parse(source))] == []


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("incr.low", "from incr.high import x", "above"),
        ("incr.low", "import incr.high", "above"),
        ("incr.low", "from incr import high", "above"),
        ("incr.low", "from incr.beside import x", "beside"),
        ("incr.low", "if TYPE_CHECKING:\n    from incr.high import x", "above"),
        ("incr.high", "def f():\n    from incr.low import x", "inside of a function"),
        ("incr.high", "async def f():\n    import incr.low", "inside of a function"),
        ("incr.high.part", "from incr import x", "above"),
        ("incr.high.part", "from incr.high.other import x", None),
        ("incr.high", "from incr import low", None),
        ("incr.high", "from incr.low import x", None),
        ("incr.high", "def f():\n    import json", None),
    ],
)
def test_this_test_sees_what_it_looks_for(module: str, source: str, said: str | None) -> None:
    found = list(imports(module, source, {"incr", "incr.low", "incr.high", "incr.beside", module}))
    wrong = wrong_imports(found, [["low", "beside"], ["high"], [""]])
    assert [said in text for text in wrong if said] == ([True] if said else [])
    assert bool(wrong) == bool(said)


def test_the_sources_are_those_of_the_package_under_test(sources: dict[str, str]) -> None:
    assert {"incr", "incr._graph", "incr.store.base"} <= set(sources)
    assert all(isinstance(file, Path) and file.is_file() for file in modules().values())
