"""Search, train and export a network that keeps a latency budget on a device.

::

    FIT/
      request.json        what was requested; written first
      table.json          the latency table
      overhead.json       what the budget includes beside one pass of the network
      search/             the search (tapetum.search)
      match.json          the network that was selected, and timed before its training
      network/            its training, with a report of its own (tapetum.training)
      control_random/     a random network of the same latency, trained alike
      control_uniform/    a network of one operator of the same latency, trained alike
      model.tapetum       the package
      timing.json         the latencies of the package
      report.html         everything, for people
      result.json         how the fit ended; written last

Each step keeps its result and is not repeated: a fit that is killed at any moment continues.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from tapetum.arch import Architecture, Space
from tapetum.data import Dataset
from tapetum.errors import InputError
from tapetum.jobs.choose import DataOptions
from tapetum.jobs.controls import control
from tapetum.jobs.device import SCOPES, BudgetIncludes, Device, Overhead
from tapetum.jobs.exporting import export_run
from tapetum.jobs.fit_report import write_fit_report
from tapetum.jobs.fit_result import (
    NETWORK,
    OVERHEAD,
    PACKAGE,
    SEARCH,
    SELECTION,
    TABLE,
    Delivery,
    FitResult,
    FittedNetwork,
)
from tapetum.jobs.match import match_target
from tapetum.jobs.request import FitOptions, FitRequest, open_request
from tapetum.jobs.run_report import REPORT
from tapetum.jobs.training import train_network
from tapetum.latency import (
    Benchmark,
    Budget,
    DeployedNetwork,
    Effort,
    LatencyTable,
    Runtime,
    measure_table,
)
from tapetum.nn import build
from tapetum.noise import Protocol
from tapetum.progress import ProgressCallback, silent
from tapetum.records import Folder, FolderKind, as_path
from tapetum.search import SearchResult, search
from tapetum.training import RUNS, Recipe, prepare_process

__all__ = ["fit"]

CONTROL_SEED = 11

FIT = FolderKind("fit", FitRequest, Delivery, "tapetum fit")


def fit(
    data: str | Path,
    out: str | Path,
    *,
    target_ms: float,
    budget_includes: BudgetIncludes = "network",
    latency: str | Path | LatencyTable | None = None,
    space: str | Path | Space | None = None,
    operators: int | None = None,
    decoder: str | None = None,
    up: str | None = None,
    learns_depth: bool | None = None,
    size_px: int | None = None,
    threads: int | None = None,
    batch: int | None = None,
    runtime: str | Runtime | None = None,
    search_recipe: str | Path = "swift",
    search_epochs: int | None = None,
    recipe: str | Path | Recipe | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    noise: str | None = None,
    protocol: Protocol | None = None,
    controls: bool = True,
    networks: int = 300,
    minutes: float = 6.0,
    seed: int = 0,
    augmentation: Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    **digits: Unpack[DataOptions],
) -> FitResult:
    """Search, train and export a network that keeps a latency budget.

    Example:
        >>> import tapetum
        >>> result = tapetum.fit("photos", "runs/photos", target_ms=8)  # doctest: +SKIP
        >>> result.package.name  # doctest: +SKIP
        'model.tapetum'

    Args:
        data: Folder of images, or ``digit-crops``.
        out: New folder.
        target_ms: Latency budget, in milliseconds.
        budget_includes: ``network`` for one pass of the network, ``preparation`` to include that
            of a typical image, ``call`` to include its denoised image at full resolution as well.
        latency: Latency table of the device, or its path; by default this machine is measured.
        space: Name, path or :class:`Space`; by default that of the table, else ``dc-nas``.
        operators: Candidates of each slot (4, 6 or 8); default 4.
        decoder: Blocks of the decoder; default ``conv``.
        up: Upsampling of the decoder; default ``transposed_conv``.
        learns_depth: Whether the search may leave slots out; default False.
        size_px: Height and width of the images; by default that of the table, else of the folder.
        threads: Inference threads on the device; by default those of the table, else 1.
        batch: Images in one pass on the device; by default that of the table, else 1.
        runtime: Inference runtime; by default that of the table, else ``onnxruntime``.
        search_recipe: Search recipe: a name or a path.
        search_epochs: Number of epochs of the search; by default the recipe's.
        recipe: Training recipe: a name, a path or the recipe itself.
        epochs: Number of epochs of each training; by default the recipe's.
        batch_size: Number of images in a training step; by default the recipe's.
        noise: Noise, such as ``gaussian:0-0.5``; by default the recipe's.
        protocol: ``benchmark`` (unclipped) or ``camera`` (clipped to 8 bits).
        controls: Whether to train a random and a uniform network of the same latency as well.
        networks: Number of random networks that are timed for the table.
        minutes: Time limit for measuring the table, in minutes.
        seed: Random seed of search, training, noise and split.
        augmentation: Random changes of the training images, as in :func:`tapetum.train`.
        resume: Whether to continue a fit of the same request, or return a finished one.
        overwrite: Whether to replace an older fit.
        progress: Called after each step.
        digits: Options of a folder or of digits; see :class:`tapetum.jobs.DataOptions`.

    Raises:
        InputError: The budget is not feasible, or an argument does not fit another.
        TapetumError: The folder is taken, or the work cannot continue; what is done is kept.
    """
    return _fit(FitOptions(**locals()))


def _fit(options: FitOptions) -> FitResult:
    prepare_process()  # before torch starts its threads
    request, dataset, table, runtime = open_request(options)
    path = as_path(options.out, "the folder of a fit")
    device = None
    if runtime is not None:
        what = (runtime, request.conditions, dataset.info, request.includes)
        device = Device(*what, progress=options.progress)
        if options.overwrite or not (path / "result.json").exists():
            device.require_quiet()  # before there is a folder
            if table is None and not (path / TABLE).exists():
                device.require_room(request.space, request.target_ms)
    if options.resume:
        FIT.note_start(path)
    again = {"resume": options.resume, "overwrite": options.overwrite}
    with FIT.work(path, request, **again) as folder:
        if not folder.is_finished:
            folder.sweep()
            work = _Work(folder, request, dataset, device, options.progress)
            work.finish(work.table(table, Effort(options.networks, options.minutes)))
    return FitResult(
        path,
        request,
        LatencyTable.read(path / TABLE),
        SearchResult.read(path / SEARCH / "result.json"),
        FittedNetwork.read(path / SELECTION),
        folder.result(),
    )


@dataclass(frozen=True)
class _Work:
    """The steps of a fit; each one keeps its result in the folder and is not repeated."""

    folder: Folder[FitRequest, Delivery]
    request: FitRequest
    dataset: Dataset
    device: Device | None
    progress: ProgressCallback

    @property
    def path(self) -> Path:
        return self.folder.path

    def table(self, given: LatencyTable | None, effort: Effort) -> LatencyTable:
        """Keep the given latency table, or measure one."""
        path, request = self.path / TABLE, self.request
        if not path.exists() and given is not None:
            given.write(path)
        elif not path.exists():
            assert self.device is not None  # noqa: S101  (without a table this is the device)
            what = (request.space, self.device.runtime, request.conditions, path)
            measure_table(*what, effort=effort, progress=self.progress)
        return LatencyTable.read(path)

    def overhead(self, table: LatencyTable) -> Overhead:
        """Return what the budget includes beside one pass, measured once."""
        device = self.device
        if device is None:
            return Overhead()
        return self.folder.once(OVERHEAD, Overhead, lambda: device.overhead(table))

    def budget(self, table: LatencyTable, overhead: Overhead) -> Budget:
        """Return the budget of one pass; where there is none, tell how to use the table again."""
        try:
            return overhead.budget(table, self.request.target_ms)
        except InputError as error:
            again = f"give another --out, and --latency {self.path / TABLE} to measure no more"
            raise InputError(error.problem, f"{error.remedy}; {again}") from error

    def finish(self, table: LatencyTable) -> None:
        """Do every step after the table."""
        overhead = self.overhead(table)
        budget = self.budget(table, overhead)
        fastest_ms, slowest_ms = map(overhead.latency_ms, table.range)
        self.progress(
            1,
            1,
            f"latency range of this space, for {SCOPES[overhead.includes]}: {fastest_ms:.3g} to "
            f"{slowest_ms:.3g} ms",
        )
        data = self.dataset
        result = search(
            self.path / SEARCH,
            self.request.search_recipe,
            budget,
            data.train.augmented(self.request.search_recipe.augmentation),
            data=data.info,
            resume=True,
            progress=self.progress,
        )
        selection = self.folder.once(
            SELECTION, FittedNetwork, lambda: self.select(budget, overhead, result)
        )
        for name, network in self.networks(table, selection).items():
            self.train(name, network)
        package = self.path / PACKAGE
        if not package.exists():
            threads = self.request.conditions.threads
            latency = self.latency(selection)
            export_run(self.path / NETWORK, package, latency=latency, threads=threads)
        delivery = self.deliver(selection, overhead)
        self.progress(0, 1, "writing the report")
        fit = FitResult(self.path, self.request, table, result, selection, delivery)
        write_fit_report(fit, data)
        self.progress(1, 1, "writing the report")
        self.folder.finish(delivery)

    def select(self, budget: Budget, overhead: Overhead, result: SearchResult) -> FittedNetwork:
        """Select the network that is trained, as measured on this device or as predicted."""
        device = self.device
        if device is None:
            return FittedNetwork(choices=result.choices, predicted_ms=result.predicted_ms)
        matched = match_target(budget, result.derive, device.time, overhead=overhead)
        network = device.call(self.request.space.architecture(matched.choices)).network
        return FittedNetwork(
            choices=matched.choices,
            predicted_ms=overhead.pass_ms(matched.attempt.predicted_ms),
            matched=matched,
            benchmark=device.benchmark(network, target_ms=self.request.target_ms),
        )

    def networks(self, table: LatencyTable, selection: FittedNetwork) -> dict[str, Architecture]:
        """Return the networks to train, by folder: the searched one and the controls."""
        space, limit_ms = self.request.space, selection.predicted_ms
        name = f"{space.name}-{self.request.target_ms:g}ms"
        networks = {NETWORK: space.architecture(selection.choices, name=name)}
        for kind in self.request.controls:
            choices = control(kind, table, limit_ms=limit_ms, seed=CONTROL_SEED)
            networks[f"control_{kind}"] = space.architecture(choices, name=f"control-{kind}")
        return networks

    def train(self, name: str, network: Architecture) -> None:
        """Train and score a network, and write its report."""
        out, recipe = self.path / name, self.request.recipe
        if (out / REPORT).exists():  # written last
            return
        train_network(
            build(network, seed=recipe.seed),
            recipe,
            self.dataset,
            out,
            report=True,
            resume=(out / "request.json").exists(),
            progress=self.progress,
        )

    def latency(self, selection: FittedNetwork) -> str:
        """Return what the card of the package says of the latency."""
        scope = SCOPES[self.request.includes]
        budget = (
            f"The latency budget is {self.request.target_ms:g} ms for {scope} "
            f"({self.request.conditions})."
        )
        if selection.benchmark is not None:
            rows = [f"- {name}: {ms:.3g} ms" for name, ms in selection.benchmark.medians]
            return "\n".join([f"{budget} Measured before the training:\n", *rows])
        return (
            f"{budget} The latency table predicts {selection.predicted_ms:.3g} ms. Measure the "
            f"package on its device: `{_benchmark_command(self.request)}`"
        )

    def deliver(self, selection: FittedNetwork, overhead: Overhead) -> Delivery:
        """Time the package on this device, or say how to time it on its own."""
        request, package, measured = self.request, self.path / PACKAGE, None
        device, note = self.device, "" if selection.matched is None else selection.matched.note
        if device is not None:
            measured = self.folder.once(
                "timing.json",
                Benchmark,
                lambda: device.benchmark(
                    DeployedNetwork.open(package), target_ms=request.target_ms
                ),
            )
            if not note and not measured.keeps_target:
                note = "it took less before its training, so the machine is slower now"
        scores = RUNS.open(self.path / NETWORK).result().scores
        assert scores is not None  # noqa: S101  (every training is scored)
        return Delivery(
            target_ms=request.target_ms,
            overhead=overhead,
            predicted_ms=overhead.latency_ms(selection.predicted_ms),
            benchmark=measured,
            note=note,
            command="" if device else _benchmark_command(request),
            scores=scores,
        )


def _benchmark_command(request: FitRequest) -> str:
    """Return the command that measures the package on the device of the budget."""
    given = [f"--target-ms {request.target_ms:g}"]
    for name, default in (("threads", 1), ("batch", 1), ("runtime", "onnxruntime")):
        value = getattr(request.conditions, name)
        if value != default:
            given.append(f"--{name} {value}")
    return f"tapetum benchmark {PACKAGE} {' '.join(given)}"
