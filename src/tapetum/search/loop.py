"""The order in which a search happens; what a step does is in :mod:`tapetum.search.searcher`.

Images are parted in two: most teach the weights, the others teach the logits.  Every epoch ends
with the widths scaled, and with a look at the network that would be delivered now, on held-out
images and with its batch statistics estimated anew.  At the end the knapsack makes the budget
exact.
"""

import itertools
import math
from collections.abc import Mapping
from pathlib import Path

import torch

from tapetum.data import (
    Batch,
    ImageDataset,
    Subset,
    steps_per_epoch,
    training_batches,
)
from tapetum.errors import DataError, InputError, RunError, TrainingError
from tapetum.latency import Budget, LatencyTable
from tapetum.noise import generator_for
from tapetum.progress import ProgressCallback, silent
from tapetum.provenance import stamp
from tapetum.search.derive import derive
from tapetum.search.folder import (
    SearchEpoch,
    SearchFolder,
    SearchPosition,
    SearchRequest,
    SearchResult,
)
from tapetum.search.judge import judge
from tapetum.search.recipe import SearchRecipe
from tapetum.search.searcher import Searcher
from tapetum.search.widths import Scaled
from tapetum.training.checkpoint import read_checkpoint_of, write_checkpoint
from tapetum.training.clock import Clock
from tapetum.training.distributed import make_accelerator
from tapetum.training.interrupt import StopRequests, interrupted
from tapetum.training.process import prepare_process
from tapetum.training.recalibrate import reestimate_statistics

__all__ = ["require_searchable", "search", "search_once"]

HELD_OUT_KEY = 5  # its own number, so that the parting shares no draws with noise
STATISTICS_BATCHES = 20


def search_once(
    path: Path,
    request: SearchRequest,
    table: LatencyTable,
    images: ImageDataset,
    *,
    progress: ProgressCallback = silent,
) -> SearchResult:
    """What a search has found: one that is finished is not run again, one that was killed goes on.

    Args:
        path: Of its folder.
        request: What is asked.
        table: What prices it.
        images: As in :func:`search`, which says what else may be wrong.
        progress: As there.

    Raises:
        RunError: The folder is taken, or holds a search of another request or table.
    """
    if (path / "result.json").exists():
        finished = SearchFolder.open(path)
        finished.require_same(request, table)
        return finished.result()
    require_searchable(request, table, images)
    folder = SearchFolder.start(path, request, table, resume=True)
    return search(folder, images, progress=progress)


def search(
    folder: SearchFolder, images: ImageDataset, *, progress: ProgressCallback = silent
) -> SearchResult:
    """Searches the space of a table for the network that keeps a target.

    Killed at any moment and called again, it goes on from its last checkpoint and ends with the
    same network, bit by bit, as without the kill.  Under ``torchrun`` every process calls it alike.

    Args:
        folder: Says what is asked, and keeps what comes of it.
        images: To learn from; a share of them is held out from the weights.
        progress: Is told of each step, in the main process.

    Raises:
        InputError: No network of the space keeps the target, or the space is for other images.
        DataError: There are too few images.
        RunError: The search began with other images.
        TrainingError: The loss is no longer finite, or the search was interrupted; its last
            checkpoint is kept.
    """
    require_searchable(folder.request, folder.table, images)
    prepare_process()
    provenance = stamp(seed=folder.request.recipe.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(folder.request.recipe.seed)
        searching = _Searching(folder, images)
        position = searching.run(progress)
    last = position.rows[-1]
    best = derive(
        Budget.of(folder.table, folder.request.target_ms),
        last.probabilities,
        last.depths,
        widths=last.widths,
    )
    seconds = sum(row.seconds for row in position.rows)
    result = SearchResult(
        choices=best.choices,
        predicted_ms=best.latency_ms,
        target_ms=folder.request.target_ms,
        likeliest_ms=last.likeliest_ms,
        widths_ended=last.widths_ended,
        epochs=position.rows,
        seconds=seconds,
        images_per_second=position.step * folder.request.recipe.batch_size / seconds,
        provenance=provenance,
    )
    if searching.searcher.accelerator.is_main_process:
        folder.write_result(result)
    searching.searcher.accelerator.wait_for_everyone()
    return result


def require_searchable(request: SearchRequest, table: LatencyTable, images: ImageDataset) -> None:
    """Refuses what cannot end well before anything is computed, or written.

    Args:
        request: What is asked.
        table: What prices it.
        images: To learn from.

    Raises:
        InputError: No network of the space keeps the target, or the space is for other images.
        DataError: There are too few images.
    """
    space = table.space
    if not space.slots:
        raise InputError(
            f"{space.name} has no slot: there is nothing to search", "train its one network"
        )
    Budget.of(table, request.target_ms)
    classes = None if space.classifier is None else space.classifier.num_classes
    if space.image_channels != images.channels:
        raise InputError(
            f"{space.name} is for images of {space.image_channels} channels, "
            f"these have {images.channels}",
            "measure a table of a space for these images",
        )
    if classes is not None and classes != len(images.class_names):
        raise InputError(
            f"{space.name} is for {classes} names, these images have {len(images.class_names)}",
            "measure a table of a space for these images",
        )
    _part(images, request.recipe)


class _Searching:
    """A search that goes on."""

    def __init__(self, folder: SearchFolder, images: ImageDataset) -> None:
        recipe = folder.request.recipe
        self.folder, self.recipe, self.num_images = folder, recipe, len(images)
        self.for_weights, self.for_alphas = _part(images, recipe)
        self.steps_per_epoch = steps_per_epoch(self.for_weights, recipe.batch_size)
        self.steps_held_out = steps_per_epoch(self.for_alphas, recipe.batch_size)
        self.total_steps = recipe.epochs * self.steps_per_epoch
        self.searcher = Searcher(
            folder.table,
            recipe,
            make_accelerator(),
            target_ms=folder.request.target_ms,
            total_steps=self.total_steps,
        )

    def run(self, progress: ProgressCallback) -> SearchPosition:
        """Goes from where it stands to the end of the recipe."""
        position, is_main = self._start(), self.searcher.accelerator.is_main_process
        clock = Clock()
        with StopRequests() as stop:
            while position.epoch < self.recipe.epochs:
                said = f"search, epoch {position.epoch + 1} of {self.recipe.epochs}"
                means = self._step(position, is_asked=stop.asked)
                must_stop = means.pop("stop") > 0
                position = _after_step(position, means, seconds=clock.lap())
                if position.step % self.steps_per_epoch == 0:
                    position = self._after_epoch(position, clock)
                    self._save(position)
                elif must_stop or position.step % self.recipe.checkpoint_every_steps == 0:
                    self._save(position)
                if must_stop:
                    raise interrupted(position.step, self.total_steps, self.folder.path)
                if is_main:
                    progress(position.step, self.total_steps, said)
        return position

    def _step(self, position: SearchPosition, *, is_asked: bool) -> dict[str, float]:
        """A step of the weights and, when it is their turn, one of the logits."""
        step, epoch = position.step, position.epoch
        batch = self._batch(self.for_weights, step, self.steps_per_epoch, key=0)
        found = self.searcher.weight_step(batch, step=step, epoch=epoch)
        every = self.recipe.alphas_every_steps
        if epoch >= self.recipe.warmup_epochs and step % every == every - 1:
            held_out = self._batch(self.for_alphas, step // every, self.steps_held_out, key=1)
            found |= self.searcher.alpha_step(held_out, step=step, epoch=epoch)
        means = self.searcher.mean_over_processes({**found, "stop": float(is_asked)})
        if not all(map(math.isfinite, means.values())):
            raise TrainingError(
                f"the loss is {means['loss']} at step {step + 1:,} (epoch {epoch + 1})",
                f"the last checkpoint is kept in {self.folder.path}; search again with a lower "
                "learning_rate",
            )
        return means

    def _batch(self, images: ImageDataset, number: int, per_epoch: int, *, key: int) -> Batch:
        """The batch of a number, counted since the beginning: no state to keep."""
        processes = self.searcher.accelerator
        batches = training_batches(
            images,
            self.recipe.noise,
            batch_size=self.recipe.batch_size,
            seed=2 * self.recipe.seed + key,
            epoch=number // per_epoch,
            first_step=number % per_epoch,
            rank=processes.process_index,
            world_size=processes.num_processes,
        )
        return self.searcher.to_device(next(batches))

    def _after_epoch(self, position: SearchPosition, clock: Clock) -> SearchPosition:
        searcher, epoch = self.searcher, position.epoch
        temperature = searcher.temperature(epoch)
        scaled = searcher.after_epoch()
        judged = self._judge(scaled, epoch)
        logits, expected_ms = searcher.logits, searcher.expected_ms()
        row = SearchEpoch(
            epoch=epoch + 1,
            means={name: total / position.counts[name] for name, total in position.sums.items()},
            expected_ms=expected_ms,
            likeliest_ms=scaled.latency_ms,
            widths_ended=scaled.ended,
            judged=judged,
            entropy=logits.entropy(),
            temperature=temperature,
            probabilities=logits.probabilities(),
            depths=logits.depth_probabilities(),
            widths={path: dict(widths) for path, widths in searcher.widths.items()},
            seconds=position.seconds + clock.lap(),
        )
        return position.model_copy(
            update={
                "epoch": epoch + 1,
                "sums": {},
                "counts": {},
                "seconds": 0.0,
                "rows": (*position.rows, row),
            }
        )

    def _judge(self, scaled: Scaled, epoch: int) -> dict[str, float]:
        """The network of this epoch, on its own batch statistics; all processes say the same."""
        network = self.searcher.supernet.extract(scaled.choices)
        count = min(STATISTICS_BATCHES, self.steps_per_epoch)
        batches = training_batches(
            self.for_weights,
            self.recipe.noise,
            batch_size=self.recipe.batch_size,
            seed=2 * self.recipe.seed,
            epoch=epoch,
        )
        reestimate_statistics(network, itertools.islice(batches, count))
        judged = judge(network, self.for_alphas, self.recipe)
        return self.searcher.mean_over_processes(judged)

    def _start(self) -> SearchPosition:
        """Where to go on from, with the searcher put back to it."""
        if not self.folder.checkpoint.exists():
            return SearchPosition(num_images=self.num_images)
        tensors, position = read_checkpoint_of(self.folder.checkpoint, SearchPosition)
        if position.num_images != self.num_images:
            raise RunError(
                f"the search {self.folder.path} began with {position.num_images:,} images, "
                f"now there are {self.num_images:,}",
                "bring the images back, or start a new search",
            )
        self.searcher.restore(
            tensors,
            widths=position.widths,
            weight_groups=position.weight_groups,
            alpha_groups=position.alpha_groups,
        )
        return position

    def _save(self, position: SearchPosition) -> None:
        if self.searcher.accelerator.is_main_process:
            whole = position.model_copy(update=self.searcher.settings())
            write_checkpoint(self.folder.checkpoint, self.searcher.tensors(), whole)
            self.folder.write_rows(position.rows)


def _part(images: ImageDataset, recipe: SearchRecipe) -> tuple[Subset, Subset]:
    """Images for the weights, and those that are held out for the logits."""
    order = generator_for(recipe.seed, HELD_OUT_KEY).permutation(len(images)).tolist()
    num_held_out = round(recipe.held_out * len(images))
    if min(num_held_out, len(images) - num_held_out) < recipe.batch_size:
        raise DataError(
            f"{len(images):,} images do not make a batch of {recipe.batch_size} each for the "
            f"weights and, of {recipe.held_out:.0%} of them, for the choices",
            "give more images, or a smaller batch",
        )
    held_out, others = sorted(order[:num_held_out]), sorted(order[num_held_out:])
    return Subset(images, others), Subset(images, held_out)


def _after_step(
    position: SearchPosition, means: Mapping[str, float], *, seconds: float
) -> SearchPosition:
    return position.model_copy(
        update={
            "step": position.step + 1,
            "sums": position.sums
            | {name: position.sums.get(name, 0.0) + value for name, value in means.items()},
            "counts": position.counts | {name: position.counts.get(name, 0) + 1 for name in means},
            "seconds": position.seconds + seconds,
        }
    )
