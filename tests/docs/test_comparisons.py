"""docs/comparisons.md names rules and tests that exist."""

from __future__ import annotations

import re

from project import ROOT

PAGE = (ROOT / "docs" / "comparisons.md").read_text(encoding="utf-8")


def test_the_rules_that_it_links_to_are_rules() -> None:
    labels = set(re.findall(r"^\(([a-z-]+)\)=$", (ROOT / "docs" / "spec.md").read_text(encoding="utf-8"), re.MULTILINE))
    links = re.findall(r"\[([a-z.-]+)\]\(#([a-z-]+)\)", PAGE)
    assert len(links) > 100
    assert [(text, label) for text, label in links if label not in labels or text.replace(".", "-") != label] == []


def test_the_tests_that_it_names_are_there() -> None:
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 30
    for file, function in named:
        (found,) = (ROOT / "tests").glob(f"*/{file}")
        source = found.read_text(encoding="utf-8")
        assert not function or f"def {function}(" in source, f"{file}::{function}"
