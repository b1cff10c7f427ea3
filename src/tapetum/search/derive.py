r"""The derivation of the final network: the best one that meets the latency target exactly.

Elasticity scaling makes the most probable network as wide as the target allows.  The value of a
choice is the logarithm of its probability relative to the most probable candidate, less the
distance of its width from the width in the search,

.. math::
    v(o, w) = \ln \frac{p_o}{\max p} - \ln^2 \frac{w}{w_o} + \mu \frac{\ell_{o, w}}{\ell^*},

where :math:`w_o` is the scaled width for the most probable candidate, and for the others the width
at the end of the search.  The knapsack (:func:`tapetum.latency.best_network`) maximises the sum of
the values within the target :math:`\ell^*`.  The result is the scaled network itself, unless its
widths are at their limits, or a step narrower in a slot or two, since the knapsack rounds prices
up.

A latency target is meant to be used: :math:`\mu` is the smallest of a few weights, from 0 on, with
which the network comes near the target.
"""

import math
from collections.abc import Mapping, Sequence

from tapetum.arch import Choice, Slot, Space
from tapetum.latency import Budget, LatencyTable, Selection, best_network
from tapetum.search.supernet import Widths
from tapetum.search.widths import nominal_widths, scale_widths

__all__ = ["derive"]

LEAST_CHANCE = 1e-6  # a logarithm needs something
NEAR = 0.97  # of the target, or of the slowest network
WEIGHTS = (0.0, *(2.0**power for power in range(12)))  # of the time that is used


def derive(
    budget: Budget,
    probabilities: Mapping[str, Mapping[str, float]],
    depths: Mapping[str, Sequence[float]],
    *,
    widths: Widths | None = None,
) -> Selection:
    """Return the most probable network, in the sense above, within a budget.

    Args:
        budget: The target, and the table that prices every choice.
        probabilities: Probability of each candidate of each slot.
        depths: For the first slot of each run that may be left out, the probability of each depth
            from none to all.
        widths: Width of each candidate at the end of the search; by default that of its expansion.
    """
    table, target_ms = budget.table, budget.target_ms
    space, present = table.space, _presence(table.space, depths)
    around = _scaled(table, probabilities, present, widths or nominal_widths(space), target_ms)
    values = {
        path: _values(slot, probabilities[path], present.get(path), around[path])
        for path, slot in space.slots.items()
    }
    near_ms = NEAR * min(target_ms, table.range.slowest_ms)
    for weight in WEIGHTS:
        per_ms = weight / target_ms
        using = {
            path: {
                choice: worth + per_ms * prices[choice] for choice, worth in values[path].items()
            }
            for path, prices in table.prices.items()
        }
        best = best_network(budget, using)
        if best.latency_ms >= near_ms:
            break
    return best


def _presence(space: Space, depths: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the probability that a slot is present, for each slot that may be left out."""
    return {
        path: sum(depths[first][place + 1 :])
        for first, paths in space.optional_runs.items()
        for place, path in enumerate(paths)
    }


def _scaled(
    table: LatencyTable,
    probabilities: Mapping[str, Mapping[str, float]],
    present: Mapping[str, float],
    widths: Widths,
    target_ms: float,
) -> Widths:
    """Return the widths, with those of the likeliest network scaled to the target."""
    likeliest: dict[str, Choice | None] = dict.fromkeys(probabilities)
    for path, chances in probabilities.items():
        name = max(chances, key=chances.__getitem__)
        if present.get(path, 1.0) >= 0.5:
            likeliest[path] = Choice(candidate=name, hidden_channels=widths[path][name])
    scaled = {path: dict(candidates) for path, candidates in widths.items()}
    for path, choice in scale_widths(table, likeliest, target_ms=target_ms).choices.items():
        if choice is not None:
            scaled[path][choice.candidate] = choice.hidden_channels
    return scaled


def _values(
    slot: Slot,
    probabilities: Mapping[str, float],
    present: float | None,
    around: Mapping[str, int],
) -> dict[Choice | None, float]:
    """Return the value of each choice of a slot, given the probability that it is present."""
    worth: dict[Choice | None, float] = {} if present is None else {None: _log(1 - present)}
    likeliest = max(probabilities.values())
    for candidate in slot.candidates:
        # Leaving a slot out competes with keeping it, not with one candidate of many.
        chance = probabilities[candidate.name] / likeliest * (1.0 if present is None else present)
        for width in slot.widths(candidate):
            choice = Choice(candidate=candidate.name, hidden_channels=width)
            worth[choice] = _log(chance) - math.log(width / around[candidate.name]) ** 2
    return worth


def _log(chance: float) -> float:
    return math.log(max(chance, LEAST_CHANCE))
