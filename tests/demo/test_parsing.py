"""Any text gives a value; a value that others see does not say where things stand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from incr.demo.edits import EDITS, edit_body, edit_comment, edit_signature, editable_function
from incr.demo.syntax import parse_text
from incr.demo.values import Symbol

BAD = {
    "not Python": ("x = 1\nx +", 2),
    "a null character": ("x = 'a\0b'", 1),
    "a lone surrogate": ("x = '\ud800'", 1),
    "indented": ("  x", 1),
    "what only the compiler sees": ("def f(a, a): ...", 1),
    "nested too deeply": ("(" * 100_000, 1),
    "operators nested too deeply": ("-" * 200_000 + "1", 1),
}


@pytest.mark.parametrize(("text", "line"), BAD.values(), ids=BAD.keys())
def test_a_file_that_is_not_python_is_a_value(text: str, line: int) -> None:
    parsed = parse_text(text)
    assert parsed.module.error
    assert parsed.module.dynamic  # nobody knows what it would define
    assert parsed.lines.error == line


def test_warnings_about_the_text_are_not_ours() -> None:
    assert parse_text("x = '\\d'\nx is 1\n").module.error == ""


def test_functions_and_classes_are_symbols_as_deep_as_others_can_reach() -> None:
    text = """
class A(B, metaclass=M):
    def f(self):
        def inner(): ...
    class C:
        async def g(self): ...
if A:
    def h(a, b: int = 1, /, *c: str, d, e=None, **f) -> "A": ...
else:
    def h(*, a=[1]): ...
"""
    assert parse_text(text).module.symbols == (
        Symbol("A", "class", "(B, metaclass=M)", 0),
        Symbol("A.f", "function", "(self)", 1),
        Symbol("A.C", "class", "", 0),
        Symbol("A.C.g", "function", "async (self)", 1),
        Symbol("h", "function", "(a, b: int=1, /, *c: str, d, e=None, **f) -> 'A'", 6),
        Symbol("h", "function", "(*, a=[1])", 1),
    )


TEXT = '''\
"""A module."""
import os


def first(): return 1


@decorated
def second(
    path,
):
    if path:
        return os.fspath(path)
    return """
    many lines"""


value = os.name
'''


def test_the_first_function_that_can_be_edited() -> None:
    assert editable_function(TEXT) == "second"  # the first one has no line of its own for a statement
    assert editable_function("class A:\n    def f(self):\n        pass\n") is None
    assert editable_function("def (") is None
    with pytest.raises(LookupError, match="third"):
        edit_body(TEXT, "third")


def test_each_edit_changes_what_it_is_named_after() -> None:
    before = parse_text(TEXT)

    body = parse_text(edit_body(TEXT, "second"))
    assert body.module == before.module

    comment = edit_comment(TEXT, "second")
    assert 'many lines"""  # a comment was added\n' in comment
    assert parse_text(comment) == before

    signature = parse_text(edit_signature(TEXT, "second"))
    assert "added_parameter, path" in signature.module.symbols[1].signature
    assert replace(signature.module, symbols=before.module.symbols) == before.module


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("parameters", ["", "*, a", "*a", "**a", "/", "a, /", "a=1, b=2"])
def test_edits_fit_to_any_parameters_and_newlines(parameters: str, newline: str) -> None:
    parameters = "x, /" if parameters == "/" else parameters
    text = newline.join(["'\f'", f"def f({parameters}):", "\tif 1:", "\t\tpass", "\treturn 2"])
    for _, edit in EDITS:
        text = edit(text, "f")
        assert parse_text(text).module.error == ""
    assert "added_to_the_body" in text
    assert "def f(added_parameter, " in text
    assert text.endswith("# a comment was added")
