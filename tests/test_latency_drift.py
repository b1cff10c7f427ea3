"""Laws of how a machine has changed, and of how far its speed wanders."""

import numpy as np
import pytest

from tapetum.latency.drift import TYPICAL_WANDER, drift_between, wander_of

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


def wandering(num_rounds: int) -> tuple[float, float]:
    """What rounds tell and how far the mean goes, of a speed that wanders at random, by a tenth."""
    steps = 0.01 * np.random.default_rng(0).standard_normal((400, 2 * num_rounds * 30))
    speeds = np.cumsum(steps, axis=1).reshape(400, 2, num_rounds, 30)
    means = speeds.mean(axis=(2, 3))
    told = [wander_of(np.exp(rounds.T)) for rounds in speeds[:, 0]]
    return np.sqrt(np.mean(np.square(told))), np.std(means[:, 1] - means[:, 0])


def test_the_rounds_of_a_measurement_tell_how_far_the_next_one_is_off() -> None:
    """Of six rounds, five steps of it and two of the typical count."""
    told, went = wandering(6)
    expected = np.sqrt((5 * went**2 + 2 * TYPICAL_WANDER**2) / 7)
    assert told == pytest.approx(expected, rel=0.05)


def test_many_rounds_tell_it_by_themselves() -> None:
    """What is typical counts for little then: the change of the mean, within 10 %."""
    told, went = wandering(20)
    assert told == pytest.approx(went, rel=0.1)


@pytest.mark.parametrize("num_rounds", [3, 6, 8])
def test_moods_of_single_rounds_are_not_taken_for_wandering(num_rounds: int) -> None:
    """They average out: what is told is at most twice as far as the mean really goes."""
    moods = 0.05 * np.random.default_rng(0).standard_normal((400, 2, num_rounds, 1))
    means = moods.mean(axis=(2, 3))
    told = [wander_of(np.exp(np.repeat(rounds, 9, axis=1).T)) for rounds in moods[:, 0]]
    assert np.sqrt(np.mean(np.square(told))) <= 2 * np.std(means[:, 1] - means[:, 0])


@pytest.mark.parametrize("slow", range(8))
def test_a_single_slow_round_is_no_wandering(slow: int) -> None:
    """It does not count for latencies either, as the faster half of the visits does."""
    noise = np.exp(0.005 * np.random.default_rng(0).standard_normal((300, 8)))
    steady = wander_of(noise)
    noise[:, slow] *= 1.25
    assert wander_of(noise) == pytest.approx(steady, rel=0.1)


def test_a_steady_machine_wanders_less_than_is_typical() -> None:
    """Noise of single visits is no wander, and the more surely so the more rounds have told."""
    noise = np.exp(0.005 * np.random.default_rng(0).standard_normal((300, 12)))
    few, many = wander_of(noise[:, :3]), wander_of(noise)
    assert many < few < TYPICAL_WANDER
    assert many == pytest.approx(TYPICAL_WANDER * (2 / (2 + 11)) ** 0.5, rel=0.1)


@pytest.mark.parametrize("visits", [[], [[]], [[1.0], [2.0]]])
def test_one_round_tells_nothing_of_the_speed(visits: list[list[float]]) -> None:
    """What is typical is taken then."""
    assert wander_of(visits) == pytest.approx(TYPICAL_WANDER)
