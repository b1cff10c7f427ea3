"""Fast networks as the methods of a fit: timed whole, and chosen by a race or by a scaling rule.

Files in the folder of the fit::

    candidates.json  networks of the budget's latency
    allowed_*.json   what the total time left for a stage when it began
    race/            the race (tapetum.search)
    matched.json     the winner, and its neighbours where it had drifted, timed before the training

Fits of several budgets share timings and plan, which lie in the folder above.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

from tapetum.arch import Architecture, Shape
from tapetum.data import Dataset, ImageDataset
from tapetum.errors import InputError
from tapetum.jobs.choose import named_architecture, pair_of, say
from tapetum.jobs.deadline import Allowance, slowness
from tapetum.jobs.device import Device
from tapetum.jobs.elsewhere import int8_ratio
from tapetum.jobs.exporting import AskedPrecision
from tapetum.jobs.fit_result import (
    NETWORK,
    NETWORK_FP32,
    Control,
    Controls,
    FitResult,
    FittedNetwork,
)
from tapetum.jobs.fit_start import START, say_start, start_weights, with_start
from tapetum.jobs.fit_steps import StepsMade
from tapetum.jobs.fit_work import FitWork, Sections
from tapetum.jobs.look import PLAN, timings_name
from tapetum.jobs.match_shape import MatchedShape, match_known, match_shape
from tapetum.jobs.methods import FEWEST_PROPOSED
from tapetum.jobs.plan import Plan, Plans
from tapetum.jobs.pretrained import NAME as PRETRAINED
from tapetum.jobs.pretrained import linear_hint
from tapetum.jobs.race_report import beside_plain, described, race_curves, race_tables
from tapetum.jobs.request import ShapeSettings
from tapetum.jobs.run_report import as_sentences
from tapetum.latency import DeployedNetwork, TimedShapes, Timing
from tapetum.progress import Stages, in_words
from tapetum.records import Record
from tapetum.report import content
from tapetum.search import Candidate, Proposal, RaceResult, known, propose, race
from tapetum.training import RUNS, Recipe

__all__ = ["Race", "require_precision", "split_for_race"]

CANDIDATES = "candidates.json"
RACE, MATCHED, MATCHED_FP32 = "race", "matched.json", "matched_fp32.json"
PAIR = "pair_{}.json"  # by precision, what a user would pick by hand; several budgets share it
PLAIN_TITLE = "plain DC-Net of the same latency"
PLAIN_RUN = "control_dc-net"  # the training of the plain network among the candidates
CONTROL_ROUNDS = 6
TIMING, RACING = "timing networks near the budget", "race"  # stages
# One training image in five judges the race, where there are enough.
HELD_OUT_SHARE, MOST_HELD_OUT, FEWEST_TO_SPLIT = 0.2, 500, 20
SEEN_TWICE = (
    f"with fewer than {FEWEST_TO_SPLIT} training images, or few groups of them, the validation "
    "images judge the race, so the scores on them are a little too good"
)


class Candidates(Record):
    """The networks that race, the scaling rule's first, and what must be said of them."""

    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Race:
    """Fast networks, chosen by a race or by the scaling rule.

    Attributes:
        work: The folder and what its steps need.
        workers: Trainings of the race at the same time; None for one a core.
        ray: Address of a Ray cluster that trains them; None for none.
    """

    work: FitWork
    workers: int | None = None
    ray: str | None = None

    @property
    def settings(self) -> ShapeSettings:
        """The options of the method."""
        return cast("ShapeSettings", self.work.request.method)

    @property
    def folder(self) -> Path:
        """Where the plan and the timings are kept, which fits of several budgets share."""
        return self.work.shared or self.work.path

    @cached_property
    def plans(self) -> Plans:
        """The plans of all budgets."""
        return Plans.read(self.folder / PLAN)

    @property
    def plan(self) -> Plan:
        """What is feasible, and how long everything takes."""
        return self.plans.of(self.work.request.target_ms)

    @property
    def device(self) -> Device | None:
        """This machine, in the precision that ships; None where the device is another one."""
        device = self.work.device
        return None if device is None else device.in_precision(self.plan.precision)

    @property
    def timings(self) -> TimedShapes:
        """The shapes that were timed."""
        return TimedShapes.read(self.folder / timings_name(self.plan.precision))

    @cached_property
    def stages(self) -> Stages:
        """The stages of the plan."""
        minutes = self.plan.minutes
        race = {RACING: minutes.race} if minutes.race else {}
        return self.work.stages(
            {TIMING: minutes.timing, **race},
            training=minutes.training + minutes.scoring,
            controls=minutes.controls or self.plan.controls_minutes,
            packaging=minutes.export,
        )

    def prepare(self) -> None:
        """Say that the total time is counted again, where the fit goes on."""
        if (self.work.path / CANDIDATES).exists():
            self.allowance.resumed()

    @property
    def allowance(self) -> Allowance:
        """What the total time leaves for each stage."""
        timings: list[Timing] = []
        matched = self.work.path / MATCHED  # timed last, so the machine is as busy as then
        if self.device is not None:
            timings = [one.timing for one in self.timings.shapes]
        if self.device is not None and matched.exists():
            timings = [one.timing for one in MatchedShape.read(matched).attempts]
        return Allowance(
            self.work.folder,
            self.plans,
            self.work.request.target_ms,
            self.work.started_s,
            slowness(timings),
            keeps_length=self.work.request.recipe.minutes is not None,
        )

    def recipe(self) -> Recipe:
        """Return the recipe, for as long as the total time allows."""
        return self.allowance.recipe()

    def precision(self) -> AskedPrecision:
        """Return what was requested where candidates were timed in int8, else fp32."""
        return "fp32" if self.plan.precision == "fp32" else self.settings.precision

    def choose(self) -> FittedNetwork:
        """Propose networks of the budget's latency, and return the best one, timed once more."""
        self.stages.begin(TIMING)
        found = self.candidates()
        for note in found.notes:
            say(note)
        chosen = found.candidates[0]
        if self.plan.minutes.race:
            self.stages.begin(RACING)
            winner = self.race(found).winner
            chosen = next(one for one in found.candidates if one.name == winner)
        keeps = chosen.name == START  # no other network can begin with its weights
        return self.matched(chosen.shape, self.timings, self.device, MATCHED, keeps=keeps)

    def matched(
        self,
        shape: Shape,
        timed: TimedShapes,
        device: Device | None,
        file: str,
        *,
        keeps: bool = False,
    ) -> FittedNetwork:
        """Return the network of a shape, timed once more and corrected where it has drifted.

        That of another device is taken as it was timed there.
        """
        target_ms, largest = self.work.request.target_ms, timed.find(timed.space.largest())
        largest_ms = math.inf if largest is None else largest.median_ms

        def match() -> MatchedShape:
            if device is None:
                return match_known(timed, shape, target_ms)
            time = device.timer(timed.space)
            return match_shape(timed, time, shape, target_ms, largest_ms=largest_ms, keeps=keeps)

        matched = self.work.folder.once(file, MatchedShape, match)
        network = timed.space.architecture(matched.attempt.shape, f"network-for-{target_ms:g}ms")
        measured = None
        if device is not None:
            deployed = device.call(network).network
            require_precision(deployed, self.settings.precision)
            measured = device.benchmark(deployed, target_ms=target_ms)
        return FittedNetwork(
            architecture=network,
            predicted_ms=matched.attempt.timing.median_ms,
            benchmark=measured,
            conditions=timed.conditions,
            note=matched.note,
        )

    def fallback_recipe(self) -> Recipe | None:
        """Return how a network in fp32 is trained; None where the total time leaves too little."""
        return self.allowance.fallback_recipe()

    def fall_back(self, run: str) -> FittedNetwork:
        """Return the network of a training as narrow as fp32 needs."""
        device = None if self.work.device is None else self.work.device.in_precision("fp32")
        timed = TimedShapes.read(self.folder / timings_name("fp32"))
        shape = self.shape_of(run)
        if device is None:
            shape = known.similar(timed, shape, self.work.request.target_ms).shape
        return self.matched(shape, timed, device, MATCHED_FP32)

    def shape_of(self, run: str) -> Shape:
        """Return the shape of the network of a training, by the folder of that."""
        if run == PLAIN_RUN:
            return next(one.shape for one in self.candidates().candidates if one.is_plain)
        file = MATCHED if run == NETWORK else MATCHED_FP32
        return MatchedShape.read(self.work.path / file).attempt.shape

    def candidates(self) -> Candidates:
        """Return networks of the budget's latency, proposed and timed once.

        What was timed for them is kept after them: a fit that is killed in between proposes the
        same ones again.
        """
        made: list[Proposal] = []

        def make() -> Candidates:
            proposal = self.propose()
            made.append(proposal)
            candidates, notes = with_start(proposal, self.work.source)
            if not self.plan.minutes.race:
                one = candidates[0]
                notes += (f"trained without a race: the {one.title} ({described(one.shape)})",)
            return Candidates(candidates=candidates, notes=notes)

        found = self.work.folder.once(CANDIDATES, Candidates, make)
        for proposal in made:
            proposal.timed.write(self.folder / timings_name(self.plan.precision))
        return found

    def propose(self) -> Proposal:
        """Propose networks that are timed here, or were on the device."""
        timed, device, target_ms = self.timings, self.device, self.work.request.target_ms
        count = self.plan.num_candidates
        # Without a race, the second network is the plain one, which --controls compares with.
        with_mobile = self.work.pretrained is not None and count > FEWEST_PROPOSED
        if device is None:
            return known.propose_known(timed, target_ms, count=count, with_mobile=with_mobile)
        return propose(
            timed,
            device.timer(timed.space),
            target_ms,
            count=count,
            seed=self.work.request.recipe.seed,
            with_mobile=with_mobile,
            patience_s=self.allowance.timing_s,
            progress=self.work.progress,
        )

    def race(self, found: Candidates) -> RaceResult:
        """Train the candidates against each other; one part of the training images judges them."""
        space = self.timings.space
        train, held_out = split_for_race(self.work.dataset)
        if held_out is self.work.dataset.validation:
            say(SEEN_TWICE)
        recipe = self.work.request.recipe
        batch_size = min(recipe.batch_size, len(train))
        return race(
            self.work.path / RACE,
            [space.architecture(one.shape, one.name) for one in found.candidates],
            recipe.adjusted(batch_size=batch_size),
            train,
            held_out,
            minutes=self.allowance.race_minutes(),
            weights=start_weights(self.work, found.candidates, space, recipe),
            prefer=self.settings.prefer,
            workers=self.workers,
            ray=self.ray,
            resume=True,
            progress=self.work.progress,
        )

    @property
    def plain_rival(self) -> Candidate | None:
        """The plain DC-Net; None where none has this latency, or where it was chosen itself."""
        found, result = self.candidates().candidates, self.raced
        chosen = found[0].name if result is None else result.winner
        return next((one for one in found if one.is_plain and one.name != chosen), None)

    def controls(self, chosen: FittedNetwork) -> Controls:
        """Return the plain DC-Net of the same latency, and what a user would pick by hand."""
        del chosen
        plain = () if (rival := self.plain_rival) is None else (self.plain(rival),)
        path = self.folder / PAIR.format(self.plan.precision)
        if not path.exists() and (pair := self.pair()) is not None:
            pair.write(path)
        pairs = (Control.read(path),) if path.exists() else ()
        return Controls(controls=(*plain, *pairs))

    def plain(self, candidate: Candidate) -> Control:
        """Return the plain DC-Net of the race."""
        network = self.timings.space.architecture(candidate.shape, candidate.name)
        return Control(
            title=PLAIN_TITLE,
            networks={PLAIN_RUN: network},
            latency_ms=self.latency_ms([network]) or candidate.timing.median_ms,
            is_measured=True,
            may_ship=True,
        )

    def pair(self) -> Control | None:
        """Return MobileNetV3-small and UNet-S, which fits of several budgets train once.

        None where another device has not timed them.
        """
        folder, info = "../" if self.work.shared else "", self.work.dataset.info
        names = pair_of(info)
        networks = {f"{folder}control_{name}": named_architecture(name, info) for name in names}
        latency_ms = self.latency_ms(list(networks.values()))
        if latency_ms is None:
            say(f"{self.pair_title} is left out: the device has not timed it")
            return None
        return Control(
            title=self.pair_title, networks=networks, latency_ms=latency_ms, is_measured=True
        )

    def lead(self, path: Path) -> Iterator[str]:
        """Yield what must be known of the scores, and what was not trained for comparison."""
        if self.precision() == "auto":
            yield (
                "int8 or fp32 was decided on the validation images, so the scores on them are a "
                "little too good"
            )
        if not self.work.request.controls and (rivals := self.rivals):
            yield self.not_run(path, rivals)

    @property
    def rivals(self) -> tuple[str, ...]:
        """What ``--controls`` can train for this fit, for people."""
        plain = () if self.plain_rival is None else (f"the {PLAIN_TITLE}",)
        there, names = self.work.timings, pair_of(self.work.dataset.info)
        if there is not None and None in [there.find(one, self.plan.precision) for one in names]:
            return plain
        return (*plain, self.pair_title)

    def not_run(self, path: Path, rivals: Sequence[str]) -> str:
        """Say which networks were not trained for comparison, and the command that does it."""
        spared = self.plan.minutes.training if self.plain_rival is None else 0.0
        minutes = max(0.0, self.plan.controls_minutes - spared)
        command = RUNS.open(path / NETWORK).result().provenance.command
        given = command if command.startswith("tapetum fit ") else "the same command"
        for option in (" --resume", " --overwrite"):
            given = given.replace(option, "")
        return (
            f"not trained to the end beside it: {', and '.join(rivals)}; in about "
            f"{in_words(minutes)} this adds them, and repeats nothing: {given} --resume --controls"
        )

    @property
    def pair_title(self) -> str:
        """The pair for people."""
        is_whole = len(pair_of(self.work.dataset.info)) == 2
        return "MobileNetV3-small and UNet-S" if is_whole else "UNet-S"

    def latency_ms(self, networks: Sequence[Architecture]) -> float | None:
        """Return the measured latency of networks that run one after the other.

        None where another device has not timed one of them.
        """
        timings: Sequence[Timing | None] = [None]
        if (device := self.device) is not None:
            timings = device.timer(self.timings.space)(networks, num_rounds=CONTROL_ROUNDS)
        elif (there := self.work.timings) is not None:
            timings = [there.find(one.name, self.plan.precision) for one in networks]
        found = [one.median_ms for one in timings if one is not None]
        return sum(found) if len(found) == len(timings) else None

    def remarks(self, run: str) -> tuple[str, ...]:
        """Return what the plain network reached in the race, and what the total time cut."""
        found, result = self.candidates().candidates, self.raced
        plain = next((one for one in found if one.is_plain), None)
        said = [] if plain is None or result is None else [beside_plain(result, plain)]
        begun = RUNS.open(self.work.path / run).request
        if self.work.source is not None:
            said.append(say_start(self.work.source.name, begun))
        if self.work.pretrained is not None:
            said.append(say_start(PRETRAINED, begun))
        said += [linear_hint(self.work.dataset), self.plans.few_scored]
        raced = result is not None and bool(result.rungs)
        return (*filter(None, said), *self.allowance.remarks(self.stages.late(), raced=raced))

    def steps(self, run: str) -> StepsMade | None:
        """Return the steps of the training that ships, beside those of the plan."""
        if self.plan.steps is None:
            return None
        result, share = RUNS.open(self.work.path / run).result(), self.allowance.training_share()
        if run == NETWORK_FP32:
            share = min(1.0, share) * self.allowance.fallback_share()
        return StepsMade.of(self.plan.steps, result, share)

    def speed_up(self) -> float | None:
        """Return how many times as fast int8 is on another device; None where this one counts."""
        if self.device is not None:
            return None
        files = [self.folder / timings_name(one) for one in ("fp32", "int8")]
        if not all(file.exists() for file in files):
            return None
        fp32, int8 = map(TimedShapes.read, files)
        ratio = int8_ratio(fp32, int8, self.work.request.target_ms)
        return None if ratio is None else 1 / ratio

    @property
    def raced(self) -> RaceResult | None:
        """How the race ended; None where there was none."""
        path = self.work.path / RACE / "result.json"
        return RaceResult.read(path) if path.exists() else None

    def sections(self, fit: FitResult) -> Sections:
        """Return the race, and the way to the latency."""
        found, span = self.candidates(), self.plan.range
        tables: tuple[content.Table, ...] = ()
        curves: tuple[content.Curve, ...] = ()
        notes, matched = list(found.notes), MatchedShape.read(fit.path / MATCHED)
        if matched.attempt.shape != (first := matched.attempts[0]).shape:
            notes.append(
                f"the first choice took {first.timing.median_ms:.3g} ms when it was timed again, "
                f"so a similar network replaced it: {described(matched.attempt.shape)}"
            )
        facts = {
            "possible latencies": f"{span}, {span.num_timed} networks timed",
            "plan": "; ".join([str(self.plan), *self.plan.notes]),
        }
        if (result := self.raced) is not None:
            tables = race_tables(result, found.candidates, self.shape_of(fit.delivery.run))
            curves = race_curves(result, found.candidates)
            notes += [] if tables else result.notes
            _, held_out = split_for_race(self.work.dataset)
            if tables and held_out is self.work.dataset.validation:
                notes.append(SEEN_TWICE)
            facts["race"] = (
                f"{len(found.candidates)} candidates, {result.seconds / 60:.1f} minutes, "
                f"{result.workers} at the same time"
            )
        return Sections(
            range=(str(span), "measured"),
            tables=tables,
            curves=curves,
            facts=facts,
            lead=tuple(self.lead(fit.path)),
            note=" ".join(as_sentences(notes)),
        )


def require_precision(network: DeployedNetwork, asked: AskedPrecision) -> None:
    """Refuse a network of which nothing can be in int8, where that was asked for."""
    if asked == "int8" and network.precision != "int8":
        raise InputError(
            "networks as small as the budget needs have no layer that can be in int8: the first "
            "and the last one stay in fp32",
            "leave --precision out, or give a larger budget",
        )


def split_for_race(dataset: Dataset) -> tuple[ImageDataset, ImageDataset]:
    """Return the images that a race learns from, and those that judge it.

    The latter are training images, so that the final scores, on the validation images, are not too
    good. Where there are few, or groups that leave less than half of them to learn from, they train
    and the validation images judge.
    """
    count = len(dataset.train)
    if count >= FEWEST_TO_SPLIT:
        train, held_out = dataset.hold_out(min(HELD_OUT_SHARE, MOST_HELD_OUT / count))
        if len(held_out) and 2 * len(train) >= count:
            return train, held_out
    return dataset.train, dataset.validation
