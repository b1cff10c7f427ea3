"""The plan of a fit: how long each stage takes, and how all of them fit into a total time."""

import math
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import add
from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from tapetum.errors import InputError
from tapetum.jobs.choose import say
from tapetum.jobs.device import SCOPES
from tapetum.jobs.request import FitRequest
from tapetum.latency import Conditions
from tapetum.progress import in_words
from tapetum.records import Record
from tapetum.runtime import Precision
from tapetum.search import FeasibleRange
from tapetum.training import Length, Recipe

__all__ = [
    *("LEAST_SHARE", "Minutes", "Plan", "Plans"),
    *("require_share", "share_of", "shortened", "significant"),
]

LEAST_SHARE = 0.1  # of race and trainings, to which a total time may shorten them


class Minutes(Record):
    """The time of each stage of a fit, in minutes.

    Attributes:
        timing: Timing of candidates, of the chosen network and of the package.
        race: The race.
        training: The final training.
        controls: The trainings for comparison.
        scoring: Scores of everything that was trained.
        export: Export and report.
    """

    timing: NonNegativeFloat = 0.0
    race: NonNegativeFloat = 0.0
    training: NonNegativeFloat = 0.0
    controls: NonNegativeFloat = 0.0
    scoring: NonNegativeFloat = 0.0
    export: NonNegativeFloat = 0.0

    @property
    def total(self) -> float:
        """All together."""
        return self.fixed + self.learning

    @property
    def fixed(self) -> float:
        """What does not depend on the length of race and trainings."""
        return self.timing + self.scoring + self.export

    @property
    def learning(self) -> float:
        """Race and trainings."""
        return self.race + self.training + self.controls

    def shortened(self, share: float) -> "Minutes":
        """Return the same with a share of race and trainings."""
        parts = ("race", "training", "controls")
        return self.model_copy(update={name: share * getattr(self, name) for name in parts})

    def slowed(self, factor: float) -> "Minutes":
        """Return the same where timing and scoring take longer; export has a reserve."""
        slower = {"timing": factor * self.timing, "scoring": factor * self.scoring}
        return self.model_copy(update=slower)

    def __add__(self, other: "Minutes") -> "Minutes":
        """Return both, stage by stage."""
        ours, theirs = self.model_dump(), other.model_dump()
        return Minutes(**{name: ours[name] + theirs[name] for name in ours})

    def __str__(self) -> str:
        names = {"training": "final training"}
        parts = [
            f"{names.get(name, name)} {in_words(minutes)}"
            for name, minutes in self.model_dump().items()
            if minutes > 0
        ]
        return f"{', '.join(parts)}; {in_words(self.total)} in all"


class Plan(Record):
    """What is planned for one budget.

    Attributes:
        target_ms: The budget.
        range: The latencies that are feasible, with what the budget includes.
        conditions: The conditions that these hold for, with the number format of the package.
        minutes: The time of each stage.
        controls_minutes: What the trainings for comparison take, or would take.
        fallback: What a network in fp32 takes in addition, where int8 loses too much; nothing
            where int8 is not tried, or ships in any case.
        num_candidates: Number of networks that are proposed.
        recipe: How the network and the controls are trained, with the length that fits.
        steps: Number of steps of the final training; about, where it takes some minutes.
        notes: Why trainings have this length, what the time does not allow, and what would, in
            sentences without a full stop.
    """

    target_ms: PositiveFloat
    range: FeasibleRange
    conditions: Conditions
    minutes: Minutes
    controls_minutes: NonNegativeFloat
    fallback: Minutes = Minutes()
    num_candidates: PositiveInt
    recipe: Recipe
    steps: PositiveInt | None = None
    notes: tuple[str, ...] = ()

    @property
    def precision(self) -> Precision:
        """Number format of the package."""
        return self.conditions.ships

    def __str__(self) -> str:
        if self.steps is None:
            return str(self.minutes)
        about = "about " if self.recipe.minutes is not None else ""
        return f"{self.minutes}; the final training makes {about}{self.steps:,} steps"


class Plans(Record):
    """What fits of one or several budgets found before their work, and how long they take.

    Attributes:
        plans: The plan of each budget.
        total_minutes: Time that was given for all of them; None for any.
        used_minutes: What opening the images and this plan have taken of it.
        num_batches: Training steps in a pass over the images.
        share: Share of race and trainings for which the total time is enough.
        slower: How many times as long as on a quiet machine timing and scoring are expected to
            take, which their minutes include.
        num_scored: Number of validation images, evenly spread, that the total time allows to score;
            None for all.
    """

    schema_version: Literal[2] = 2
    plans: tuple[Plan, ...]
    total_minutes: PositiveFloat | None = None
    used_minutes: NonNegativeFloat = 0.0
    num_batches: PositiveInt
    share: PositiveFloat = 1.0
    slower: PositiveFloat = 1.0
    num_scored: PositiveInt | None = None

    @property
    def few_scored(self) -> str:
        """Say that not all validation images are scored; empty where they are."""
        if self.num_scored is None:
            return ""
        return (
            f"{self.num_scored:,} validation images, evenly spread, judge the networks, since "
            f"--total-minutes {self.total_minutes:g} leaves no time for all of them; tapetum "
            "evaluate scores the package on all"
        )

    def of(self, target_ms: float) -> Plan:
        """Return the plan of a budget."""
        return next(plan for plan in self.plans if plan.target_ms == target_ms)

    def after(self, target_ms: float) -> Minutes:
        """Return the time of the budgets that come after one."""
        later = (one.minutes for one in self.plans if one.target_ms > target_ms)
        return reduce(add, later, Minutes())

    @property
    def minutes(self) -> Minutes:
        """The time of each stage, for all budgets."""
        return reduce(add, (plan.minutes for plan in self.plans))

    def say(self, request: FitRequest) -> None:
        """Print the plan."""
        for line in self.lines(request):
            say(line)

    def lines(self, request: FitRequest) -> Iterator[str]:
        """Yield the plan in sentences; ``request`` is that of any of the budgets."""
        scope = SCOPES[request.includes]
        for conditions, span in {str(one.conditions): one.range for one in self.plans}.items():
            timed = f"from {span.num_timed} networks that were timed ({conditions})"
            yield f"possible: {span} for {scope}, {timed}"
        for one in self.plans:
            which = "" if len(self.plans) == 1 else f" for {one.target_ms:g} ms ({one.precision})"
            race = f"{one.num_candidates} candidates, " if one.minutes.race else ""
            yield f"plan{which}: {race}{one}"
            yield from one.notes
        if self.num_scored is not None:
            yield self.few_scored
        if len(self.plans) > 1:
            yield f"all {len(self.plans)} budgets: {in_words(self.minutes.total)}"
        if self.total_minutes is not None:
            passed = in_words(self.used_minutes)
            yield f"{passed} of --total-minutes {self.total_minutes:g} have passed already"
        yield from self._lines_on_more(request)

    def _lines_on_more(self, request: FitRequest) -> Iterator[str]:
        """Yield what may come, and what is not planned."""
        fallback = sum(one.fallback.total for one in self.plans)
        if fallback:
            yield (
                "if int8 loses 0.5 points (one image where there are fewer than 200) or 0.1 dB: up "
                f"to {in_words(fallback)} more, to train a narrower network in "
                f"fp32{self._room_for(fallback)}"
            )
        if not request.controls:
            more = in_words(sum(one.controls_minutes for one in self.plans))
            yield (
                f"not planned: trainings to compare with (--controls) take {more} more; "
                "--resume --controls adds them later"
            )

    def _room_for(self, fallback: float) -> str:
        """Say whether the total time leaves enough for the fallback."""
        if self.total_minutes is None:
            return ""
        needed = self.used_minutes + self.minutes.total + fallback
        if needed <= self.total_minutes:
            return ""
        return (
            f", as far as --total-minutes {self.total_minutes:g} leaves time (for all of it "
            f"{math.ceil(needed)}); else int8 ships"
        )


def shortened(recipe: Recipe, share: float, num_batches: int) -> Recipe:
    """Return a recipe for a share of its length.

    Args:
        recipe: The recipe.
        share: The share, 1 for the recipe as it is; only minutes become more.
        num_batches: Steps in a pass over the images.
    """
    if share == 1 or (share > 1 and recipe.minutes is None):
        return recipe
    if recipe.minutes is not None:
        return recipe.adjusted(minutes=significant(share * recipe.minutes))
    return recipe.adjusted(steps=max(1, int(share * Length.of(recipe, num_batches).total_steps)))


def significant(minutes: float) -> float:
    """Return minutes in three digits."""
    return float(f"{minutes:.3g}")


def share_of(stages: Sequence[Minutes], total: float | None, used: float = 0.0) -> float:
    """Return the share of race and trainings with which everything fits into a total time.

    Args:
        stages: The stages of each budget, whole.
        total: Minutes that were given; None for any.
        used: Minutes that have passed.

    Returns:
        At most 1; less than ``LEAST_SHARE``, or even less than 0, where nothing fits.
    """
    minutes = reduce(add, stages)
    if total is None or used + minutes.total <= total:
        return 1.0
    return (total - used - minutes.fixed) / minutes.learning


def require_share(stages: Sequence[Minutes], total: float | None, used: float = 0.0) -> float:
    """Return the same as :func:`share_of`, where race and trainings fit.

    Raises:
        InputError: Even the shortest race and trainings take longer; the message says how long.
    """
    share = share_of(stages, total, used)
    if total is not None and share < LEAST_SHARE:
        minutes = reduce(add, stages)
        least = used + minutes.fixed + LEAST_SHARE * minutes.learning
        raise InputError(
            f"--total-minutes {total:g} is too short: timing, scoring and export take "
            f"{in_words(used + minutes.fixed)}, and the trainings need at least "
            f"{in_words(LEAST_SHARE * minutes.learning)} more",
            f"give {math.ceil(10 * least) / 10:g} minutes or more, or a shorter training",
        )
    return share
