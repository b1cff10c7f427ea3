"""A quick validation on held-out images after each epoch, always with the same noise.

The images are dealt out to the noise levels of the recipe, one level each, so that every level
is seen at the price of one pass.  For scores to report, see :mod:`tapetum.training.evaluate`.

Batch normalisation keeps a running average of the means and variances that passed while the weights
were still moving, or, with an average of the weights, those of other weights.  :func:`recalibrate`
estimates them again at the end, as the plain average over some training batches.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tapetum import metrics
from tapetum.data import ImageDataset
from tapetum.nn import TrainableNetwork, reestimate_statistics
from tapetum.training.batches import Batch, evaluation_batches
from tapetum.training.compute import Compute
from tapetum.training.learner import Learner
from tapetum.training.recipe import BaseRecipe
from tapetum.training.run import Recalibration

__all__ = ["look", "recalibrate", "validate"]

_CLEAN = "clean_psnr_db"


def validate(learner: Learner, images: ImageDataset, *, count: int) -> dict[str, float]:
    """Validate the weights that would be kept, in float32.

    Each process looks at all images, but rounding may differ between processes.  They agree on the
    mean, so that a plateau or a best epoch is the same in all.

    Args:
        learner: Has the network.
        images: Images that were held out.
        count: Number of images to use at most, evenly spread.

    Returns:
        Means over the images: ``loss``; ``accuracy`` with ``macro_accuracy``, and ``psnr_db``,
        where the network has such an output and the images have labels; ``gain_db``, how far the
        PSNR is above that of the noisy image.  Both are over the images with noise, and without any
        such image the PSNR is that of the clean ones.  Classes that are balanced in training are
        balanced in the loss.  Every process gets the same.
    """
    network, recipe = learner.kept_network.eval(), learner.recipe
    return learner.compute.mean(look(network, images, recipe, learner.compute, count=count))


@torch.no_grad()
def look(
    network: TrainableNetwork,
    images: ImageDataset,
    recipe: BaseRecipe,
    compute: Compute | None = None,
    *,
    count: int,
    statistics: Iterable[Batch] = (),
) -> dict[str, float]:
    """Return the mean loss and scores of a network, for this process alone.

    Args:
        network: A network in evaluation mode.
        images: Images that were held out.
        recipe: Has the loss and the noise.
        compute: Where the network is; by default on the CPU.
        count: Number of images to use at most.
        statistics: Batches from which batch statistics are estimated first, where there are any.

    Returns:
        As :func:`validate`.
    """
    if statistics:
        reestimate_statistics(network, ((batch.noisy, batch.boxes) for batch in statistics))
    sums: dict[str, float] = {}
    num_images: dict[str, int] = {}
    counts: list[NDArray[np.int64]] = []
    for batch in _dealt_batches(images, recipe, count=count):
        if compute is not None:
            batch = compute.move(batch, channels_last=recipe.channels_last)
        means, confusion = _measures(network, batch, recipe)
        for name, mean in means.items():
            sums[name] = sums.get(name, 0.0) + mean * len(batch.clean)
            num_images[name] = num_images.get(name, 0) + len(batch.clean)
        counts += [] if confusion is None else [confusion]
    found = {name: total / num_images[name] for name, total in sums.items()}
    if _CLEAN in found:
        clean_db = found.pop(_CLEAN)
        found.setdefault("psnr_db", clean_db)
    if counts:
        whole = np.sum(counts, axis=0)
        found["accuracy"] = metrics.accuracy(whole)
        found["macro_accuracy"] = metrics.macro_accuracy(whole)
    return found


def _dealt_batches(images: ImageDataset, recipe: BaseRecipe, *, count: int) -> Iterator[Batch]:
    """Yield batches of at most ``count`` images, dealt out to the levels of the noise."""
    chosen = images.spread(count)
    levels = recipe.noise.validated()
    for place, level in enumerate(levels):
        dealt = chosen[place :: len(levels)]
        if dealt:
            yield from evaluation_batches(
                images.subset(dealt),
                level,
                protocol=recipe.noise.protocol,
                batch_size=recipe.batch_size,
                seed=recipe.seed,
            )


def _measures(
    network: TrainableNetwork, batch: Batch, recipe: BaseRecipe
) -> tuple[dict[str, float], NDArray[np.int64] | None]:
    """Return the mean loss and PSNR of a batch, and its confusion matrix."""
    outputs = network(batch.noisy, batch.boxes)
    means = {"loss": float(recipe.loss_of(outputs, batch, held_out=True)[0])}
    if outputs.image is not None:
        pair = (_array(outputs.image), _array(batch.noisy))
        after, before = (metrics.psnr(image, _array(batch.clean)) for image in pair)
        if np.isfinite(before).all():  # a batch has one noise level, which may be none
            means["psnr_db"] = float(after.mean())
            means["gain_db"] = float((after - before).mean())
        else:
            means[_CLEAN] = float(after.mean())
    if outputs.logits is None or batch.labels is None:
        return means, None
    return means, metrics.confusion_matrix(_array(outputs.logits), batch.labels.cpu().numpy())


def _array(values: Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()


def recalibrate(
    learner: Learner,
    weights: Mapping[str, Tensor],
    train_set: ImageDataset,
    val_set: ImageDataset,
    *,
    passes: int,
    count: int,
) -> tuple[Mapping[str, Tensor], Recalibration]:
    """Return the weights with new batch statistics where these are no worse, in one process.

    The statistics are those of batches after the ``passes`` of the training; ``count`` held-out
    images decide.
    """
    recipe, compute = learner.recipe, learner.compute
    network = copy.deepcopy(learner.unshared)
    network.load_state_dict(weights)
    if recipe.channels_last:
        network.to(memory_format=torch.channels_last)
    network.to(compute.device).eval()
    judge = partial(look, network, val_set, recipe, compute, count=count)
    before = judge()["loss"]
    batches = compute.batches(recipe, train_set, passes, alone=True)
    after = judge(statistics=islice(batches, recipe.recalibration_batches))["loss"]
    outcome = Recalibration(loss_before=before, loss_after=after)
    return (network.state_dict() if outcome.is_kept else weights), outcome
