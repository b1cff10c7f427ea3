"""Laws of how a machine has changed: the line through what networks took and what they take."""

import numpy as np
import pytest

from tapetum.latency.drift import drift_between

THEN_MS = np.linspace(2, 6, 30)


def test_a_line_is_found_whatever_bursts_meet_some_networks() -> None:
    """A quarter of the networks slowed by half moves neither end by more than 2 %."""
    exact = drift_between(THEN_MS.tolist(), (1.1 * THEN_MS - 0.3).tolist())
    assert (exact.fixed_ms, exact.factor) == pytest.approx((-0.3, 1.1))
    assert exact.longer(2) == pytest.approx(-0.05)
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(30))
    bursts = np.where(np.arange(30) % 4, 1, 1.5)
    found = drift_between(THEN_MS.tolist(), ((1.1 * THEN_MS - 0.3) * noise * bursts).tolist())
    for end_ms in (2, 6):
        assert found.now(end_ms) == pytest.approx(exact.now(end_ms), rel=0.02)


@pytest.mark.parametrize("then_ms", [[3.0], [3.0, 3.0, 3.0], [3.0, 3.1, 3.2]])
def test_networks_of_about_one_latency_tell_a_factor_alone(then_ms: list[float]) -> None:
    """A slope would be made of their noise."""
    found = drift_between(then_ms, [1.2 * one for one in then_ms])
    assert found.fixed_ms == 0
    assert found.factor == pytest.approx(1.2)
    assert found.typical == pytest.approx(0.2)


def test_a_larger_network_never_becomes_quicker_than_a_smaller_one() -> None:
    """Where it seems so, what is told is how much slower the middle is."""
    found = drift_between([2.0, 4.0, 6.0], [7.0, 4.4, 3.0])
    assert (found.fixed_ms, found.factor) == pytest.approx((0, 1.1))
