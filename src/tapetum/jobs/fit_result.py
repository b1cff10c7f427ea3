"""What a fit leaves in its folder, opened."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from tapetum.arch import Architecture
from tapetum.errors import InputError
from tapetum.formats import PrecisionChoice
from tapetum.jobs.choose import is_digits, require_network
from tapetum.jobs.device import SCOPES
from tapetum.jobs.fit_steps import StepsMade
from tapetum.jobs.request import FitRequest, ShapeSettings
from tapetum.jobs.run_report import REPORT
from tapetum.latency import Benchmark, Budget, Conditions, Includes, Timing
from tapetum.noise import NoisePlan
from tapetum.progress import pasted, shown_path
from tapetum.records import FolderKind, Note, Record, Weight, by_weight
from tapetum.runtime import KeptBudget, open_package
from tapetum.scores import Scores
from tapetum.search import keeps_budget

__all__ = [
    "CONTROLS",
    "FIT",
    "NETWORK",
    "NETWORK_FP32",
    "PACKAGE",
    "PRECISION",
    "SELECTION",
    "Control",
    "Controls",
    "Delivery",
    "FitResult",
    "FittedNetwork",
    "benchmark_command",
    "fit_of",
    "open_beside",
    "run_at",
]

SELECTION, CONTROLS = "match.json", "controls.json"
NETWORK, NETWORK_FP32, PACKAGE = "network", "network_fp32", "model.tapetum"
PRECISION = "precision.json"


class FittedNetwork(Record):
    """The network that is trained.

    Attributes:
        architecture: The network.
        predicted_ms: Predicted latency, with what the budget includes, in milliseconds.
        benchmark: Its latencies before the training; None where the device is another machine.
        conditions: What the predicted latency holds for; None for what was requested.
        note: Why it misses the budget, or leaves much of it; empty where it keeps it.
    """

    architecture: Architecture
    predicted_ms: float
    benchmark: Benchmark | None = None
    conditions: Conditions | None = None
    note: str = ""

    @property
    def latency_ms(self) -> float:
        """The latency with what the budget includes: measured, or else predicted."""
        measured = self.benchmark
        return self.predicted_ms if measured is None else measured.compared.median_ms


class Control(Record):
    """Networks that are trained like the chosen one, for comparison.

    Attributes:
        title: What they are, for people.
        networks: The network by the folder of its training; a pair has two, which share the work.
        latency_ms: Latency of all together, with what the budget includes, in milliseconds.
        is_measured: Whether that was measured, or predicted.
        may_ship: Whether the package is made of this network where it is better.
    """

    title: str
    networks: dict[str, Architecture]
    latency_ms: float
    is_measured: bool
    may_ship: bool = False


class Controls(Record):
    """The controls of a fit, the most similar first."""

    controls: tuple[Control, ...] = ()


class Delivery(Record):
    """How a fit ended: the latency and the scores of the package.

    Attributes:
        target_ms: Latency budget, in milliseconds.
        includes: What the budget includes.
        predicted_ms: Predicted latency, with what the budget includes, in milliseconds.
        benchmark: Measured latencies of the package with its trained weights; None where the
            device is another machine.
        note: Why the network that was selected misses the budget, or leaves much of it.
        command: The command that measures the package on another device; empty where it was
            measured here.
        scores: Scores of the package.
        architecture: The network of the package.
        run: Folder of its training: ``network``, a better control, or ``network_fp32`` where int8
            loses too much.
        steps: The steps of its training, beside those that were planned; None where none were.
        remarks: Sentences on the delivery that a user must know, without a full stop, what matters
            most first.
    """

    schema_version: Literal[3] = 3
    target_ms: float
    includes: Includes
    predicted_ms: float
    benchmark: Benchmark | None
    note: str = ""
    command: str = ""
    scores: Scores
    architecture: Architecture
    run: str = NETWORK
    steps: StepsMade | None = None
    remarks: tuple[Note, ...] = ()

    @property
    def timing(self) -> Timing | None:
        """The measured latency that the budget is compared with."""
        return None if self.benchmark is None else self.benchmark.compared

    @property
    def ratio(self) -> float | None:
        """The measured median over the target."""
        return None if self.benchmark is None else self.benchmark.ratio

    @property
    def keeps_target(self) -> bool | None:
        """Whether the median is at most 2 % above the target and 10 % below it.

        None where it was not measured.
        """
        if self.benchmark is None or self.ratio is None:
            return None
        return bool(self.benchmark.keeps_target) and self.ratio >= 1 - Budget.BELOW

    @property
    def state(self) -> str:
        """How the measured latency stands to the budget, in few words."""
        if self.ratio is None:
            return "not measured"
        return _state(self.ratio, is_kept=bool(self.keeps_target))

    @property
    def notes(self) -> tuple[Note, ...]:
        """What to know behind the first sentence of the verdict, what matters most first."""
        more = (Note(text, Weight.RESULT) for text in self.verdict[1:])
        return by_weight((*more, *self.scores.remarks, *self.remarks))

    @property
    def verdict(self) -> tuple[str, ...]:
        """Sentences that say whether the budget is kept, without a full stop."""
        if self.timing is None or self.ratio is None or self.benchmark is None:
            takes = f"the network takes {self.predicted_ms:.3g} ms of {self.target_ms:g} ms"
            return (f"{takes}: {self.note}",) if self.note else ()
        takes = f"{self.timing.median_ms:.3g} ms for {SCOPES[self.includes]}"
        budget, why = f"the budget of {self.target_ms:g} ms", self.note and f" ({self.note})"
        if not self.benchmark.keeps_target:
            line = f"the package misses {budget}: {takes}, {_distance(self.ratio)} above it{why}"
        elif not self.keeps_target:
            line = f"the package stays {_distance(self.ratio)} below {budget}: {takes}{why}"
        else:
            line = f"the package keeps {budget}: {takes}"
        has_labels = self.scores.mean.accuracy is not None
        return (line, *_exceeding(self.benchmark, has_labels=has_labels))


def _state(ratio: float, *, is_kept: bool) -> str:
    return "kept" if is_kept else f"{_distance(ratio)} {'above' if ratio > 1 else 'below'} it"


def _distance(ratio: float) -> str:
    """Return how far a latency is from its target; 2.4 % is not 2 %, which would be kept."""
    distance = abs(ratio - 1)
    return f"{distance:.1%}" if distance < 0.1 else f"{distance:.0%}"


def _exceeding(benchmark: Benchmark, *, has_labels: bool) -> tuple[str, ...]:
    """Say that the whole call misses a budget that was not meant to include it, and the remedy."""
    whole, calls = benchmark.exceeding_call, benchmark.calls
    if whole is None or calls is None:
        return ()
    remedies = ["fit with --budget-includes call", "pass smaller images"]
    if has_labels:
        label_ms = calls.prepared.median_ms
        remedies.append(f"ask for the label alone (mode 'label', about {label_ms:.3g} ms)")
    return (
        f"the whole call takes {whole.median_ms:.3g} ms on an image of {calls.size}, above the "
        f"budget: {', '.join(remedies[:-1])} or {remedies[-1]}",
    )


FIT = FolderKind("fit", FitRequest, Delivery, "tapetum fit")


def benchmark_command(request: FitRequest, package: str = PACKAGE) -> str:
    """Return the command that measures the package on the device of the budget."""
    given = [f"--target-ms {request.target_ms:g}"]
    for name, default in (("threads", 1), ("batch", 1), ("runtime", "onnxruntime")):
        value = getattr(request.conditions, name)
        if value != default:
            given.append(f"--{name} {value}")
    if request.includes != "network":
        given.append(f"--budget-includes {request.includes}")
    return f"tapetum benchmark {package} {' '.join(given)}"


def fit_of(path: Path) -> "FitResult | None":
    """Return the finished fit at a folder, or that a package is of; None where there is none."""
    folder = path.parent if path.name == PACKAGE else path
    if not FIT.is_at(folder) or not (folder / PACKAGE).is_file():
        return None
    return FitResult.open(folder)


def run_at(path: Path) -> Path:
    """Return the folder of a run: that of the network that ships, where a fit is given.

    Raises:
        RunError: The folder is neither of a run nor of a fit, or the fit is not finished.
    """
    require_network(path)
    if not FIT.is_at(path):
        return path
    FIT.require_finished(path)
    return path / FIT.open(path).result().run


class FitResult(NamedTuple):
    """The folder of a finished fit, opened.

    Attributes:
        path: The folder.
        request: What was requested.
        selection: The network that was chosen.
        controls: The networks that were trained for comparison.
        delivery: Latency and scores of the package.
    """

    path: Path
    request: FitRequest
    selection: FittedNetwork
    controls: Controls
    delivery: Delivery

    @classmethod
    def open(cls, path: Path) -> "FitResult":
        """Open the folder of a finished fit.

        Raises:
            RunError: It is none, or it is not finished.
        """
        folder = FIT.open(path)
        delivery, kept = folder.result(), path / CONTROLS
        controls = Controls.read(kept) if kept.exists() else Controls()
        selection = FittedNetwork.read(path / SELECTION)
        return cls(path, folder.request, selection, controls, delivery)

    @property
    def conditions(self) -> Conditions:
        """The conditions of the latency of the package, measured or predicted."""
        measured = self.delivery.benchmark
        if measured is not None:
            return measured.conditions
        if not self.was_timed_there:
            return self.request.conditions
        shipped = {"precision": open_package(self.package).manifest.precision}
        return self.request.conditions.model_copy(update=shipped)

    @property
    def was_timed_there(self) -> bool:
        """Whether the network was timed whole on another device, before its training."""
        is_shape = isinstance(self.request.method, ShapeSettings)
        return self.delivery.benchmark is None and is_shape

    @property
    def misses_budget(self) -> bool:
        """Whether the latency, or its prediction, is above the budget or far below."""
        delivery = self.delivery
        if delivery.benchmark is None:
            return not keeps_budget(delivery.predicted_ms, delivery.target_ms)
        return delivery.keeps_target is False

    @property
    def state(self) -> str:
        """How the latency stands to the budget, in few words, and how it is known if not here."""
        delivery = self.delivery
        if delivery.benchmark is not None:
            return delivery.state
        ratio = delivery.predicted_ms / delivery.target_ms
        return f"{_state(ratio, is_kept=not self.misses_budget)}, {self.known_as}"

    @property
    def known_as(self) -> str:
        """How the latency is known where the package was not timed, in few words."""
        return "timed on the device" if self.was_timed_there else "predicted"

    def source(self, *, is_package: bool = True, is_measured: bool = True) -> str:
        """Return how a latency of this fit is known and in which precision, in few words.

        Args:
            is_package: Whether it is the latency of the package, or of a network before that.
            is_measured: Whether it was measured, here or on the device, or predicted.
        """
        before = self.selection.conditions or self.request.conditions
        how = self.known_as if self.delivery.benchmark is None else "measured"
        conditions = self.conditions if is_package else before
        return f"{how if is_measured else 'predicted'}, {conditions.precision}"

    @property
    def usage(self) -> tuple[str, ...]:
        """The commands that use the package, export it, and measure it, for any folder."""
        package = pasted(self.package, whole=True)
        out = pasted(self.path / "model.onnx", whole=True)
        measure = self.delivery.command or benchmark_command(self.request, package)
        data = self.request.data
        if not is_digits(data.source):
            out += f" --data {pasted(Path(data.source), whole=True)}"
        if self.request.includes == "network":  # the size that the budget is for, in one pass
            out += f" --fixed {data.size_px}x{data.size_px}"
        return (
            f"tapetum predict {package} FOLDER --out denoised",
            f"tapetum export {package} --out {out}",
            measure,
        )

    @property
    def budget(self) -> KeptBudget:
        """The budget, as the package kept it, for files that are made of the fit."""
        path, timing = self.path / PRECISION, self.delivery.timing
        choice = PrecisionChoice.read(path) if path.exists() else None
        precision = open_package(self.package).manifest.precision
        is_int8 = choice is not None and precision == "int8"
        return KeptBudget(
            target_ms=self.delivery.target_ms,
            most_ms=(1 + Budget.TOLERANCE) * self.delivery.target_ms,
            precision=precision,
            package_ms=None if timing is None else timing.median_ms,
            fp32_times=choice.speed_up if choice is not None and is_int8 else None,
        )

    @property
    def package(self) -> Path:
        """The file that ships."""
        return self.path / PACKAGE

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / REPORT

    @property
    def scores(self) -> Scores:
        """Scores of the package."""
        return self.delivery.scores


def open_beside(paths: Sequence[str | Path] | None, request: FitRequest) -> tuple[FitResult, ...]:
    """Open earlier fits that a report compares with; refuse scores that do not compare."""
    fits = tuple(FitResult.open(Path(path)) for path in paths or ())
    for fit in fits:
        if others := _differences(fit.request, request):
            raise InputError(
                f"the fit in {shown_path(fit.path)} was made for {' and '.join(others)}, so its "
                "scores do not compare",
                "give fits of the same folder, size, seed, noise and protocol with --beside",
            )
    return fits


def _differences(theirs: FitRequest, ours: FitRequest) -> list[str]:
    """Return what the scores of two fits hold for and do not share, in words."""
    found, form = [], {"size_px", "channels", "preparation"}
    images = [one.data.model_dump(exclude={*form, "description"}) for one in (theirs, ours)]
    forms = [one.data.model_dump(include=form) for one in (theirs, ours)]
    if images[0] != images[1]:
        found.append("other images, or another split of them")
    if forms[0] != forms[1]:
        found.append("another size or preparation of the images")
    our_noise, their_noise = ours.recipe.noise, theirs.recipe.noise
    if their_noise.protocol != our_noise.protocol:
        found.append(f"the protocol {their_noise.protocol}, not {our_noise.protocol}")
    if their_noise.spread() != our_noise.spread() and not ours.data.is_paired:
        found.append(f"other noise ({_levels(their_noise)}, not {_levels(our_noise)})")
    return found


def _levels(noise: NoisePlan) -> str:
    """Return the noise levels of the scores, such as ``gaussian sigma 0, gaussian sigma 0.1``."""
    return ", ".join(one.describe() for one in noise.spread())
