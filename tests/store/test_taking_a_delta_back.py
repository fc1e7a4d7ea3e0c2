"""What a delta has done to an overlay is undone exactly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from incr.store.overlay import Overlay
from incr.store.rows import Delta
from incr.store.undo import remember, restore
from store_programs import Model, Step, steps


def what_it_says(overlay: Overlay) -> tuple[Any, ...]:
    users = {number: sorted(users) for number, users in overlay.users.items()}
    return dict(overlay.rows), set(overlay.removed), dict(overlay.stamps), dict(overlay.keys), users


@pytest.mark.spec("store.take-back")
@given(program=steps)
def test_what_was_applied_is_undone(program: list[Step]) -> None:
    overlay, model = Overlay(), Model()
    for step in program:
        delta = model.delta(step)
        if step.then == "checkpoint":  # from here on, what was before is below
            overlay = Overlay()
        said, before = what_it_says(overlay), remember(overlay, delta)
        overlay.apply(delta)
        now = what_it_says(overlay)
        restore(overlay, before)
        assert what_it_says(overlay) == said
        overlay.apply(delta)
        assert what_it_says(overlay) == now


@pytest.mark.spec("store.take-back")
def test_what_was_gone_before_stays_gone() -> None:
    overlay = Overlay()
    delta = Delta(1, [], None, 0, {}, [], [], [3])
    overlay.apply(delta)
    before = remember(overlay, delta)
    overlay.apply(delta)
    restore(overlay, before)
    assert overlay.removed == {3}
