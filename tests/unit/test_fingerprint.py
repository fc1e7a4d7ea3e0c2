"""A fingerprint changes with what the code means and with what it reaches, and with nothing else."""

from __future__ import annotations

import abc
import dis
import importlib
import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

import incr
from incr._fingerprint import fingerprint
from incr._fingerprint.reach import references
from incr._fingerprint.text import nested_codes

BASE = {
    "__init__": "",
    "tools": """
        import json
        from dataclasses import dataclass

        LIMIT = 3
        WORDS = {"one", "two", "three", "four"}

        @dataclass(frozen=True)
        class Point:
            x: int
            y: int = 0

            def size(self):
                return self.x + inner(self.y)

        def inner(value):
            return value + LIMIT

        def outer(value):
            return inner(value) * 2

        def unrelated(value):
            return json.dumps(value)
    """,
    "queries": """
        from shop import tools
        from shop.tools import outer

        def body(db, name: str, *, count=2):
            \"\"\"Says what it does.\"\"\"
            # and why
            return [outer(item) for item in db[name] if item in tools.WORDS][:count]
    """,
}


class Shop:
    """A package that exists in several versions, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def load(self, files: dict[str, str]) -> ModuleType:
        """Import this version of the package; gives its module `queries`."""
        self.forget()
        self._count += 1
        package = self._folder / str(self._count) / "shop"
        package.mkdir(parents=True)
        for name, text in files.items():
            (package / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
        sys.path.insert(0, str(package.parent))
        importlib.invalidate_caches()
        return importlib.import_module("shop.queries")

    def forget(self) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
            del sys.modules[name]
        sys.path[:] = [path for path in sys.path if not path.startswith(str(self._folder))]

    def mark(self, changes: dict[str, tuple[str, str]] | None = None, **options: Any) -> bytes:
        """The fingerprint of `body` when in the modules named by *changes* one text is replaced by another."""
        files = dict(BASE)
        for name, (old, new) in (changes or {}).items():
            assert old in files[name]
            files[name] = files[name].replace(old, new)
        return fingerprint(self.load(files).body, **options)

    def of(self, queries: str, tools: str = BASE["tools"], **others: str) -> bytes:
        """The fingerprint of `body` in a package with these modules."""
        return fingerprint(self.load({"__init__": "", "queries": queries, "tools": tools, **others}).body)


@pytest.fixture
def shop(tmp_path: Path) -> Any:
    shop = Shop(tmp_path)
    yield shop
    shop.forget()


@pytest.mark.spec("fingerprint.code")
def test_it_is_sixteen_bytes_and_the_same_for_the_same_code(shop: Shop) -> None:
    first = shop.mark()
    assert isinstance(first, bytes)
    assert len(first) == 16
    assert first == shop.mark()


@pytest.mark.spec("fingerprint.code")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# and why", "# for another reason"),
        ("# and why", ""),
        ('"""Says what it does."""', '"""Says something else."""'),
        ('"""Says what it does."""', ""),
        ("[outer(item) for", "[outer(\n                item\n            ) for"),
        ("def body", "\n\n\n\n        def body"),
        ("db[name] if", "(db[name]) if"),
    ],
)
def test_text_without_meaning_does_not_count(shop: Shop, old: str, new: str) -> None:
    assert shop.mark() == shop.mark({"queries": (old, new)})


@pytest.mark.spec("fingerprint.code")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[:count]", "[1:count]"),
        ("count=2", "count=3"),
        ("name: str", "name: bytes"),
        ("(db, name: str", "(db, other: int, name: str"),
        ("tools.WORDS", "tools.LIMIT"),
        ("outer(item)", "tools.inner(item)"),
    ],
)
def test_the_code_and_its_defaults_count(shop: Shop, old: str, new: str) -> None:
    assert shop.mark() != shop.mark({"queries": (old, new)})


@pytest.mark.spec("fingerprint.code")
def test_the_version_and_extra_classes_count(shop: Shop) -> None:
    assert shop.mark() != shop.mark(version=1)
    assert shop.mark() != shop.mark(extra=(int,))
    assert shop.mark(version=1) == shop.mark(version=1)


@pytest.mark.spec("fingerprint.code")
def test_the_name_counts(shop: Shop) -> None:
    module = shop.load(BASE | {"queries": "def body(db): return 1\ndef twin(db): return 1"})
    assert fingerprint(module.body) != fingerprint(module.twin)


@pytest.mark.spec("fingerprint.reach")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("inner(value) * 2", "inner(value) * 3"),  # a function that is named
        ("value + LIMIT", "value - LIMIT"),  # one that this one names
        ("LIMIT = 3", "LIMIT = 4"),  # a constant
        ('"three", "four"', '"three", "five"'),  # a constant of a module that is named
    ],
)
def test_what_the_code_names_counts(shop: Shop, old: str, new: str) -> None:
    assert shop.mark() != shop.mark({"tools": (old, new)})


@pytest.mark.spec("fingerprint.reach")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("json.dumps(value)", "json.dumps([value])"),
        ("y: int = 0", "z: int = 0"),
        ("LIMIT = 3", "LIMIT = 3\n        OTHER = object()"),
        ('"one", "two", "three"', '"three", "two", "one"'),
    ],
)
def test_what_the_code_does_not_name_does_not_count(shop: Shop, old: str, new: str) -> None:
    assert shop.mark() == shop.mark({"tools": (old, new)})


CLASSES = [
    ("def body(db):\n    return Point(1).size()", "self.x + inner", "self.x - inner"),  # a method
    ("def body(db):\n    return Point(1)", "y: int = 0", "y: int = 1"),  # a default of a field
    ("def body(db):\n    return Point(1)", "y: int", "z: int"),  # a field's name
    ("def body(db) -> Point:\n    return db[0]", "y: int", "y: bool"),  # a class in an annotation
    ("def body(db, at: 'list[Point]'):\n    return db[0]", "y: int", "z: int"),  # ... that is text
    ("def body(db, at: 'list[tools.Point]'):\n    return db[0]", "y: int", "z: int"),
    ("def body(db, at: list['Point']):\n    return db[0]", "y: int", "z: int"),  # ... in part
    ("def body(db, at: Optional['Point']):\n    return db[0]", "y: int", "z: int"),
    ("def body(db):\n    return tools.Point(1)", "y: int", "z: int"),  # through a module
    ("def body(db):\n    return [(lambda: Point(1))() for _ in db]", "y: int", "z: int"),  # in nested code
    ("def body(db):\n    from shop.tools import Point as P\n    return P(1)", "y: int", "z: int"),  # imported late
    ("def body(db):\n    from . import tools\n    return tools.Point(1)", "y: int", "z: int"),
    ("def body(db):\n    import shop.tools\n    return shop.tools.Point(1)", "y: int", "z: int"),
    ("def body(db):\n    return getattr(tools, 'Point')(1)", "y: int", "z: int"),  # a module that is passed around
    ("def body(db, make=Point):\n    return make(1)", "y: int", "z: int"),  # a default
    ("MAKERS = {'p': [Point]}\ndef body(db):\n    return MAKERS['p'][0](1)", "y: int", "z: int"),  # in a constant
    ("POINT = Point(1)\ndef body(db):\n    return POINT", "y: int = 0", "y: int = 1"),  # a value of its own class
]


@pytest.mark.spec("fingerprint.reach")
@pytest.mark.parametrize(("body", "old", "new"), CLASSES)
def test_classes_that_are_named_count(shop: Shop, body: str, old: str, new: str) -> None:
    queries = f"from typing import Optional\nfrom shop import tools\nfrom shop.tools import Point\n\n{body}\n"
    tools = textwrap.dedent(BASE["tools"])
    assert old in tools
    assert shop.of(queries, tools) == shop.of(queries, tools)
    assert shop.of(queries, tools) != shop.of(queries, tools.replace(old, new))


@pytest.mark.spec("fingerprint.reach")
@pytest.mark.parametrize(
    ("decorator", "base"), [("@dataclass", "object"), ("@attrs.frozen", "object"), ("", "NamedTuple")]
)
def test_the_fields_of_somebody_elses_class_count(shop: Shop, decorator: str, base: str) -> None:
    def mark(fields: str) -> bytes:
        other = ModuleType("elsewhere")
        source = f"from dataclasses import dataclass\nfrom typing import NamedTuple\nimport attrs\n{decorator}\n"
        sys.modules["elsewhere"] = other
        try:
            exec(f"{source}class Point({base}):\n    {fields}\n", vars(other))
            return shop.of("from elsewhere import Point\ndef body(db) -> Point:\n    return db[0]\n")
        finally:
            del sys.modules["elsewhere"]

    assert mark("x: int") == mark("x: int")
    assert mark("x: int") != mark("y: int")


CONSTANTS = [
    ("Decimal('1.1')", "Decimal('1.2')"),
    ("Path('a')", "Path('b')"),
    ("re.compile('a')", "re.compile('a', re.I)"),
    ("re.compile('a').match", "re.compile('b').match"),
    ("'a'.join", "'b'.join"),
    ("math.sqrt", "cmath.sqrt"),
    ("functools.partial(len, 1)", "functools.partial(len, 2)"),
    ("1", "True"),
    ("1", "1.0"),
    ("0.0", "-0.0"),
    ("(1, 2)", "[1, 2]"),
    ("{1: 2, 3: 4}", "{3: 4, 1: 2}"),
    ("frozenset({'a'})", "frozenset({'b'})"),
    ("collections.Counter('aab')", "collections.Counter('abb')"),
    ("'\\ud800'", "'\\ud801'"),
    ("10 ** 5000", "10 ** 5000 + 1"),
    ("[lambda: 1]", "[lambda: 2]"),
    ("enum.Enum('E', 'a b').a", "enum.Enum('E', 'b a').a"),
]


@pytest.mark.spec("fingerprint.reach")
@pytest.mark.parametrize(("first", "second"), CONSTANTS)
def test_constants_count_by_value(shop: Shop, first: str, second: str) -> None:
    def queries(value: str) -> str:
        return (
            "import cmath, collections, enum, functools, math, re\n"
            "from decimal import Decimal\nfrom pathlib import Path\n"
            f"VALUE = {value}\ndef body(db):\n    return VALUE\n"
        )

    assert shop.of(queries(first)) == shop.of(queries(first))
    assert shop.of(queries(first)) != shop.of(queries(second))


@pytest.mark.spec("fingerprint.code")
@pytest.mark.parametrize(
    "value",
    ["object()", "threading.Lock()", "LOOP", "{'self': LOOP}", "iter([])", "open(os.devnull, 'rb', 0)", "Stateful()"],
)
def test_objects_without_a_value_are_stable(shop: Shop, value: str) -> None:
    queries = f"""
        import os, threading
        LOOP = []
        LOOP.append(LOOP)
        class Stateful:
            def __reduce_ex__(self, protocol):
                raise RuntimeError("not now")
        VALUE = {value}
        def body(db):
            return VALUE
    """
    marks = []
    for _ in range(2):
        module = shop.load({"__init__": "", "queries": queries})
        marks.append(fingerprint(module.body))
        if hasattr(module.VALUE, "close"):
            module.VALUE.close()
    assert marks[0] == marks[1]


@pytest.mark.spec("fingerprint.reach")
def test_functions_that_name_each_other_count_together(shop: Shop) -> None:
    tools = "def even(n):\n    return n == 0 or odd(n - 1)\ndef odd(n):\n    return n != 0 and even(n - 1)\n"
    queries = "from shop.tools import even, odd\ndef body(db):\n    return even(1)\ndef twin(db):\n    return odd(1)\n"
    module = shop.load({"__init__": "", "queries": queries, "tools": tools})
    forth = fingerprint(module.body), fingerprint(module.twin)
    module = shop.load({"__init__": "", "queries": queries, "tools": tools})
    back = fingerprint(module.twin), fingerprint(module.body)
    assert forth == back[::-1]
    for changed in ("n - 2)\ndef", "n == 1"):
        old = changed.replace("2", "1") if changed.startswith("n -") else "n == 0"
        assert forth[0] != shop.of(queries, tools.replace(old, changed))


@pytest.mark.spec("fingerprint.reach")
def test_a_chain_of_three_thousand_functions_is_no_deeper_than_one(shop: Shop) -> None:
    tools = "def f0(n):\n    return n\n" + "".join(f"def f{i}(n): return f{i - 1}(n)\n" for i in range(1, 3_000))
    queries = "from shop.tools import f2999\ndef body(db):\n    return f2999(1)\n"
    assert shop.of(queries, tools) != shop.of(queries, tools.replace("return n\n", "return -n\n"))


@pytest.mark.spec("fingerprint.reach")
def test_decorated_functions_are_looked_through(shop: Shop) -> None:
    tools = """
        import contextlib, functools

        def twice(function):
            @functools.wraps(function)
            def wrapper(value):
                return function(function(value))
            return wrapper

        @twice
        def a(value): return value + 10

        def generated(function):
            # As libraries do that keep the signature: the new function finds the old one in globals of its own.
            namespace = {"__name__": "elsewhere", "function": function}
            exec("def new(value): return function(value)", namespace)
            return functools.update_wrapper(namespace["new"], function)

        @generated
        def j(value): return value + 15

        @functools.lru_cache(maxsize=3)
        def b(value): return value + 20

        @contextlib.contextmanager
        def c(value): yield value + 30

        @functools.singledispatch
        def d(value): return value + 40

        @d.register
        def _(value: str): return value + "50"

        class E:
            @property
            def f(self): return 60
            @staticmethod
            def g(): return 70
            @classmethod
            def h(cls): return 80
            @functools.cached_property
            def i(self): return 90
    """
    queries = "from shop.tools import *\ndef body(db):\n    return a, b, c, d, E, j\n"
    before = shop.of(queries, tools)
    assert before == shop.of(queries, tools)
    for number in ["10", "15", "20", "30", "40", "50", "60", "70", "80", "90", "function(function"]:
        assert before != shop.of(queries, tools.replace(number, "1" if number.isdigit() else "(function")), number


@pytest.mark.spec("fingerprint.code")
def test_what_a_wrapper_of_the_standard_library_counts_for_itself_does_not_count(shop: Shop) -> None:
    queries = """
        import abc, functools

        @functools.singledispatch
        def helper(value): return 1

        class Abstract(abc.ABC):
            @abc.abstractmethod
            def method(self): ...

        helper.register(Abstract, lambda value: 2)

        def body(db):
            return helper(db)
    """
    first = shop.of(queries)

    class Unrelated(abc.ABC):  # noqa: B024 - only registered with, which is what singledispatch looks at
        pass

    Unrelated.register(int)
    assert first == shop.of(queries)


@pytest.mark.spec("fingerprint.code")
def test_a_container_in_itself_ends(shop: Shop) -> None:
    queries = "BOTH = []\nBOTH += [BOTH, BOTH]\ndef body(db):\n    return BOTH\n"
    assert shop.of(queries) == shop.of(queries)


@pytest.mark.spec("fingerprint.reach")
def test_closures_count_by_what_they_hold(shop: Shop) -> None:
    def queries(number: int) -> str:
        return (
            "def make(n, later=None):\n    def body(db):\n        return n, late\n    if later:\n        late = later\n"
            f"    return body\nbody = make({number})\n"
        )

    assert shop.of(queries(1)) == shop.of(queries(1))
    assert shop.of(queries(1)) != shop.of(queries(2))


@pytest.mark.spec("fingerprint.reach")
def test_another_query_counts_by_its_name(shop: Shop) -> None:
    queries = """
        import incr
        LIMIT = 1

        @incr.query
        def other(db: incr.View) -> int:
            return LIMIT

        @incr.query
        def body(db: incr.View) -> int:
            return other(db)
    """
    changed = queries.replace("LIMIT = 1", "LIMIT = 2")
    assert shop.of(queries) == shop.of(changed)
    assert shop.of(queries) != shop.of(queries.replace("other", "another"))
    first = fingerprint(shop.load({"__init__": "", "queries": queries}).other)
    assert first != fingerprint(shop.load({"__init__": "", "queries": changed}).other)


@pytest.mark.spec("fingerprint.code")
def test_how_a_query_is_remembered_does_not_count(shop: Shop) -> None:
    queries = "import incr\n@incr.query\ndef body(db: incr.View) -> int:\n    return 1\n"
    for decorator in ("@incr.query(persist=False)", "@incr.query(eq=False)"):
        assert shop.of(queries) == shop.of(queries.replace("@incr.query", decorator))


@pytest.mark.spec("fingerprint.reach")
@pytest.mark.parametrize(
    ("old", "new"), [("text: str", "body: str"), ("text: str", "text: bytes"), ("return 1", "return 2")]
)
@pytest.mark.parametrize("decorator", ["input", "interned"])
def test_records_count_by_their_fields_and_methods(shop: Shop, decorator: str, old: str, new: str) -> None:
    queries = f"""
        import incr

        @incr.{decorator}
        class Source:
            text: str

            def size(self) -> int:
                return 1

        @incr.query
        def body(db: incr.View) -> object:
            return db.get(Source)
    """
    assert shop.of(queries) == shop.of(queries)
    assert shop.of(queries) != shop.of(queries.replace(old, new))


@pytest.mark.spec("fingerprint.code")
def test_a_file_that_was_edited_after_the_import_does_not_speak_for_the_running_code(shop: Shop) -> None:
    old, new = "def body(db):\n    return 1\n", "def body(db):\n    return 22\n"
    running = shop.load({"__init__": "", "queries": old})
    assert running.__file__ is not None
    Path(running.__file__).write_text(new, encoding="utf-8")
    assert fingerprint(running.body) != shop.of(new)


def _body_from(source: str) -> FunctionType:
    namespace: dict[str, Any] = {"__name__": "made"}
    exec(source, namespace)
    body: FunctionType = namespace["body"]
    return body


@pytest.mark.spec("fingerprint.code")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return 1", "return 2"),
        ("'a', 'b'", "'a', 'c'"),
        ("lambda: 3", "lambda: 4"),
        ("len", "repr"),
        ("LIMIT = 5", "LIMIT = 6"),
        ("helper(value): return -1", "helper(value): return -2"),
    ],
)
def test_code_without_a_source_counts_by_its_bytecode(old: str, new: str) -> None:
    source = """
LIMIT = 5
def helper(value): return -1
def body(db, value):
    "Documented."
    if value in {'a', 'b', 'd', 'e'}:
        return len(value)
    if helper(value) > LIMIT:
        return lambda: 3
    return 1
"""
    assert old in source
    assert fingerprint(_body_from(source)) == fingerprint(_body_from(source))
    assert fingerprint(_body_from(source)) == fingerprint(_body_from(source.replace("Documented.", "Otherwise.")))
    assert fingerprint(_body_from(source)) != fingerprint(_body_from(source.replace(old, new)))


@pytest.mark.spec("fingerprint.reach")
def test_a_script_shares_its_home_with_the_files_beside_it(tmp_path: Path) -> None:
    script = "import beside\nfrom incr._fingerprint import fingerprint\n"
    script += "def body(db): return beside.helper()\nprint(fingerprint(body).hex())\n"
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    marks = []
    for number in (1, 2):
        (tmp_path / "beside.py").write_text(f"def helper(): return {number}\n", encoding="utf-8")
        marks.append(run_python(tmp_path / "script.py"))
    assert marks[0] != marks[1]


@pytest.mark.spec("fingerprint.code")
def test_each_process_and_hash_seed_gives_the_same(shop: Shop, tmp_path: Path) -> None:
    queries = """
        import enum
        from shop import tools
        from shop.tools import Point, outer
        KINDS = {"a", "b", "c", ("d", 1), frozenset({"e", "f"}), Point, outer}
        class Colour(enum.Flag):
            RED = 1
            BLUE = 2
        def body(db, point: Point):
            return [outer(x) for x in db if x in {"p", "q", "r", "s"} and x in KINDS and x in tools.WORDS], Colour.RED
        made = {}
        exec("def body(db): return db in {'a', 'b', 'c', 'd', 'e', 'f'}", made)
    """
    module = shop.load({"__init__": "", "queries": queries, "tools": BASE["tools"]})
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(Path(str(module.__file__)).parent.parent)!r})\n"
        "from incr._fingerprint import fingerprint\nfrom shop.queries import body, made\n"
        "print(fingerprint(body).hex(), fingerprint(made['body']).hex())\n",
        encoding="utf-8",
    )
    expected = f"{fingerprint(module.body).hex()} {fingerprint(module.made['body']).hex()}\n"
    for seed in ("0", "1", "2", "3"):
        assert run_python(script, PYTHONHASHSEED=seed) == expected


@pytest.mark.spec("fingerprint.reach")
@pytest.mark.parametrize("name", ["argparse", "ast", "asyncio.base_events", "enum", "subprocess", "typing"])
def test_what_is_read_off_the_bytecode_is_what_dis_reads(name: str) -> None:
    def by_dis(code: CodeType) -> set[tuple[str, ...]]:
        chains: set[tuple[str, ...]] = set()
        for part in nested_codes(code):
            chain: tuple[str, ...] = ()
            for step in dis.get_instructions(part):
                if chain and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                    chain = (*chain, step.argval)
                elif step.opname != "EXTENDED_ARG":
                    chains.add(chain)
                    reads = step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
                    chain = (step.argval,) if reads else ()
        return chains - {()}

    def imports_by_dis(code: CodeType) -> list[str]:
        return [
            step.argval
            for part in nested_codes(code)
            for step in dis.get_instructions(part)
            if step.opname == "IMPORT_NAME"
        ]

    source = inspect.getsource(importlib.import_module(name))
    many = "".join(f"def f{i}():\n    import os.path\n    return n{i}.a{i}.b\n" for i in range(400))
    for text in (source, many, f"def outer():\n{textwrap.indent(many, ' ')}"):
        code = compile(text, name, "exec", dont_inherit=True)
        assert set(references(code).chains) == by_dis(code)
        assert [target.lstrip(".") for target, _ in references(code).imports] == imports_by_dis(code)


def run_python(script: Path, **environment: str) -> str:
    """What the script prints when a new interpreter runs it, which finds incr where this one found it."""
    path = os.pathsep.join([str(Path(incr.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, script],
        check=True,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        text=True,
    )
    return done.stdout
