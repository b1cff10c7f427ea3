"""Fast networks as the methods of a fit: timed whole, and chosen by a race or by a scaling rule.

Files in the folder of the fit::

    timings.json     the shapes that were timed; fits of several budgets share it
    plan.json        what is feasible, and how long each stage takes
    candidates.json  networks of the budget's latency
    race/            the race (tapetum.search)
    matched.json     the winner, and its neighbours where it had drifted, timed before the training
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import cast

from tapetum.arch import Architecture, Shape
from tapetum.data import Dataset, ImageDataset
from tapetum.jobs.device import Device
from tapetum.jobs.exporting import AskedPrecision
from tapetum.jobs.fit_result import Control, Controls, FitResult, FittedNetwork
from tapetum.jobs.fit_work import FitWork, Sections
from tapetum.jobs.match_shape import MatchedShape, match_shape
from tapetum.jobs.plan import LONGEST, Plan, make_plan, network_of_pair, pair_of, untimed
from tapetum.jobs.race_report import race_curves, race_tables, sentences
from tapetum.jobs.request import OpenedRequest, ShapeSettings
from tapetum.latency import TimedShapes, TimeNetworks
from tapetum.noise import generator_for
from tapetum.progress import Stages
from tapetum.records import Record
from tapetum.report import content
from tapetum.search import Candidate, Proposal, RaceResult, feasible_range, propose, race
from tapetum.training import Recipe

__all__ = ["Race", "look_at_shapes"]

PLAN, TIMINGS, CANDIDATES = "plan.json", "timings.json", "candidates.json"
RACE, MATCHED, MATCHED_FP32 = "race", "matched.json", "matched_fp32.json"
PAIR = "pair.json"  # what a user would pick by hand; fits of several budgets share it
PLAIN_RUN = "control_dc-net"  # the training of the plain network among the candidates
CONTROL_ROUNDS = 6
TIMING, RACING = "timing networks near the budget", "race"  # stages
# One training image in five judges the race, where there are enough.
HELD_OUT_SHARE, MOST_HELD_OUT, FEWEST_TO_SPLIT = 5, 500, 20
SPLIT_KEY = 7  # of its own, so that this choice and the noise are independent
SEEN_TWICE = (
    f"with fewer than {FEWEST_TO_SPLIT} training images, the validation images judge the race, so "
    "the scores on them are a little too good"
)

_log = logging.getLogger("tapetum")


class Candidates(Record):
    """The networks that race, the scaling rule's first, and what must be said of them."""

    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()


def look_at_shapes(
    opened: OpenedRequest, path: Path, shared: Path | None, *, overwrite: bool
) -> tuple[Plan, TimedShapes]:
    """Return the plan of a fit and what was timed for it, before there is a folder.

    What is in the folder of a fit that is continued is read instead.

    Raises:
        InputError: No network keeps the budget, or nothing fits into the total time.
    """
    timings = (shared or path) / TIMINGS
    known = None if overwrite or not timings.exists() else TimedShapes.read(timings)
    if known is not None and (path / PLAN).exists():
        return Plan.read(path / PLAN), known
    return make_plan(opened, known)


@dataclass(frozen=True)
class Race:
    """Fast networks, chosen by a race or by the scaling rule.

    Attributes:
        work: The folder and what its steps need.
        looked: The plan, and what was timed for it.
        workers: Trainings of the race at the same time; None for one a core.
        ray: Address of a Ray cluster that trains them; None for none.
    """

    work: FitWork
    looked: tuple[Plan, TimedShapes]
    workers: int | None = None
    ray: str | None = None

    @property
    def settings(self) -> ShapeSettings:
        """The options of the method."""
        return cast("ShapeSettings", self.work.request.method)

    @cached_property
    def plan(self) -> Plan:
        """What is feasible, and how long everything takes."""
        return self.work.folder.once(PLAN, Plan, lambda: self.looked[0])

    @property
    def device(self) -> Device:
        """This machine, in the precision that ships."""
        device = self.work.device
        assert device is not None  # noqa: S101  (shapes are timed on this machine)
        return device.in_precision(self.plan.precision)

    @property
    def timings(self) -> TimedShapes:
        """The shapes that were timed."""
        return TimedShapes.read((self.work.shared or self.work.path) / TIMINGS)

    @property
    def time(self) -> TimeNetworks:
        """What times networks."""
        return self.device.timer(self.timings.space)

    @cached_property
    def stages(self) -> Stages:
        """The stages of the plan."""
        minutes = self.plan.minutes
        race = {RACING: minutes.race} if minutes.race else {}
        return self.work.stages(
            {TIMING: minutes.timing, **race},
            training=minutes.training + minutes.scoring,
            controls=minutes.controls,
            packaging=minutes.export,
        )

    def prepare(self) -> None:
        """Keep what was timed for the plan, and say the plan."""
        path = (self.work.shared or self.work.path) / TIMINGS
        if not path.exists():
            self.looked[1].write(path)
        self.plan.say(self.work.request)

    def recipe(self) -> Recipe:
        """Return the recipe, in as many steps as fit into the total time."""
        recipe, steps = self.work.request.recipe, self.plan.steps
        return recipe if steps is None else recipe.adjusted(steps=steps)

    def precision(self) -> AskedPrecision:
        """Return what was requested where candidates were timed in int8, else fp32."""
        return "fp32" if self.plan.precision == "fp32" else self.settings.precision

    def choose(self) -> FittedNetwork:
        """Propose networks of the budget's latency, and return the best one, timed once more."""
        self.stages.begin(TIMING)
        found = self.candidates()
        for note in found.notes:
            _log.warning("%s", note)
        shape = found.candidates[0].shape
        if self.plan.minutes.race:
            self.stages.begin(RACING)
            winner = self.race(found).winner
            shape = next(one.shape for one in found.candidates if one.name == winner)
        return self.matched(shape, self.timings, self.device, MATCHED)

    def matched(self, shape: Shape, timed: TimedShapes, device: Device, file: str) -> FittedNetwork:
        """Return the network of a shape, timed once more and corrected where it has drifted."""
        target_ms, largest = self.work.request.target_ms, timed.find(timed.space.largest())
        largest_ms = math.inf if largest is None else largest.median_ms

        def match() -> MatchedShape:
            time = device.timer(timed.space)
            return match_shape(timed, time, shape, target_ms, largest_ms=largest_ms)

        matched = self.work.folder.once(file, MatchedShape, match)
        network = timed.space.architecture(matched.attempt.shape, f"network-for-{target_ms:g}ms")
        return FittedNetwork(
            architecture=network,
            predicted_ms=matched.attempt.timing.median_ms,
            benchmark=device.benchmark(device.call(network).network, target_ms=target_ms),
            note=matched.note,
        )

    def fall_back(self, chosen: FittedNetwork, run: str) -> FittedNetwork:
        """Return the network of a training as narrow as fp32 needs."""
        del chosen
        assert self.work.device is not None  # noqa: S101  (shapes are timed on this machine)
        device = self.work.device.in_precision("fp32")
        timed, longest_ms = untimed(device), LONGEST * self.work.request.target_ms
        _, timed = feasible_range(timed, device.timer(timed.space), longest_ms=longest_ms)
        shape = MatchedShape.read(self.work.path / MATCHED).attempt.shape
        if run == PLAIN_RUN:
            shape = next(one.shape for one in self.candidates().candidates if one.is_plain)
        return self.matched(shape, timed, device, MATCHED_FP32)

    def candidates(self) -> Candidates:
        """Return networks of the budget's latency, proposed and timed once.

        What was timed for them is kept after them: a fit that is killed in between proposes the
        same ones again.
        """
        made: list[Proposal] = []

        def make() -> Candidates:
            proposal = propose(
                self.timings,
                self.time,
                self.work.request.target_ms,
                count=self.plan.num_candidates,
                seed=self.work.request.recipe.seed,
                progress=self.work.progress,
            )
            made.append(proposal)
            return Candidates(candidates=proposal.candidates, notes=proposal.notes)

        found = self.work.folder.once(CANDIDATES, Candidates, make)
        for proposal in made:
            proposal.timed.write((self.work.shared or self.work.path) / TIMINGS)
        return found

    def race(self, found: Candidates) -> RaceResult:
        """Train the candidates against each other; one part of the training images judges them."""
        space = self.timings.space
        train, held_out = split_for_race(self.work.dataset)
        if held_out is self.work.dataset.validation:
            _log.warning(SEEN_TWICE)
        recipe = self.work.request.recipe
        batch_size = min(recipe.batch_size, len(train))
        return race(
            self.work.path / RACE,
            [space.architecture(one.shape, one.name) for one in found.candidates],
            recipe.adjusted(batch_size=batch_size),
            train,
            held_out,
            minutes=self.plan.minutes.race,
            prefer=self.settings.prefer,
            workers=self.workers,
            ray=self.ray,
            resume=True,
            progress=self.work.progress,
        )

    def controls(self, chosen: FittedNetwork) -> Controls:
        """Return the plain DC-Net of the same latency, and what a user would pick by hand."""
        del chosen
        plain = [self.plain(one) for one in self.candidates().candidates if one.is_plain]
        path = (self.work.shared or self.work.path) / PAIR
        if not path.exists():
            self.pair().write(path)
        return Controls(controls=(*plain, Control.read(path)))

    def plain(self, candidate: Candidate) -> Control:
        """Return the plain DC-Net of the race."""
        network = self.timings.space.architecture(candidate.shape, candidate.name)
        return Control(
            title="plain DC-Net of the same latency",
            networks={PLAIN_RUN: network},
            latency_ms=self.latency_ms([network]),
            is_measured=True,
            may_ship=True,
        )

    def pair(self) -> Control:
        """Return MobileNetV3-small and UNet-S, which fits of several budgets train once."""
        folder, info = "../" if self.work.shared else "", self.work.dataset.info
        names = pair_of(info)
        networks = {f"{folder}control_{name}": network_of_pair(name, info) for name in names}
        return Control(
            title="MobileNetV3-small and UNet-S" if len(names) == 2 else "UNet-S",
            networks=networks,
            latency_ms=self.latency_ms(list(networks.values())),
            is_measured=True,
        )

    def latency_ms(self, networks: Sequence[Architecture]) -> float:
        """Return the measured latency of networks that run one after the other."""
        timings = self.time(networks, num_rounds=CONTROL_ROUNDS)
        return sum(timing.median_ms for timing in timings)

    def sections(self, fit: FitResult) -> Sections:
        """Return the race, and the way to the latency."""
        found, span = self.candidates(), self.plan.range
        matched = MatchedShape.read(fit.path / MATCHED)
        tables: tuple[content.Table, ...] = ()
        curves: tuple[content.Curve, ...] = ()
        notes = list(found.notes)
        facts = {
            "possible latencies": f"{span}, {span.num_timed} networks timed",
            "plan": str(self.plan.minutes),
        }
        if self.plan.minutes.race:
            result = RaceResult.read(fit.path / RACE / "result.json")
            tables, curves = race_tables(result, found.candidates), race_curves(result)
            notes += [] if tables else result.notes
            if tables and len(self.work.dataset.train) < FEWEST_TO_SPLIT:
                notes.append(SEEN_TWICE)
            facts["race"] = (
                f"{len(found.candidates)} candidates, {result.seconds / 60:.1f} minutes, "
                f"{result.workers} at the same time"
            )
        return Sections(
            range=(str(span), "measured"),
            rows=tuple(_attempts(matched)),
            tables=tables,
            curves=curves,
            facts=facts,
            note=" ".join(sentences(notes)),
        )


def _attempts(matched: MatchedShape) -> Iterator[tuple[str, str, str]]:
    """Yield rows of the winner before its training, and of the network that replaced it."""
    first, last = matched.attempts[0], matched.attempt
    yield "chosen network", f"{first.timing.median_ms:.3g}", "measured"
    if last != first:
        name = f"after a correction, the best of {len(matched.attempts)} timings"
        yield name, f"{last.timing.median_ms:.3g}", "measured"


def split_for_race(dataset: Dataset) -> tuple[ImageDataset, ImageDataset]:
    """Return the images that a race learns from, and those that judge it.

    The latter are training images, so that the final scores, on the validation images, are not too
    good. Where there are few, all of them train and the validation images judge.
    """
    train = dataset.train
    if len(train) < FEWEST_TO_SPLIT:
        return train, dataset.validation
    count = min(len(train) // HELD_OUT_SHARE, MOST_HELD_OUT)
    bounds = [place * len(train) // count for place in range(count + 1)]
    # One of each few neighbours, so that no class is left out; drawn, since labels may take turns.
    generator = generator_for(dataset.info.seed, SPLIT_KEY)
    held_out = {int(generator.integers(*some)) for some in pairwise(bounds)}
    rest = [index for index in range(len(train)) if index not in held_out]
    return train.subset(rest), train.subset(sorted(held_out))
