"""Laws of the stopwatch: it says how long things take, in turns, one timing at a time."""

import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm  # type: ignore[import-untyped,unused-ignore]

from tapetum.errors import InputError
from tapetum.latency.timing import (
    Block,
    Run,
    noise_of,
    one_at_a_time,
    summarize_rounds,
    take_turns,
    time_block,
    undisturbed,
)

SHORT = Block(warmups=1, warmup_ms=0, min_passes=3, min_ms=0)


def test_a_known_sleep_is_timed_right() -> None:
    """A pass is never shorter than its sleep, and hardly longer."""
    passes = time_block(lambda: time.sleep(0.02), SHORT)
    assert len(passes) == 3
    assert min(passes) >= 20
    assert summarize_rounds([passes]).median_ms < 30


def test_a_block_is_long_enough_in_passes_and_in_time() -> None:
    """Warm-ups do not count."""
    calls = []
    passes = time_block(
        lambda: calls.append(0), Block(warmups=4, warmup_ms=0, min_passes=7, min_ms=0)
    )
    assert (len(passes), len(calls)) == (7, 11)
    passes = time_block(
        lambda: time.sleep(0.001), Block(warmups=1, warmup_ms=0, min_passes=1, min_ms=20)
    )
    assert sum(passes) >= 20


def test_everything_has_its_turn_in_every_round() -> None:
    """A B A B, never A A B B; each is made ready anew."""
    calls: list[str] = []

    def make_ready(name: str) -> Run:
        calls.append(name.upper())
        return lambda: calls.append(name)

    block = Block(warmups=1, warmup_ms=0, min_passes=1, min_ms=0)
    found = take_turns([partial(make_ready, name) for name in "ab"], block, num_rounds=3)
    assert "".join(calls) == "AaaBbb" * 3
    assert [len(rounds) for rounds in found] == [3, 3]


def test_rounds_are_pooled_by_their_medians() -> None:
    """One disturbed pass, or one disturbed round, does not move the latency."""
    found = summarize_rounds([[1, 1, 9], [1, 1, 1], [50, 60, 70]])
    assert found.median_ms == 1
    assert found.p95_ms == 70
    assert (found.num_rounds, found.num_passes) == (3, 9)
    assert summarize_rounds([[2, 2], [2, 2]]).spread == 0
    assert summarize_rounds([[1], [2], [3]]).spread == pytest.approx(0.5)


def test_two_timings_never_overlap(tmp_path: Path) -> None:
    """The second is refused while the first goes on, and not afterwards."""
    refused = pytest.raises(InputError, match="another timing is going on")
    with one_at_a_time(tmp_path), refused, one_at_a_time(tmp_path):
        pass
    with one_at_a_time(tmp_path):
        pass


@pytest.mark.parametrize("visits", [[5.0], [5.0, 8.0], [5.0, 9.0, 5.0], [9.0, 5.0, 7.0, 5.0]])
def test_disturbed_visits_do_not_count(visits: list[float]) -> None:
    """As long as they are not more than half of all, however slow they are."""
    assert undisturbed(visits) == 5.0


def disturbed(count: int, rounds: int, *, sigma: float, share: float) -> list[list[float]]:
    """Visits of things of 10 ms: noise in each, and a burst in a share of them."""
    generator = np.random.default_rng(0)
    visits = 10 * np.exp(sigma * generator.standard_normal((count, rounds)))
    bursts = generator.random(visits.shape) < share
    return np.where(bursts, 1.5 * visits, visits).tolist()


@pytest.mark.parametrize("rounds", [2, 3, 6])
def test_the_noise_is_how_far_off_the_faster_half_is(rounds: int) -> None:
    """It is the deviation of what the visits come to, and bursts hardly change it."""
    visits = disturbed(500, rounds, sigma=0.02, share=0.0)
    found = [undisturbed(one) / 10 for one in visits]
    assert noise_of(visits) == pytest.approx(np.std(found), rel=0.1)
    bursts = disturbed(500, rounds, sigma=0.02, share=0.05)
    assert noise_of(bursts) == pytest.approx(np.std(found), rel=0.3)


def test_noise_is_of_what_counts_and_not_of_single_visits() -> None:
    """Bursts in three of ten visits spread those, and hardly what the faster half comes to."""
    visits = disturbed(500, 8, sigma=0.02, share=0.3)
    found = np.abs([undisturbed(one[::2]) / 10 - 1 for one in visits])
    typical = np.median(found) / norm.ppf(0.75)
    assert noise_of(visits, over=4) == pytest.approx(typical, rel=0.15)


def test_noise_can_be_told_of_other_numbers_of_visits() -> None:
    """What six rounds know of the noise says how far off two or twelve visits would be."""
    visits = disturbed(500, 6, sigma=0.02, share=0.0)
    found = [undisturbed(one[:2]) / 10 for one in visits]
    assert noise_of(visits, over=2) == pytest.approx(np.std(found), rel=0.15)
    assert noise_of(visits, over=12) < noise_of(visits)


def test_a_round_in_which_all_are_slower_is_no_noise() -> None:
    """What moves all things alike says nothing about one of them; one round says nothing at all."""
    visits = disturbed(100, 3, sigma=0.01, share=0.0)
    slower = [[first, 1.3 * second, third] for first, second, third in visits]
    assert noise_of(slower) == pytest.approx(noise_of(visits))
    assert noise_of([[1.0], [2.0]]) is None
