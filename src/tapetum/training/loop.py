"""The skeleton that training and search share: epochs of steps that survive a kill."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from typing import Any, ClassVar, Generic, NoReturn, Protocol, runtime_checkable

from torch import nn
from torch.utils.tensorboard import SummaryWriter

from tapetum.errors import InterruptedTrainingError, RunError, TrainingError
from tapetum.progress import ProgressCallback, StopRequest, stop_requests
from tapetum.records import Folder, write_csv
from tapetum.training.checkpoint import (
    Part,
    Position,
    R,
    fits_or_refused,
    part_settings,
    part_tensors,
    read_checkpoint,
    restore_parts,
    write_checkpoint,
)
from tapetum.training.compute import Compute
from tapetum.training.length import Length, TimedLength
from tapetum.training.recipe import BaseRecipe

__all__ = ["EpochLoop", "Learnable"]

_STEPS_BETWEEN_EVENTS = 10


@runtime_checkable
class Learnable(Protocol):
    """A state that learns, such as a network with its optimizer."""

    def parts(self) -> dict[str, Part]:
        """Return the modules and optimizers of the state by name; the first one is the network."""

    def settings(self) -> dict[str, Any]:
        """Return the plain data of the state that no part has."""

    def restore(self, settings: Mapping[str, Any]) -> None:
        """Restore what :meth:`settings` returned; the parts are restored already."""


class EpochLoop(ABC, Generic[R]):
    """Epochs of steps; a subclass sets the attributes and says what a step does.

    A checkpoint is complete, the rows of the table included.  The table and the events are copies
    for people: on a resume the table is written again, and TensorBoard forgets later events.  Only
    the main process writes.

    Attributes:
        title: Begins each progress message; may be empty.
        last: File name of the last checkpoint.
        best: File name of the checkpoint of the best epoch; empty where none is kept.
        table: File name of the table of epochs.
        events: Folder name for TensorBoard; empty where there are no events.
        folder: The folder of the work.
        recipe: How the work is done.
        compute: Where the work is done.
        learner: The state that the steps move.
        num_images: Number of training images; must be the same as when the work began.
        length: How many steps there are, and where epochs end.
        clock: Returns the time in seconds.
    """

    title = best = events = ""
    last: str
    table: str
    folder: Folder[Any, Any]
    recipe: BaseRecipe
    compute: Compute
    learner: Learnable
    num_images: int
    length: Length | TimedLength
    clock: ClassVar[Callable[[], float]] = time.perf_counter
    _writer: SummaryWriter | None = None

    @abstractmethod
    def step(self, position: Position[R]) -> dict[str, float]:
        """Take a step and return its losses, as means over all processes."""

    @abstractmethod
    def end_epoch(self, position: Position[R]) -> R:
        """Validate after the last step of an epoch and return its row."""

    def run(self, kind: type[Position[R]], progress: ProgressCallback | None = None) -> Position[R]:
        """Take the steps from the last checkpoint, or from the start, to the end.

        Args:
            kind: Type of the position, such as ``Position[EpochRow]``.
            progress: Called after each step, in the main process.

        Raises:
            RunError: The checkpoint is damaged, or was made with another number of images.
            TrainingError: The loss is no longer finite, or Ctrl-C was pressed; the last good
                checkpoint is kept.
        """
        position, governor = self._start(kind), self.compute.governor
        clock = type(self).clock
        then = clock()

        def lap() -> float:
            nonlocal then
            before, then = then, clock()
            return self.compute.of_main(then - before)

        self._open(position)
        with self._writer or nullcontext(), stop_requests() as stop, closing(governor):
            while not self.length.is_over(position):
                if self.length.ends_epoch(position):
                    row = self.end_epoch(position)
                    position = position.after_epoch(row, seconds=lap())
                    self._after_epoch(position)
                    continue
                start = time.perf_counter()
                losses = self.step(position)
                governor.after_step(time.perf_counter() - start)
                self.require_finite(losses, position)
                must_stop = self.compute.any(stop.is_set())
                position = position.after_step(losses, seconds=lap())
                self._after_step(position, losses)
                if must_stop:
                    self._stop(position, stop)
                if progress is not None and self.compute.is_main:
                    progress(position.step, self._total(position), self._told(position))
            if self.compute.any(stop.is_set()):  # during the last validation
                self._stop(position, stop)
        return position

    def _stop(self, position: Position[R], stop: StopRequest) -> NoReturn:
        """Keep the state, and end the work before its time."""
        self._save(position)
        raise InterruptedTrainingError(
            f"interrupted after step {position.step:,} of {self._total(position):,}; "
            f"the state is kept in {self.folder.path}",
            "run the same command again with --resume to continue",
            signal_number=stop.signal_number,
        )

    def _told(self, position: Position[R]) -> str:
        """Return what stands beside the progress bar."""
        about = "about " if isinstance(self.length, TimedLength) else ""
        return f"{self.title}{self.describe(position)}, in {about}steps"

    def _total(self, position: Position[R]) -> int:
        """Return the number of steps that are expected in all."""
        return max(math.ceil(self.length.expected_steps(position)), position.step)

    def describe(self, position: Position[R]) -> str:
        """Return how far the work has come, for people."""
        passes = [
            -(-steps // self.length.steps_per_pass)
            for steps in (position.step, self._total(position))
        ]
        return f"epoch {passes[0]} of {passes[1]}, loss {position.means()['loss']:.4f}"

    def require_finite(self, losses: Mapping[str, float], position: Position[R]) -> None:
        """Refuse to continue with a loss that is not finite: training can only get worse.

        Args:
            losses: Losses by name. A PSNR may be infinite, and so may its gain over noisy images.
            position: Before the step.

        Raises:
            TrainingError: A loss is not finite.
        """
        if not all(
            math.isfinite(loss) for name, loss in losses.items() if not name.endswith("_db")
        ):
            raise self._error(
                f"the loss is {losses['loss']} at step {position.step + 1:,} "
                f"(epoch {position.epoch + 1})"
            )

    def _error(self, problem: str) -> TrainingError:
        last = self.folder.path / self.last
        kept = f"the last good checkpoint is {last}"
        kept = kept if last.exists() else "there is no checkpoint yet"
        return TrainingError(
            problem, f"{kept}; start again with a lower learning_rate, or a lower clip_norm"
        )

    def _start(self, kind: type[Position[R]]) -> Position[R]:
        """Restore the last checkpoint and return its position, or return the start."""
        folder = self.folder
        if not (folder.path / self.last).exists():
            return kind(num_images=self.num_images)
        tensors, position = read_checkpoint(folder.path / self.last, kind)
        if position.num_images != self.num_images:
            raise RunError(
                f"the {folder.kind.name} in {folder.path} began with {position.num_images:,} "
                f"training images, now there are {self.num_images:,}",
                "restore the images, or choose another --out",
            )
        with fits_or_refused(folder.path / self.last):
            restore_parts(self.learner.parts(), tensors, position.settings)
            self.learner.restore(position.settings)
        return position

    def _open(self, position: Position[R]) -> None:
        """Remove what a killed process left behind and write the table up to ``position``."""
        if not self.compute.is_main:
            return
        self.folder.sweep()
        self._write_table(position)
        if self.events:
            purge_step = position.step + 1 if position.step else None
            self._writer = SummaryWriter(str(self.folder.path / self.events), purge_step=purge_step)

    def _after_step(self, position: Position[R], losses: Mapping[str, float]) -> None:
        """Keep a checkpoint when one is due, and the losses of every tenth step."""
        if position.step % self.recipe.checkpoint_every_steps == 0:
            self._save(position)
        if position.step % _STEPS_BETWEEN_EVENTS == 0:
            self._write_events("step", losses, position)

    def _after_epoch(self, position: Position[R]) -> None:
        """Keep a checkpoint, also as the best one where it is, and the row of the epoch."""
        self._save(position, is_best=position.best_epoch == position.epoch)
        if self.compute.is_main:
            self._write_table(position)
        self._write_events("epoch", position.rows[-1].flat(), position)

    def _save(self, position: Position[R], *, is_best: bool = False) -> None:
        """Write a checkpoint, unless a weight is not finite: the previous one stays."""
        parts = self.learner.parts()
        network = next(iter(parts.values()))
        assert isinstance(network, nn.Module)  # noqa: S101  (the first part, by the protocol)
        if not all(bool(weight.isfinite().all()) for weight in network.parameters()):
            raise self._error(f"the weights are no longer finite after step {position.step:,}")
        if not self.compute.is_main:
            return
        tensors = part_tensors(parts)
        settings = {**self.learner.settings(), **part_settings(parts)}
        whole = position.model_copy(update={"settings": settings})
        # The best first: after a kill in between, the last one leads to the best one again.
        for name in (self.best if is_best else "", self.last):
            if name:
                write_checkpoint(self.folder.path / name, tensors, whole)
        if self._writer is not None:
            self._writer.flush()

    def _write_table(self, position: Position[R]) -> None:
        write_csv(self.folder.path / self.table, [row.flat() for row in position.rows])

    def _write_events(self, group: str, row: Mapping[str, Any], position: Position[R]) -> None:
        for name, value in row.items():
            if self._writer is not None and isinstance(value, float) and "seconds" not in name:
                self._writer.add_scalar(f"{group}/{name}", value, position.step)
