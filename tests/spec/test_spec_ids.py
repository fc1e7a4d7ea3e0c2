"""The rules of docs/spec.md, the code places that keep them and the tests that prove them name the same ids."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from project import PACKAGE, ROOT

SPEC = ROOT / "docs" / "spec.md"
ID = r"[a-z]+(?:[.-][a-z]+)+"


def headings(text: str) -> list[str]:
    """The ids of the rules, in order."""
    return re.findall(rf"^#+ \[({ID})\] \S", text, flags=re.MULTILINE)


def cited_by_code(source: str) -> Iterator[str]:
    """The ids in comments above code places: `# spec: call.hit, memo.order`."""
    for ids in re.findall(r"^ *# spec: (.*)$", source, flags=re.MULTILINE):
        yield from re.split(r", *", ids.strip())


def kept_by_module(source: str) -> Iterator[str]:
    """The ids in a module's docstring: `Keeps: call.hit, memo.order.`"""
    docstring = ast.get_docstring(ast.parse(source)) or ""
    for ids in re.findall(r"^Keeps: (.*?)(?:\.$|\.\s|\Z)", docstring, flags=re.MULTILINE | re.DOTALL):
        yield from re.findall(ID, ids)


def cited_by_tests(source: str) -> Iterator[str]:
    """The ids in marks: `@pytest.mark.spec("call.hit")`, alone or among others."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "spec":
            yield from [item.value for item in node.args if isinstance(item, ast.Constant)]


def python_files(folder: Path) -> dict[str, str]:
    files = sorted(folder.rglob("*.py"))
    return {str(file.relative_to(folder)): file.read_text(encoding="utf-8") for file in files}


@pytest.fixture(scope="module")
def rules() -> list[str]:
    return headings(SPEC.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def code() -> dict[str, str]:
    return python_files(PACKAGE)


@pytest.fixture(scope="module")
def tests() -> dict[str, str]:
    return {
        name: source for name, source in python_files(ROOT / "tests").items() if Path(name).name != "test_spec_ids.py"
    }


def test_each_rule_has_one_heading(rules: list[str]) -> None:
    assert len(rules) > 60
    assert sorted(rules) == sorted(set(rules))


def test_each_heading_can_be_linked_to(rules: list[str]) -> None:
    text = SPEC.read_text(encoding="utf-8")
    anchors = re.findall(rf"^\(([a-z-]+)\)=\n#+ \[({ID})\]", text, flags=re.MULTILINE)
    assert [(re.sub(r"\.", "-", rule), rule) for rule in rules] == anchors


def test_code_cites_rules_that_exist(rules: list[str], code: dict[str, str]) -> None:
    cited = {
        (name, rule) for name, source in code.items() for rule in [*cited_by_code(source), *kept_by_module(source)]
    }
    assert sorted((name, rule) for name, rule in cited if rule not in rules) == []


def test_tests_cite_rules_that_exist(rules: list[str], tests: dict[str, str]) -> None:
    cited = {(name, rule) for name, source in tests.items() for rule in cited_by_tests(source)}
    assert sorted((name, rule) for name, rule in cited if rule not in rules) == []


def test_each_rule_is_kept_by_a_code_place(rules: list[str], code: dict[str, str]) -> None:
    cited = {rule for source in code.values() for rule in cited_by_code(source)}
    assert sorted(set(rules) - cited) == []


def test_each_rule_is_proved_by_a_test(rules: list[str], tests: dict[str, str]) -> None:
    cited = {rule for source in tests.values() for rule in cited_by_tests(source)}
    assert sorted(set(rules) - cited) == []


def test_this_test_sees_what_it_looks_for() -> None:
    assert headings("(a-b)=\n## [a.b] Text\n## [c.d-e] Text\n## No rule\n[f.g] text") == ["a.b", "c.d-e"]
    assert list(cited_by_code("# spec: a.b\n    # spec: c.d, e.f\nx = 1  # no spec: g.h")) == ["a.b", "c.d", "e.f"]
    assert list(kept_by_module('"""One.\n\nKeeps: a.b, c.d (in part),\ne.f.\nMore: g.h.\n"""')) == ["a.b", "c.d", "e.f"]
    marks = '@pytest.mark.spec("a.b", "c.d")\ndef f(): ...\npytestmark = [mark.spec("e.f")]'
    assert sorted(cited_by_tests(marks)) == ["a.b", "c.d", "e.f"]
