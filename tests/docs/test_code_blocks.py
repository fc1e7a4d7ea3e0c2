"""Every Python block of README.md and docs/ runs: a page's blocks in order, in one module and one empty folder."""

from __future__ import annotations

import doctest
import re
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser

from project import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SYBIL = Sybil(parsers=[PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS)])
FENCE = re.compile(r"^ *(?:```|~~~|:::)[ {]*(?:python|py|pycon|code-block|doctest)\b", flags=re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    document = SYBIL.parse(page)
    # Annotations are looked up in the module that a class says it is from: each page is a module.
    module = ModuleType(f"page_{page.stem.replace('-', '_').lower()}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    document.namespace = vars(module)
    ran = set()
    for example in document.examples():
        example.evaluate()
        ran.add(example.line)
    # A block that nobody runs is one that nobody notices going stale. (A session of >>> is several examples.)
    text = page.read_text(encoding="utf-8")
    blocks = [text.count("\n", 0, match.start()) + 1 for match in FENCE.finditer(text)]
    assert [start for start, end in pairwise([*blocks, sys.maxsize]) if ran.isdisjoint(range(start, end))] == []
