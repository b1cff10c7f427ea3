"""What a training leaves on disk while it goes on; only the main process writes.

A checkpoint has everything, the rows of ``metrics.csv`` among it.  The table and TensorBoard's
events are copies for people: on a resume the table is written again from the checkpoint, and
TensorBoard is told to forget what came after it.
"""

from collections.abc import Mapping
from types import TracebackType

from torch.utils.tensorboard import SummaryWriter

from tapetum.errors import TrainingError
from tapetum.training.checkpoint import EpochRow, Position, write_checkpoint
from tapetum.training.learner import Learner
from tapetum.training.run import RunFolder

__all__ = ["Journal"]

_STEPS_BETWEEN_EVENTS = 10


class Journal:
    """Writes checkpoints, the table of epochs and TensorBoard's events of one training.

    Args:
        run: Where to.
        learner: Whose state goes into checkpoints.
        position: Where the training goes on from.
    """

    def __init__(self, run: RunFolder, learner: Learner, position: Position) -> None:
        self.run = run
        self.learner = learner
        self.every_steps = learner.recipe.checkpoint_every_steps
        self.writer: SummaryWriter | None = None
        if learner.accelerator.is_main_process:
            run.sweep()
            run.write_metrics(position.rows)
            purge_step = position.step + 1 if position.step else None
            self.writer = SummaryWriter(str(run.events), purge_step=purge_step)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.writer is not None:
            self.writer.close()

    def after_step(self, position: Position, losses: Mapping[str, float]) -> None:
        """Keeps a checkpoint when one is due, and the losses of every tenth step."""
        if position.step % self.every_steps == 0:
            self.save(position)
        if self.writer is not None and position.step % _STEPS_BETWEEN_EVENTS == 0:
            for name, loss in losses.items():
                self.writer.add_scalar(f"step/{name}", loss, position.step)

    def after_epoch(self, position: Position) -> None:
        """Keeps a checkpoint, the best one too where it is, and the row of the epoch."""
        self.save(position, is_best=position.best_epoch == position.epoch)
        if self.writer is not None:
            self.run.write_metrics(position.rows)
            _add_row(self.writer, position.rows[-1])

    def save(self, position: Position, *, is_best: bool = False) -> None:
        """Writes the state of the training.

        Raises:
            TrainingError: A weight is not finite; the checkpoint of before stays.
        """
        if not self.learner.is_finite():
            raise TrainingError(
                f"weights are no longer finite after step {position.step:,}",
                f"the last good checkpoint is kept in {self.run.last_checkpoint}; "
                "train again with a lower learning_rate, or with clip_norm",
            )
        if self.writer is None:
            return
        tensors = self.learner.tensors()
        whole = position.model_copy(update=self.learner.settings())
        # The best first: after a kill in between, the last one leads to the best one again.
        if is_best:
            write_checkpoint(self.run.best_checkpoint, tensors, whole)
        write_checkpoint(self.run.last_checkpoint, tensors, whole)
        self.writer.flush()


def _add_row(writer: SummaryWriter, row: EpochRow) -> None:
    for name, value in row.train.items():
        writer.add_scalar(f"epoch/train_{name}", value, row.step)
    for name, measure in row.validation.items():
        if measure is not None:
            writer.add_scalar(f"epoch/validation_{name}", measure, row.step)
    writer.add_scalar("epoch/learning_rate", row.learning_rate, row.step)
