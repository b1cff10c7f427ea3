"""The folder of a training run.

::

    RUN/
      request.json        architecture, recipe and dataset
      architecture.json   the architecture alone
      checkpoints/        last.safetensors and best.safetensors
      metrics.csv         one row for each epoch
      events/             the same and more, for TensorBoard
      weights.safetensors the trained network, float32
      result.json         how the training ended; marks the run as finished

:mod:`tapetum.records` describes the protocol.  TensorBoard's files are appended to and may end in a
torn record after a kill, which TensorBoard skips.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from tapetum.arch import Architecture, Described
from tapetum.data import DatasetInfo
from tapetum.errors import RunError
from tapetum.nn import TrainableNetwork, build
from tapetum.provenance import Provenance
from tapetum.records import Folder, FolderKind, Record
from tapetum.runtime import BrightnessRange
from tapetum.scores import Scores
from tapetum.training.checkpoint import EpochRow, fits_or_refused, read_tensors
from tapetum.training.patience import EarlyEnd
from tapetum.training.process import ProcessSettings
from tapetum.training.recipe import Recipe

__all__ = [
    "BEST",
    "LAST",
    "RUNS",
    "WEIGHTS",
    "Recalibration",
    "Request",
    "Result",
    "Run",
    "Start",
    "load_network",
]

LAST = "checkpoints/last.safetensors"
BEST = "checkpoints/best.safetensors"
WEIGHTS = "weights.safetensors"


class Start(Record):
    """The trained network whose weights a training begins with.

    Attributes:
        source: Name of the run or the package.
        sha256: Digest of its weights, in hexadecimal.
        taken: Layers that have its weights.
        fresh: Layers that have random weights.
        version: Version of the package of the weights; empty for the user's own.
        licence: Licence of these weights; empty for the user's own.
        hint: What these weights tell of the images; empty for nothing.
        inherited: Origin of the weights of others that the source itself began with.
    """

    source: str
    sha256: str
    taken: tuple[str, ...]
    fresh: tuple[str, ...]
    version: str = ""
    licence: str = ""
    hint: str = ""
    inherited: dict[str, str] = Field(default_factory=dict)

    def describe(self) -> str:
        """Return what was taken, in words."""
        count = len(self.taken) + len(self.fresh)
        left = f"; fresh: {', '.join(self.fresh)}" if self.fresh else ""
        which = f" {self.version} ({self.licence})" if self.version else ""
        if self.inherited:
            name, version, licence = (self.inherited[key] for key in ("name", "version", "licence"))
            which = f", which began with {name} {version} ({licence})"
        return f"{len(self.taken)} of {count} layers start from {self.source}{which}{left}"

    @property
    def origin(self) -> dict[str, str]:
        """Name, version, digest and licence of the weights of others; empty for the user's own."""
        if not self.version:
            return self.inherited
        return {
            "name": self.source,
            "version": self.version,
            "sha256": self.sha256,
            "licence": self.licence,
        }


class Request(Record):
    """What was requested of a training.

    Attributes:
        architecture: The network.
        recipe: How to train it.
        data: The facts that identify the dataset.
        start: The network that the training begins with; ``None`` for random weights.
        length_reason: Why the training is as long as it is, where images and network decided.
    """

    format: Literal["tapetum-run"] = "tapetum-run"
    schema_version: Literal[1] = 1
    architecture: Described
    recipe: Recipe
    data: DatasetInfo
    start: Start | None = None
    length_reason: str = ""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each logit; empty for a denoiser."""
        return self.data.class_names if self.architecture.classifies else ()


class Recalibration(Record):
    """What estimating the batch statistics again has changed.

    Attributes:
        loss_before: Validation loss with the running statistics.
        loss_after: Validation loss with the new statistics.
    """

    loss_before: float
    loss_after: float

    @property
    def is_kept(self) -> bool:
        """Whether the kept network has the new statistics, which are no worse."""
        return self.loss_after <= self.loss_before


class Result(Record):
    """How a training ended.

    Attributes:
        parameters: Number of learnt weights.
        steps: Number of steps.
        training_seconds: Time of training and validation in seconds, without pauses.
        images_per_second: Training images per second of ``training_seconds``.
        num_processes: Number of processes that trained together.
        device: Name of the device.
        process: How the main process computed; ``None`` in results of older versions.
        threads_used: Numbers of threads that steps were taken with since the last start.  More than
            one means that another program kept a core busy.
        core_share: Share of a core that steps got since the last start, where the system counts it.
        best_epoch: Epoch with the lowest validation loss, from 1.
        kept_epoch: Epoch whose weights are in ``weights.safetensors``.
        last: The last row of ``metrics.csv``.
        start: The network that the training began with; ``None`` for random weights.
        early_end: When held-out scores had been flat for the recipe's patience; ``None`` where the
            training took the time or the steps that were asked for.
        recalibration: What new batch statistics have changed; ``None`` where none were estimated.
        brightness: The means of the training images; ``None`` without labels, and until evaluated.
        scores: Scores of the kept weights on each noise level; ``None`` until evaluated.
        provenance: When, where and with what the training was started, or resumed last.
    """

    schema_version: Literal[1] = 1
    parameters: int
    steps: int
    training_seconds: float
    images_per_second: float
    num_processes: int
    device: str
    process: ProcessSettings | None = None
    threads_used: tuple[int, ...] = ()
    core_share: float | None = None
    best_epoch: int
    kept_epoch: int
    last: EpochRow
    start: Start | None = None
    early_end: EarlyEnd | None = None
    recalibration: Recalibration | None = None
    brightness: BrightnessRange | None = None
    scores: Scores | None = None
    provenance: Provenance

    @property
    def few_steps(self) -> str:
        """Says that the training was shorter than any by default.

        Empty where it was as long, began with trained weights or ended since scores were flat.
        """
        few = Recipe.too_few(self.steps)
        if not few or self.start is not None or self.early_end is not None:
            return ""
        return f"the training was too short: it took {few}"


RUNS = FolderKind("run", Request, Result, "tapetum train")
Run = Folder[Request, Result]


def load_network(path: Path, *, network: TrainableNetwork | None = None) -> TrainableNetwork:
    """Return the trained network of a run, in evaluation mode, on the CPU.

    Args:
        path: The folder of the run.
        network: A module to load the weights into; required where the run was trained from a
            module without an architecture.

    Raises:
        RunError: There is no finished run at ``path``.
    """
    run = RUNS.open(path)
    if not (path / WEIGHTS).is_file():
        raise RunError(f"the run {path} has no {WEIGHTS} yet", "finish it with --resume")
    state = read_tensors(path / WEIGHTS)[0]
    architecture = run.request.architecture
    if network is None:
        if not isinstance(architecture, Architecture):
            raise RunError(
                f"{path} was trained from a module, {architecture.name}, that has no description",
                "pass that module: load_network(path, network=...)",
            )
        network = build(architecture, seed=run.request.recipe.seed)
    with fits_or_refused(path / WEIGHTS):
        network.load_state_dict(state)
    return network.eval()
