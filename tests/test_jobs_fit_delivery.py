"""What a fit says of the latency of its package."""

from types import SimpleNamespace
from typing import Any

import pytest

from tapetum.jobs.fit_delivery import Shipping
from tapetum.jobs.fit_result import Control, Controls, FittedNetwork
from tapetum.latency import Benchmark, Timing
from tapetum.latency.timing import Round
from test_latency_table import CONDITIONS

TARGET_MS = 8.0


def timed(ms: float) -> Benchmark:
    """A measurement against the budget."""
    timing = Timing.of([Round([ms])])
    return Benchmark.model_construct(conditions=CONDITIONS, timing=timing, target_ms=TARGET_MS)


def note(before_ms: float, now_ms: float, *, is_control: bool) -> str:
    """What is said of a network that was timed before its training, and in its package."""
    chosen = FittedNetwork.model_construct(predicted_ms=0, benchmark=timed(before_ms))
    controls = Controls()
    if is_control:
        rival = Control.model_construct(title="plain", networks={"run": None}, latency_ms=before_ms)
        controls = Controls.model_construct(controls=(rival,))
    work: Any = SimpleNamespace(request=SimpleNamespace(target_ms=TARGET_MS))
    method: Any = None
    return Shipping(work, method, chosen, controls).note(chosen, "run", timed(now_ms))


@pytest.mark.parametrize("is_control", [False, True])
@pytest.mark.parametrize(
    ("before_ms", "now_ms", "words"),
    [
        (7.8, 7.9, ""),
        (8.4, 8.0, ""),
        (7.8, 8.4, "it took 7.8 ms before its training, so the machine is slower now"),
        (8.4, 8.4, "it took 8.4 ms before its training already"),
        (7.8, 7.0, "it took 7.8 ms before its training, so the machine is faster now"),
        (7.0, 7.0, "it took 7 ms before its training already"),
    ],
)
def test_the_machine_is_blamed_only_where_it_has_changed(
    before_ms: float, now_ms: float, words: str, is_control: bool
) -> None:
    """A network that missed the budget before its training was no better then."""
    if is_control and now_ms == before_ms == 7.0:
        words = "the plain uses less of it, and scored better"
    assert note(before_ms, now_ms, is_control=is_control) == words
