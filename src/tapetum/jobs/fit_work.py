"""What every step of a fit works with, and what a way to choose the network has to provide."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tapetum.arch import Architecture
from tapetum.data import Dataset
from tapetum.jobs.device import Device
from tapetum.jobs.exporting import AskedPrecision
from tapetum.jobs.fit_result import Controls, Delivery, FitResult, FittedNetwork
from tapetum.jobs.fit_steps import StepsMade
from tapetum.jobs.pretrained import Pretrained
from tapetum.jobs.request import FitRequest
from tapetum.jobs.run_report import REPORT
from tapetum.jobs.start import Source, start_from
from tapetum.jobs.training import train_network
from tapetum.latency import bundle
from tapetum.nn import TrainableNetwork, build
from tapetum.progress import ProgressCallback, Stages
from tapetum.records import Folder
from tapetum.report import content
from tapetum.training import Recipe, Start

__all__ = ["COMPARING", "PACKAGING", "TRAINING", "FitWork", "Method", "Sections"]

# Stages of every fit, behind those of its method.
TRAINING, COMPARING, PACKAGING = "final training", "trainings to compare with", "package and report"


@dataclass(frozen=True)
class FitWork:
    """The folder of a fit and what its steps need.

    Attributes:
        folder: The folder; each step keeps its result there and is not repeated.
        dataset: The images.
        device: This machine as the device of the budget; None where that is another machine.
        progress: Called after each step.
        shared: Folder of what several fits share, such as the training of a control; None where
            this is the only one.
        beside: Earlier fits of the same images, which the report compares with.
        started_s: When the command began, by the monotonic clock.
        source: The trained network that a candidate starts from; None for none.
        pretrained: What networks of MBConv blocks start from; None for random weights.
        timings: Networks that were timed on the device; None where they are timed here.
    """

    folder: Folder[FitRequest, Delivery]
    dataset: Dataset
    device: Device | None
    progress: ProgressCallback
    shared: Path | None = None
    beside: tuple[FitResult, ...] = ()
    started_s: float = 0.0
    source: Source | None = None
    pretrained: Pretrained | None = None
    timings: bundle.DeviceTimings | None = None

    def stages(
        self,
        choosing: Mapping[str, float | None],
        *,
        training: float | None = None,
        controls: float | None = None,
        packaging: float | None = None,
    ) -> Stages:
        """Return the stages of a fit, with the minutes of each; ``choosing`` come first."""
        compared = {COMPARING: controls} if self.request.controls else {}
        later = {TRAINING: training, **compared, PACKAGING: packaging}
        return Stages(self.progress, {**choosing, **later})

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @property
    def request(self) -> FitRequest:
        """What was requested."""
        return self.folder.request

    def train(self, name: str, network: Architecture, recipe: Recipe) -> None:
        """Train and score a network in a folder of its own, with a report, unless it is there."""
        out = self.path / name
        if (out / REPORT).exists():  # written last
            return
        module, start = self.begin(network, recipe)
        train_network(
            module,
            recipe,
            self.dataset,
            out,
            start=start,
            report=True,
            resume=(out / "request.json").exists(),
            progress=self.progress,
        )

    def begin(self, network: Architecture, recipe: Recipe) -> tuple[TrainableNetwork, Start | None]:
        """Return a network before its training, with the weights of others where it has some."""
        module = build(network, seed=recipe.seed)
        if self.pretrained is not None:
            return module, self.pretrained.begin(module, self.dataset, recipe)
        if self.source is None or not self.source.has_layers_of(network):
            return module, None
        return module, start_from(module, self.source, self.dataset, recipe)


@dataclass(frozen=True)
class Sections:
    """What a method adds to the report of a fit.

    Attributes:
        range: Latency of the fastest and of the slowest network, with what the budget includes, and
            whether that was ``measured`` or ``predicted``.
        tables: Tables on the choice.
        curves: Plots.
        facts: Names and values at the end of the report.
        rows: Rows of the table of latencies: name, milliseconds, source.
        note: Sentences below the table of latencies.
        lead: Sentences at the beginning, without a full stop.
    """

    range: tuple[str, str]
    tables: tuple[content.Table, ...]
    curves: tuple[content.Curve, ...]
    facts: Mapping[str, str]
    rows: tuple[tuple[str, str, str], ...] = ()
    note: str = ""
    lead: tuple[str, ...] = ()


class Method(Protocol):
    """A way to choose the network that a fit trains; by default in fp32, with nothing to say."""

    @property
    def stages(self) -> Stages:
        """The stages of the fit, which are announced as they begin."""

    def prepare(self) -> None:
        """Time what the choice needs, and say what is feasible.

        Raises:
            InputError: No network keeps the budget.
        """

    def recipe(self) -> Recipe:
        """Return how the chosen network and the controls are trained."""

    def choose(self) -> FittedNetwork:
        """Return the network to train."""

    def precision(self) -> AskedPrecision:
        """Return the number format of the package; ``auto`` is int8 unless it loses too much."""
        return "fp32"

    def speed_up(self) -> float | None:
        """Return how many times as fast int8 is on the device; None where it is timed here."""
        return None

    def fallback_recipe(self) -> Recipe | None:
        """Return how that of :meth:`fall_back` is trained; None where there is no time for it."""
        return self.recipe()

    def fall_back(self, run: str) -> FittedNetwork:
        """Return the network of a training as narrow as fp32 needs, where int8 does not ship."""
        raise AssertionError(f"{run} is in fp32 already")

    def controls(self, chosen: FittedNetwork) -> Controls:
        """Return the networks that are trained for comparison."""

    def steps(self, run: str) -> StepsMade | None:
        """Return the steps of the training that ships; None where none were planned."""
        del run
        return None

    def remarks(self, run: str) -> tuple[str, ...]:
        """Return sentences that a user must know of the choice, and of the training that ships.

        They have no full stop; ``run`` is the folder of that training.
        """
        del run
        return ()

    def sections(self, fit: FitResult) -> Sections:
        """Return what the report of a finished fit says of the choice."""
