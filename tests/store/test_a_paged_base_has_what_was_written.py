"""Whatever is written into a base is what it says, whichever bases and overlays it has come through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incr.store import MemoryDirectory
from incr.store.cache import ByteCache
from incr.store.overlay import Layer, Overlay
from paged_bases import Bases, base_of, check_rows
from store_programs import Step, steps


@pytest.mark.spec("paged.write", "paged.copy", "paged.find", "paged.overlay", "paged.zstd")
@given(program=steps, compress=st.booleans())
def test_a_base_says_what_the_model_says(program: list[Step], compress: bool) -> None:
    bases = Bases(compress=compress)
    for step in program:
        bases.overlay.apply(bases.model.delta(step))
        check_rows(bases.rows, bases.model)
        if step.then:
            check_rows(bases.fold(), bases.model)
    base = bases.fold()
    base.verify()
    check_rows(base, bases.model)
    head = base.head()
    assert head == bases.model.head()
    # The same as a base that is written at once, with the same contents.
    whole = Overlay()
    whole.apply(bases.model.whole())
    fresh = base_of(MemoryDirectory(), "fresh", bases.model.head(), None, whole)
    check_rows(fresh, bases.model)
    assert (len(fresh), fresh.head()) == (len(base), head)


@pytest.mark.spec("paged.overlay")
@given(program=steps, later=steps)
def test_overlays_over_overlays_are_one(program: list[Step], later: list[Step]) -> None:
    """What came while a base was being written is over what is being written."""
    bases = Bases(compress=False)
    for step in program:
        bases.overlay.apply(bases.model.delta(step))
        if step.then == "checkpoint":
            bases.fold()
    below, first = bases.rows, bases.overlay
    bases.overlay = Overlay()
    both = Layer("here", below, bases.overlay)
    for step in later:
        bases.overlay.apply(bases.model.delta(step))
        check_rows(both, bases.model)
    first.absorb(bases.overlay)
    check_rows(below, bases.model)
    bases.overlay = first
    check_rows(bases.fold(), bases.model)


@pytest.mark.spec("paged.cache")
def test_what_is_kept_is_bounded_in_bytes() -> None:
    cache: ByteCache[str, int] = ByteCache(10)
    for number, key in enumerate("abc"):
        cache.put(key, number, 4)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), cache.used) == (None, 1, 2, 8)
    cache.get("b")
    cache.put("d", 3, 6)
    assert (cache.get("b"), cache.get("c"), cache.get("d"), cache.used) == (1, None, 3, 10)
    cache.put("large", 4, 11)
    cache.put("d", 5, 1)
    assert (cache.get("large"), cache.get("d"), cache.used) == (None, 3, 10)
    cache.clear()
    assert (cache.get("d"), cache.used) == (None, 0)
