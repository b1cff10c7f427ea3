r"""From logits to the one network that is delivered: the best that keeps the budget, exactly.

Every choice of a slot is worth the logarithm of its probability, and a little for its width,

.. math::
    v(o, w) = \ln \operatorname{softmax}_o(\alpha) + \ln \frac{w}{e_o c},

and the knapsack of :mod:`tapetum.latency.budget` finds the choices that are worth most together
under the target.  So the constraint holds for the network that is delivered, not for a mixture of
many, and the time that the likeliest candidates leave is spent on their widths.
"""

import math
from collections.abc import Mapping

from tapetum.arch.space import Choice
from tapetum.latency import Best, LatencyTable, best_network
from tapetum.search.relax import Logits, chances

__all__ = ["derive"]

LEAST_CHANCE = 1e-6  # a logarithm needs something


def derive(logits: Logits, table: LatencyTable, *, target_ms: float) -> Best:
    """The network that the logits like best among those that keep the target.

    Args:
        logits: Of the table's space.
        table: Prices every choice.
        target_ms: Predicted latency, at most.

    Raises:
        InputError: No network of the space keeps the target.
    """
    return best_network(table, _values(logits), target_ms=target_ms)


def _values(logits: Logits) -> dict[str, Mapping[Choice | None, float]]:
    """What each choice of each slot is worth."""
    values: dict[str, Mapping[Choice | None, float]] = {}
    there = {path: float(chance.detach()) for path, chance in chances(logits).items()}
    for path, slot in logits.space.slots.items():
        likely = logits.operators[path].detach().log_softmax(0).tolist()
        here = _log(there.get(path, 1.0))
        worth: dict[Choice | None, float] = {}
        for candidate, log_probability in zip(slot.candidates, likely, strict=True):
            nominal = candidate.expansion * slot.in_channels
            for width in slot.widths(candidate):
                choice = Choice(candidate=candidate.name, hidden_channels=width)
                worth[choice] = here + log_probability + math.log(width / nominal)
        if slot.may_be_left_out:
            worth[None] = _log(1 - there[path])
        values[path] = worth
    return values


def _log(chance: float) -> float:
    return math.log(max(chance, LEAST_CHANCE))
