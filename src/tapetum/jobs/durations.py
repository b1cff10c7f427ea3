"""How long each stage of a fit takes here now, by some training steps and some scored images."""

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

from tapetum.arch import Architecture, cost
from tapetum.data import ImageDataset
from tapetum.evaluation import ScoringPace
from tapetum.formats import PrecisionChoice
from tapetum.jobs.choose import named_architecture, pair_of
from tapetum.jobs.methods import EXPORT_MINUTES, FINAL_TIMING_MINUTES, timing_minutes
from tapetum.jobs.plan import Minutes
from tapetum.jobs.request import OpenedRequest, ShapeSettings
from tapetum.jobs.training import FINAL_MEGAPIXELS
from tapetum.latency import TimedShapes
from tapetum.nn import build
from tapetum.progress import ProgressCallback, step
from tapetum.provenance import usable_cores
from tapetum.runtime import Precision
from tapetum.search import StepTimes, step_times
from tapetum.training import Length, Recipe

__all__ = ["Draft", "Durations", "TimedPrecisions", "nearest", "steps_of", "training_minutes"]

TimedPrecisions = dict[Precision, TimedShapes]
"""What was timed, by the number format of the package."""

MOST_MINUTES = 10.0  # of a final training: a race takes as long again
VALIDATION_SHARE = 0.1  # of a training that takes some minutes
PARALLEL = 0.7  # two cores score 1.7 times as fast as one: at least 2**0.7
INT8_MINUTES = 0.4  # of the calibration of the package, without its scores


def training_minutes(
    step_s: float, recipe: Recipe, *, num_batches: int, num_validation: int
) -> float:
    """Return how long a whole training takes, with its validation, in minutes."""
    if recipe.minutes is not None:
        return recipe.minutes
    length = Length.of(recipe, num_batches, held_out=num_validation)
    return length.seconds(step_s, recipe.batch_size) / 60


class Draft(NamedTuple):
    """The stages of a budget, whole, how it trains and why so long, and what a race needs.

    ``step_s`` is the time of a training step beside what runs now.
    """

    target_ms: float
    recipe: Recipe
    reason: str
    minutes: Minutes
    controls: float
    fallback: Minutes
    step_s: float


def steps_of(recipe: Recipe, step_s: float, num_batches: int) -> int:
    """Return the number of steps of a training: about, where it takes some minutes.

    Args:
        recipe: The recipe, with a length.
        step_s: Seconds of a step, as measured on this machine.
        num_batches: Steps in a pass over the images.
    """
    if recipe.minutes is None:
        return Length.of(recipe, num_batches).total_steps
    return max(1, round(60 * (1 - VALIDATION_SHARE) * recipe.minutes / step_s))


def with_length(recipe: Recipe, train: ImageDataset, step_s: float) -> tuple[Recipe, str]:
    """Return a recipe with a length, and why it has this one where nobody has given it."""
    if recipe.has_length:
        return recipe, ""
    steps_per_pass = train.num_batches(recipe.batch_size)
    chosen = Length.default(
        len(train), steps_per_pass=steps_per_pass, step_s=step_s, most_minutes=MOST_MINUTES
    )
    return chosen.given_to(recipe), f"each training takes {chosen.reason}"


def nearest(timed: TimedShapes, target_ms: float) -> tuple[Architecture, float]:
    """Return the network whose latency is nearest to a budget, and its latency."""
    near = min(timed.shapes, key=lambda one: abs(math.log(one.timing.median_ms / target_ms)))
    return timed.space.architecture(near.shape), near.timing.median_ms


@dataclass(frozen=True)
class Durations:
    """How long the stages of fits take that differ in their budgets."""

    opened: OpenedRequest
    settings: ShapeSettings
    progress: ProgressCallback
    pace: ScoringPace
    slower: float = 1.0  # how many times as long as on a quiet machine timing and scoring take
    steps_s: dict[Architecture, StepTimes] = field(default_factory=dict)

    def scored_on(self, count: int | None) -> Self:
        """Return the same with at most so many validation images; None keeps all."""
        dataset = self.opened.dataset.scored_on(count)
        return replace(self, opened=replace(self.opened, dataset=dataset))

    def step_s(self, network: Architecture) -> StepTimes:
        """Return the time of a training step of a network, measured once."""
        if network not in self.steps_s:
            recipe, train = self.opened.request.recipe, self.opened.dataset.train
            fresh = build(network, seed=recipe.seed)
            with step(self.progress, "timing some steps of a training"):
                self.steps_s[network] = step_times(fresh, recipe, train)
        return self.steps_s[network]

    def draft(
        self,
        target_ms: float,
        precision: Precision,
        timed: TimedPrecisions,
        *,
        race: bool = True,
        with_pair: bool = True,
    ) -> Draft:
        """Return the stages of a budget, whole.

        Args:
            target_ms: The budget.
            precision: The number format of the package.
            timed: What was timed.
            race: Whether a race is planned, where the method has one.
            with_pair: Whether the pair is trained with this budget.
        """
        near, near_ms = nearest(timed[precision], target_ms)
        quiet_s, step_s = (one * target_ms / near_ms for one in self.step_s(near))
        recipe, reason = with_length(self.opened.request.recipe, self.opened.dataset.train, quiet_s)
        is_timed = recipe.minutes is not None or self.settings.total_minutes is not None
        final, is_int8 = self.training(recipe, step_s), precision == "int8"
        less = self.less_work(target_ms, timed) if is_int8 else 1.0
        races = race and self.settings.method == "race"
        given = {"with_pair": with_pair, "is_timed": is_timed}
        controls = self.controls(near, final, target_ms, **given)
        minutes = Minutes(
            timing=timing_minutes(target_ms, races=races),
            race=(self.settings.search_minutes or final) if races else 0.0,
            training=final,
            controls=controls if self.opened.request.controls else 0.0,
            scoring=self.scoring_of_int8(target_ms, less) if is_int8 else self.scoring(target_ms),
            export=EXPORT_MINUTES + is_int8 * INT8_MINUTES,
        ).slowed(self.slower)
        fallback = Minutes()
        if is_int8 and self.settings.precision == "auto":
            fallback = Minutes(
                timing=FINAL_TIMING_MINUTES,
                training=final if is_timed else less * final,
                scoring=self.scoring(target_ms),
                export=EXPORT_MINUTES,
            ).slowed(self.slower)
        return Draft(target_ms, recipe, reason, minutes, controls, fallback, step_s)

    def training(self, recipe: Recipe, step_s: float) -> float:
        """Return the time of a training by a recipe with a length, in minutes."""
        dataset = self.opened.dataset
        return training_minutes(
            step_s,
            recipe,
            num_batches=dataset.train.num_batches(recipe.batch_size),
            num_validation=len(dataset.validation),
        )

    def less_work(self, target_ms: float, timed: TimedPrecisions) -> float:
        """Return the work of a network in fp32 over that of one in int8 of the same latency.

        It is 1 where no network was timed in fp32.
        """
        work = {name: self.work_of(one, target_ms) for name, one in timed.items()}
        return work.get("fp32", work["int8"]) / work["int8"]

    def work_of(self, timed: TimedShapes, target_ms: float) -> float:
        """Return about how many multiply-adds a network of a budget has."""
        near, near_ms = nearest(timed, target_ms)
        return self._multiply_adds(near) * target_ms / near_ms

    def controls(
        self, near: Architecture, final: float, target_ms: float, *, with_pair: bool, is_timed: bool
    ) -> float:
        """Return the time of the trainings for comparison, with their scores.

        Args:
            near: A network of about the budget.
            final: The time of its training.
            target_ms: The budget.
            with_pair: Whether the pair is trained with this budget.
            is_timed: Whether trainings take equal minutes, rather than equal steps.
        """
        info, ours = self.opened.dataset.info, self._multiply_adds(near)
        total = final + self.scoring(target_ms)  # the plain network of the same latency
        for name in pair_of(info) if with_pair else ():
            times = self._multiply_adds(named_architecture(name, info)) / ours
            total += final * (1.0 if is_timed else times) + self.scoring(times * target_ms)
        return total

    def _multiply_adds(self, network: Architecture) -> int:
        size_px = self.opened.dataset.info.size_px
        return cost.multiply_adds(network, size_px, size_px)

    def scoring(self, pass_ms: float) -> float:
        """Return the time of scoring a network on all validation images, in minutes."""
        return self._scoring(pass_ms, max_megapixels=FINAL_MEGAPIXELS, filters=True)

    def scoring_of_int8(self, target_ms: float, less: float) -> float:
        """Return the time of scoring a network that ships in int8, in minutes.

        It is scored in fp32 first, then some images compare both, then the package is scored.
        """
        of_fp32_ms, limit = target_ms / less, PrecisionChoice.MEGAPIXELS
        compared = (
            self._scoring(one, max_megapixels=limit, filters=False)
            for one in (of_fp32_ms, target_ms)
        )
        return self.scoring(of_fp32_ms) + sum(compared) + self.scoring(target_ms)

    def _scoring(self, pass_ms: float, *, max_megapixels: float, filters: bool) -> float:
        seconds = self.pace.seconds(
            self.opened.dataset, pass_ms / 1000, max_megapixels=max_megapixels, filters=filters
        )
        return seconds / math.pow(usable_cores(), PARALLEL) / 60
