"""The plan of a fit: what is feasible here, and how long each stage will take."""

import logging
import math
from dataclasses import dataclass

from pydantic import NonNegativeFloat, PositiveInt

from tapetum.arch import Architecture, ShapeSpace, cost, find_architecture
from tapetum.data import DatasetInfo
from tapetum.errors import InputError
from tapetum.jobs.device import SCOPES, Device, image_px
from tapetum.jobs.pace import training_minutes
from tapetum.jobs.request import FitRequest, OpenedRequest, ShapeSettings
from tapetum.jobs.training import FINAL_MEGAPIXELS
from tapetum.latency import Budget, Conditions, TimedShapes, TimeNetworks, probe_widths
from tapetum.progress import ProgressCallback, in_words, step
from tapetum.provenance import usable_cores
from tapetum.records import Record
from tapetum.runtime import Precision
from tapetum.search import FeasibleRange, feasible_range, fewest_steps, how_many, propose
from tapetum.training import Length

__all__ = ["Minutes", "Plan", "make_plan", "network_of_pair", "pair_of", "untimed"]

PAIR = ("mobilenet-v3-small", "unet-s")  # what a user would pick by hand
LEAST_SHARE = 0.1  # of race and trainings, to which a total time may shorten them
PAYS = 0.85  # of the latency in fp32, below which int8 ships where it may
NUM_ROUNDS = 3
LONGEST = 1.5  # times the budget: larger networks are not timed
MOST = 24  # candidates of a race
FIT_MS, DECODE_MS = 600.0, 3.0  # of timing a candidate until it fits; of an image in scoring
EXPORT_MINUTES, FINAL_TIMING_MINUTES = 0.2, 0.7

_log = logging.getLogger("tapetum")


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
    training: NonNegativeFloat
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

    def __str__(self) -> str:
        names = {"training": "final training"}
        parts = [
            f"{names.get(name, name)} {in_words(minutes)}"
            for name, minutes in self.model_dump().items()
            if minutes > 0
        ]
        return f"{', '.join(parts)}; {in_words(self.total)} in all"


class Plan(Record):
    """What a fit found before its work, and how long it will take.

    Attributes:
        range: The latencies that are feasible, with what the budget includes.
        conditions: The conditions that these hold for, with the number format of the package.
        minutes: The time of each stage.
        controls_minutes: What the trainings for comparison take, or would take.
        num_candidates: Number of networks that are proposed.
        steps: Steps of each training; None for the length of the recipe.
    """

    range: FeasibleRange
    conditions: Conditions
    minutes: Minutes
    controls_minutes: NonNegativeFloat
    num_candidates: PositiveInt
    steps: PositiveInt | None = None

    @property
    def precision(self) -> Precision:
        """Number format of the package."""
        return "int8" if self.conditions.precision == "int8" else "fp32"

    def say(self, request: FitRequest) -> None:
        """Print the plan."""
        scope = SCOPES[request.includes]
        _log.warning(
            "possible here: %s for %s, from %d networks that were timed (%s)",
            *(self.range, scope, self.range.num_timed, self.conditions),
        )
        length = request.recipe.duration if self.steps is None else f"{self.steps:,} steps"
        _log.warning("plan: %s (trainings of %s)", self.minutes, length)
        if not request.controls:
            more = in_words(self.controls_minutes)
            _log.warning("not planned: trainings to compare with (--controls) take %s more", more)


def make_plan(opened: OpenedRequest, known: TimedShapes | None) -> tuple[Plan, TimedShapes]:
    """Time about ten networks, train one for some steps, and plan the fit.

    Args:
        opened: The request of the fit.
        known: Shapes that were timed for another budget; None where nothing was.

    Returns:
        The plan, and all shapes that were timed.

    Raises:
        InputError: No network keeps the budget, or nothing fits into the total time.
    """
    return _Planning(opened).plan(known)


def untimed(device: Device) -> TimedShapes:
    """Return the space of shapes on a device, in which nothing was timed; widths are probed."""
    info = device.data
    with step(device.progress, "looking for the channel counts that are fast here"):
        probe = probe_widths(device.runtime, device.conditions)
    _log.warning("%s: %s", device.conditions.precision, probe)
    space = ShapeSpace(
        width_step=probe.width_step,
        size_px=info.size_px,
        image_channels=info.channels,
        num_classes=max(2, len(info.class_names)) if info.class_names else None,
        boxes=info.has_boxes,
    )
    return TimedShapes(conditions=device.conditions, includes=device.includes, space=space)


@dataclass(frozen=True)
class _Planning:
    """A request that is planned."""

    opened: OpenedRequest

    @property
    def request(self) -> FitRequest:
        return self.opened.request

    @property
    def settings(self) -> ShapeSettings:
        assert isinstance(self.request.method, ShapeSettings)  # noqa: S101
        return self.request.method

    @property
    def progress(self) -> ProgressCallback:
        return self.device.progress

    @property
    def device(self) -> Device:
        assert self.opened.device is not None  # noqa: S101  (shapes are timed on this machine)
        return self.opened.device

    def plan(self, known: TimedShapes | None) -> tuple[Plan, TimedShapes]:
        timed = known or untimed(self.device.in_precision(self.settings.precision))
        target_ms = self.request.target_ms
        span, timed = self.range(timed)
        if known is None and self.settings.precision == "auto" and self.int8_pays(timed):
            span, timed = self.range(untimed(self.device.in_precision("int8")))
        if span.fastest_ms > (1 + Budget.TOLERANCE) * target_ms:
            propose(timed, self.timer(timed), target_ms, count=1)  # says what would keep it
        minutes, controls = self.minutes(timed)
        num_batches = self.opened.dataset.train.num_batches(self.request.recipe.batch_size)
        num_steps = Length.of(self.request.recipe, num_batches).total_steps
        step_s = 60 * minutes.training / num_steps
        minutes, steps = fitted(minutes, num_steps, self.settings.total_minutes)
        minutes, count = self.racing(minutes, step_s, fewest_steps(num_batches))
        plan = Plan(
            range=span,
            conditions=timed.conditions,
            minutes=minutes,
            controls_minutes=controls,
            num_candidates=count,
            steps=steps,
        )
        return plan, timed

    def range(self, timed: TimedShapes) -> tuple[FeasibleRange, TimedShapes]:
        longest_ms, time = LONGEST * self.request.target_ms, self.timer(timed)
        return feasible_range(timed, time, longest_ms=longest_ms, progress=self.progress)

    def timer(self, timed: TimedShapes) -> TimeNetworks:
        return self.device.in_precision(timed.conditions.precision).timer(timed.space)

    def int8_pays(self, timed: TimedShapes) -> bool:
        """Return whether a network of about the budget is much faster in int8."""
        if self.request.conditions.runtime != "onnxruntime":
            return False
        near, _ = self.nearest(timed)
        int8 = timed.model_copy(update={"conditions": self.device.in_precision("int8").conditions})
        with step(self.progress, "comparing int8 with fp32"):
            (float_timing,) = self.timer(timed)([near], num_rounds=NUM_ROUNDS)
            (int8_timing,) = self.timer(int8)([near], num_rounds=NUM_ROUNDS)
        ratio = int8_timing.median_ms / float_timing.median_ms
        pays = ratio < PAYS
        _log.warning(
            "int8 takes %.0f %% of the time of fp32 here (a network of %.3g ms), so %s",
            *(100 * ratio, float_timing.median_ms),
            "networks are timed in int8, which ships unless it loses too much"
            if pays
            else "fp32 ships",
        )
        return pays

    def nearest(self, timed: TimedShapes) -> tuple[Architecture, float]:
        """Return the network whose latency is nearest to the budget, and its latency."""
        target_ms, shapes = self.request.target_ms, timed.shapes
        near = min(shapes, key=lambda one: abs(math.log(one.timing.median_ms / target_ms)))
        return timed.space.architecture(near.shape), near.timing.median_ms

    def racing(self, minutes: Minutes, step_s: float, num_steps: int) -> tuple[Minutes, int]:
        """Return the number of candidates, and no minutes for a race that would be too short.

        Args:
            minutes: The time of each stage.
            step_s: Seconds of a step of a training.
            num_steps: Steps of each candidate, at least.
        """
        fewest = 1 + self.request.controls  # the rule's network, and the plain one
        if self.settings.method != "race":
            return minutes, fewest
        race_s, workers = 60 * minutes.race, usable_cores()
        count = how_many(MOST, race_s, workers=workers, step_s=step_s, steps=num_steps)
        if count > 1:
            return minutes, count
        _log.warning(
            "no race is planned: %s are too few to train some networks for %d steps each, so the "
            "default network of this latency is trained at once; more --search-minutes or "
            "--total-minutes allow a race",
            *(in_words(minutes.race), num_steps),
        )
        return minutes.model_copy(update={"race": 0.0}), fewest

    def minutes(self, timed: TimedShapes) -> tuple[Minutes, float]:
        """Return the time of each stage, and that of the controls."""
        request, dataset = self.request, self.opened.dataset
        (network, network_ms), recipe = self.nearest(timed), request.recipe
        with step(self.progress, "timing some steps of a training"):
            one = training_minutes(
                network, recipe, dataset.train, num_validation=len(dataset.validation)
            )
        final = one * request.target_ms / network_ms
        search, count = 0.0, 1
        if self.settings.method == "race":
            search, count = self.settings.search_minutes or final, MOST
        passes = self.controls(timed, network)
        scoring = self.scoring(request.target_ms)
        controls = (final + scoring) * passes
        minutes = Minutes(
            timing=count * FIT_MS * max(1.0, request.target_ms / 20) / 60_000
            + FINAL_TIMING_MINUTES,
            race=search,
            training=final,
            controls=controls if request.controls else 0.0,
            scoring=scoring,
            export=EXPORT_MINUTES,
        )
        return minutes, controls

    def controls(self, timed: TimedShapes, network: Architecture) -> float:
        """Return the multiply-adds of the controls, over those of a network of the budget."""
        size, info = (timed.space.size_px,) * 2, self.opened.dataset.info
        ours = cost.multiply_adds(network, *size)
        total = 1.0  # the plain network of the same latency
        for name in pair_of(info):
            total += cost.multiply_adds(network_of_pair(name, info), *size) / ours
        return total

    def scoring(self, pass_ms: float) -> float:
        """Return the time of scoring one network, in minutes."""
        dataset, recipe = self.opened.dataset, self.request.recipe
        height_px, width_px = image_px(dataset.info)
        num_views = len(dataset.validation) * (
            1 if dataset.info.is_paired else len(recipe.noise.spread())
        )
        num_pixels = height_px * width_px
        num_denoised = min(num_views, 1e6 * FINAL_MEGAPIXELS / num_pixels)
        whole = num_pixels / dataset.info.size_px**2
        decode_ms = DECODE_MS * max(1.0, num_pixels / 128**2)
        total_ms = num_views * (pass_ms + decode_ms) + num_denoised * (whole * pass_ms + decode_ms)
        return total_ms / 60_000


def pair_of(info: DatasetInfo) -> tuple[str, ...]:
    """Return the names of the networks that a user would pick by hand for a dataset."""
    return PAIR if info.class_names else PAIR[1:]


def network_of_pair(name: str, info: DatasetInfo) -> Architecture:
    """Return one of these networks for a dataset."""
    num_classes = max(2, len(info.class_names))
    return find_architecture(
        name, channels=info.channels, num_classes=num_classes, boxes=info.has_boxes
    )


def fitted(minutes: Minutes, num_steps: int, total: float | None) -> tuple[Minutes, int | None]:
    """Return the plan that takes at most a total time, and the steps of each training.

    Raises:
        InputError: Even the shortest race and trainings take longer.
    """
    if total is None or minutes.total <= total:
        return minutes, None
    share = (total - minutes.fixed) / minutes.learning
    if share < LEAST_SHARE:
        least = minutes.fixed + LEAST_SHARE * minutes.learning
        raise InputError(
            f"--total-minutes {total:g} is too short: timing, scoring and export take "
            f"{in_words(minutes.fixed)}, and the trainings need at least "
            f"{in_words(LEAST_SHARE * minutes.learning)} more",
            f"give {math.ceil(10 * least) / 10:g} minutes or more, or fewer --epochs",
        )
    shorter = {name: share * getattr(minutes, name) for name in ("race", "training", "controls")}
    return minutes.model_copy(update=shorter), max(1, int(share * num_steps))
