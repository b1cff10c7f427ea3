r"""From probabilities to the network that is delivered: the best that keeps the budget, exactly.

Every choice of a slot is worth the logarithm of its probability, and a little for its width,

.. math::
    v(o, w) = \ln p_o + \ln \frac{w}{c} + \mu \frac{\ell_{o, w}}{\ell^*},

with :math:`c` the channels that come in, and the knapsack of :mod:`tapetum.latency.budget` finds
the choices that are worth most together under the target :math:`\ell^*`.  So the constraint holds
for the network that is delivered, not for a mixture of many.

Whoever asks for 8 ms wants them used: :math:`\mu` is the smallest of a few weights, from 0 on, with
which the network comes near the target.
"""

import math
from collections.abc import Mapping, Sequence

from tapetum.arch.space import Choice, Slot, optional_runs
from tapetum.latency import Best, LatencyTable, best_network, range_of
from tapetum.latency.budget import Prices

__all__ = ["derive"]

LEAST_CHANCE = 1e-6  # a logarithm needs something
NEAR = 0.97  # of the target, or of the slowest network
WEIGHTS = (0.0, *(2.0**power for power in range(12)))  # of the time that is used


def derive(
    table: LatencyTable,
    probabilities: Mapping[str, Mapping[str, float]],
    depths: Mapping[str, Sequence[float]],
    *,
    target_ms: float,
) -> Best:
    """The likeliest network, in a sense, among those that keep the target.

    Args:
        table: Prices every choice.
        probabilities: Of each candidate of each slot.
        depths: For the first slot of each run that may be left out, the probability of each depth
            from none to all.
        target_ms: Predicted latency, at most.

    Raises:
        InputError: No network of the space keeps the target.
    """
    space = table.space
    there = {
        path: sum(depths[first][place + 1 :])
        for first, paths in optional_runs(space).items()
        for place, path in enumerate(paths)
    }
    values = {
        path: _values(slot, probabilities[path], there.get(path))
        for path, slot in space.slots.items()
    }
    near_ms = NEAR * min(target_ms, range_of(table).slowest_ms)
    for weight in WEIGHTS:
        best = best_network(table, _using(table, values, weight / target_ms), target_ms=target_ms)
        if best.latency_ms >= near_ms:
            break
    return best


def _using(table: LatencyTable, values: Prices, per_ms: float) -> Prices:
    """The same values, and something for each millisecond."""
    return {
        path: {
            choice: value + per_ms * table.prices[path][choice] for choice, value in slot.items()
        }
        for path, slot in values.items()
    }


def _values(
    slot: Slot, probabilities: Mapping[str, float], there: float | None
) -> dict[Choice | None, float]:
    """What each choice of a slot is worth; ``there`` is the probability that there is one."""
    worth: dict[Choice | None, float] = {} if there is None else {None: _log(1 - there)}
    for candidate in slot.candidates:
        chance = probabilities[candidate.name] * (1.0 if there is None else there)
        for width in slot.widths(candidate):
            choice = Choice(candidate=candidate.name, hidden_channels=width)
            worth[choice] = _log(chance) + math.log(width / slot.in_channels)
    return worth


def _log(chance: float) -> float:
    return math.log(max(chance, LEAST_CHANCE))
