"""What all tests share: the profiles of the random tests, and the mark that ties a test to a rule of docs/spec.md."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

# Random tests say how to repeat a failure (a blob, or the seed in pytest's header), and never depend on the clock.
# The first failure is reported as it was found: shrinking takes minutes, and a test that is still at it when its time
# is up would not even say what has failed. For a small example of a failure, begin from the one that was found last:
# INCR_HYPOTHESIS_PROFILE=shrink pytest --timeout=0 tests/properties/test_….py
settings.register_profile(
    "ci",
    max_examples=60,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("shrink", parent=settings.get_profile("ci"), phases=tuple(Phase))
settings.register_profile(
    "deep",
    parent=settings.get_profile("shrink"),
    max_examples=5_000,
    stateful_step_count=100,  # some 300,000 steps of the state machine in all
    suppress_health_check=list(HealthCheck),
)
settings.load_profile(os.environ.get("INCR_HYPOTHESIS_PROFILE", "ci"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "spec(*ids): the rules of docs/spec.md that the test would see broken")
    # A shell lets what it starts in the background ignore Ctrl-C, and so would the processes that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test leaves open on purpose is found while its warning is expected, not in a test that comes later."""
    yield
    if any("was not closed" in str(mark.args) for mark in request.node.iter_markers("filterwarnings")):
        gc.collect()
