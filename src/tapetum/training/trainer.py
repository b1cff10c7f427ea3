"""The one training loop, for every network of the package.

What a step does is in :mod:`tapetum.training.learner`; what is kept on disk, in
:mod:`tapetum.training.journal`.  This file says in which order things happen.
"""

import math
from collections.abc import Mapping

import safetensors.torch
import torch
from torch import Tensor

from tapetum.data import ImageDataset, steps_per_epoch
from tapetum.errors import DataError, RunError, TrainingError
from tapetum.nn import TrainableNetwork
from tapetum.progress import ProgressCallback
from tapetum.provenance import Provenance, stamp
from tapetum.records import write_atomically
from tapetum.training.checkpoint import Position, read_checkpoint, read_weights
from tapetum.training.clock import Clock
from tapetum.training.distributed import make_accelerator
from tapetum.training.interrupt import StopRequests, interrupted
from tapetum.training.journal import Journal
from tapetum.training.learner import Learner
from tapetum.training.process import ProcessSettings, prepare_process
from tapetum.training.recalibrate import recalibrate
from tapetum.training.recipe import Recipe
from tapetum.training.run import Result, RunFolder
from tapetum.training.validate import validate

__all__ = ["train"]


def train(
    network: TrainableNetwork,
    recipe: Recipe,
    train_set: ImageDataset,
    val_set: ImageDataset,
    run: RunFolder,
    *,
    resume: bool = False,
    progress: ProgressCallback | None = None,
) -> Result:
    """Trains a network and leaves its weights, and how they came about, in the folder of the run.

    Killed at any moment and called again with ``resume`` (on the same kind of machine, with as many
    threads), it ends with the same weights, bit by bit, as without the kill.  Under ``torchrun``
    every process calls it alike.

    Args:
        network: The network, with fresh weights; trained in place.
        recipe: How to train it; the one the run was asked for.
        train_set: Clean images to learn from.
        val_set: Clean images to look at after each epoch.
        run: Where everything goes.
        resume: Whether to go on from the last checkpoint, or from the start if there is none yet.
        progress: Is told of each step, in the main process.

    Returns:
        How it ended; also in ``result.json``.

    Raises:
        RunError: The run is of another request, is finished, or has begun and ``resume`` is false.
        DataError: A set is too small.
        TrainingError: The loss is no longer finite, or the training was interrupted; the last good
            checkpoint is kept.
    """
    process = prepare_process()
    provenance = stamp(seed=recipe.seed)  # now: the source may be edited before the end
    accelerator = make_accelerator()
    _require_ready(run, network, recipe, resume=resume)
    if not len(val_set):
        raise DataError("there are no images to validate on", "give at least one")
    steps = steps_per_epoch(train_set, recipe.batch_size)
    learner = Learner(
        network,
        recipe,
        accelerator,
        total_steps=recipe.epochs * steps,
        has_labels=bool(train_set.class_names),
    )
    start = _start(run, learner, num_images=len(train_set))
    with torch.random.fork_rng(devices=[]):  # learning seeds torch's generator; give it back
        end = _learn(learner, start, train_set, val_set, run, progress)
    return _finish(run, learner, end, (train_set, val_set), process=process, provenance=provenance)


def _learn(
    learner: Learner,
    position: Position,
    train_set: ImageDataset,
    val_set: ImageDataset,
    run: RunFolder,
    progress: ProgressCallback | None,
) -> Position:
    """Goes from a position to the end of the recipe."""
    clock = Clock()
    with Journal(run, learner, position) as journal, StopRequests() as stop:
        for epoch in range(position.epoch, learner.recipe.epochs):
            for batch in learner.batches(train_set, epoch, first_step=position.step_in_epoch):
                loss, terms = learner.losses(batch, step=position.step)
                losses = learner.mean_over_processes({"loss": loss, **terms, "stop": stop.asked})
                must_stop = losses.pop("stop") > 0
                _require_finite(losses, position, run)
                learner.descend(loss, step=position.step)
                position = position.after_step(losses, seconds=clock.lap())
                journal.after_step(position, losses)
                if must_stop:
                    journal.save(position)
                    raise interrupted(position.step, learner.total_steps, run.path)
                if progress is not None and learner.accelerator.is_main_process:
                    progress(position.step, learner.total_steps, _message(position, learner))
            validation = validate(learner, val_set)
            _require_finite(validation, position, run)
            position = position.after_epoch(
                validation, learning_rate=learner.schedule.rate, seconds=clock.lap()
            )
            learner.schedule.after_epoch(validation["loss"])
            journal.after_epoch(position)
    return position


def _require_ready(
    run: RunFolder, network: TrainableNetwork, recipe: Recipe, *, resume: bool
) -> None:
    """Refuses a run that is finished, has begun, or is of another request."""
    run.require_unfinished()
    run.require_same(
        run.request.model_copy(update={"architecture": network.architecture, "recipe": recipe})
    )
    if run.last_checkpoint.exists() and not resume:
        raise RunError(
            f"the run {run.path} has begun already",
            "go on with --resume, or replace it with --overwrite",
        )


def _start(run: RunFolder, learner: Learner, *, num_images: int) -> Position:
    """Where to go on from: the last checkpoint, with the learner put back to it, or the start."""
    if not run.last_checkpoint.exists():
        return Position(num_train_images=num_images)
    tensors, position = read_checkpoint(run.last_checkpoint)
    if position.num_train_images != num_images:
        raise RunError(
            f"the run {run.path} began with {position.num_train_images:,} training images, "
            f"now there are {num_images:,}",
            "bring the images back, or start a new run",
        )
    learner.restore(tensors, position)
    return position


def _finish(
    run: RunFolder,
    learner: Learner,
    position: Position,
    sets: tuple[ImageDataset, ImageDataset],
    *,
    process: ProcessSettings,
    provenance: Provenance,
) -> Result:
    """Writes the weights, then the result: its presence says that the run is finished."""
    keeps_best = learner.recipe.keep == "best"
    seconds = sum(row.seconds for row in position.rows)
    result = Result(
        parameters=sum(weight.numel() for weight in learner.network.parameters()),
        steps=position.step,
        training_seconds=seconds,
        images_per_second=position.step * learner.recipe.batch_size / seconds,
        num_processes=learner.accelerator.num_processes,
        device=process.device,
        process=process,
        best_epoch=position.best_epoch,
        kept_epoch=position.best_epoch if keeps_best else position.epoch,
        last=position.rows[-1],
        provenance=provenance,
    )
    if learner.accelerator.is_main_process:
        best = read_weights(run.best_checkpoint) if keeps_best else None
        weights: Mapping[str, Tensor] = best or learner.kept_network.state_dict()
        if learner.recipe.recalibration_batches:
            weights, found = recalibrate(learner, weights, *sets)
            result = result.model_copy(update={"recalibration": found})
        dense = {name: value.cpu().contiguous() for name, value in weights.items()}
        write_atomically(run.weights, safetensors.torch.save(dense))
        run.write_result(result)
    learner.accelerator.wait_for_everyone()
    return result


def _require_finite(losses: Mapping[str, float], position: Position, run: RunFolder) -> None:
    """Stops a training that can only get worse, before it corrupts the weights."""
    if all(math.isfinite(loss) for name, loss in losses.items() if name != "psnr_db"):
        return
    kept = (
        f"the last good checkpoint is kept in {run.last_checkpoint}"
        if run.last_checkpoint.exists()
        else "there was no checkpoint yet"
    )
    raise TrainingError(
        f"the loss is {losses['loss']} at step {position.step + 1:,} (epoch {position.epoch + 1})",
        f"{kept}; train again with a lower learning_rate, or with clip_norm",
    )


def _message(position: Position, learner: Learner) -> str:
    mean_loss = position.sums["loss"] / position.step_in_epoch
    return f"epoch {position.epoch + 1} of {learner.recipe.epochs}, loss {mean_loss:.4f}"
