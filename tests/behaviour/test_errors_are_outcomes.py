"""An exception that leaves a body is remembered like a value, and re-raised as it was."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest

import incr
from incr.testing import Recorder


@incr.input
class Source:
    path: str = incr.key()
    text: str


class ParseError(Exception):
    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@incr.query
def number(db: incr.View, path: str) -> int:
    return int(db[Source, path].text)


@incr.query
def double(db: incr.View, path: str) -> int:
    return 2 * number(db, path)


@incr.query
def quadruple(db: incr.View, path: str) -> int:
    return 2 * double(db, path)


@incr.query
def number_or_zero(db: incr.View, path: str) -> int:
    try:
        return number(db, path)
    except (ValueError, incr.MissingInputError):
        return 0


def caught(ask: Callable[[], object]) -> Exception:
    """What it raises."""
    with pytest.raises(Exception) as info:  # noqa: PT011 - the tests look at what it is
        ask()
    return info.value


def frames(error: BaseException) -> list[str]:
    """The functions of this file in the traceback."""
    return [frame.name for frame in traceback.extract_tb(error.__traceback__) if frame.filename == __file__]


def depth(error: BaseException) -> int:
    return len(traceback.extract_tb(error.__traceback__))


@pytest.mark.spec("error.outcome")
def test_an_error_is_remembered_and_raised_again_without_running(db: incr.Database, ran: Recorder) -> None:
    db.set(Source("a", "many"))
    first = caught(lambda: quadruple(db, "a"))
    assert isinstance(first, ValueError)
    assert str(first) == "invalid literal for int() with base 10: 'many'"
    assert ran.take() == ["number('a')", "double('a')", "quadruple('a')"]
    db.set(Source("b", "unrelated"))
    for ask in (quadruple, double, number):
        assert caught(lambda ask=ask: ask(db, "a")) is first  # type: ignore[misc]  # bound as a default
    assert ran.take() == ran.take_verified() == []
    db.set(Source("a", "3"))
    assert quadruple(db, "a") == 12
    assert ran.take() == ["number('a')", "double('a')", "quadruple('a')"]
    db.check_invariant()


@pytest.mark.spec("error.outcome", "memo.backdate")
def test_an_equal_error_is_backdated(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def check(db: incr.View) -> int:
        if "?" in db[Source, "a"].text:
            raise ParseError("a question", 1)
        return 1

    @incr.query
    def program(db: incr.View) -> int:
        return check(db)

    db.set(Source("a", "x?"))
    first = caught(lambda: program(db))
    ran.take()
    db.set(Source("a", "y?"))
    assert caught(lambda: program(db)) is first
    assert ran.take() == ran.take_backdated() == ["check()"]
    assert ran.take_verified() == ["program()"]


@pytest.mark.spec("error.outcome", "memo.backdate")
@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (lambda: ValueError("a"), lambda: ValueError("a"), True),
        (lambda: ValueError("a"), lambda: ValueError("b"), False),
        (lambda: ValueError("a"), lambda: TypeError("a"), False),
        (lambda: ValueError(1), lambda: ValueError(True), False),
        (lambda: ParseError("a", 1), lambda: ParseError("a", 1), True),
        (lambda: ParseError("a", 1), lambda: ParseError("a", 2), False),
        (lambda: KeyError((1, "a")), lambda: KeyError((1, "a")), True),
        (lambda: incr.MissingInputError(Source, "a"), lambda: incr.MissingInputError(Source, "a"), True),
        (lambda: incr.MissingInputError(Source, "a"), lambda: incr.MissingInputError(Source, "b"), False),
        (lambda: ExceptionGroup("g", [ValueError(1)]), lambda: ExceptionGroup("g", [ValueError(1)]), True),
        (lambda: ExceptionGroup("g", [ValueError(1)]), lambda: ExceptionGroup("g", [ValueError(2)]), False),
        (lambda: OSError(2, "no such file"), lambda: OSError(2, "no such file"), True),
    ],
)
def test_when_two_errors_are_the_same(
    db: incr.Database, ran: Recorder, before: Callable[[], Exception], after: Callable[[], Exception], same: bool
) -> None:
    @incr.query
    def inner(db: incr.View) -> None:
        raise (before if db[Source, "a"].text == "before" else after)()

    @incr.query
    def outer(db: incr.View) -> str:
        try:
            inner(db)
        except Exception as error:
            return repr(error)
        return "no error"

    db.set(Source("a", "before"))
    assert outer(db) == repr(before())
    ran.take()
    db.set(Source("a", "after"))
    assert outer(db) == repr(after())
    assert ran.take() == (["inner()"] if same else ["inner()", "outer()"])
    assert isinstance(caught(lambda: inner(db)), type(after()))


@pytest.mark.spec("error.traceback")
def test_a_hit_raises_with_the_first_traceback_however_often(db: incr.Database) -> None:
    db.set(Source("a", "many"))

    def once() -> tuple[list[str], int]:
        error = caught(lambda: quadruple(db, "a"))
        return frames(error), depth(error)

    names, first = once()
    assert names[-3:] == ["quadruple", "double", "number"]
    depths = {once()[1] for _ in range(100)}
    assert len(depths) == 1  # the first one has the engine's own way down to the body in it, or not
    assert depths.pop() <= first
    assert once()[0][-3:] == ["quadruple", "double", "number"]
    inner = caught(lambda: number(db, "a"))
    assert frames(inner)[-1] == "number"
    # The body was not run by whoever asks now, so the engine's way down to it is left out.
    assert "_incr_invoke" not in [frame.name for frame in traceback.extract_tb(inner.__traceback__)]
    assert "double" not in frames(inner)


@pytest.mark.spec("error.traceback", "error.outcome")
def test_a_verified_error_keeps_its_traceback(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def failing(db: incr.View) -> int:
        raise ParseError("always", len(db[Source, "a"].text.split()))

    @incr.query
    def above(db: incr.View) -> int:
        return failing(db)

    db.set(Source("a", "x"))
    before = caught(lambda: above(db))
    place = frames(before)
    for number_of_spaces in range(5):
        db.set(Source("a", "x" + " " * number_of_spaces))
        after = caught(lambda: above(db))
        assert after is before
        assert frames(after) == place
    assert "above()" not in ran.take()[2:]


@pytest.mark.spec("error.traceback")
def test_cause_and_context_stay_those_of_the_first_time(db: incr.Database) -> None:
    @incr.query
    def chained(db: incr.View, explicit: bool) -> int:
        try:
            return number(db, "a")
        except ValueError as error:
            if explicit:
                raise LookupError("no number") from error
            raise LookupError("no number")  # noqa: B904 - the context is what is tested

    db.set(Source("a", "many"))
    for explicit in (True, False):
        first = caught(lambda explicit=explicit: chained(db, explicit))  # type: ignore[misc]  # bound as a default
        cause, context = first.__cause__, first.__context__
        assert isinstance(context, ValueError)
        assert (cause is context) == explicit
        suppress = first.__suppress_context__
        for _ in range(3):
            try:
                raise ZeroDivisionError("something else that is being handled")
            except ZeroDivisionError:
                again = caught(lambda explicit=explicit: chained(db, explicit))  # type: ignore[misc]  # bound as a default
            assert again is first
            assert again.__suppress_context__ is suppress
        again = caught(lambda explicit=explicit: chained(db, explicit))  # type: ignore[misc]  # bound as a default
        assert (again.__cause__, again.__context__) == (cause, context)


@pytest.mark.spec("error.note")
def test_a_note_names_the_innermost_call_once(db: incr.Database) -> None:
    db.set(Source("a", "many"))
    for _ in range(3):
        error = caught(lambda: quadruple(db, "a"))
        assert error.__notes__ == ["in the query call number('a')"]
    db.set(Source("a", "several"))
    error = caught(lambda: quadruple(db, "a"))
    assert error.__notes__ == ["in the query call number('a')"]


@pytest.mark.spec("error.note")
def test_the_programs_own_notes_stay(db: incr.Database) -> None:
    @incr.query
    def noted(db: incr.View) -> int:
        error = ValueError("x")
        error.add_note("the program's own")
        raise error

    @incr.query
    def adds_more(db: incr.View) -> int:
        try:
            return noted(db)
        except ValueError as error:
            error.add_note("on the way up")
            raise

    error = caught(lambda: adds_more(db))
    assert error.__notes__ == ["the program's own", "in the query call noted()", "on the way up"]


@pytest.mark.spec("error.note")
def test_another_error_on_the_way_up_names_its_own_call(db: incr.Database) -> None:
    @incr.query
    def wraps(db: incr.View) -> int:
        try:
            return number(db, "a")
        except ValueError as error:
            raise ParseError("bad file", 1) from error

    db.set(Source("a", "many"))
    error = caught(lambda: wraps(db))
    assert error.__notes__ == ["in the query call wraps()"]
    assert isinstance(error.__cause__, ValueError)
    assert error.__cause__.__notes__ == ["in the query call number('a')"]


@pytest.mark.spec("error.note", "read.missing")
def test_a_missing_input_says_which_call_wanted_it(db: incr.Database) -> None:
    error = caught(lambda: quadruple(db, "gone"))
    assert isinstance(error, incr.MissingInputError)
    assert error.slot == (Source, "gone")
    assert error.__notes__ == ["in the query call number('gone')"]


@pytest.mark.spec("error.handled", "memo.consistency")
def test_a_dependency_that_starts_to_fail_while_its_dependent_handles_it(db: incr.Database, ran: Recorder) -> None:
    db.set(Source("a", "7"))
    assert number_or_zero(db, "a") == 7
    db.set(Source("a", "many"))
    assert number_or_zero(db, "a") == 0
    assert ran.take()[-2:] == ["number('a')", "number_or_zero('a')"]
    db.set(Source("a", "several"))  # fails in another way
    assert number_or_zero(db, "a") == 0
    assert ran.take() == ["number('a')", "number_or_zero('a')"]
    db.remove(Source, "a")
    assert number_or_zero(db, "a") == 0
    db.set(Source("a", "8"))
    assert number_or_zero(db, "a") == 8
    db.check_invariant()


@pytest.mark.spec("error.handled", "memo.dynamic")
def test_a_body_that_handles_an_error_reads_on(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def first_good(db: incr.View) -> int:
        for path in ("a", "b"):
            try:
                return number(db, path)
            except ValueError:
                continue
        raise LookupError("none is good")

    db.set(Source("a", "x"))
    db.set(Source("b", "2"))
    assert first_good(db) == 2
    db.set(Source("b", "3"))
    assert first_good(db) == 3
    db.set(Source("a", "1"))
    assert first_good(db) == 1
    ran.take()
    db.set(Source("b", "x"))
    assert first_good(db) == 1
    assert ran.take() == []
    db.set(Source("a", "x"))
    assert isinstance(caught(lambda: first_good(db)), LookupError)


@pytest.mark.spec("error.handled", "memo.order")
def test_an_error_of_a_branch_that_is_not_taken_any_more_reaches_nobody(db: incr.Database) -> None:
    @incr.query
    def guarded(db: incr.View) -> int:
        if (Source, "a") not in db:
            return -1
        return number(db, "a")

    db.set(Source("a", "1"))
    assert guarded(db) == 1
    db.remove(Source, "a")
    assert guarded(db) == -1


@pytest.mark.spec("error.handled", "error.outcome")
def test_from_value_to_error_and_back(db: incr.Database, ran: Recorder) -> None:
    db.set(Source("a", "1"))
    assert quadruple(db, "a") == 4
    db.set(Source("a", "x"))
    assert isinstance(caught(lambda: quadruple(db, "a")), ValueError)
    db.set(Source("a", "1"))
    assert quadruple(db, "a") == 4
    assert len(ran.take()) == 9


@pytest.mark.spec("error.outcome", "history.snapshot")
def test_errors_in_snapshots(db: incr.Database) -> None:
    db.set(Source("a", "x"))
    with db.snapshot() as before:
        db.set(Source("a", "1"))
        assert double(db, "a") == 2
        first = caught(lambda: double(before, "a"))
        assert caught(lambda: double(before, "a")) is first
        assert double(db, "a") == 2
    db.check_invariant()


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.spec("error.outcome", "memo.equality")
def test_errors_that_cannot_be_compared_count_as_different(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def inner(db: incr.View) -> None:
        len(db[Source, "a"].text)
        raise Unprintable

    @incr.query
    def outer(db: incr.View) -> str:
        try:
            inner(db)
        except Unprintable:
            return "handled"
        return "no error"

    for text in "xyz":
        db.set(Source("a", text))
        assert outer(db) == "handled"
    assert ran.take() == ["inner()", "outer()"] * 3


@pytest.mark.spec("error.outcome")
def test_an_error_that_a_body_returns_is_a_value(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def returns(db: incr.View) -> Exception:
        return ValueError(db[Source, "a"].text)

    db.set(Source("a", "x"))
    found: Any = returns(db)
    assert returns(db) is found
    assert not hasattr(found, "__notes__")
    assert ran.take() == ["returns()"]


@pytest.mark.spec("error.outcome", "error.note")
def test_an_error_object_that_is_raised_by_several_calls(db: incr.Database) -> None:
    error = ValueError("made once")

    @incr.query
    def raises(db: incr.View, path: str) -> int:
        len(db[Source, path].text)
        raise error

    for path in "ab":
        db.set(Source(path, "x"))
        assert caught(lambda path=path: raises(db, path)) is error  # type: ignore[misc]  # bound as a default
    depths = [depth(caught(lambda path=path: raises(db, path))) for path in "abab"]  # type: ignore[misc]  # a default
    assert depths[:2] == depths[2:]
    assert error.__notes__ == ["in the query call raises('a')"]
