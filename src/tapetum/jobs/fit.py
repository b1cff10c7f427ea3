"""From a folder of images, a device and a latency budget to a package that keeps it.

::

    RUN/
      fit.json            what was asked
      table.json          what every block costs here
      search/             the search (tapetum.search.folder)
      settled.json        the network that was timed whole before it was trained
      network/            its training, with a page of its own (tapetum.training.run)
      control_random/     a random network within the budget, trained alike
      control_uniform/    one operator everywhere, as wide as the budget allows, trained alike
      model.tapetum       the package
      delivered.json      how long the package takes
      report.html         all of it, for people

Each step leaves its result before the next one begins, and is not done again: killed at any moment
and called again, the job goes on.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from tapetum.arch import Architecture
from tapetum.data import Dataset
from tapetum.errors import RunError
from tapetum.jobs.controls import control
from tapetum.jobs.export import export_run
from tapetum.jobs.match import MatchedNetwork, match_target
from tapetum.jobs.request import FitRequest
from tapetum.jobs.run_report import write_run_report
from tapetum.jobs.train import PAGE, fit
from tapetum.latency import (
    Budget,
    DeployedNetwork,
    Effort,
    LatencyTable,
    Runtime,
    Timing,
    measure_table,
    time_interleaved,
)
from tapetum.nn import build
from tapetum.progress import ProgressCallback, silent
from tapetum.records import Record, differences
from tapetum.scores import Scores
from tapetum.search import SearchResult, search
from tapetum.training import RUNS

__all__ = ["Delivery", "FitResult", "fit_to_budget"]

R = TypeVar("R", bound=Record)

PACKAGE = "model.tapetum"
CONTROL_SEED = 11


class Delivery(Record):
    """How long the package takes.

    Attributes:
        target_ms: What was asked.
        predicted_ms: By the table.
        timing: Of the package, with its trained weights, pooled over rounds spread in time.
        note: Why the budget is not kept; empty where it is.
    """

    target_ms: float
    predicted_ms: float
    timing: Timing
    note: str = ""

    @property
    def ratio(self) -> float:
        """Of the measured median to the target."""
        return self.timing.median_ms / self.target_ms


class FitResult(NamedTuple):
    """What the job has made.

    Attributes:
        asked: What was asked.
        table: What every block costs.
        found: By the search.
        settled: The network that was timed before it was trained.
        delivered: How long the package takes.
        runs: The folder of each training, by ``network`` and the names of the controls.
        package: The file that ships.
        page: The report.
    """

    asked: FitRequest
    table: LatencyTable
    found: SearchResult
    matched: MatchedNetwork
    delivered: Delivery
    runs: dict[str, Path]
    package: Path
    page: Path

    @property
    def scores(self) -> Scores:
        """Of the network that was found."""
        scores = RUNS.open(self.runs["network"]).result().scores
        assert scores is not None  # noqa: S101  (fit scores what it trains)
        return scores


def fit_to_budget(
    asked: FitRequest,
    images: Dataset,
    runtime: Runtime,
    out: Path,
    *,
    table: LatencyTable | None = None,
    minutes: float = 6.0,
    networks: int = 300,
    resume: bool = False,
    progress: ProgressCallback = silent,
) -> FitResult:
    """Does the whole job and leaves all of it in ``out``.

    Args:
        asked: What is asked.
        images: To learn from and to be scored on.
        runtime: That computes where the package ships.
        out: The folder.
        table: A latency table under the same conditions; measured where null.
        minutes: That the measuring may take.
        networks: That are timed for it.
        resume: Whether to go on with a job that was killed.
        progress: Is told of every step.

    Raises:
        InputError: The target is not feasible, or the images do not fit the space.
        RunError: The folder is taken, or holds a job of another request.
        DataError: There are too few images.
        TrainingError: The search or a training cannot go on; its last state is kept.
    """
    if table is None:
        Effort(networks, minutes)
    else:
        _require_usable(table, asked)  # before there is a folder
    _begin(asked, out, resume=resume)
    priced = _table(asked, out, table, runtime, minutes, networks, progress)
    fastest_ms, slowest_ms = priced.range
    spans = f"{fastest_ms:.2f} to {slowest_ms:.2f} ms here, of which {asked.target_ms:g} are asked"
    progress(1, 1, f"latencies: this space spans {spans}")
    found = _search(asked, images, priced, out, progress)
    matched = _once(
        out / "settled.json",
        MatchedNetwork,
        lambda: _match(asked, priced, found, runtime, progress),
    )
    runs = {
        name: _train(network, asked, images, out / name, progress)
        for name, network in _networks(asked, priced, matched, out).items()
    }
    package = out / PACKAGE
    if not package.exists():
        export_run(runs["network"], package)
    delivered = _once(
        out / "delivered.json",
        Delivery,
        lambda: _deliver(asked, matched, runtime, package, progress),
    )
    return FitResult(asked, priced, found, matched, delivered, runs, package, out / PAGE)


def _networks(
    asked: FitRequest, table: LatencyTable, matched: MatchedNetwork, out: Path
) -> dict[str, Architecture]:
    """What is trained, by the name of its folder: the network that was found, and the controls."""
    limit_ms = matched.attempt.predicted_ms
    searched = Architecture.read(out / "search" / "architecture.json").name
    found = {"network": (searched, matched.choices)}
    controls = {
        f"control_{kind}": (
            f"control-{kind}",
            control(kind, table, limit_ms=limit_ms, seed=CONTROL_SEED),
        )
        for kind in asked.controls
    }
    return {
        folder: table.space.architecture(choices, name=name)
        for folder, (name, choices) in (found | controls).items()
    }


def _begin(asked: FitRequest, out: Path, *, resume: bool) -> None:
    """Makes the folder, or makes sure that it is of the same request."""
    path = out / "fit.json"
    if path.is_file():
        if not resume:
            raise RunError(
                f"{out} holds such a job already", "go on with --resume, or choose another --out"
            )
        found = differences(FitRequest.read(path), asked)
        if found:
            raise RunError(
                f"{out} was asked for something else: {'; '.join(found)}",
                "ask for the same again, or choose another --out",
            )
        return
    if out.exists() and any(out.iterdir()):
        raise RunError(f"{out} exists and is not the folder of such a job", "choose another --out")
    asked.write(path)


def _table(
    asked: FitRequest,
    out: Path,
    given: LatencyTable | None,
    runtime: Runtime,
    minutes: float,
    networks: int,
    progress: ProgressCallback,
) -> LatencyTable:
    """The table of the folder: measured, or the one that was given; refuses what cannot be kept."""
    path = out / "table.json"
    if not path.exists():
        if given is None:
            measure_table(
                asked.space,
                runtime,
                asked.conditions,
                path,
                effort=Effort(networks, minutes),
                progress=progress,
            )
        else:
            given.write(path)
    table = LatencyTable.read(path)
    _require_usable(table, asked)
    return table


def _require_usable(table: LatencyTable, asked: FitRequest) -> None:
    """Refuses a table of other conditions or another space, and a target that nothing keeps."""
    table.require_same(asked.conditions, asked.space, what="the latency table")
    Budget.of(table, asked.target_ms)


def _search(
    asked: FitRequest,
    images: Dataset,
    table: LatencyTable,
    out: Path,
    progress: ProgressCallback,
) -> SearchResult:
    return search(
        out / "search",
        asked.search_recipe,
        Budget.of(table, asked.target_ms),
        images.train,
        data=asked.data,
        resume=True,
        progress=progress,
    )


def _match(
    asked: FitRequest,
    table: LatencyTable,
    found: SearchResult,
    runtime: Runtime,
    progress: ProgressCallback,
) -> MatchedNetwork:
    """The network that was measured to keep the budget."""
    budget = Budget.of(table, asked.target_ms)
    return match_target(budget, found.derive, runtime, progress=progress)


def _train(
    network: Architecture,
    asked: FitRequest,
    images: Dataset,
    out: Path,
    progress: ProgressCallback,
) -> Path:
    """Trains and scores a network, unless that has been done."""
    has_begun = (out / "request.json").exists()
    is_done = has_begun and RUNS.open(out).is_finished
    if not (is_done and (out / PAGE).exists()):
        fit(
            build(network, seed=asked.recipe.seed),
            asked.recipe,
            images,
            out,
            resume=has_begun,
            progress=progress,
        )
        write_run_report(out, images)
    return out


def _deliver(
    asked: FitRequest,
    matched: MatchedNetwork,
    runtime: Runtime,
    package: Path,
    progress: ProgressCallback,
) -> Delivery:
    """Times the package that ships, with its trained weights."""
    prepare = partial(runtime.prepare, DeployedNetwork.open(package), asked.conditions)
    (found,) = time_interleaved([prepare], progress=progress)
    note = matched.note
    if not note and found.median_ms > (1 + Budget.TOLERANCE) * asked.target_ms:
        note = (
            f"the same network took {matched.attempt.timing.median_ms:.2f} ms before it was "
            "trained: the machine is slower now"
        )
    return Delivery(
        target_ms=asked.target_ms,
        predicted_ms=matched.attempt.predicted_ms,
        timing=found,
        note=note,
    )


def _once(path: Path, kind: type[R], make: Callable[[], R]) -> R:
    """What a file holds; made, and kept there, where there is none yet."""
    if path.exists():
        return kind.read(path)
    made = make()
    made.write(path)
    return made
