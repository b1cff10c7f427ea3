"""Plan fits before their work: time about ten networks, and a training for some steps."""

import math
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial, reduce
from operator import add
from typing import Any

from tapetum.arch import ShapeSpace
from tapetum.errors import InputError
from tapetum.evaluation import scoring_pace
from tapetum.formats import FEWEST_IMAGES
from tapetum.jobs.choose import say
from tapetum.jobs.deadline import slowness
from tapetum.jobs.device import Device
from tapetum.jobs.durations import Draft, Durations, TimedPrecisions, nearest, steps_of
from tapetum.jobs.elsewhere import int8_ratio
from tapetum.jobs.methods import FEWEST_PROPOSED, MOST_PROPOSED, RUN_INT8, require_time
from tapetum.jobs.plan import LEAST_SHARE, Plan, Plans, require_share, share_of, significant
from tapetum.jobs.remedies import timed_remedies
from tapetum.jobs.request import FitRequest, OpenedRequest, ShapeSettings
from tapetum.latency import Budget, TimedShapes, TimeNetworks, probe_widths, time_interleaved
from tapetum.progress import ProgressCallback, in_words, step
from tapetum.runtime import Precision
from tapetum.search import (
    FeasibleRange,
    feasible_range,
    fewest_steps,
    how_many,
    keeps_budget,
    known,
    needed_seconds,
    propose,
    refusal,
)
from tapetum.training import Recipe, ShortTraining

__all__ = ["make_plans"]

PAYS = 0.85  # of the latency in fp32, below which int8 ships where it may
NUM_ROUNDS = 3
LONGEST = 1.5  # times the largest budget: larger networks are not timed
ENOUGH, FEWEST = 9, 3  # candidates of a race
SCORING_SHARE = 0.2  # of a total time that shortens the trainings
FEWEST_SCORED = 100  # validation images


def make_plans(
    opened: OpenedRequest,
    targets: Sequence[float],
    known: Mapping[Precision, TimedShapes],
    *,
    workers: int | None = None,
    started_s: float | None = None,
) -> tuple[Plans, TimedPrecisions]:
    """Time about ten networks, train some for a few steps, and plan a fit of each budget.

    The arguments are those of :func:`tapetum.jobs.look.look_at_shapes`; shapes that are ``known``
    were timed before.

    Returns:
        The plans, and all shapes that were timed.
    """
    settings = opened.request.method
    require_time(targets, getattr(settings, "total_minutes", None))
    started_s = time.monotonic() if started_s is None else started_s
    planning = _Planning(
        opened, tuple(targets), workers or ShortTraining.most_at_once(), dict(known)
    )
    return planning.plans(started_s), planning.timed


def untimed(device: Device) -> TimedShapes:
    """Return the space of shapes on a device, in which nothing was timed; widths are probed."""
    info = device.data
    with step(device.progress, "looking for the channel counts that are fast here"):
        probe = probe_widths(device.runtime, device.conditions)
    say(f"{device.conditions.precision}: {probe}")
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
    """Requests that differ in their budgets, while they are planned."""

    opened: OpenedRequest
    targets: tuple[float, ...]
    workers: int
    timed: TimedPrecisions
    ranges: dict[Precision, FeasibleRange] = field(default_factory=dict)

    @cached_property
    def durations(self) -> Durations:
        noise = self.request.recipe.noise
        with step(self.progress, "timing the scoring of some images"):
            pace = scoring_pace(self.opened.dataset, noise.spread(), protocol=noise.protocol)
        return Durations(self.opened, self.settings, self.progress, pace, self.slower)

    @cached_property
    def slower(self) -> float:
        """How many times as long as on a quiet machine timing and scoring take now."""
        shapes = () if self.is_elsewhere else self.timed.values()
        return slowness(one.timing for timed in shapes for one in timed.shapes)

    @property
    def request(self) -> FitRequest:
        return self.opened.request

    @property
    def settings(self) -> ShapeSettings:
        assert isinstance(self.request.method, ShapeSettings)  # noqa: S101
        return self.request.method

    @property
    def progress(self) -> ProgressCallback:
        return self.opened.progress

    @property
    def is_elsewhere(self) -> bool:
        """Whether the device is another machine, on which nothing can be timed now."""
        return self.opened.device is None

    @property
    def device(self) -> Device:
        assert self.opened.device is not None  # noqa: S101  (it is this machine)
        return self.opened.device

    @property
    def num_batches(self) -> int:
        return self.opened.dataset.train.num_batches(self.request.recipe.batch_size)

    def plans(self, started_s: float) -> Plans:
        precisions = self.precisions()
        self.require_feasible(precisions)
        self.require_start(precisions)
        total, durations = self.settings.total_minutes, self.durations
        whole = self.drafts(durations, precisions)
        used = (time.monotonic() - started_s) / 60  # other measurements were waited for, too
        num_scored = self.num_scored(whole, used)
        durations = durations.scored_on(num_scored)
        drafts = self.drafts(durations, precisions)
        share = max(LEAST_SHARE, share_of([one.minutes for one in drafts], total, used))
        notes = {one.target_ms: tuple(self.few(drafts, one, share, used)) for one in drafts}
        raced = {
            one.target_ms
            for one in drafts
            if self.count(one, share) > 1 and not self.is_starved(one, share)
        }
        kept = self.drafts(durations, precisions, raced)
        share = require_share([one.minutes for one in kept], total, used)
        return Plans(
            plans=tuple(
                self.plan(one, share, precisions[one.target_ms], notes[one.target_ms])
                for one in kept
            ),
            total_minutes=total,
            used_minutes=used,
            num_batches=self.num_batches,
            share=share,
            slower=self.slower,
            num_scored=num_scored,
        )

    def drafts(
        self,
        durations: Durations,
        precisions: Mapping[float, Precision],
        raced: Container[float] | None = None,
    ) -> list[Draft]:
        """Return the stages of each budget, whole; ``raced`` are those with a race, None for all.

        The pair is trained with the first budget.
        """
        return [
            durations.draft(
                target_ms,
                precisions[target_ms],
                self.timed,
                race=raced is None or target_ms in raced,
                with_pair=target_ms == self.targets[0],
            )
            for target_ms in self.targets
        ]

    def num_scored(self, drafts: Sequence[Draft], used: float) -> int | None:
        """Return how many validation images a total time allows to score; None for all."""
        total, count = self.settings.total_minutes, len(self.opened.dataset.validation)
        stages = [one.minutes for one in drafts]
        if total is None or share_of(stages, total, used) == 1:
            return None
        share = SCORING_SHARE * (total - used) / sum(one.scoring for one in stages)
        kept = max(FEWEST_SCORED, int(share * count))
        return kept if kept < count else None

    def plan(self, draft: Draft, share: float, precision: Precision, notes: Sequence[str]) -> Plan:
        """Return the plan of a budget with a share of race and trainings."""
        recipe, minutes = self.recipe(draft, share), draft.minutes.shortened(share)
        steps = steps_of(recipe, draft.step_s, self.num_batches)
        remarks = self.reason(draft, share), *notes, self.short(steps)
        return Plan(
            target_ms=draft.target_ms,
            range=self.ranges[precision],
            conditions=self.timed[precision].conditions,
            minutes=minutes,
            controls_minutes=share * draft.controls,
            fallback=draft.fallback.shortened(share),
            num_candidates=max(self.count(draft, share), FEWEST_PROPOSED),
            recipe=recipe,
            steps=steps,
            notes=tuple(filter(None, remarks)),
        )

    def recipe(self, draft: Draft, share: float) -> Recipe:
        """Return how networks are trained; in minutes where there is a total time to keep."""
        if self.settings.total_minutes is None:
            return draft.recipe
        return draft.recipe.adjusted(minutes=significant(share * draft.minutes.training))

    def reason(self, draft: Draft, share: float) -> str:
        """Return why trainings are as long as they are; empty where that was asked for."""
        if share >= 1 and (self.settings.total_minutes is None or draft.recipe.minutes is not None):
            return draft.reason
        total = f"--total-minutes {self.settings.total_minutes:g}"
        if share >= 1:
            return f"{total} turns {draft.recipe.duration} into minutes, of about that length"
        return f"{total} shortens each training to {share:.0%} of its length"

    def short(self, steps: int) -> str:
        """Return that a training from random weights has few steps; empty where it has enough."""
        few = Recipe.too_few(steps)
        if not few or self.opened.source is not None:
            return ""
        return f"the final training is short: {few}, or choose a lower latency, which learns faster"

    def precisions(self) -> dict[float, Precision]:
        """Return the number format of the package of each budget."""
        asked = self.settings.precision
        first: Precision = "int8" if asked == "int8" else "fp32"
        self.measure(first)
        chosen = dict.fromkeys(self.targets, first)
        if asked == "auto" and self.may_be_int8:
            chosen |= {one: "int8" for one in self.targets if self.int8_pays(one)}
        for precision in set(chosen.values()) - {first}:
            self.measure(precision)
        return chosen

    def measure(self, precision: Precision) -> None:
        """Time shapes from the smallest up to the largest that a budget needs."""
        if self.is_elsewhere:
            self.ranges[precision] = known.known_range(self.timed[precision])
            return
        timed = self.timed.get(precision) or untimed(self.device.in_precision(precision))
        self.ranges[precision], self.timed[precision] = feasible_range(
            timed,
            self.timer(timed),
            longest_ms=LONGEST * max(self.targets),
            progress=self.progress,
        )

    def timer(self, timed: TimedShapes) -> TimeNetworks:
        return self.device.in_precision(timed.conditions.precision).timer(timed.space)

    @property
    def may_be_int8(self) -> bool:
        """Whether int8 can run here, and enough images can calibrate it."""
        is_enough = len(self.opened.dataset.train) >= FEWEST_IMAGES
        is_there = "int8" in self.timed or not self.is_elsewhere
        return self.request.conditions.runtime in RUN_INT8 and is_enough and is_there

    def int8_pays(self, target_ms: float) -> bool:
        """Return whether networks of about the budget are much faster in int8."""
        if self.is_elsewhere:
            ratio = int8_ratio(self.timed["fp32"], self.timed["int8"], target_ms)
        else:
            ratio = self.measured_ratio(target_ms)
        pays = ratio is not None and ratio < PAYS
        if ratio is not None:
            where = "the device" if self.is_elsewhere else "this machine"
            say(
                f"for {target_ms:g} ms: int8 takes {100 * ratio:.0f} % of the time of fp32 on "
                f"{where}, so "
                + (
                    "networks are timed in int8, which ships unless it loses too much on the "
                    "validation images"
                    if pays
                    else "fp32 ships"
                )
            )
        return pays

    def measured_ratio(self, target_ms: float) -> float:
        """Return the latency of int8 over that of fp32, of a network of about the budget."""
        near, _ = nearest(self.timed["fp32"], target_ms)
        calls = [self.device.in_precision(one).call(near) for one in ("fp32", "int8")]
        includes, threads = self.request.includes, self.request.conditions.threads
        with step(self.progress, "comparing int8 with fp32"):
            fp32, int8 = time_interleaved(
                [partial(call.stage, includes) for call in calls],
                num_rounds=NUM_ROUNDS,
                pause_s=0.0,
                threads=threads,
            )
        return int8.median_ms / fp32.median_ms

    def require_feasible(self, precisions: Mapping[float, Precision]) -> None:
        """Refuse budgets that no network keeps; the message says what keeps the first."""
        fastest = {one: self.ranges[precisions[one]].fastest_ms for one in self.targets}
        kept = [one for one in self.targets if fastest[one] <= (1 + Budget.TOLERANCE) * one]
        for target_ms in self.targets:
            if target_ms in kept:
                continue
            timed = self.timed[precisions[target_ms]]
            if self.is_elsewhere:
                raise refusal(timed, self.ranges[precisions[target_ms]], target_ms)
            try:
                propose(timed, self.timer(timed), target_ms, count=1)
            except InputError as error:
                device = self.device.in_precision(timed.conditions.precision)
                remedy = timed_remedies(device, timed.space, target_ms, fastest[target_ms])
                if kept:
                    others = ",".join(f"{one:g}" for one in kept)
                    remedy += f"; the other budgets are feasible: --target-ms {others}"
                raise InputError(error.problem, remedy) from error

    def require_start(self, precisions: Mapping[float, Precision]) -> None:
        """Refuse a network to start from that keeps none of the budgets."""
        source = self.opened.source
        if source is None:
            return
        for precision in set(precisions.values()):
            timed = self.timed[precision]
            timed = timed.timed([source.shape], self.timer(timed), num_rounds=NUM_ROUNDS)
            self.timed[precision] = timed
        takes = {one: self.timed[precisions[one]].find(source.shape) for one in self.targets}
        known = {one: timing.median_ms for one, timing in takes.items() if timing is not None}
        if not any(keeps_budget(ms, target_ms) for target_ms, ms in known.items()):
            ms = known[self.targets[0]]
            raise InputError(
                f"the network of {source.name} takes {ms:.3g} ms here, so it cannot start from its "
                f"weights within {' or '.join(f'{one:g}' for one in self.targets)} ms",
                f"give --target-ms {ms / Budget.AIM:.3g}, or leave --start out",
            )

    def count(self, draft: Draft, share: float) -> int:
        """Return the number of candidates of a race; 1 where there is none, or it is too short."""
        race_s = 60 * share * draft.minutes.race
        return how_many(MOST_PROPOSED, race_s, **self.pace(draft)) if race_s else 1

    def is_starved(self, draft: Draft, share: float) -> bool:
        """Whether a race that nobody asked for would leave its winner too little, or no time."""
        settings = self.settings
        is_asked = settings.search_minutes is not None or self.opened.source is not None
        if settings.total_minutes is None or is_asked or not draft.minutes.race:
            return False
        steps = steps_of(self.recipe(draft, share), draft.step_s, self.num_batches)
        return share <= LEAST_SHARE or bool(Recipe.too_few(steps))

    def pace(self, draft: Draft) -> dict[str, Any]:
        """Return what decides how many networks can race."""
        steps = fewest_steps(self.num_batches)
        return {"workers": self.workers, "step_s": draft.step_s, "steps": steps}

    def few(
        self, drafts: Sequence[Draft], draft: Draft, share: float, used: float
    ) -> Iterator[str]:
        """Say that few networks race, or none, and which minutes would allow more."""
        if self.is_starved(draft, share):
            yield (
                f"no race is planned for {draft.target_ms:g} ms: it would leave too little time "
                "for the final training; --search-minutes asks for one"
            )
            return
        if not (race := draft.minutes.race) or (count := self.count(draft, share)) >= ENOUGH:
            return
        wanted = FEWEST if count == 1 else ENOUGH
        needed = needed_seconds(wanted, **self.pace(draft)) / 60
        allows = f"--search-minutes {_up(needed)}"
        if needed <= race:  # the total time is what shortens it
            every = reduce(add, (one.minutes for one in drafts)).shortened(needed / race)
            allows = f"--total-minutes {_up(used + every.total)}"
        have, need = in_words(share * race), f"{wanted} need {in_words(needed)} ({allows})"
        if count > 1:
            yield f"{count} candidates race for {draft.target_ms:g} ms in {have}; {need}"
        else:
            yield (
                f"no race is planned for {draft.target_ms:g} ms: {have} for it are too few to "
                f"train some networks for {fewest_steps(self.num_batches)} steps each; {need}"
            )


def _up(minutes: float) -> str:
    """Return minutes for an option, rounded up."""
    return f"{math.ceil(10 * minutes) / 10:g}"
