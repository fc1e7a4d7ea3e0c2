"""Numbers of ingredients: given again only when nobody can meet the old one any more."""

from __future__ import annotations

import gc

import pytest

import incr
from incr._registry import declared


def make(answer: int) -> incr.Query[[], int]:
    @incr.query
    def local(db: incr.View) -> int:
        return answer

    return local


def index(query: object) -> int:
    number: int = query.__incr__.index  # type: ignore[attr-defined]  # a query carries its ingredient
    return number


def test_living_ingredients_have_different_numbers() -> None:
    queries = [make(number) for number in range(20)]
    assert len({index(query) for query in queries}) == 20
    known = declared()
    assert len({one.index for one in known}) == len(known)
    mine: list[object] = [query.__incr__ for query in queries]  # type: ignore[attr-defined]  # see above
    assert [one for one in known if one in mine] == mine  # in the order in which they were declared


@pytest.mark.spec("memo.consistency", "declare.query")
def test_queries_that_come_and_go_never_get_each_others_memos() -> None:
    db = incr.Database()
    for answer in range(20):
        query = make(answer)
        assert query(db) == answer
        del query
        gc.collect()
    assert db.statistics().memos == 20  # a database keeps what it has met


def test_a_number_is_given_again_when_its_ingredient_is_gone() -> None:
    gc.collect()
    before = len(declared())
    numbers = set[int]()
    for answer in range(10):
        numbers.add(index(make(answer)))
        gc.collect()
    assert len(declared()) == before
    assert len(numbers) < 10


def test_declaring_is_refused_without_taking_a_number() -> None:
    gc.collect()
    before = len(declared())
    for _ in range(5):
        with pytest.raises(TypeError):
            incr.query(lambda: 1)  # type: ignore[arg-type,misc]  # wrong on purpose
    gc.collect()
    assert len(declared()) == before
