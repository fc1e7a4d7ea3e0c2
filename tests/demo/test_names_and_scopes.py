"""What a file says about names: which it never defines, which imports it never uses. In doubt nothing is said."""

from __future__ import annotations

import builtins
import sys
from textwrap import dedent

import pytest

from incr.demo.syntax import lines_of_names, parse_text
from incr.demo.values import Module


def module(text: str) -> Module:
    found = parse_text(dedent(text)).module
    assert found.error == ""
    return found


def unknown(text: str) -> set[str]:
    return set(module(text).unbound) - set(dir(builtins))


def idle(text: str) -> list[str]:
    return [item.bound for item in module(text).imports if not item.used]


DEFINED = {
    "a parameter": "def f(a, /, b, *c, d, **e): return a, b, c, d, e",
    "a name that is bound later": "def f(): return later\nlater = 1",
    "a loop, a with, an except": "for a in ():\n  a\nwith open('') as b: b\ntry: pass\nexcept OSError as c: c",
    "a comprehension": "[x for xs in () for x in xs if x]; {y: z for y, z in ()}; (lambda q: q)",
    "a comprehension in a class": "class A:\n    n = 1\n    values = [m for m in range(n)]",
    "a walrus": "if (n := 1): n\n[m := k for k in ()]; m",
    "a global that a function makes": "def f():\n    global made\n    made = 1\ndef g(): return made",
    "a nonlocal": "def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = 2\n    return g",
    "patterns": "match 1:\n    case [a, *b]: a, b\n    case {'k': c, **d}: c, d\n    case int() as e: e",
    "a class inside of a function": "def f():\n    y = 1\n    class A:\n        x = y\n    return A",
    "what each class and method has": "class A:\n    __module__, __qualname__\n    def f(self): return __class__",
    "a name that is deleted": "x = 1\ndel x",
    "an annotation alone": "x: int\nprint(x)",
    "a name that is tried": "try: unicode\nexcept NameError: unicode = str\ntry: raw_input()\nexcept NameError: pass",
    "an import in a function": "def f():\n    import os.path as p\n    return p",
    "a name in a string annotation": "def f(x: 'Nowhere') -> 'Nowhere': ...",
}


@pytest.mark.parametrize("text", DEFINED.values(), ids=DEFINED.keys())
def test_a_name_that_is_defined_is_known(text: str) -> None:
    allowed = {"__class__", "__module__", "__qualname__"}
    assert unknown(text) <= allowed


UNDEFINED = {
    "in a function": ("def f():\n    return nowhere", 2),
    "in a class": ("class A:\n    x = nowhere", 2),
    "in a method, with a class variable of that name": (
        "class A:\n    nowhere = 1\n    def f(self): return nowhere",
        3,
    ),
    "in a comprehension": ("def f(xs):\n    return [nowhere for x in xs]", 2),
    "in a decorator": ("@nowhere\ndef f(): ...", 1),
    "in a default": ("def f(x=nowhere): ...", 1),
    "in an annotation": ("def f(x: nowhere): ...", 1),
    "below a function that has it as a variable": ("def f(nowhere): return nowhere\n\ndef g(): return nowhere", 3),
    "after a try for something else": ("try:\n    nowhere\nexcept ValueError: pass", 2),
}


@pytest.mark.parametrize(("text", "line"), UNDEFINED.values(), ids=UNDEFINED.keys())
def test_a_name_that_is_never_defined_is_found_with_its_line(text: str, line: int) -> None:
    assert unknown(text) == {"nowhere"}
    assert lines_of_names(text, ("nowhere",)) == (line,)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters are a syntax error before 3.12")
def test_type_parameters_are_scopes() -> None:
    text = (
        "def f[T: int](x: T) -> T: ...\nclass A[U](list[U]):\n    def g(self) -> U: ...\ntype B[V] = list[V] | nowhere"
    )
    assert unknown(text) == {"nowhere"}


USED = {
    "read": "import a\na.b",
    "read in a function within": "def f():\n    import a\n    def g(): return a\n    return g",
    "read in a comprehension of the same function": "def f(xs):\n    import a\n    return [a for x in xs]",
    "read in a class body in a function": "def f():\n    import a\n    class A:\n        x = a\n    return A",
    "in __all__": "from a import b\n__all__ = ['b']",
    "in an annotation that is a string": "from a import B\ndef f(x: 'list[B]'): ...",
    "in an annotation of a variable": "from __future__ import annotations\nfrom a import B\nx: B",
    "in an annotation that is postponed": "from __future__ import annotations\nimport a\ndef f(y: a.B): ...",
    "in a result that is postponed": "from __future__ import annotations\nfrom a import B\ndef f() -> list[B]: ...",
    "in a string that is code": "from typing import cast\nimport a\ncast('a.B', 1)",
    "in an example of a docstring": "import a\n'''\n>>> a.f()\n'''",
    "deleted": "import a\ndel a",
    "said to be for others": "from a import b as b",
    "a future": "from __future__ import annotations",
    "in a class": "class A:\n    import a",
    "two of one package": "import a.b\nimport a.c\na.b",
    "read as a global of a function": "def f():\n    global a\n    import a\ndef g(): return a",
}


@pytest.mark.parametrize("text", USED.values(), ids=USED.keys())
def test_an_import_that_may_be_used_is_not_reported(text: str) -> None:
    assert idle(text) == []


IDLE = {
    "at the top": ("import a\nimport b\nb", ["a"]),
    "under another name": ("import a.b as c\na = 1\na", ["c"]),
    "in a function, with a module of that name in use": ("import a\na\ndef f():\n    import a", ["a"]),
    "in a function, with a variable of that name elsewhere": ("def f():\n    import a\ndef g(a): return a", ["a"]),
    "only spoken of": ("import time  # the time\n'''All about time.'''", ["time"]),
    "of many names": ("from a import (b,\n  c, d)\nc", ["b", "d"]),
}


@pytest.mark.parametrize(("text", "names"), IDLE.values(), ids=IDLE.keys())
def test_an_import_that_nothing_reads_is_found(text: str, names: list[str]) -> None:
    assert idle(text) == names


def test_an_import_knows_whether_it_runs_at_once_and_whether_it_may_fail() -> None:
    text = """
        from typing import TYPE_CHECKING
        import now
        if TYPE_CHECKING:
            import checked
        else:
            import unchecked
        try:
            import tried
        except ImportError:
            import instead
        else:
            import then
        def f():
            import later
        class A:
            import inside
        with f():
            import watched
        """
    items = module(text).imports
    assert [item.bound for item in items if item.deferred] == ["checked", "later"]
    assert [item.bound for item in items if item.guarded] == ["tried", "instead", "watched"]


def test_what_a_star_takes() -> None:
    assert module("a = 1\n_b = 2\ndef c(): ...").public == ("a", "c")
    assert module("__all__ = ['_b']\n__all__ += ('c',)\na = _b = c = 1").public == ("_b", "c")
    assert module("import x\n__all__ = x.__all__ + ['a']\na = _b = 1").public == ("__all__", "_b", "a", "x")
    assert module("__all__ = []\n__all__.extend(dir())\na = 1").public == ("__all__", "a")


@pytest.mark.parametrize(
    "text",
    [
        "globals()['x'] = 1",
        "exec('x = 1')",
        "def __getattr__(name): ...",
        "import enum\n@enum.global_enum\nclass A: ...",
    ],
)
def test_a_module_that_makes_names_is_dynamic(text: str) -> None:
    assert module(text).dynamic
    assert not module("x = 1").dynamic
