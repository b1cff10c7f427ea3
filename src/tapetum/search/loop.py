"""The search: the order in which it happens; a step is in :mod:`tapetum.search.searcher`.

The images are split in two: most train the weights, the others train the architecture parameters.
Each epoch ends with the widths scaled and with a validation, on held-out images, of the network
that would be chosen now.  At the end a knapsack makes the latency budget exact.
"""

import hashlib
import itertools
from pathlib import Path

import torch

from tapetum.data import DatasetInfo, ImageDataset
from tapetum.errors import DataError
from tapetum.latency import Budget, LatencyTable
from tapetum.noise import generator_for
from tapetum.progress import ProgressCallback
from tapetum.provenance import Provenance, stamp
from tapetum.records import Folder
from tapetum.search.derive import derive
from tapetum.search.recipe import SearchRecipe
from tapetum.search.result import SEARCHES, SearchEpoch, SearchRequest, SearchResult
from tapetum.search.searcher import Searcher
from tapetum.search.widths import Scaled
from tapetum.training import Batch, Compute, EpochLoop, Length, Position, look, training_batches

__all__ = ["search"]

HELD_OUT_KEY = 5  # its own number, so that the split shares no draws with noise
STATISTICS_BATCHES = 20


def search(
    path: Path,
    recipe: SearchRecipe,
    budget: Budget,
    images: ImageDataset,
    *,
    data: DatasetInfo,
    resume: bool = False,
    progress: ProgressCallback | None = None,
) -> SearchResult:
    """Search the space of a latency table for the best network that meets a latency target.

    A search that was killed continues from its last checkpoint.  It ends with the same network, bit
    by bit, as without the kill.  Under ``torchrun`` every process calls this function.

    Args:
        path: Folder of the search.
        recipe: How to search.
        budget: The latency target, and the table that prices the networks of the space.
        images: Images to learn from; a share of them is held out from the weights.
        data: What the images are, for the request.
        resume: Whether to continue a search of the same request; the result of a finished one is
            returned.
        progress: Called after each step, in the main process.

    Raises:
        InputError: The space is for other images, or has nothing to search.
        DataError: There are too few images.
        RunError: The folder is taken, or holds a search of another request or with other images.
        TrainingError: The loss is no longer finite, or the search was interrupted; the last
            checkpoint is kept.
    """
    request = SearchRequest(
        recipe=recipe,
        target_ms=budget.target_ms,
        space=budget.table.space.name,
        table_sha256=_digest(budget.table),
        data=data,
    )
    recipe.require_searchable(budget.table.space, images, data)
    _split(images, recipe)  # refused before there is a folder
    compute = Compute()
    with compute.work(SEARCHES, path, request, resume=resume) as folder:
        if folder.is_finished:
            return folder.result()
        provenance = stamp(seed=recipe.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            searching = _Searching(folder, compute, budget, images)
            position = searching.run(Position[SearchEpoch], progress)
        return searching.finish(position, provenance)


def _digest(table: LatencyTable) -> str:
    """Return the digest of a table's prices and conditions, whenever it was made of its timings."""
    return hashlib.sha256(table.model_dump_json(exclude={"provenance"}).encode()).hexdigest()


class _Searching(EpochLoop[SearchEpoch]):
    """The search of one folder."""

    title, last, table = "search, ", "checkpoint.safetensors", "epochs.csv"
    recipe: SearchRecipe
    learner: Searcher
    length: Length

    def __init__(
        self,
        folder: Folder[SearchRequest, SearchResult],
        compute: Compute,
        budget: Budget,
        images: ImageDataset,
    ) -> None:
        recipe = folder.request.recipe
        self.folder, self.budget, self.recipe = folder, budget, recipe
        self.num_images, self.compute = len(images), compute
        self.for_weights, self.for_alphas = _split(images, recipe)
        steps = self.for_weights.num_batches(recipe.batch_size)
        self.length = Length(recipe.epochs * steps, steps, steps)
        self.steps_held_out = self.for_alphas.num_batches(recipe.batch_size)
        self.learner = Searcher(budget, recipe, compute, total_steps=self.length.total_steps)

    def step(self, position: Position[SearchEpoch]) -> dict[str, float]:
        """Take a step of the weights and, when it is due, one of the architecture parameters."""
        step, epoch = position.step, position.epoch
        batch = self._batch(self.for_weights, step, self.length.steps_per_epoch, key=0)
        losses = self.learner.weight_step(batch, step=step, epoch=epoch)
        every = self.recipe.alphas_every_steps
        if epoch >= self.recipe.warmup_epochs and step % every == every - 1:
            held_out = self._batch(self.for_alphas, step // every, self.steps_held_out, key=1)
            losses |= self.learner.alpha_step(held_out, step=step, epoch=epoch)
        return self.compute.mean(losses)

    def _batch(self, images: ImageDataset, number: int, per_epoch: int, *, key: int) -> Batch:
        """Return the batch of a number, counted since the beginning: no state to keep."""
        epoch, first = divmod(number, per_epoch)
        seed = 2 * self.recipe.seed + key
        return next(self.compute.batches(self.recipe, images, epoch, first_step=first, seed=seed))

    def end_epoch(self, position: Position[SearchEpoch]) -> SearchEpoch:
        """Scale the widths and validate the network that would be chosen now."""
        searcher, epoch = self.learner, position.epoch
        scaled = searcher.after_epoch(epoch)
        alphas = searcher.alphas
        return SearchEpoch(
            epoch=epoch + 1,
            means=position.means(),
            judged=self._judge(scaled, epoch),
            expected_ms=searcher.expected_ms(),
            likeliest_ms=scaled.latency_ms,
            widths_ended=scaled.ended,
            entropy=alphas.entropy(),
            temperature=searcher.temperature(epoch),
            probabilities=alphas.probabilities(),
            depths=alphas.depth_probabilities(),
            widths={path: dict(widths) for path, widths in searcher.widths.items()},
            seconds=position.seconds,
        )

    def _judge(self, scaled: Scaled, epoch: int) -> dict[str, float]:
        """Validate a network with batch statistics of its own; every process gets the same.

        In the supernet these statistics are of many networks at once.
        """
        network = self.learner.supernet.extract(scaled.choices)
        batches = training_batches(
            self.for_weights,
            self.recipe.noise,
            batch_size=self.recipe.batch_size,
            seed=2 * self.recipe.seed,
            epoch=epoch,
        )
        count = min(STATISTICS_BATCHES, self.length.steps_per_epoch)
        scores = look(
            network,
            self.for_alphas,
            self.recipe,
            count=self.recipe.judged_images,
            statistics=itertools.islice(batches, count),
        )
        return self.compute.mean(scores)

    def finish(self, position: Position[SearchEpoch], provenance: Provenance) -> SearchResult:
        """Derive the network and write it, then the result, which marks the end."""
        last, request = position.rows[-1], self.folder.request
        best = derive(self.budget, last.probabilities, last.depths, widths=last.widths)
        seconds = sum(row.seconds for row in position.rows)
        result = SearchResult(
            choices=best.choices,
            predicted_ms=best.latency_ms,
            target_ms=request.target_ms,
            likeliest_ms=last.likeliest_ms,
            widths_ended=last.widths_ended,
            epochs=position.rows,
            seconds=seconds,
            images_per_second=position.step * self.recipe.batch_size / seconds,
            provenance=provenance,
        )
        if self.compute.is_main:
            network = self.budget.table.space.architecture(best.choices, name=request.network_name)
            network.write(self.folder.path / "architecture.json")
            self.folder.finish(result)
        self.compute.wait()
        return result


def _split(images: ImageDataset, recipe: SearchRecipe) -> tuple[ImageDataset, ImageDataset]:
    """Return the images that train the weights, and those that train the alphas."""
    order = generator_for(recipe.seed, HELD_OUT_KEY).permutation(len(images)).tolist()
    num_held_out = round(recipe.held_out * len(images))
    if min(num_held_out, len(images) - num_held_out) < recipe.batch_size:
        raise DataError(
            f"{len(images):,} images do not make a batch of {recipe.batch_size} each for the "
            f"weights and, of {recipe.held_out:.0%} of them, for the choices",
            "give more images, or a smaller batch",
        )
    held_out, others = sorted(order[:num_held_out]), sorted(order[num_held_out:])
    return images.subset(others), images.subset(held_out)
