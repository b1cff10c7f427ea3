"""Training of any network by a recipe.

What a step does is in :mod:`tapetum.training.learner`; the order of steps, checkpoints and
validation is in :mod:`tapetum.training.loop`, which the search shares.
"""

import logging
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from tapetum.data import ImageDataset
from tapetum.errors import DataError
from tapetum.nn import TrainableNetwork
from tapetum.progress import ProgressCallback
from tapetum.provenance import Provenance, stamp
from tapetum.training.batches import Batch
from tapetum.training.checkpoint import EpochRow, Position, read_weights, write_tensors
from tapetum.training.compute import Compute
from tapetum.training.learner import Learner
from tapetum.training.length import length_of
from tapetum.training.loop import EpochLoop
from tapetum.training.patience import EarlyEnd
from tapetum.training.recipe import Recipe
from tapetum.training.run import BEST, LAST, WEIGHTS, Recalibration, Result, Run
from tapetum.training.validate import recalibrate, validate

__all__ = ["train"]

_log = logging.getLogger("tapetum")


def train(
    network: TrainableNetwork,
    recipe: Recipe,
    train_set: ImageDataset,
    val_set: ImageDataset,
    run: Run,
    *,
    progress: ProgressCallback | None = None,
) -> Result:
    """Train a network and write its weights and the result to the folder of a run.

    A run that was killed continues from its last checkpoint.  On the same kind of machine, with as
    many threads, it ends with the same weights, bit by bit, as without the kill.  Under
    ``torchrun`` every process calls this function.

    Args:
        network: The network, with fresh weights; trained in place.
        recipe: How to train it; the recipe of the run's request.
        train_set: Clean images to learn from.
        val_set: Clean images to validate on after each epoch.
        run: The folder, as :meth:`~tapetum.training.Compute.start` returns it.
        progress: Called after each step, in the main process.

    Returns:
        How the training ended, as written to ``result.json``.

    Raises:
        RunError: The run is of another request, is finished, or began with other images.
        DataError: A set has too few images.
        TrainingError: The loss is no longer finite, or the training was interrupted; the last good
            checkpoint is kept.
    """
    compute = Compute()
    provenance = stamp(seed=recipe.seed)  # now: the source may be edited before the end
    run.require_unfinished()
    run.require_same(
        run.request.model_copy(update={"architecture": network.architecture, "recipe": recipe})
    )
    if not len(val_set):
        raise DataError("there are no images to validate on", "give at least one")
    train_set = train_set.augmented(recipe.augmentation)
    training = _Training(network, compute, train_set, val_set, run)
    if compute.is_main:
        run.request.architecture.write(run.path / "architecture.json")
    with torch.random.fork_rng(devices=[]):  # learning seeds torch's generator; give it back
        position = training.run(Position[EpochRow], progress)
    return training.finish(position, provenance)


class _Training(EpochLoop[EpochRow]):
    """The training of one run."""

    last, best, table, events = LAST, BEST, "metrics.csv", "events"
    recipe: Recipe
    learner: Learner
    _early_end: EarlyEnd | None

    def __init__(
        self,
        network: TrainableNetwork,
        compute: Compute,
        train_set: ImageDataset,
        val_set: ImageDataset,
        run: Run,
    ) -> None:
        recipe = run.request.recipe
        self.folder, self.recipe, self.compute = run, recipe, compute
        self.train_set, self.val_set, self.num_images = train_set, val_set, len(train_set)
        steps_per_pass = train_set.num_batches(recipe.batch_size)
        self.length = length_of(recipe, steps_per_pass, held_out=len(val_set))
        self._asked, self._early_end = self.length, None
        self.learner = Learner(
            network,
            recipe,
            compute,
            has_labels=bool(train_set.class_names),
        )
        self._batches: Iterator[Batch] | None = None
        self._was_half = False

    def step(self, position: Position[EpochRow]) -> dict[str, float]:
        """Move the weights by one batch."""
        number, place = divmod(position.step, self.length.steps_per_pass)
        if self._batches is None or place == 0:
            self._batches = self.compute.batches(
                self.recipe, self.train_set, number, first_step=place
            )
        is_half = self.length.is_half(position)
        if is_half != self._was_half:
            self._was_half = is_half
            self.compute.governor.forget()
        batch = next(self._batches)
        loss, terms = self.learner.losses(batch.halved() if is_half else batch, step=position.step)
        losses = self.compute.mean({"loss": loss, **terms})
        total_steps = self.length.scheduled_steps(position)
        self.learner.descend(loss, step=position.step, total_steps=total_steps)
        return losses

    def describe(self, position: Position[EpochRow]) -> str:
        """Return how far the training is, for people, and the scores of the last validation."""
        told = super().describe(position)
        if self.recipe.epochs is None:
            told = f"training, loss {position.means()['loss']:.4f}"
        return told + (_held_out(position.rows[-1].validation) if position.rows else "")

    def end_epoch(self, position: Position[EpochRow]) -> EpochRow:
        """Validate, and lower the learning rate where the schedule says so."""
        num_validated = self.length.num_validated(position)
        validation = validate(self.learner, self.val_set, count=num_validated)
        self.require_finite(validation, position)
        row = EpochRow(
            epoch=position.epoch + 1,
            step=position.step,
            learning_rate=self.learner.schedule.rate,
            train=position.means(),
            validation=dict(validation),
            validation_images=num_validated,
            seconds=position.seconds,
        )
        self.learner.schedule.after_epoch(validation["loss"])
        return row

    def _open(self, position: Position[EpochRow]) -> None:
        super()._open(position)
        self._end_early(position)

    def _after_epoch(self, position: Position[EpochRow]) -> None:
        super()._after_epoch(position)
        was_early = self._early_end is not None
        self._end_early(position)
        if self._early_end is not None and not was_early and self.compute.is_main:
            _log.warning("%s", self._early_end.describe())

    def _end_early(self, position: Position[EpochRow]) -> None:
        """Shorten the training where held-out scores have been flat for long enough."""
        early = EarlyEnd.of(position.rows, self.recipe, self._asked)
        shorter = self._asked if early is None else early.shorten(self._asked)
        if shorter != self._asked:
            self.length, self._early_end = shorter, early

    def finish(self, position: Position[EpochRow], provenance: Provenance) -> Result:
        """Write the weights, then the result, which marks the run as finished."""
        seconds = position.total_seconds
        result = Result(
            parameters=sum(weight.numel() for weight in self.learner.network.parameters()),
            steps=position.step,
            training_seconds=seconds,
            images_per_second=position.step * self.recipe.batch_size / max(seconds, 1e-9),
            num_processes=self.compute.num_processes,
            device=self.compute.process.device,
            process=self.compute.process,
            threads_used=tuple(sorted(self.compute.governor.used)),
            core_share=self.compute.governor.core_share,
            best_epoch=position.best_epoch,
            kept_epoch=position.best_epoch if self.recipe.keep == "best" else position.epoch,
            last=position.rows[-1],
            start=self.folder.request.start,
            early_end=self._early_end,
            provenance=provenance,
        )
        if self.compute.is_main:
            weights, outcome = self._weights(position)
            result = result.model_copy(update={"recalibration": outcome})
            write_tensors(self.folder.path / WEIGHTS, weights)
            self.folder.finish(result)
        self.compute.wait()
        return result

    def _weights(
        self, position: Position[EpochRow]
    ) -> tuple[Mapping[str, Tensor], Recalibration | None]:
        """Return the weights that are kept, and what new statistics have changed."""
        weights: Mapping[str, Tensor] = self.learner.kept_network.state_dict()
        if self.recipe.keep == "best":
            weights = read_weights(self.folder.path / BEST)
        if not self.recipe.recalibration_batches:
            return weights, None
        return recalibrate(
            self.learner,
            weights,
            self.train_set,
            self.val_set,
            passes=-(-position.step // self.length.steps_per_pass),
            count=position.rows[-1].validation_images,
        )


def _held_out(validation: Mapping[str, float | None]) -> str:
    """Return the scores of a validation in words, with a comma before them."""
    accuracy, psnr_db, gain_db = map(validation.get, ("macro_accuracy", "psnr_db", "gain_db"))
    scores = [] if accuracy is None else [f"macro accuracy {accuracy:.1%}"]
    scores += [] if psnr_db is None else [f"{psnr_db:.2f} dB"]
    scores += [] if gain_db is None else [f"{gain_db:+.2f} dB to the noisy images"]
    return f", held out: {', '.join(scores)}" if scores else ""
