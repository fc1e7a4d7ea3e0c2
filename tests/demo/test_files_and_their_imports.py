"""What files say about each other: where imports lead, which names they ask for in vain, which import in circles."""

from __future__ import annotations

from collections.abc import Callable

import incr
from incr.demo.inputs import Interpreter, Source
from incr.demo.queries import cycles, defines, exports, find_module, imports, loads, missing, report, summary, undefined
from incr.demo.values import Problem, Report, Summary, Target

MakeDatabase = Callable[..., incr.Database]


def files(db: incr.View, path: str) -> list[str | None]:
    return [target.needs for target in imports(db, path)]


def test_absolute_names_begin_at_the_root(database: MakeDatabase) -> None:
    db = database(
        {
            "main.py": "import a, a.b, c, c.d, nowhere, c.nowhere\nfrom a import b\nfrom c import x",
            "a/__init__.py": "",
            "a/b.py": "",
            "c.py": "",
        }
    )
    assert files(db, "main.py") == [
        "a/__init__.py", "a/b.py", "c.py", "c.py", None, "c.py", "a/b.py", "c.py",
    ]  # fmt: skip
    assert imports(db, "main.py")[5] == Target(None, None, "c.py")
    assert imports(db, "main.py")[6] == Target("a/__init__.py", "a/b.py", "a/b.py")


def test_relative_names_begin_at_the_files_package(database: MakeDatabase) -> None:
    db = database(
        {
            "a/__init__.py": "from . import b\nfrom .b import x\nfrom .c import y",
            "a/b.py": "from . import c\nfrom .c.d import z\nfrom .. import a\nfrom ... import a",
            "a/c/__init__.py": "from ..b import x\nfrom ... import main",
            "a/c/d.py": "from .. import c\nfrom . import d",
            "main.py": "",
        }
    )
    assert files(db, "a/__init__.py") == ["a/b.py", "a/b.py", "a/c/__init__.py"]
    assert files(db, "a/b.py") == ["a/c/__init__.py", "a/c/d.py", "a/__init__.py", None]
    assert files(db, "a/c/__init__.py") == ["a/b.py", "main.py"]
    assert files(db, "a/c/d.py") == ["a/c/__init__.py", "a/c/d.py"]


def test_a_package_wins_over_a_module_and_a_folder_without_init_is_a_package_too(database: MakeDatabase) -> None:
    db = database({"main.py": "import a\nimport b.c", "a.py": "", "a/__init__.py": "", "b/c.py": ""})
    assert files(db, "main.py") == ["a/__init__.py", "b/c.py"]


def test_the_root_may_be_a_package_itself_or_have_its_source_in_a_folder(database: MakeDatabase) -> None:
    db = database({"__init__.py": "", "a.py": "import x.y\nimport x.y.b\nfrom x import z", "b.py": ""}, package="x.y")
    assert files(db, "a.py") == ["__init__.py", "b.py", None]
    db = database({"tests/t.py": "import a\nimport helper", "tests/helper.py": "", "src/a.py": ""}, starts=("", "src"))
    assert files(db, "tests/t.py") == ["src/a.py", "tests/helper.py"]


def test_a_program_finds_what_lies_beside_it_and_a_package_does_not(database: MakeDatabase) -> None:
    there = {"a/x.py": "import y", "a/y.py": ""}
    assert files(database(there), "a/x.py") == ["a/y.py"]
    assert files(database({**there, "a/__init__.py": ""}), "a/x.py") == [None]


def test_a_file_that_appears_is_found_and_nothing_else_is_looked_at(database: MakeDatabase) -> None:
    db = database({"main.py": "import a", "other.py": "import os"})
    assert find_module(db, "a", "") is None
    assert find_module(db, "os", "") is None
    db.set(Source("a.py", text=""))
    assert files(db, "main.py") == ["a.py"]
    db.remove(Source, "a.py")
    assert files(db, "main.py") == [None]


def test_a_name_that_a_file_never_defines_cannot_be_imported(database: MakeDatabase) -> None:
    db = database(
        {
            "main.py": """
                from a import x, nowhere, __doc__
                from a import b, gone
                from a.b import y
                from os import path
                try:
                    from a import perhaps
                except ImportError:
                    pass
                """,
            "a/__init__.py": "x = 1",
            "a/b.py": "",
        }
    )
    found = [problem for problem in report(db, "main.py").problems if problem.kind == "missing name"]
    assert found == [
        Problem(2, "missing name", "a.nowhere"),
        Problem(3, "missing name", "a.gone"),
        Problem(4, "missing name", "a.b.y"),
    ]


def test_what_is_in_a_package_need_not_be_python(database: MakeDatabase) -> None:
    db = database({"a/__init__.py": "", "a/b.py": "from . import data\nfrom a import _speedups, lost", "c.py": ""})
    assert missing(db, "a/b.py") == (2,)
    db = database({"c.py": "from b import _lost", "b.py": ""})
    assert missing(db, "c.py") == (0,)


def test_a_file_that_makes_its_names_or_is_not_python_may_define_anything(database: MakeDatabase) -> None:
    for text in ("globals()['x'] = 1", "def __getattr__(name): ...", "def (", "from _c import *"):
        db = database({"main.py": "from a import x\nx", "a.py": text})
        assert missing(db, "main.py") == ()
        assert defines(db, "a.py", "x")


def test_stars_are_followed_also_in_circles(database: MakeDatabase) -> None:
    db = database(
        {
            "a.py": "from b import *\nx = 1\n_p = 1",
            "b.py": "from c import *\nfrom a import *\n_q = 1\n",
            "c.py": "z = 1\nunseen = 1\n__all__ = ['z']",
            "main.py": "from a import *\nprint(x, z, _p, _q, unseen)",
        }
    )
    assert exports(db, "a.py").names == ("_p", "x", "z")
    assert exports(db, "b.py").names == ("_q", "x", "z")
    assert exports(db, "a.py").complete
    assert undefined(db, "main.py") == ("_p", "_q", "unseen")


def test_a_star_of_a_file_that_is_not_there_may_bring_any_name(database: MakeDatabase) -> None:
    db = database({"main.py": "from _c import *\nprint(x)", "b.py": "from main import *\nprint(y)"})
    assert undefined(db, "main.py") == ()
    assert undefined(db, "b.py") == ()


def test_importing_from_a_submodule_makes_it_a_name_of_the_package(database: MakeDatabase) -> None:
    db = database({"a/__init__.py": "from .b import *\nfrom .c import d\nb, c, d, e", "a/b.py": "", "a/c.py": "d = 1"})
    assert undefined(db, "a/__init__.py") == ("e",)


def test_names_that_exist_everywhere_are_an_input(database: MakeDatabase) -> None:
    db = database({"a.py": "print(spam, __file__, _)"})
    assert undefined(db, "a.py") == ("spam",)
    db.set(Interpreter(builtins=("spam",)))
    assert undefined(db, "a.py") == ("_", "print")


def test_what_is_imported_later_makes_no_cycle(database: MakeDatabase) -> None:
    db = database(
        {
            "a.py": "import b",
            "b.py": "import c",
            "c.py": "def f():\n    import a",
            "x/__init__.py": "from . import y",
            "x/y.py": "from x import z",
            "x/z.py": "from . import y",
            "alone.py": "import alone",
        }
    )
    assert loads(db, "c.py") == ()
    assert loads(db, "alone.py") == ()
    assert cycles(db) == (("x/y.py", "x/z.py"),)
    db.set(Source("c.py", text="import a"))
    assert cycles(db) == (("a.py", "b.py", "c.py"), ("x/y.py", "x/z.py"))


def test_reports_and_the_summary(database: MakeDatabase) -> None:
    db = database(
        {
            "a.py": """
                import os
                from b import f, g
                class A:
                    def m(self, x): return f(y)
                """,
            "b.py": "def f(*args, key=None): ...",
            "bad.py": "def (",
        }
    )
    assert report(db, "a.py") == Report(
        functions=1,
        classes=1,
        parameters=2,
        inside=2,
        outside=1,
        problems=(
            Problem(2, "unused import", "os"),
            Problem(3, "missing name", "b.g"),
            Problem(3, "unused import", "g"),
            Problem(5, "undefined name", "y"),
        ),
    )
    assert [(problem.line, problem.kind) for problem in report(db, "bad.py").problems] == [(1, "syntax error")]
    assert summary(db) == Summary(
        files=3,
        functions=2,
        classes=1,
        parameters=4,
        inside=2,
        outside=1,
        syntax_errors=1,
        unused_imports=2,
        undefined_names=1,
        missing_names=1,
        cycles=(),
    )
    assert summary(database({})).files == 0
