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

import numpy as np
from pydantic import PositiveFloat

from tapetum.latency.stopwatch import shared_rounds
from tapetum.records import Record

__all__ = ["TYPICAL_WANDER", "Drift", "drift_between", "wander_of"]

WIDE = 1.3  # from the quickest to the slowest; in a narrower range noise alone would make a slope
TYPICAL_WANDER = 0.022  # of sixteen tables and their checks on a shared machine (docs/latency.md)
ITS_WEIGHT = 2  # in rounds: the few of a table are too few to be believed alone


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
    r"""How far the speed of a machine wanders from one measurement to the next one as long.

    A speed that wanders at random goes the further the more time it has.  The means of two
    neighbouring stretches of time differ by a variance in proportion to their length, so from one
    measurement of :math:`K` rounds to the next it is :math:`K` times what it is from one round to
    the next:

    .. math::
        w^2 = \frac{2 \, w_0^2 + \sum_k K \, d_k^2}{2 + (K - 1)}

    with :math:`d_k` the median change of all networks, in logarithms, from round :math:`k` to the
    next (rounds are taken to be equally long), and :data:`TYPICAL_WANDER` as :math:`w_0`, which
    counts as much as two rounds.

    Args:
        visits: Of each of many things, round by round; as many rounds count as all have.

    Returns:
        A standard deviation, relatively.
    """
    logs = shared_rounds(visits)
    num_rounds = logs.shape[1]
    steps = np.median(np.diff(logs, axis=1), axis=0) if num_rounds > 1 else np.zeros(0)
    total = ITS_WEIGHT * TYPICAL_WANDER**2 + num_rounds * float(np.square(steps).sum())
    return math.sqrt(total / (ITS_WEIGHT + len(steps)))
