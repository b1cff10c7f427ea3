"""Statistics over the rounds of a measurement: one latency of each network, and its noise.

Each network has one median per round.  Other processes slow some of them by half, for seconds, and
nothing makes one faster.  So the mean of the faster half counts: a median of three rounds is
disturbed far too often.
"""

import statistics
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["faster_half_mean", "relative_noise"]

LOW_QUANTILE, ITS_NORMAL = 0.3, 0.3853  # of a difference's size, for a normal deviate of sigma 1
NUM_SIMULATED = 20_000
NUM_HALVINGS = 32  # random ways to split the rounds in two


def faster_half_mean(medians: Sequence[float]) -> float:
    """Return the mean of the faster half of a network's medians, the middle one included."""
    return statistics.fmean(sorted(medians)[: _num_counting(len(medians))])


def relative_noise(
    medians: Sequence[Sequence[float]], *, num_rounds: int | None = None
) -> float | None:
    """Return how far :func:`faster_half_mean` is off because of noise.

    The rounds are split into two random halves, each of which is a measurement of all networks.
    Their differences give the noise of one half, and a simulation scales it to all rounds.

    Args:
        medians: The medians of each network, round by round; rounds that all networks have count.
        num_rounds: The number of rounds that the noise is for; by default those that were measured.

    Returns:
        A relative standard deviation, from a low quantile, since bursts do not count; ``None`` for
        fewer than two rounds.
    """
    measured = min(map(len, medians), default=0)
    if measured < 2:
        return None
    logs: NDArray[np.float64] = np.log([row[:measured] for row in medians])
    logs -= np.median(logs, axis=0)  # a round in which everything is slower is not noise
    half, generator = measured // 2, np.random.default_rng(0)
    differences = []
    for _ in range(NUM_HALVINGS):
        rounds = generator.permutation(measured)
        first, second = rounds[:half], rounds[half : 2 * half]
        differences.append(_faster_half(logs[:, first]) - _faster_half(logs[:, second]))
    typical = float(np.quantile(np.abs(differences), LOW_QUANTILE)) / ITS_NORMAL
    return typical / 2**0.5 * _noise_left(num_rounds or measured) / _noise_left(half)


def _num_counting(num_rounds: int) -> int:
    return (num_rounds + 1) // 2


def _faster_half(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the faster half of each row."""
    means: NDArray[np.float64] = np.sort(logs, axis=1)[:, : _num_counting(logs.shape[1])].mean(1)
    return means


@lru_cache
def _noise_left(num_rounds: int) -> float:
    """Return the noise of the faster half's mean over that of one round, for normal noise."""
    drawn = np.random.default_rng(0).standard_normal((NUM_SIMULATED, num_rounds))
    return float(_faster_half(drawn).std())
