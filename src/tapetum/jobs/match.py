"""Match a network to its latency target by measuring it, before it is trained.

A table is off by a per cent or two, and the speed of a machine drifts.  So the network that the
knapsack chooses is timed whole; its weights do not affect its latency.  Where it is too slow, or
leaves too much of the budget, the target for the table is moved by the ratio of target and
measurement, and the knapsack is solved again.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from pydantic import PositiveFloat

from tapetum.arch import Architecture, Choice
from tapetum.jobs.device import Overhead
from tapetum.latency import Budget, Selection, Timing
from tapetum.records import Record

__all__ = ["NEAR", "Attempt", "Choose", "Matched", "MatchedNetwork", "Time", "match_target"]

NEAR = (0.93, 0.98)  # of the target: a network that was measured in here is taken as it is
MOST_ATTEMPTS = 5
SMALLEST_MS = 1e-3

A = TypeVar("A", bound=Record)

Choose = Callable[[Budget], Selection]
"""Return the preferred network among those that keep a budget by the table."""

Time = Callable[[Architecture], Timing]
"""Time what a budget includes, of a network with random weights."""


class Attempt(Record):
    """A network that was timed whole.

    All latencies include what the budget includes.

    Attributes:
        aimed_ms: The target that the table was given, in milliseconds.
        predicted_ms: The latency that the table predicts.
        timing: The measured latency.
        choices: The choice of each slot.
    """

    aimed_ms: float
    predicted_ms: float
    timing: Timing
    choices: dict[str, Choice | None]


class Matched(Record, Generic[A]):
    """The network that will be trained.

    Attributes:
        target_ms: The requested latency, in milliseconds.
        attempts: The networks that were timed, in order.
        chosen: Index of the attempt that was chosen.
        note: Why it misses the budget or leaves much of it; empty where it keeps it.
    """

    target_ms: PositiveFloat
    attempts: tuple[A, ...]
    chosen: int
    note: str = ""

    @property
    def attempt(self) -> A:
        """The attempt that was chosen."""
        return self.attempts[self.chosen]


class MatchedNetwork(Matched[Attempt]):
    """A network of a space that will be trained."""

    @property
    def choices(self) -> dict[str, Choice | None]:
        """The choice of each slot."""
        return self.attempt.choices


def match_target(
    budget: Budget, choose: Choose, time: Time, *, overhead: Overhead | None = None
) -> MatchedNetwork:
    """Time the preferred network, and correct the table's target until the measurement fits."""
    overhead = overhead or Overhead()
    target_ms = overhead.latency_ms(budget.target_ms)
    attempts: list[Attempt] = []
    aimed = budget
    while len(attempts) < MOST_ATTEMPTS:
        attempts.append(_attempt(aimed, choose(aimed), time, overhead))
        measured_ms = attempts[-1].timing.median_ms
        if NEAR[0] <= measured_ms / target_ms <= NEAR[1]:
            break
        left = overhead.pass_ms(Budget.AIM * target_ms) / max(
            overhead.pass_ms(measured_ms), SMALLEST_MS
        )
        moved = budget.moved_to(aimed.target_ms * left)
        if moved == aimed:
            break
        aimed = moved
    return _chosen(target_ms, attempts)


def _attempt(aimed: Budget, selection: Selection, time: Time, overhead: Overhead) -> Attempt:
    """Time the network of a selection."""
    return Attempt(
        aimed_ms=overhead.latency_ms(aimed.target_ms),
        predicted_ms=overhead.latency_ms(selection.latency_ms),
        timing=time(aimed.table.space.architecture(selection.choices)),
        choices=selection.choices,
    )


def _chosen(target_ms: float, attempts: list[Attempt]) -> MatchedNetwork:
    """Choose the attempt nearest to the aim that keeps the target, or else the fastest."""
    medians = [attempt.timing.median_ms for attempt in attempts]
    keeps = [index for index, ms in enumerate(medians) if ms <= target_ms]
    if not keeps:
        chosen = min(range(len(medians)), key=medians.__getitem__)
        allowed = medians[chosen] <= (1 + Budget.TOLERANCE) * target_ms
        note = "" if allowed else f"no network that was timed takes {target_ms:g} ms or less"
    else:
        chosen = min(keeps, key=lambda index: abs(medians[index] - Budget.AIM * target_ms))
        allowed = medians[chosen] >= (1 - Budget.BELOW) * target_ms
        note = "" if allowed else "the slowest network of the space that keeps the target"
    return MatchedNetwork(target_ms=target_ms, attempts=tuple(attempts), chosen=chosen, note=note)
