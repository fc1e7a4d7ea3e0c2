"""After an edit the queries run that the edit reaches, by name and argument, and no other one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import incr
from incr.demo.inputs import Source
from incr.demo.measuring import analyse, cost_of, make_edits, most_imported
from incr.demo.queries import cycles, report, summary
from incr.demo.values import Problem
from incr.testing import Recorder, assert_executes

MakeDatabase = Callable[..., incr.Database]

FILES = {
    "tool.py": (
        "import os\n\ndef used(a):\n    os.getcwd()\n    return a\n\ndef other(b):\n    import sys\n    return sys, b\n"
    ),
    "main.py": "from tool import used\nused(1)\n",
    "more.py": "import tool\nfrom tool import other\ntool.used(other)\n",
    "far.py": "x = 1\n",
}


@pytest.fixture
def db(database: MakeDatabase) -> incr.Database:
    made = database(FILES)
    summary(made)
    return made


def edit(db: incr.Database, path: str, old: str, new: str) -> None:
    text = db[Source, path].text
    assert old in text
    db.set(Source(path, text=text.replace(old, new)))


@pytest.mark.spec("demo.edit", "memo.backdate")
def test_a_comment_behind_a_line(db: incr.Database) -> None:
    before = summary(db)
    edit(db, "tool.py", "return a", "return a  # back")
    with assert_executes(db, "parse('tool.py')"):
        assert summary(db) is before


@pytest.mark.spec("demo.edit", "memo.backdate")
def test_a_line_in_a_function_body(db: incr.Database) -> None:
    before = summary(db)
    edit(db, "main.py", "used(1)", "used(1)\nused(2)")
    with assert_executes(db, "parse('main.py')"):
        assert summary(db) is before
    # Here an import stands below it, which is in another line now.
    edit(db, "tool.py", "    os.getcwd()\n", "    os.getcwd()\n    b = a\n")
    with assert_executes(db, "parse('tool.py')", "module('tool.py')"):
        assert summary(db) is before


@pytest.mark.spec("demo.edit")
def test_a_parameter_stays_in_its_file_but_for_the_numbers(db: incr.Database) -> None:
    before = summary(db)
    edit(db, "tool.py", "def used(a)", "def used(a, more=None)")
    with Recorder(db) as ran:
        assert summary(db) == replace(before, parameters=before.parameters + 1)
        queries = "parse module symbols imports exports unused missing undefined loads report"
        assert set(ran.take()) == {*(f"{query}('tool.py')" for query in queries.split()), "summary()"}


@pytest.mark.spec("demo.edit")
def test_a_new_function_is_asked_about_by_name_and_no_importer_runs(db: incr.Database) -> None:
    edit(db, "tool.py", "def other", "def third(): ...\n\ndef other")
    with Recorder(db) as ran:
        summary(db)
        executed = ran.take()
        assert {"defines('tool.py', 'used')", "defines('tool.py', 'other')"} <= set(executed)
        assert not [call for call in executed if "main.py" in call or "more.py" in call or "far.py" in call]
        assert {"missing('main.py')", "missing('more.py')", "report('main.py')", "cycles()"} <= set(ran.take_verified())


@pytest.mark.spec("demo.edit")
def test_a_function_that_is_gone_runs_those_that_import_it(db: incr.Database) -> None:
    edit(db, "tool.py", "def used", "def renamed")
    with Recorder(db) as ran:
        assert summary(db).missing_names == 1
        executed = set(ran.take())
    others = {call for call in executed if "tool.py" not in call}
    assert others == {"missing('main.py')", "lines('main.py')", "report('main.py')", "summary()"}
    assert report(db, "main.py").problems == (Problem(1, "missing name", "tool.used"),)


def test_a_file_with_problems_says_where_they_are_now(db: incr.Database) -> None:
    db.set(Source("far.py", text="import os\n"))
    summary(db)
    edit(db, "far.py", "import os", "\n\nimport os")
    before = summary(db)
    assert report(db, "far.py").problems == (Problem(3, "unused import", "os"),)
    edit(db, "far.py", "import os", "\nimport os")
    # The report is another one, and the numbers are as they were.
    with assert_executes(db, *(f"{query}('far.py')" for query in ("parse", "module", "lines", "report")), "summary()"):
        assert summary(db) is before


def test_a_file_that_comes_is_looked_for_by_those_that_name_it(db: incr.Database) -> None:
    edit(db, "main.py", "used(1)", "import new")
    assert summary(db).inside == 3
    db.set(Source("new.py", text="import main"))
    with Recorder(db) as ran:
        assert summary(db).cycles == (("main.py", "new.py"),)
        executed = ran.take()
    assert "find_module('new', '')" in executed
    assert not [call for call in executed if "far.py" in call or "more.py" in call or "tool.py" in call]


def test_a_cycle_is_looked_for_only_if_some_file_imports_others_now(db: incr.Database) -> None:
    edit(db, "far.py", "x = 1", "import os, sys")
    with Recorder(db) as ran:
        summary(db)
        assert "cycles()" not in ran.take()
    edit(db, "tool.py", "import os", "import main")
    with Recorder(db) as ran:
        assert cycles(db) == (("main.py", "tool.py"),)
        assert "cycles()" in ran.take()


@pytest.mark.spec("demo.edit", "explain.why")
def test_the_three_edits_of_the_demo(db: incr.Database) -> None:
    assert most_imported(db) == ("tool.py", 2)
    body, signature, comment = make_edits(db, "tool.py")
    assert [edit.what for edit in (body, signature, comment)] == ["a function body", "a signature", "a comment"]
    assert {edit.function for edit in (body, signature, comment)} == {"used"}

    assert body.cost.executed == [("parse", ("tool.py",)), ("module", ("tool.py",))]
    assert body.cost.backdated == {("module", ("tool.py",))}
    assert len(body.cost.executed) < 10
    assert body.cost.verified > 0
    assert body.cost.suspected == body.cost.verified + len(body.cost.executed)
    assert body.before is body.after
    assert body.why.decision == "verified"
    assert body.why.because[-1].what == "Source['tool.py']"

    assert signature.after.parameters == signature.before.parameters + 1
    assert signature.why.decision == "executed"
    assert [reason.what for reason in signature.why.because] == [
        "report('tool.py')", "symbols('tool.py')", "module('tool.py')", "parse('tool.py')", "Source['tool.py']",
    ]  # fmt: skip

    assert comment.cost.executed == [("parse", ("tool.py",))]
    assert comment.cost.backdated == {("parse", ("tool.py",))}


def test_a_tree_without_functions_has_nothing_to_edit(database: MakeDatabase) -> None:
    db = database({"a.py": "x = 1"})
    assert most_imported(db) is None
    with pytest.raises(LookupError, match=r"a\.py has no function"):
        next(make_edits(db, "a.py"))


def test_asking_for_reports_one_by_one_runs_nothing_twice(database: MakeDatabase) -> None:
    db = database(FILES)
    progress: list[tuple[int, int]] = []
    with cost_of(db) as cost:
        analyse(db, lambda done, total: progress.append((done, total)))
    assert len(cost.executed) == len(set(cost.executed)) == db.statistics().memos
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with cost_of(db) as cost:
        analyse(db)
    assert (cost.executed, cost.verified, cost.suspected) == ([], 0, 0)
