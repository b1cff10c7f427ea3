"""Deliver a fit: export the best network, ship int8 or fp32, and time the package.

Files in the folder of the fit::

    shipped.json     the training that the package is made of; another one is exported anew
    precision.json   what int8 gains and loses
    match_fp32.json  a narrower network for fp32, where int8 loses too much
    network_fp32/    its training
    scores.json      scores of a package in int8
"""

import shutil
from dataclasses import dataclass
from functools import partial
from typing import Any

from tapetum.evaluation import PackageSubject, score
from tapetum.formats import PrecisionChoice, repack, with_scores
from tapetum.jobs.choose import say
from tapetum.jobs.compare import best_run, gain, preference_of, scores_of, show_scores
from tapetum.jobs.device import SCOPES
from tapetum.jobs.exporting import AskedPrecision, export_run
from tapetum.jobs.fit_result import (
    NETWORK,
    NETWORK_FP32,
    PACKAGE,
    PRECISION,
    Control,
    Controls,
    Delivery,
    FittedNetwork,
    benchmark_command,
)
from tapetum.jobs.fit_work import FitWork, Method
from tapetum.jobs.request import ShapeSettings
from tapetum.jobs.run_report import NUM_MISTAKES
from tapetum.jobs.training import FINAL_MEGAPIXELS
from tapetum.latency import Benchmark, Budget, DeployedNetwork
from tapetum.progress import step
from tapetum.records import Note, Record, Weight, by_weight
from tapetum.runtime import open_package
from tapetum.scores import Scores

__all__ = ["Shipping"]

SELECTION_FP32, TIMING = "match_fp32.json", "timing.json"
SHIPPED, SCORES = "shipped.json", "scores.json"
OF_A_RUN = (
    *(PACKAGE, PRECISION, TIMING, SCORES, SELECTION_FP32, NETWORK_FP32),
    *("matched_fp32.json", "allowed_fallback.json"),
)


class Shipped(Record):
    """The training that the package is made of, by its folder."""

    run: str


@dataclass(frozen=True)
class Shipping:
    """The delivery of one fit."""

    work: FitWork
    method: Method
    chosen: FittedNetwork
    controls: Controls

    def deliver(self) -> Delivery:
        """Export the best network, and time the package or say how to time it on its own."""
        request, chosen = self.work.request, self.chosen
        run, remarks = best_run(self.work.path, self.controls, request)
        self.begin(run)
        choice = self.export(run)
        said = ""
        if self.method.precision() != "fp32" and (choice is None or choice.precision == "fp32"):
            chosen, run, said = self.fall_back(run, choice)
        if choice is not None:
            shipped = {"asked": "int8"} if said else {}  # although something speaks against it
            text = choice.model_copy(update=shipped).text
            weight = Weight.RESULT if said else Weight.REMARK  # int8 ships, and loses too much
            remarks = (*remarks, Note(f"{text}: {said}" if said else text, weight))
        measured, rival = self.measured(), self.rival(run)
        if measured is not None and measured.compared.shared:
            text = f"when the package was timed: {measured.compared.shared}"
            remarks = (*remarks, Note(text, Weight.TRAINING))
        return Delivery(
            target_ms=request.target_ms,
            includes=request.includes,
            predicted_ms=chosen.predicted_ms if rival is None else rival.latency_ms,
            benchmark=measured,
            note=self.note(chosen, run, measured),
            command="" if measured else benchmark_command(request),
            scores=self.scores(run),
            architecture=open_package(self.work.path / PACKAGE).manifest.architecture,
            run=run,
            steps=(steps := self.method.steps(run)),
            remarks=by_weight(
                (*remarks, *([] if steps is None else steps.notes), *self.method.remarks(run))
            ),
        )

    def rival(self, run: str) -> Control | None:
        """Return the network for comparison that a training is of; None for the chosen one."""
        return next((one for one in self.controls.controls if run in one.networks), None)

    def note(self, chosen: FittedNetwork, run: str, measured: Benchmark | None) -> str:
        """Return why the package misses the budget, or leaves much of it; else nothing."""
        shipped, target_ms = self.rival(run), self.work.request.target_ms
        note, before_ms = "" if shipped else chosen.note, (shipped or chosen).latency_ms
        if note or measured is None or measured.ratio is None:
            return note
        before = f"it took {before_ms:.3g} ms before its training"
        if not measured.keeps_target:
            is_slower = before_ms <= (1 + Budget.TOLERANCE) * target_ms
            return f"{before}, so the machine is slower now" if is_slower else f"{before} already"
        if measured.ratio >= 1 - Budget.BELOW:
            return ""
        if before_ms >= (1 - Budget.BELOW) * target_ms:
            return f"{before}, so the machine is faster now"
        if shipped is not None:
            return f"the {shipped.title} uses less of it, and scored better"
        return f"{before} already"

    def measured(self) -> Benchmark | None:
        """Return the latency of the package, measured once; None where the device is elsewhere."""
        device = self.work.device
        if device is None:
            return None
        opened = DeployedNetwork.open(self.work.path / PACKAGE)
        given: dict[str, Any] = {"target_ms": self.work.request.target_ms, "what": "the package"}
        make = partial(device.benchmark, opened, **given)
        return self.work.folder.once(TIMING, Benchmark, make)

    def begin(self, run: str) -> None:
        """Remove what was made of another training: a control that came later can be better."""
        path = self.work.path / SHIPPED
        if path.exists() and Shipped.read(path).run != run:
            for name in OF_A_RUN:
                kept = self.work.path / name
                shutil.rmtree(kept) if kept.is_dir() else kept.unlink(missing_ok=True)
            path.unlink()
        self.work.folder.once(SHIPPED, Shipped, lambda: Shipped(run=run))

    def export(self, run: str) -> PrecisionChoice | None:
        """Write the package; return what int8 gains and loses where it was tried."""
        asked, kept = self.method.precision(), self.work.path / PRECISION
        package = self.work.path / PACKAGE
        if not package.exists() or (asked != "fp32" and not kept.exists()):
            choice = self.write(run, self.chosen, asked)
            if choice is not None:
                choice.write(kept)
        return PrecisionChoice.read(kept) if kept.exists() else None

    def write(
        self, run: str, chosen: FittedNetwork, precision: AskedPrecision
    ) -> PrecisionChoice | None:
        """Write the package of a training."""
        request = self.work.request
        with step(self.work.progress, "exporting the package, and comparing it with the training"):
            return export_run(
                self.work.path / run,
                self.work.path / PACKAGE,
                latency=self.latency(run, chosen),
                threads=request.conditions.threads,
                runtime=request.conditions.runtime,
                precision=precision,
                speed_up=None if precision == "fp32" else self.method.speed_up(),
                dataset=self.work.dataset,
                overwrite=True,
                progress=self.work.progress,
            ).precision

    def latency(self, run: str, chosen: FittedNetwork) -> str:
        """Return what the card of the package of a training says of the latency."""
        request, is_chosen = self.work.request, run in (NETWORK, NETWORK_FP32)
        shipped = chosen.conditions if is_chosen else None  # in the precision that ships
        budget = (
            f"The latency budget is {request.target_ms:g} ms for {SCOPES[request.includes]} "
            f"({shipped or request.conditions})."
        )
        if not is_chosen:
            return f"{budget} Measure the package: `{benchmark_command(request)}`"
        if chosen.benchmark is not None:
            rows = [f"- {name}: {ms:.3g} ms" for name, ms in chosen.benchmark.medians]
            return "\n".join([f"{budget} Measured before the training:\n", *rows])
        is_shape = isinstance(request.method, ShapeSettings)
        how = "The network took" if is_shape else "The latency table predicts"
        return (
            f"{budget} {how} {chosen.predicted_ms:.3g} ms. Measure the package "
            f"on its device: `{benchmark_command(request)}`"
        )

    def fall_back(self, run: str, choice: PrecisionChoice | None) -> tuple[FittedNetwork, str, str]:
        """Train a narrower network in fp32, where int8 loses too much, gains too little or fails.

        What int8 loses is compared with the same network in fp32, which is too slow for the budget.
        The narrower one may lose more: then int8 ships all the same.

        Args:
            run: Folder of the training whose package is in question.
            choice: What int8 gains and loses; None where it is not possible.

        Returns:
            The network that ships, the folder of its training, and what to say of it.
        """
        recipe = self.method.fallback_recipe()
        if recipe is None and choice is not None:
            self.write(run, self.chosen, "int8")
            said = (
                "--total-minutes leaves no time to train a narrower network in fp32; --precision "
                "fp32 plans for it"
            )
            say(f"int8 ships although {' and '.join(choice.faults)}: {said}")
            return self.chosen, run, said
        why = "" if choice is None else f"{choice.text}; "
        say(f"{why}a narrower network is trained for fp32")
        make = partial(self.method.fall_back, run)
        narrower = self.work.folder.once(SELECTION_FP32, FittedNetwork, make)
        self.work.train(NETWORK_FP32, narrower.architecture, recipe or self.method.recipe())
        kept = "" if choice is None else self.keep_int8(run)
        if kept:
            return self.chosen, run, kept
        self.write(NETWORK_FP32, narrower, "fp32")
        return narrower, NETWORK_FP32, ""

    def keep_int8(self, run: str) -> str:
        """Write the package in int8, and say why it ships after all; empty where it does not."""
        self.write(run, self.chosen, "int8")
        scores = self.scores(run)
        int8 = scores.headline
        fp32 = scores_of(self.work.path / NETWORK_FP32).headline
        prefer = preference_of(self.work.request)
        better_by, error = gain(fp32, int8, prefer, scores.class_images)
        if better_by <= error:
            return ""
        said = (
            "a narrower network in fp32 of the same latency is worse "
            f"({show_scores(fp32)} against {show_scores(int8)})"
        )
        say(f"int8 ships all the same: {said}")
        return said

    def scores(self, run: str) -> Scores:
        """Return the scores of the package: those of its training, unless it is in int8.

        Those of int8 stand in the package, too.
        """
        package = open_package(self.work.path / PACKAGE)
        if package.manifest.precision == "fp32":
            return scores_of(self.work.path / run)
        noise = self.method.recipe().noise

        def make() -> Scores:
            found = score(
                PackageSubject(package),
                self.work.dataset,
                noise.spread(),
                protocol=noise.protocol,
                max_megapixels=FINAL_MEGAPIXELS,
                filters=True,
                num_mistakes=NUM_MISTAKES,
                progress=self.work.progress,
            )
            trained = scores_of(self.work.path / run)
            kept = {"calibration", "short_training"}  # the temperature is in the graph
            return found.model_copy(update={name: getattr(trained, name) for name in kept})

        scores = self.work.folder.once(SCORES, Scores, make)
        scored = with_scores(package, scores)
        if scored.manifest != package.manifest:
            latency = self.latency(run, self.chosen)
            repack(scored, self.work.path / PACKAGE, latency=latency, overwrite=True)
        return scores
