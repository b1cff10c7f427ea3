"""The skeleton that training and search share: epochs of steps that survive a kill.

A :class:`Stepper` says what a step and the end of an epoch do.  :func:`run_epochs` calls both in
order, keeps checkpoints through a :class:`Journal`, and stops between two steps when it must.
"""

import math
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, runtime_checkable

from torch import nn
from torch.utils.tensorboard import SummaryWriter

from tapetum.errors import RunError, TrainingError
from tapetum.progress import ProgressCallback
from tapetum.records import Folder, write_csv
from tapetum.training.checkpoint import (
    Part,
    Position,
    R,
    part_settings,
    part_tensors,
    read_checkpoint,
    restore_parts,
    write_checkpoint,
)
from tapetum.training.compute import Compute
from tapetum.training.interrupt import StopRequests, interrupted

__all__ = ["Journal", "Learnable", "Stepper", "require_finite", "run_epochs"]

_STEPS_BETWEEN_EVENTS = 10


@runtime_checkable
class Learnable(Protocol):
    """A state that learns, such as a network with its optimizer."""

    compute: Compute

    def parts(self) -> dict[str, Part]:
        """Return the modules and optimizers of the state by name; the first one is the network."""

    def settings(self) -> dict[str, Any]:
        """Return the plain data of the state that no part has."""

    def restore(self, settings: Mapping[str, Any]) -> None:
        """Restore what :meth:`settings` returned; the parts are restored already."""


@runtime_checkable
class StepRecipe(Protocol):
    """The fields of a recipe that decide how long the work is."""

    @property
    def epochs(self) -> int:
        """Number of epochs."""

    @property
    def checkpoint_every_steps(self) -> int:
        """Steps between two checkpoints."""


@runtime_checkable
class Stepper(Protocol[R]):
    """What happens in a step and at the end of an epoch.

    Attributes:
        title: Begins each progress message; may be empty.
        last: File name of the last checkpoint.
        best: File name of the checkpoint of the best epoch; empty where none is kept.
        table: File name of the table of epochs.
        events: Folder name for TensorBoard; empty where there are no events.
        steps_per_epoch: Steps of one epoch.
    """

    title: str
    last: str
    best: str
    table: str
    events: str
    steps_per_epoch: int

    @property
    def folder(self) -> Folder[Any, Any]:
        """The folder of the work."""

    @property
    def recipe(self) -> StepRecipe:
        """How the work is done."""

    @property
    def learner(self) -> Learnable:
        """The state that the steps move."""

    def step(self, position: Position[R]) -> dict[str, float]:
        """Take a step and return its losses, as means over all processes."""

    def end_epoch(self, position: Position[R]) -> R:
        """Validate after the last step of an epoch and return its row."""


class Journal(Generic[R]):
    """Writes checkpoints, the table of epochs and TensorBoard events; only the main process does.

    A checkpoint is complete, the rows of the table included.  The table and the events are copies
    for people: on a resume the table is written again, and TensorBoard forgets later events.

    Args:
        stepper: Has the folder, the file names in it, and the state that goes into checkpoints.
    """

    def __init__(self, stepper: Stepper[R]) -> None:
        self.stepper, self.folder, self.learner = stepper, stepper.folder, stepper.learner
        self.last = self.folder.path / stepper.last
        self.writer: SummaryWriter | None = None

    def open(self, position: Position[R]) -> None:
        """Remove what a killed process left behind and write the table up to ``position``."""
        if not self.learner.compute.is_main:
            return
        self.folder.sweep()
        self._write_table(position)
        if self.stepper.events:
            purge_step = position.step + 1 if position.step else None
            self.writer = SummaryWriter(
                str(self.folder.path / self.stepper.events), purge_step=purge_step
            )

    def __enter__(self) -> "Journal[R]":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.writer is not None:
            self.writer.close()

    def after_step(self, position: Position[R], losses: Mapping[str, float]) -> None:
        """Keep a checkpoint when one is due, and the losses of every tenth step."""
        if position.step % self.stepper.recipe.checkpoint_every_steps == 0:
            self.save(position)
        if self.writer is not None and position.step % _STEPS_BETWEEN_EVENTS == 0:
            for name, loss in losses.items():
                self.writer.add_scalar(f"step/{name}", loss, position.step)

    def after_epoch(self, position: Position[R]) -> None:
        """Keep a checkpoint, also as the best one where it is, and the row of the epoch."""
        self.save(position, is_best=position.best_epoch == position.epoch)
        if not self.learner.compute.is_main:
            return
        self._write_table(position)
        if self.writer is not None:
            for name, value in position.rows[-1].flat().items():
                if isinstance(value, float) and name != "seconds":
                    self.writer.add_scalar(f"epoch/{name}", value, position.step)

    def save(self, position: Position[R], *, is_best: bool = False) -> None:
        """Write a checkpoint.

        Raises:
            TrainingError: A weight is not finite; the previous checkpoint stays.
        """
        parts = self.learner.parts()
        if not _is_finite(parts):
            raise TrainingError(
                f"the weights are no longer finite after step {position.step:,}", _remedy(self.last)
            )
        if not self.learner.compute.is_main:
            return
        tensors = part_tensors(parts)
        settings = {**self.learner.settings(), **part_settings(parts)}
        whole = position.model_copy(update={"settings": settings})
        # The best first: after a kill in between, the last one leads to the best one again.
        if is_best and self.stepper.best:
            write_checkpoint(self.folder.path / self.stepper.best, tensors, whole)
        write_checkpoint(self.last, tensors, whole)
        if self.writer is not None:
            self.writer.flush()

    def _write_table(self, position: Position[R]) -> None:
        write_csv(self.folder.path / self.stepper.table, [row.flat() for row in position.rows])


def run_epochs(
    stepper: Stepper[R],
    kind: type[Position[R]],
    *,
    num_images: int,
    progress: ProgressCallback | None = None,
) -> Position[R]:
    """Take the steps from the last checkpoint, or from the start, to the end.

    Args:
        stepper: What a step and the end of an epoch do.
        kind: Type of the position, such as ``Position[EpochRow]``.
        num_images: Number of training images; must be the same as when the work began.
        progress: Called after each step, in the main process.

    Raises:
        RunError: The checkpoint is damaged, or was made with another number of images.
        TrainingError: The loss is no longer finite, or Ctrl-C was pressed; the last good
            checkpoint is kept.
    """
    folder, learner, recipe = stepper.folder, stepper.learner, stepper.recipe
    journal = Journal(stepper)
    position = _start(journal, kind, num_images=num_images)
    governor, total = learner.compute.governor, recipe.epochs * stepper.steps_per_epoch
    lap = _lap_timer()
    journal.open(position)
    with journal, StopRequests() as stop, closing(governor):
        while position.epoch < recipe.epochs:
            if position.step_in_epoch == stepper.steps_per_epoch:
                row = stepper.end_epoch(position)
                position = position.after_epoch(row, seconds=lap())
                journal.after_epoch(position)
                continue
            start = time.perf_counter()
            losses = stepper.step(position)
            governor.after_step(time.perf_counter() - start)
            require_finite(losses, position, journal.last)
            must_stop = learner.compute.any(stop.requested)
            position = position.after_step(losses, seconds=lap())
            journal.after_step(position, losses)
            if must_stop:
                journal.save(position)
                raise interrupted(position.step, total, folder.path)
            if progress is not None and learner.compute.is_main:
                progress(position.step, total, _message(stepper, position))
    return position


def _start(journal: Journal[R], kind: type[Position[R]], *, num_images: int) -> Position[R]:
    """Restore the last checkpoint and return its position, or return the start."""
    if not journal.last.exists():
        return kind(num_images=num_images)
    tensors, position = read_checkpoint(journal.last, kind)
    if position.num_images != num_images:
        work = journal.folder
        raise RunError(
            f"the {work.kind.name} in {work.path} began with {position.num_images:,} training "
            f"images, now there are {num_images:,}",
            "restore the images, or choose another --out",
        )
    restore_parts(journal.learner.parts(), tensors, position.settings)
    journal.learner.restore(position.settings)
    return position


def _is_finite(parts: Mapping[str, Part]) -> bool:
    network = next(iter(parts.values()))
    assert isinstance(network, nn.Module)  # noqa: S101  (the first part, by the protocol)
    return all(bool(weight.isfinite().all()) for weight in network.parameters())


def require_finite(losses: Mapping[str, float], position: Position[R], last: Path) -> None:
    """Refuse to continue with a loss that is not finite: training can only get worse.

    Args:
        losses: By name; a PSNR may be infinite.
        position: Before the step.
        last: The last checkpoint.

    Raises:
        TrainingError: A loss is not finite.
    """
    if not all(math.isfinite(loss) for name, loss in losses.items() if name != "psnr_db"):
        raise TrainingError(
            f"the loss is {losses['loss']} at step {position.step + 1:,} "
            f"(epoch {position.epoch + 1})",
            _remedy(last),
        )


def _remedy(last: Path) -> str:
    kept = f"the last good checkpoint is {last}" if last.exists() else "there is no checkpoint yet"
    return f"{kept}; start again with a lower learning_rate, or a lower clip_norm"


def _message(stepper: Stepper[R], position: Position[R]) -> str:
    epoch = f"epoch {position.epoch + 1} of {stepper.recipe.epochs}"
    return f"{stepper.title}{epoch}, loss {position.means()['loss']:.4f}"


def _lap_timer() -> Any:
    """Return a function that returns the seconds since its last call."""
    then = time.perf_counter()

    def lap() -> float:
        nonlocal then
        now = time.perf_counter()
        seconds, then = now - then, now
        return seconds

    return lap
