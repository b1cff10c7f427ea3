r"""From probabilities to the network that is delivered: the best that keeps the budget, exactly.

Elasticity scaling makes the likeliest network as wide as the target allows.  Every choice of a slot
is worth the logarithm of its probability over that of the likeliest, less the farther its width is
from what the search has come to,

.. math::
    v(o, w) = \ln \frac{p_o}{\max p} - \ln^2 \frac{w}{w_o} + \mu \frac{\ell_{o, w}}{\ell^*},

with :math:`w_o` for the scaled width of the likeliest candidate, and for that of the others as the
search left it; the knapsack (:func:`tapetum.latency.best_network`) finds the choices worth most
together under the target :math:`\ell^*`.  That is the scaled network itself, unless its widths are
at their limits, or a step narrower in a slot or two, as the knapsack rounds each price up; and the
constraint holds for the network that is delivered, not for a mixture.

Whoever asks for 8 ms wants them used: :math:`\mu` is the smallest of a few weights, from 0 on, with
which the network comes near the target.
"""

import math
from collections.abc import Mapping, Sequence

from tapetum.arch import Choice, Slot, Space
from tapetum.latency import Budget, LatencyTable, Selection, best_network
from tapetum.search.supernet import Widths
from tapetum.search.widths import nominal_widths, scale_widths

__all__ = ["derive"]

Values = Mapping[str, Mapping[Choice | None, float]]

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
    """The likeliest network, in a sense, among those that keep the target.

    Args:
        budget: The target, and the table that prices every choice.
        probabilities: Of each candidate of each slot.
        depths: For the first slot of each run that may be left out, the probability of each depth
            from none to all.
        widths: Of each candidate, as the search left them; by default those of their expansions.
    """
    table, target_ms = budget.table, budget.target_ms
    space, there = table.space, _there(table.space, depths)
    around = _scaled(table, probabilities, there, widths or nominal_widths(space), target_ms)
    values = {
        path: _values(slot, probabilities[path], there.get(path), around[path])
        for path, slot in space.slots.items()
    }
    near_ms = NEAR * min(target_ms, table.range.slowest_ms)
    for weight in WEIGHTS:
        best = best_network(budget, _using(table, values, weight / target_ms))
        if best.latency_ms >= near_ms:
            break
    return best


def _there(space: Space, depths: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The probability that a slot is there, of each that may be left out."""
    return {
        path: sum(depths[first][place + 1 :])
        for first, paths in space.optional_runs.items()
        for place, path in enumerate(paths)
    }


def _scaled(
    table: LatencyTable,
    probabilities: Mapping[str, Mapping[str, float]],
    there: Mapping[str, float],
    widths: Widths,
    target_ms: float,
) -> Widths:
    """The widths, with those of the likeliest network scaled to the target."""
    likeliest: dict[str, Choice | None] = {}
    for path, chances in probabilities.items():
        name = max(chances, key=chances.__getitem__)
        is_there = there.get(path, 1.0) >= 0.5
        likeliest[path] = (
            Choice(candidate=name, hidden_channels=widths[path][name]) if is_there else None
        )
    scaled = scale_widths(table, likeliest, target_ms=target_ms).choices
    return {
        path: {**widths[path], **({choice.candidate: choice.hidden_channels} if choice else {})}
        for path, choice in scaled.items()
    }


def _using(table: LatencyTable, values: Values, per_ms: float) -> Values:
    """The same values, and something for each millisecond."""
    return {
        path: {
            choice: value + per_ms * table.prices[path][choice] for choice, value in slot.items()
        }
        for path, slot in values.items()
    }


def _values(
    slot: Slot,
    probabilities: Mapping[str, float],
    there: float | None,
    around: Mapping[str, int],
) -> dict[Choice | None, float]:
    """What each choice of a slot is worth; ``there`` is the probability that there is one."""
    worth: dict[Choice | None, float] = {} if there is None else {None: _log(1 - there)}
    likeliest = max(probabilities.values())
    for candidate in slot.candidates:
        # Leaving out competes with being there, not with one candidate of many.
        chance = probabilities[candidate.name] / likeliest * (1.0 if there is None else there)
        for width in slot.widths(candidate):
            choice = Choice(candidate=candidate.name, hidden_channels=width)
            worth[choice] = _log(chance) - math.log(width / around[candidate.name]) ** 2
    return worth


def _log(chance: float) -> float:
    return math.log(max(chance, LEAST_CHANCE))
