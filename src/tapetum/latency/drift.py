r"""How a machine has changed since a table was measured, and how far it may have changed by later.

The same networks are timed again, and what took :math:`t` then takes

.. math::
    a + f \, t

now.  A machine that runs hotter slows all networks alike, which is a factor.  A neighbour that
takes its part of the cache slows large networks by more than small ones, by up to a tenth where we
looked (docs/log.md), and no single factor tells that.

That is known once it has happened.  What a table can state beforehand is how far the speed
*wanders* from one measurement to the next (:func:`wander_of`), which its own rounds tell.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat

from tapetum.latency.timing import faster_half, noise_left, shared_rounds
from tapetum.records import Record

__all__ = ["TYPICAL_WANDER", "Drift", "drift_between", "wander_of"]

WIDE = 1.3  # from the quickest to the slowest; in a narrower range noise alone would make a slope
TYPICAL_WANDER = 0.022  # of sixteen tables and their checks on a shared machine (docs/latency.md)
ROUNDS_IN_TWOS = range(5, 13)  # fewer make too few pairs, and of more a slow one is one of many
ITS_WEIGHT = 2  # in steps from round to round: the few of a table are too few to be believed alone


class Drift(Record):
    """What latencies have become.

    Args:
        fixed_ms: Longer than then, whatever the network; below zero where large networks have
            slowed down by more than small ones.
        factor: And so many times what it was.
        typical: How much longer the median network takes, relatively.
    """

    fixed_ms: float
    factor: PositiveFloat
    typical: float

    def now(self, then_ms: float) -> float:
        """What takes as long now as ``then_ms`` was then."""
        return self.fixed_ms + self.factor * then_ms

    def longer(self, then_ms: float) -> float:
        """How much longer that is, relatively."""
        return self.now(then_ms) / then_ms - 1


def drift_between(then_ms: Sequence[float], now_ms: Sequence[float]) -> Drift:
    """The line through what networks took then and take now.

    By Theil and Sen, in relative terms: the median of the slopes between all pairs, which bursts
    that meet a quarter of the networks do not move.  Where networks are of about one latency they
    tell a factor alone.

    Args:
        then_ms: Of each network, above 0.
        now_ms: Of each network, in the same order.
    """
    from scipy.stats import theilslopes  # type: ignore[import-untyped,unused-ignore]

    per_ms = 1 / np.array(then_ms)
    ratios = np.array(now_ms) * per_ms
    typical = float(np.median(ratios))
    fixed_ms, factor = 0.0, typical
    if max(then_ms) >= WIDE * min(then_ms):
        slope = float(theilslopes(ratios, per_ms).slope)
        rest = float(np.median(ratios - slope * per_ms))
        if rest > 0:  # a machine on which large networks seem quicker than small ones tells nothing
            fixed_ms, factor = slope, rest
    return Drift(fixed_ms=fixed_ms, factor=factor, typical=typical - 1)


def wander_of(visits: Sequence[Sequence[float]]) -> float:
    r"""How far the speed of a machine goes from one measurement to the next one as long.

    Each round meets the machine in a mood of its own, and moods average out; beneath them the speed
    wanders at random, and goes the further the more time it has.  So the speeds of two short
    measurements, of :math:`k` rounds each, differ by more the more rounds lie between their
    beginnings, in variance (:math:`h` rounds later)

    .. math::
        E \, d_h^2 = (h - k/3) \, s^2 + 2 n_k^2

    with :math:`s` for the wandering in the time of a round and :math:`n_k` for what moods leave,
    both fitted to all pairs that share no round (rounds are taken to be equally long).  Short ones
    are of two rounds, of which the faster visit counts as in the measurement itself, so that a
    single slow round is no wandering; of one where there are very few rounds, or many.  What a next
    measurement of as many rounds, :math:`K`, then differs by has the variance

    .. math::
        w^2 = \frac{2 K}{3} s^2 + 2 n_K^2

    Few rounds tell that badly, so the mean is taken of it, which counts as the :math:`K - 1` steps
    between them, and of :data:`TYPICAL_WANDER` squared, which counts as two.

    Args:
        visits: Of each of many things, round by round; as many rounds count as all have.

    Returns:
        A standard deviation, relatively.
    """
    logs = shared_rounds(visits)
    num_steps = max(0, logs.shape[1] - 1)
    told = num_steps * _variance_told(logs) if num_steps else 0.0
    return math.sqrt((ITS_WEIGHT * TYPICAL_WANDER**2 + told) / (ITS_WEIGHT + num_steps))


def _variance_told(logs: NDArray[np.float64]) -> float:
    """Of the speed from one measurement to the next, by the rounds (things, rounds) of one."""
    from scipy.optimize import nnls  # type: ignore[import-untyped,unused-ignore]

    num_rounds = logs.shape[1]
    short = 2 if num_rounds in ROUNDS_IN_TWOS else 1
    speeds = [
        faster_half(logs[:, first : first + short]) for first in range(num_rounds - short + 1)
    ]
    pairs = [(a, b) for a, b in combinations(range(len(speeds)), 2) if b - a >= short]
    squares = [float(np.median(speeds[after] - speeds[before])) ** 2 for before, after in pairs]
    (wandering, moods), _ = nnls(np.array([(b - a - short / 3, 2) for a, b in pairs]), squares)
    moods *= (noise_left(num_rounds) / noise_left(short)) ** 2
    return float(2 * num_rounds * wandering / 3 + 2 * moods)
