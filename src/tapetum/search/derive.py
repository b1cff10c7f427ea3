r"""From probabilities to the network that is delivered: the best that keeps the budget, exactly.

Every choice of a slot is worth the logarithm of its probability, and a little for its width,

.. math::
    v(o, w) = \ln p_o + \ln \frac{w}{e_o c},

and the knapsack of :mod:`tapetum.latency.budget` finds the choices that are worth most together
under the target.  So the constraint holds for the network that is delivered, not for a mixture of
many, and the time that the likeliest candidates leave is spent on their widths.
"""

import math
from collections.abc import Mapping, Sequence

from tapetum.arch.space import Choice, Slot, optional_runs
from tapetum.latency import Best, LatencyTable, best_network

__all__ = ["derive"]

LEAST_CHANCE = 1e-6  # a logarithm needs something


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
    return best_network(table, values, target_ms=target_ms)


def _values(
    slot: Slot, probabilities: Mapping[str, float], there: float | None
) -> dict[Choice | None, float]:
    """What each choice of a slot is worth; ``there`` is the probability that there is one."""
    worth: dict[Choice | None, float] = {} if there is None else {None: _log(1 - there)}
    for candidate in slot.candidates:
        chance = probabilities[candidate.name] * (1.0 if there is None else there)
        for width in slot.widths(candidate):
            choice = Choice(candidate=candidate.name, hidden_channels=width)
            share = width / (candidate.expansion * slot.in_channels)
            worth[choice] = _log(chance) + math.log(share)
    return worth


def _log(chance: float) -> float:
    return math.log(max(chance, LEAST_CHANCE))
