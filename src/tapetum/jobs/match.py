"""From what a search likes to a network that is measured to keep the budget.

A table is off by a per cent or two, and a machine drifts; a user asked for milliseconds.  So the
network that the knapsack finds is timed whole, before anything is trained (latency does not depend
on the weights).  Where it is too slow or leaves too much of the budget, the target for the table is
moved by the ratio, and the knapsack is solved again.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from pydantic import PositiveFloat

from tapetum.arch import Choice
from tapetum.latency import (
    Best,
    Block,
    Budget,
    MakeReady,
    Prepare,
    Timing,
    one_at_a_time,
    summarize_rounds,
    take_turns,
)
from tapetum.progress import ProgressCallback, silent
from tapetum.records import Record

__all__ = [
    "ABOVE",
    "BELOW",
    "Attempt",
    "MatchedNetwork",
    "match_target",
    "time_in_turns",
    "time_whole",
]

ABOVE, BELOW = 0.02, 0.10  # how far a delivered network may be off its target, relatively
AIM = 1 + (ABOVE - BELOW) / 2  # of the target: a machine drifts either way until the delivery
NEAR = (0.93, 0.98)  # no other attempt is made where the measured ratio lies in here
MOST_ATTEMPTS = 5
NUM_ROUNDS, PAUSE_S = 10, 1.0
BLOCK = Block(min_passes=5, min_ms=100)

Choose = Callable[[Budget], Best]
"""Return the network that is liked best among those that keep a budget, by the table."""


class Attempt(Record):
    """A network that was timed whole.

    Attributes:
        aimed_ms: The target that the table was asked for.
        predicted_ms: By the table.
        timing: As measured.
        choices: The network.
    """

    aimed_ms: float
    predicted_ms: float
    timing: Timing
    choices: dict[str, Choice | None]


class MatchedNetwork(Record):
    """The network that will be trained.

    Attributes:
        target_ms: What was asked.
        attempts: Networks that were timed, in this order.
        chosen: The place of the one that was taken.
        note: Why it does not keep the budget; empty where it does.
    """

    target_ms: PositiveFloat
    attempts: tuple[Attempt, ...]
    chosen: int
    note: str = ""

    @property
    def attempt(self) -> Attempt:
        """The one that was taken."""
        return self.attempts[self.chosen]

    @property
    def choices(self) -> Mapping[str, Choice | None]:
        """What stands in each slot."""
        return self.attempt.choices


def match_target(
    budget: Budget,
    choose: Choose,
    prepare: Prepare,
    *,
    progress: ProgressCallback = silent,
) -> MatchedNetwork:
    """Times what is liked best, and corrects the table's target until it is met.

    Args:
        budget: The requested target, and the prices of the space.
        choose: Solves the knapsack for a budget.
        prepare: Makes a network ready under the table's conditions.
        progress: Is told of each turn.
    """
    attempts: list[Attempt] = []
    aimed = budget
    while len(attempts) < MOST_ATTEMPTS:
        best = choose(aimed)
        network = budget.table.space.architecture(best.choices)
        found = time_whole(partial(prepare, network), progress=progress)
        attempts.append(
            Attempt(
                aimed_ms=aimed.target_ms,
                predicted_ms=best.latency_ms,
                timing=found,
                choices=best.choices,
            )
        )
        ratio = found.median_ms / budget.target_ms
        if NEAR[0] <= ratio <= NEAR[1]:
            break
        moved = budget.moved_to(aimed.target_ms * AIM / ratio)
        if moved == aimed:
            break
        aimed = moved
    return _chosen(budget.target_ms, attempts)


def time_whole(make_ready: MakeReady, *, progress: ProgressCallback = silent) -> Timing:
    """A latency, pooled over rounds that are spread in time."""
    return time_in_turns([make_ready], progress=progress)[0]


def time_in_turns(
    things: Sequence[MakeReady], *, progress: ProgressCallback = silent
) -> list[Timing]:
    """The latency of each, pooled over rounds that are spread in time.

    Raises:
        InputError: Another timing is going on.
    """
    with one_at_a_time():
        rounds = take_turns(
            things, BLOCK, num_rounds=NUM_ROUNDS, pause_s=PAUSE_S, progress=progress
        )
    return [summarize_rounds(found) for found in rounds]


def _chosen(target_ms: float, attempts: list[Attempt]) -> MatchedNetwork:
    """The nearest to the aim that keeps the target; where none does, the fastest, and why."""
    medians = [attempt.timing.median_ms for attempt in attempts]
    keeps = [place for place, ms in enumerate(medians) if ms <= target_ms]
    if not keeps:
        chosen = min(range(len(medians)), key=medians.__getitem__)
        allowed = medians[chosen] <= (1 + ABOVE) * target_ms
        note = "" if allowed else f"no network that was timed takes {target_ms:g} ms or less"
    else:
        chosen = min(keeps, key=lambda place: abs(medians[place] - AIM * target_ms))
        allowed = medians[chosen] >= (1 - BELOW) * target_ms
        note = "" if allowed else "the slowest network of the space that keeps the target"
    return MatchedNetwork(target_ms=target_ms, attempts=tuple(attempts), chosen=chosen, note=note)
