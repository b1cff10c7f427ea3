r"""A latency target on a device, and the best network that keeps it.

Given the price of each choice (a table) and its score (any numbers, such as log-probabilities of a
search), the best network under a target is a multiple-choice knapsack: one choice for each slot,
the sum of prices within the target, the sum of scores as high as possible.  With prices in whole
microseconds, rounded up, dynamic programming over the slots solves it exactly,

.. math::
    V_s(m) = \max_{c} \; V_{s - 1}(m - k_{s, c}) + v_{s, c} .
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tapetum.arch import Choice
from tapetum.errors import InputError
from tapetum.latency.table import LatencyTable

__all__ = ["Budget", "Selection", "best_network"]

Scores = Mapping[str, Mapping[Choice | None, float]]
MICROSECONDS = 1000  # in a millisecond


class Selection(NamedTuple):
    """A choice for each slot of a space, its predicted latency, and the sum of its scores."""

    choices: dict[str, Choice | None]
    latency_ms: float
    score: float


@dataclass(frozen=True)
class Budget:
    """A latency target that at least one network of the table's space keeps; made by :meth:`of`.

    Attributes:
        table: The prices of the space, under the conditions that the target holds for.
        target_ms: The highest latency of one pass, in milliseconds.
        TOLERANCE: Share of the target by which a measured median may exceed it.
        BELOW: Share of the target by which it may stay below it.
        AIM: Share of the target that a network should take: a machine may drift either way.
    """

    TOLERANCE: ClassVar[float] = 0.02
    BELOW: ClassVar[float] = 0.10
    AIM: ClassVar[float] = 0.96
    table: LatencyTable
    target_ms: float

    @classmethod
    def of(cls, table: LatencyTable, target_ms: float) -> Self:
        """Return the budget, checked.

        Raises:
            InputError: The target is not a positive number, or below the fastest network.
        """
        cls.require_positive(target_ms)
        fastest_ms, slowest_ms = table.range
        if target_ms < fastest_ms:
            raise InputError(
                f"no network of {table.space.name} takes {target_ms:g} ms under {table.conditions}",
                f"ask for {_up(fastest_ms)} ms or more: the space spans {_up(fastest_ms)} to "
                f"{slowest_ms:.2f} ms here",
            )
        return cls(table, target_ms)

    @staticmethod
    def require_positive(target_ms: float) -> None:
        """Refuse a target that is no latency on any device, before there is a table.

        Raises:
            InputError: The target is not a positive number.
        """
        if not isinstance(target_ms, int | float) or not 0 < target_ms < math.inf:
            raise InputError(
                f"a latency target must be a number greater than 0 (got {target_ms!r:.40})",
                "give milliseconds, such as 8",
            )

    def moved_to(self, target_ms: float) -> Self:
        """Return the budget of the feasible target that is nearest to ``target_ms``."""
        fastest_ms, slowest_ms = self.table.range
        return replace(self, target_ms=min(max(target_ms, fastest_ms + 1e-3), slowest_ms))


def best_network(budget: Budget, scores: Scores) -> Selection:
    """Return the network with the highest sum of scores among those that keep the budget.

    Args:
        budget: The target, and the price of each choice.
        scores: The score of each choice, by slot; a choice without a score is not chosen.

    Raises:
        InputError: No network of the scored choices keeps the target, or a slot has no scored
            choice.
    """
    table, prices = budget.table, budget.table.prices
    most = sum(_cost(max(slot.values())) for slot in prices.values())  # more room changes nothing
    room = min(most, math.floor((budget.target_ms - table.fixed_ms) * MICROSECONDS))
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
    fits = np.isfinite(value[room])
    if fits:
        choices = _trace(taken, prices, room)
    else:  # rounded up, not even the fastest network fits, although it may keep the target
        choices = {p: min(options, key=prices[p].__getitem__) for p, (options, _) in taken.items()}
    latency_ms = table.fixed_ms + sum(prices[path][choice] for path, choice in choices.items())
    if not fits and latency_ms > budget.target_ms:
        raise InputError(
            f"no network of the scored choices keeps {budget.target_ms:g} ms",
            "score more choices, or raise the target",
        )
    score = sum(scores[path][choice] for path, choice in choices.items())
    return Selection(choices, latency_ms, score)


def _trace(
    taken: Mapping[str, tuple[list[Choice | None], NDArray[np.int64]]], prices: Scores, room: int
) -> dict[str, Choice | None]:
    """Return the choices that led to the best value, from the last slot back to the first."""
    choices: dict[str, Choice | None] = {}
    for path, (options, rows) in reversed(list(taken.items())):
        choices[path] = options[int(rows[room])]
        room -= _cost(prices[path][choices[path]])
    return dict(reversed(list(choices.items())))


def _cost(price_ms: float) -> int:
    """Return whole microseconds, rounded up, so that a solution never exceeds the target."""
    return math.ceil(price_ms * MICROSECONDS - 1e-9)


def _up(latency_ms: float) -> str:
    """Return two digits, rounded up, so that a target of just that is feasible."""
    return f"{math.ceil(100 * latency_ms) / 100:.2f}"
