"""Find, train and export a network that keeps a latency budget on a device.

::

    FIT/
      request.json        what was requested; written first
      ...                 how the network was chosen (tapetum.jobs.fit_race, fit_tfnas)
      match.json          the network that was chosen, and timed before its training
      network/            its training, with a report of its own (tapetum.training)
      control_*/          networks that are trained alike, for comparison
      model.tapetum       the package
      timing.json         the latencies of the package
      report.html         everything, for people
      result.json         how the fit ended; written last

Each step keeps its result and is not repeated: a fit that is killed at any moment continues.
"""

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from tapetum.arch import Architecture
from tapetum.evaluation import PackageSubject, score
from tapetum.formats import PrecisionChoice
from tapetum.jobs.choose import DataOptions
from tapetum.jobs.compare import best_run, gain, preference_of, scores_of, show_scores
from tapetum.jobs.device import SCOPES, BudgetIncludes
from tapetum.jobs.exporting import AskedPrecision, export_run
from tapetum.jobs.fit_race import Race, look_at_shapes
from tapetum.jobs.fit_report import write_fit_report
from tapetum.jobs.fit_result import (
    CONTROLS,
    FIT,
    NETWORK,
    NETWORK_FP32,
    PACKAGE,
    SELECTION,
    Controls,
    Delivery,
    FitResult,
    FittedNetwork,
    open_beside,
)
from tapetum.jobs.fit_tfnas import TfNas, look_at_space
from tapetum.jobs.fit_work import COMPARING, PACKAGING, TRAINING, FitWork, Method
from tapetum.jobs.label_report import NUM_MISTAKES
from tapetum.jobs.methods import FitOptions, MethodName, effort_of
from tapetum.jobs.plan import Plan
from tapetum.jobs.request import FitRequest, OpenedRequest, open_request
from tapetum.jobs.request_tfnas import TfNasOptions, TfNasSettings
from tapetum.jobs.run_report import REPORT
from tapetum.jobs.training import FINAL_MEGAPIXELS, train_network
from tapetum.latency import (
    Benchmark,
    DeployedNetwork,
    Runtime,
    TimedShapes,
)
from tapetum.nn import build
from tapetum.noise import Protocol
from tapetum.progress import ProgressCallback, silent, step
from tapetum.records import as_path
from tapetum.runtime import Manifest, open_package
from tapetum.scores import Scores
from tapetum.search import Prefer
from tapetum.training import Balance, Recipe, prepare_process

__all__ = ["fit", "fit_opened", "fit_options"]


class OtherOptions(DataOptions, TfNasOptions, total=False):
    """Options of the data, and of the method tf-nas."""


PRECISION, SELECTION_FP32 = "precision.json", "match_fp32.json"

_log = logging.getLogger("tapetum")


def fit(
    data: str | Path,
    out: str | Path,
    *,
    target_ms: float,
    method: MethodName = "race",
    budget_includes: BudgetIncludes = "network",
    threads: int | None = None,
    batch: int | None = None,
    runtime: str | Runtime | None = None,
    precision: AskedPrecision | None = None,
    prefer: Prefer | None = None,
    search_minutes: float | None = None,
    total_minutes: float | None = None,
    workers: int | None = None,
    ray: str | None = None,
    size_px: int | None = None,
    recipe: str | Path | Recipe | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    noise: str | None = None,
    protocol: Protocol | None = None,
    controls: bool | None = None,
    beside: Sequence[str | Path] = (),
    seed: int = 0,
    augmentation: Mapping[str, Any] | None = None,
    balance: Balance | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    **others: Unpack[OtherOptions],
) -> FitResult:
    """Find, train and export a network that keeps a latency budget.

    Example:
        >>> import tapetum
        >>> result = tapetum.fit("photos", "runs/photos", target_ms=8)  # doctest: +SKIP

    Args:
        data: Folder of images, or ``digit-crops``.
        out: New folder.
        target_ms: Latency budget, in milliseconds.
        method: ``race`` trains fast networks of that latency against each other, ``none`` takes the
            default network of that latency, ``tf-nas`` is the published search.
        budget_includes: ``network`` for one pass of the network, ``preparation`` to include that
            of a typical image, ``call`` to include its denoised image at full resolution as well.
        threads: Inference threads on the device; by default those of the table, else 1.
        batch: Images in one pass on the device; by default that of the table, else 1.
        runtime: Inference runtime; by default that of the table, else ``onnxruntime``.
        precision: Format of the package: ``fp32``, ``int8``, or ``auto`` for int8 where it pays.
        prefer: The score that counts more: ``label``, ``balanced`` (the default) or ``image``.
        search_minutes: Time of the race, in minutes; by default that of the final training.
        total_minutes: Time of everything, in minutes: race and trainings are shortened to fit.
        workers: Trainings of a race at the same time; by default one per core.
        ray: Address of a Ray cluster that trains the candidates of a race.
        size_px: Height and width of the images; by default that of the table, else of the folder.
        recipe: Training recipe: a name, a path or the recipe itself.
        epochs: Number of epochs of each training; by default the recipe's.
        batch_size: Number of images in a training step; by default the recipe's.
        noise: Noise, such as ``gaussian:0-0.5``; by default the recipe's.
        protocol: ``benchmark`` (unclipped) or ``camera`` (clipped to 8 bits).
        controls: Whether to train other networks for comparison; by default for ``tf-nas``.
        beside: Folders of finished fits of the same images, which the report compares with.
        seed: Random seed of search, training, noise and split.
        augmentation: Random changes of the training images, as in :func:`tapetum.train`.
        balance: What makes uneven classes count alike, as in :func:`tapetum.train`.
        resume: Whether to continue a fit of the same request, or return a finished one.
        overwrite: Whether to replace an older fit.
        progress: Called after each step.
        others: Options of a folder or of digits (:class:`tapetum.jobs.DataOptions`), and those of
            the method tf-nas (:class:`tapetum.jobs.TfNasOptions`).

    Raises:
        InputError: The budget is not feasible, or an argument does not fit another.
        TapetumError: The folder is taken, or the work cannot continue; what is done is kept.
    """
    given = locals()
    prepare_process()  # before torch starts its threads
    options, path = _with_others(given), as_path(out, "the folder of a fit")
    return fit_opened(open_request(options), path, options)


def fit_options(*arguments: Any, **named: Any) -> FitOptions:
    """Return the arguments of :func:`fit` with its defaults.

    Raises:
        TypeError: :func:`fit` has no such argument.
    """
    bound = inspect.signature(fit).bind(*arguments, **named)
    bound.apply_defaults()
    return _with_others(bound.arguments)


def _with_others(arguments: Mapping[str, Any]) -> FitOptions:
    """Return the arguments of :func:`fit`, with the options of a method and of data by name."""
    others = arguments["others"]
    of_method = {name: others.get(name) for name in TfNasOptions.__optional_keys__}
    digits = {name: value for name, value in others.items() if name not in of_method}
    known = DataOptions.__optional_keys__
    for name in digits:
        if name not in known:
            raise TypeError(f"fit() got an unexpected keyword argument {name!r}")
    return FitOptions(**{**arguments, **of_method, "digits": digits})


def fit_opened(
    opened: OpenedRequest, path: Path, options: FitOptions, *, shared: Path | None = None
) -> FitResult:
    """Do the work of a fit, or what is left of it.

    Args:
        opened: The request.
        path: Folder of the fit.
        options: How to start, and how to work: ``resume``, ``overwrite``, ``progress``, and what
            does not change the result.
        shared: Folder of what several fits share.
    """
    request, device = opened.request, opened.device
    finished = (path / "result.json").exists() and not options.overwrite
    looked, beside = None, open_beside(options.beside, request)
    if device is not None and not finished:  # before there is a folder
        device.require_quiet()
        if isinstance(request.method, TfNasSettings):
            look_at_space(opened, path, overwrite=options.overwrite)
        else:
            looked = look_at_shapes(opened, path, shared, overwrite=options.overwrite)
    if options.resume and shared is None:
        FIT.note_start(path)
    again = {"resume": options.resume, "overwrite": options.overwrite}
    with FIT.work(path, request, **again) as folder:
        if not folder.is_finished:
            folder.sweep()
            work = FitWork(folder, opened.dataset, device, options.progress, shared, beside)
            _Steps(work, _method(work, opened, options, looked)).finish()
    return FitResult.open(path)


def _method(
    work: FitWork,
    opened: OpenedRequest,
    options: FitOptions,
    looked: tuple[Plan, TimedShapes] | None,
) -> Method:
    """Return the way in which the network is chosen."""
    if isinstance(work.request.method, TfNasSettings):
        return TfNas(work, opened.table, effort_of(options.networks, options.minutes))
    assert looked is not None  # noqa: S101  (shapes are timed on this machine)
    return Race(work, looked, options.workers, options.ray)


@dataclass(frozen=True)
class _Steps:
    """The steps of a fit that all methods share; each one keeps its result."""

    work: FitWork
    method: Method

    def finish(self) -> None:
        """Do every step."""
        folder, progress = self.work.folder, self.work.progress
        self.method.prepare()
        chosen = folder.once(SELECTION, FittedNetwork, self.method.choose)
        self.method.stages.begin(TRAINING)
        self.train(NETWORK, chosen.architecture)
        controls = self.controls(chosen)
        self.method.stages.begin(PACKAGING)
        delivery = self.deliver(chosen, controls)
        with step(progress, "writing the report"):
            fit = FitResult(self.work.path, self.work.request, chosen, controls, delivery)
            write_fit_report(fit, self.work.dataset, self.method.sections(fit), self.work.beside)
        folder.finish(delivery)

    def controls(self, chosen: FittedNetwork) -> Controls:
        """Choose and train the networks for comparison."""
        if not self.work.request.controls:
            return Controls()
        self.method.stages.begin(COMPARING)
        make = partial(self.method.controls, chosen)
        controls = self.work.folder.once(CONTROLS, Controls, make)
        for control in controls.controls:
            for name, network in control.networks.items():
                self.train(name, network)
        return controls

    def train(self, name: str, network: Architecture) -> None:
        """Train and score a network, and write its report."""
        out, recipe = self.work.path / name, self.method.recipe()
        if (out / REPORT).exists():  # written last
            return
        train_network(
            build(network, seed=recipe.seed),
            recipe,
            self.work.dataset,
            out,
            report=True,
            resume=(out / "request.json").exists(),
            progress=self.work.progress,
        )

    def deliver(self, chosen: FittedNetwork, controls: Controls) -> Delivery:
        """Export the best network, and time the package or say how to time it on its own."""
        request, device, package = self.work.request, self.work.device, self.work.path / PACKAGE
        run, remarks = best_run(self.work.path, controls, request)
        choice = self.export(run, chosen)
        if choice is not None:
            remarks = (*remarks, choice.text)
        if self.method.precision() != "fp32" and (choice is None or choice.precision == "fp32"):
            why = "" if choice is None else f"{choice.text}; "
            _log.warning("%sa narrower network is trained for fp32", why)
            narrower = self.train_in_fp32(chosen, run)
            kept = "" if choice is None else self.keep_int8(run, chosen)
            if kept:
                remarks = (*remarks, kept)
            else:
                self.write(NETWORK_FP32, narrower, "fp32")
                chosen, run = narrower, NETWORK_FP32
        measured = None
        if device is not None:
            opened = DeployedNetwork.open(package)
            target_ms = request.target_ms
            make = partial(device.benchmark, opened, target_ms=target_ms, what="the package")
            measured = self.work.folder.once("timing.json", Benchmark, make)
            if measured.compared.shared:
                remarks = (*remarks, f"when the package was timed: {measured.compared.shared}")
        note = chosen.note
        if not note and measured is not None and not measured.keeps_target:
            note = "it took less before its training, so the machine is slower now"
        return Delivery(
            target_ms=request.target_ms,
            includes=request.includes,
            predicted_ms=chosen.predicted_ms,
            benchmark=measured,
            note=note,
            command="" if device else _benchmark_command(request),
            scores=self.scores(run),
            architecture=self.shipped.architecture,
            run=run,
            remarks=remarks,
        )

    @property
    def shipped(self) -> Manifest:
        """The description of the package."""
        return open_package(self.work.path / PACKAGE).manifest

    def export(self, run: str, chosen: FittedNetwork) -> PrecisionChoice | None:
        """Write the package; return what int8 gains and loses where it was tried."""
        asked, kept = self.method.precision(), self.work.path / PRECISION
        package = self.work.path / PACKAGE
        if not package.exists() or (asked != "fp32" and not kept.exists()):
            choice = self.write(run, chosen, asked)
            if choice is not None:
                choice.write(kept)
        return PrecisionChoice.read(kept) if kept.exists() else None

    def write(
        self, run: str, chosen: FittedNetwork, precision: AskedPrecision
    ) -> PrecisionChoice | None:
        """Write the package of a training."""
        request = self.work.request
        is_chosen = run in (NETWORK, NETWORK_FP32)
        with step(self.work.progress, "exporting the package, and comparing it with the training"):
            return export_run(
                self.work.path / run,
                self.work.path / PACKAGE,
                latency=_latency_card(request, chosen if is_chosen else None),
                threads=request.conditions.threads,
                precision=precision,
                dataset=self.work.dataset,
                overwrite=True,
                progress=self.work.progress,
            ).precision

    def train_in_fp32(self, chosen: FittedNetwork, run: str) -> FittedNetwork:
        """Train a narrower network in fp32, since int8 loses too much or gains too little."""
        make = partial(self.method.fall_back, chosen, run)
        narrower = self.work.folder.once(SELECTION_FP32, FittedNetwork, make)
        self.train(NETWORK_FP32, narrower.architecture)
        return narrower

    def keep_int8(self, run: str, chosen: FittedNetwork) -> str:
        """Write the package in int8, and say why it ships after all; empty where it does not.

        What int8 loses is compared with the same network in fp32, which is too slow for the budget.
        The narrower one may lose more.
        """
        self.write(run, chosen, "int8")
        int8, fp32 = self.scores(run).mean, scores_of(self.work.path / NETWORK_FP32).mean
        better_by, error = gain(fp32, int8, preference_of(self.work.request))
        if better_by <= error:
            return ""
        said = (
            "int8 ships all the same: a narrower network in fp32 of the same latency is worse "
            f"({show_scores(fp32)} against {show_scores(int8)})"
        )
        _log.warning("%s", said)
        return said

    def scores(self, run: str) -> Scores:
        """Return the scores of the package: those of its training, unless it is in int8."""
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
            calibration = scores_of(self.work.path / run).calibration  # is in the graph
            return found.model_copy(update={"calibration": calibration})

        return self.work.folder.once("scores.json", Scores, make)


def _latency_card(request: FitRequest, chosen: FittedNetwork | None) -> str:
    """Return what the card of the package says of the latency."""
    scope = SCOPES[request.includes]
    conditions = request.conditions
    if chosen is not None and chosen.benchmark is not None:
        conditions = chosen.benchmark.conditions  # in the precision that ships
    budget = f"The latency budget is {request.target_ms:g} ms for {scope} ({conditions})."
    if chosen is None:
        return f"{budget} Measure the package: `{_benchmark_command(request)}`"
    if chosen.benchmark is not None:
        rows = [f"- {name}: {ms:.3g} ms" for name, ms in chosen.benchmark.medians]
        return "\n".join([f"{budget} Measured before the training:\n", *rows])
    return (
        f"{budget} The latency table predicts {chosen.predicted_ms:.3g} ms. Measure the package "
        f"on its device: `{_benchmark_command(request)}`"
    )


def _benchmark_command(request: FitRequest) -> str:
    """Return the command that measures the package on the device of the budget."""
    given = [f"--target-ms {request.target_ms:g}"]
    for name, default in (("threads", 1), ("batch", 1), ("runtime", "onnxruntime")):
        value = getattr(request.conditions, name)
        if value != default:
            given.append(f"--{name} {value}")
    return f"tapetum benchmark {PACKAGE} {' '.join(given)}"
