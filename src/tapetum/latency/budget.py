r"""A latency target: what is feasible on a device, and the best network that keeps it.

Given what each choice costs (a table) and what it is worth (any scores, such as the logits of a
search), the best network under a target is a multiple-choice knapsack: exactly one choice for each
slot, the sum of costs within the target, the sum of scores as high as possible.  With costs in
whole microseconds, rounded up, it is solved exactly by dynamic programming over the slots,

.. math::
    V_s(m) = \max_{c} \; V_{s - 1}(m - k_{s, c}) + v_{s, c} .

A target below the cheapest network is refused at once, with the nearest feasible one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tapetum.arch import Choice
from tapetum.errors import InputError
from tapetum.latency.table import LatencyTable

__all__ = ["Best", "Budget", "Range", "best_network", "range_of", "require_sense"]

Prices = Mapping[str, Mapping[Choice | None, float]]
MICROSECONDS = 1000  # in a millisecond


class Range(NamedTuple):
    """What the networks of a space take: the prediction for the cheapest and the dearest.

    Attributes:
        fastest_ms: The least that any network takes.
        slowest_ms: The most.
    """

    fastest_ms: float
    slowest_ms: float

    def at(self, share: float) -> float:
        """Milliseconds of a latency that far along: 0 is the fastest, 1 the slowest."""
        return self.fastest_ms + share * (self.slowest_ms - self.fastest_ms)


class Best(NamedTuple):
    """The best network under a target.

    Attributes:
        choices: One for each slot.
        latency_ms: What it is predicted to take.
        score: The sum of the scores of its choices.
    """

    choices: dict[str, Choice | None]
    latency_ms: float
    score: float


def range_of(table: LatencyTable) -> Range:
    """The exact range of the table's predictions over its whole space."""
    return Range(table.bound_ms(min), table.bound_ms(max))


def require_sense(target_ms: float) -> None:
    """Refuses a target that is no latency, on whatever device.

    Raises:
        InputError: It is not a positive number.
    """
    if not (math.isfinite(target_ms) and target_ms > 0):
        raise InputError(f"a target of {target_ms} ms makes no sense", "give milliseconds above 0")


@dataclass(frozen=True)
class Budget:
    """A latency target that at least one network of the table's space keeps.

    Use :meth:`of` to construct one: whoever holds a budget need not check it again.

    Attributes:
        table: The prices of the space, under the conditions that the target holds for.
        target_ms: The highest latency of one pass, in milliseconds.
    """

    table: LatencyTable
    target_ms: float

    @classmethod
    def of(cls, table: LatencyTable, target_ms: float) -> Self:
        """Return the budget, checked.

        Args:
            table: The prices of the space.
            target_ms: The highest latency of one pass, in milliseconds.

        Raises:
            InputError: The target is not a positive number, or below the fastest network.
        """
        require_sense(target_ms)
        fastest_ms, slowest_ms = range_of(table)
        if target_ms < fastest_ms:
            raise InputError(
                f"no network of {table.space.name} takes {target_ms:g} ms under {table.conditions}",
                f"ask for {_up(fastest_ms)} ms or more: the space spans {_up(fastest_ms)} to "
                f"{slowest_ms:.2f} ms here",
            )
        return cls(table, target_ms)

    def moved_to(self, target_ms: float) -> Self:
        """Return the budget of the feasible target that is nearest to ``target_ms``."""
        fastest_ms, slowest_ms = range_of(self.table)
        return replace(self, target_ms=min(max(target_ms, fastest_ms + 1e-3), slowest_ms))


def best_network(budget: Budget, scores: Prices) -> Best:
    """Return the network with the highest sum of scores among those that keep the budget.

    Args:
        budget: The target, and what each choice costs.
        scores: What each choice is worth, by slot; a choice without a score is not chosen.

    Raises:
        InputError: No network of the scored choices keeps the target, or a slot has no scored
            choice.
    """
    table, target_ms = budget.table, budget.target_ms
    prices = table.prices
    room = math.floor((target_ms - table.fixed_ms) * MICROSECONDS)
    value = np.zeros(room + 1)
    taken: dict[str, tuple[list[Choice | None], NDArray[np.int64]]] = {}
    for path, slot in prices.items():
        options = [choice for choice in slot if choice in scores.get(path, {})]
        if not options:
            raise InputError(f"no choice of {path} has a score", "score at least one for each slot")
        rows = np.full((len(options), room + 1), -np.inf)
        for row, choice in zip(rows, options, strict=True):
            cost = _cost(slot[choice])
            if cost <= room:
                row[cost:] = value[: room + 1 - cost] + scores[path][choice]
        value = rows.max(axis=0)
        taken[path] = (options, rows.argmax(axis=0))
    if not np.isfinite(value[room]):
        raise InputError(
            f"no network of the scored choices keeps {target_ms:g} ms",
            "score more choices, or raise the target",
        )
    choices = _trace(taken, prices, room)
    latency_ms = table.fixed_ms + sum(prices[path][choice] for path, choice in choices.items())
    return Best(choices, latency_ms, float(value[room]))


def _trace(
    taken: Mapping[str, tuple[list[Choice | None], NDArray[np.int64]]], prices: Prices, room: int
) -> dict[str, Choice | None]:
    """The choices that led to the best value, from the last slot back to the first."""
    choices: dict[str, Choice | None] = {}
    for path, (options, rows) in reversed(list(taken.items())):
        choices[path] = options[int(rows[room])]
        room -= _cost(prices[path][choices[path]])
    return dict(reversed(list(choices.items())))


def _cost(price_ms: float) -> int:
    """Whole microseconds, rounded up: the network that is found never exceeds the target."""
    return math.ceil(price_ms * MICROSECONDS - 1e-9)


def _up(latency_ms: float) -> str:
    """Two digits, rounded up, so that asking for just that is feasible."""
    return f"{math.ceil(100 * latency_ms) / 100:.2f}"
