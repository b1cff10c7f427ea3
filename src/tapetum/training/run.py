"""The folder of a run: what was asked, what was learnt, how it went.

::

    RUN/
      request.json        architecture, recipe and data: what was asked
      architecture.json   the network's description alone
      checkpoints/        last.safetensors and best.safetensors, to go on from
      metrics.csv         one row an epoch
      events/             the same and more, for TensorBoard
      weights.safetensors the trained network, float32
      result.json         how it ended, with provenance; its presence says that the run is finished

Every file but TensorBoard's appears in one step, so a kill leaves the old one or the new one.
TensorBoard's are appended to and may end in a torn record, which TensorBoard skips.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import safetensors.torch

from tapetum.arch import Architecture, Described
from tapetum.data import DatasetInfo
from tapetum.errors import RunError
from tapetum.nn import TrainableNetwork, build
from tapetum.provenance import Provenance
from tapetum.records import Record, differences, write_csv
from tapetum.scores import Scores
from tapetum.training.checkpoint import EpochRow, read_weights
from tapetum.training.process import ProcessSettings
from tapetum.training.recipe import Recipe

__all__ = ["Recalibration", "Request", "Result", "RunFolder", "load_network"]


class Request(Record):
    """What was asked of a training.

    Attributes:
        architecture: What the network is.
        recipe: How to train it.
        data: The dataset.
    """

    format: Literal["tapetum-run"] = "tapetum-run"
    schema_version: Literal[1] = 1
    architecture: Described
    recipe: Recipe
    data: DatasetInfo

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each logit; empty for a denoiser."""
        return self.data.class_names if self.architecture.classifies else ()


class Recalibration(Record):
    """What estimating the batch statistics anew has changed.

    Attributes:
        loss_before: Of the held-out images.
        loss_after: As above.
    """

    loss_before: float
    loss_after: float

    @property
    def is_kept(self) -> bool:
        """Whether the network that is kept has the new statistics: they are no worse."""
        return self.loss_after <= self.loss_before


class Result(Record):
    """How a training ended.

    Attributes:
        parameters: How many numbers were learnt.
        steps: In all.
        training_seconds: Training and validation, without pauses.
        images_per_second: Images seen in training, over ``training_seconds``.
        num_processes: That trained together.
        device: On which.
        process: How its main process computed; ``None`` in results of older versions.
        best_epoch: With the lowest validation loss; from 1.
        kept_epoch: Whose weights are in ``weights.safetensors``.
        last: The last row of ``metrics.csv``.
        recalibration: What new batch statistics have changed; ``None`` where none were estimated.
        scores: Of the kept weights on each noise level, once evaluated.
        provenance: When, where and with what the training was started, or last gone on with.
    """

    schema_version: Literal[1] = 1
    parameters: int
    steps: int
    training_seconds: float
    images_per_second: float
    num_processes: int
    device: str
    process: ProcessSettings | None = None
    best_epoch: int
    kept_epoch: int
    last: EpochRow
    recalibration: Recalibration | None = None
    scores: Scores | None = None
    provenance: Provenance


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run; see the module's text for its files.

    Attributes:
        path: Of the folder.
        request: What was asked.
    """

    path: Path
    request: Request

    @classmethod
    def create(cls, path: Path, request: Request, *, overwrite: bool = False) -> "RunFolder":
        """Makes the folder of a new run.

        Args:
            path: Where; missing parents are made.
            request: What is asked.
            overwrite: Removes an older run at ``path``, with all that lies in its folder, whoever
                put it there; a folder that holds no run is never touched.

        Raises:
            RunError: ``path`` is taken, or cannot be cleared.
        """
        if _is_taken(path):
            _make_room(path, overwrite=overwrite)
        _remove_aside(path)
        path.resolve().mkdir(parents=True, exist_ok=True)  # what a link at ``path`` leads to
        request.write(path / "request.json")
        request.architecture.write(path / "architecture.json")
        return cls(path, request)

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Opens the folder of a run, finished or not.

        Raises:
            RunError: There is no run at ``path``.
            InputError: Its request is damaged.
        """
        if not (path / "request.json").is_file():
            raise RunError(
                f"{path} is not the folder of a run: it has no request.json",
                "give the folder that was made by 'tapetum train --out'",
            )
        return cls(path, Request.read(path / "request.json"))

    @property
    def last_checkpoint(self) -> Path:
        """The state at the last checkpoint."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def best_checkpoint(self) -> Path:
        """The state after the epoch with the lowest validation loss."""
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def weights(self) -> Path:
        """The trained network."""
        return self.path / "weights.safetensors"

    @property
    def events(self) -> Path:
        """TensorBoard's folder."""
        return self.path / "events"

    @property
    def is_finished(self) -> bool:
        """Whether the training came to its end."""
        return (self.path / "result.json").is_file()

    def result(self) -> Result:
        """How the training ended.

        Raises:
            RunError: It has not ended.
        """
        if not self.is_finished:
            raise RunError(f"the run {self.path} is not finished", "go on with --resume")
        return Result.read(self.path / "result.json")

    def write_result(self, result: Result) -> None:
        """Marks the run as finished, or replaces its result, such as by one with scores."""
        result.write(self.path / "result.json")

    def write_metrics(self, rows: Sequence[EpochRow]) -> None:
        """Replaces ``metrics.csv``; later rows than these, of before a kill, go away."""
        write_csv(self.path / "metrics.csv", [row.flat() for row in rows])

    def sweep(self) -> None:
        """Removes what a killed process had not finished writing."""
        for part in self.path.rglob(".*.part"):
            part.unlink(missing_ok=True)

    def require_unfinished(self) -> None:
        """Refuses to go on with a run that has come to its end.

        Raises:
            RunError: It has.
        """
        if self.is_finished:
            raise RunError(
                f"the run {self.path} is finished: there is nothing to resume",
                "choose another --out for a new run, or replace this one with --overwrite",
            )

    def require_same(self, request: Request) -> None:
        """Refuses to go on with a run of another request.

        Raises:
            RunError: It names each field that differs.
        """
        found = differences(self.request, request)
        if found:
            raise RunError(
                f"the run {self.path} is of another request: {'; '.join(found)}",
                "ask for the same again, or choose another --out",
            )


def load_network(
    path: Path,
    *,
    weights: Literal["final", "best", "last"] = "final",
    network: TrainableNetwork | None = None,
) -> TrainableNetwork:
    """The trained network of a run, in evaluation mode, on the CPU.

    Args:
        path: The folder of the run.
        weights: ``final`` needs a finished run; ``best`` and ``last`` take a checkpoint's weights
            (their average where the recipe has one), of an unfinished run too.
        network: A module to load the weights into; required where the run was trained from a
            module without an architecture.

    Raises:
        RunError: There is no run at ``path``, or it has no such weights.
    """
    run = RunFolder.open(path)
    source = {"final": run.weights, "best": run.best_checkpoint, "last": run.last_checkpoint}
    file = source[weights]
    if not file.is_file():
        raise RunError(
            f"the run {path} has no {file.relative_to(path)} yet", "finish it with --resume"
        )
    state = safetensors.torch.load_file(file) if weights == "final" else read_weights(file)
    loaded = network or _build(run)
    loaded.load_state_dict(state)
    return loaded.eval()


def _build(run: RunFolder) -> TrainableNetwork:
    architecture = run.request.architecture
    if not isinstance(architecture, Architecture):
        raise RunError(
            f"{run.path} was trained from a module, {architecture.name}, that has no description",
            "pass that module: load_network(path, network=...)",
        )
    return build(architecture, seed=run.request.recipe.seed)


def _is_taken(path: Path) -> bool:
    if not path.is_dir():
        return path.exists()
    # Only a killed 'create' leaves part files alone in a folder.
    return any(not entry.name.endswith(".part") for entry in path.iterdir())


def _make_room(path: Path, *, overwrite: bool) -> None:
    """Puts an older run aside if that was allowed; whatever else is there stays, and is an error.

    One step, so that a kill leaves the older run whole, or none: half a run, without its request,
    would no longer be taken for one.
    """
    if not _holds_run(path):
        raise RunError(
            f"{path} exists and is not the folder of a run, so it is left alone",
            "choose another --out",
        )
    if not overwrite:
        raise RunError(
            f"{path} holds a run already",
            "go on with --resume, choose another --out, or replace it with --overwrite",
        )
    if Path.cwd().is_relative_to(path.resolve()):
        raise RunError(f"the run {path} is where you are", "go to another folder to replace it")
    _remove_aside(path)
    try:
        path.resolve().rename(_aside(path))
    except OSError as error:
        raise RunError(
            f"the run {path} cannot be replaced: {error.strerror or error}", "choose another --out"
        ) from error


def _remove_aside(path: Path) -> None:
    """Removes the older run that was at ``path``, or what a kill has left of it."""
    if _aside(path).is_dir():
        shutil.rmtree(_aside(path))


def _aside(path: Path) -> Path:
    """Where an older run waits for its removal: hidden, and by its name nobody else's."""
    folder = path.resolve()
    return folder.with_name(f".{folder.name}.replaced-by-tapetum")


def _holds_run(path: Path) -> bool:
    """Whether ``path`` is recognisably ours; an older schema or a damaged field does not matter."""
    try:
        request = json.loads((path / "request.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(request, dict) and request.get("format") == "tapetum-run"
