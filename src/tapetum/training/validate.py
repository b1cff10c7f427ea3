"""A look at held-out images after each epoch: cheap, and always at the same noisy images.

The images are dealt out to the noise levels of the recipe, one level each, so that every level
is seen at the price of one pass.  For scores to report, see :mod:`tapetum.training.evaluate`.
"""

from collections.abc import Iterable, Iterator, Mapping

import torch

from tapetum import metrics
from tapetum.data import Batch, ImageDataset, Subset, evaluation_batches
from tapetum.losses import LossWeights, joint_loss
from tapetum.nn import Outputs, TrainableNetwork
from tapetum.noise import NoisePlan
from tapetum.training.learner import Learner

__all__ = ["dealt_batches", "look", "look_once", "validate"]

_LEVELS_OF_A_RANGE = 5


def validate(learner: Learner, images: ImageDataset) -> dict[str, float]:
    """Looks at held-out images with the weights that would be kept, in float32.

    Each process looks at all of them, but rounding may differ from one to the next, and a plateau
    or a best epoch that only some processes see would drive them apart: they agree on the mean.

    Args:
        learner: Has the network.
        images: Of these at most the recipe's ``validation_images``, evenly spread.

    Returns:
        Means over the images: ``loss``; ``psnr_db`` and ``accuracy`` where the network has such
        an output and the images have labels.  Every process gets the same.
    """
    return learner.mean_over_processes(look_once(learner, learner.kept_network.eval(), images))


def look_once(
    learner: Learner, network: TrainableNetwork, images: ImageDataset
) -> dict[str, float]:
    """As :func:`validate`, with a network of one's own and for this process alone.

    Args:
        learner: Has the recipe.
        network: In evaluation mode, where the learner's is.
        images: As above.
    """
    recipe = learner.recipe
    batches = dealt_batches(
        images,
        recipe.noise,
        count=recipe.validation_images,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
    )
    return look(
        network,
        map(learner.to_device, batches),
        weights=recipe.loss,
        label_smoothing=recipe.label_smoothing,
    )


@torch.no_grad()
def look(
    network: TrainableNetwork,
    batches: Iterable[Batch],
    *,
    weights: LossWeights,
    label_smoothing: float,
) -> dict[str, float]:
    """Means over the images of some batches.

    Args:
        network: In evaluation mode.
        batches: Where the network is; not necessarily of one size.
        weights: Of the loss.
        label_smoothing: Of the loss.

    Returns:
        ``loss``; ``psnr_db`` and ``accuracy`` where the network has such an output and the images
        have labels.
    """
    sums: dict[str, float] = {}
    num_images = 0
    for batch in batches:
        outputs = network(batch.noisy, batch.boxes)
        found = _measures(outputs, batch, weights=weights, label_smoothing=label_smoothing)
        for name, mean in found.items():
            sums[name] = sums.get(name, 0.0) + mean * len(batch.clean)
        num_images += len(batch.clean)
    return {name: total / num_images for name, total in sums.items()}


def dealt_batches(
    images: ImageDataset, noise: NoisePlan, *, count: int, batch_size: int, seed: int
) -> Iterator[Batch]:
    """Some images, dealt out to the levels of a noise plan.

    Args:
        images: Where they come from.
        noise: Has the levels.
        count: How many at most, evenly spread: the first ones of a folder would be of one class.
        batch_size: Images a batch, at most.
        seed: Of the noise.
    """
    count = min(len(images), count)
    chosen = [index * len(images) // count for index in range(count)]
    levels = noise.spread(_LEVELS_OF_A_RANGE)
    for place, level in enumerate(levels):
        dealt = chosen[place :: len(levels)]
        if dealt:
            yield from evaluation_batches(
                Subset(images, dealt),
                level,
                protocol=noise.protocol,
                batch_size=batch_size,
                seed=seed,
            )


def _measures(
    outputs: Outputs, batch: Batch, *, weights: LossWeights, label_smoothing: float
) -> Mapping[str, float]:
    loss, _ = joint_loss(
        outputs.image,
        outputs.logits,
        batch.clean,
        batch.labels,
        weights=weights,
        label_smoothing=label_smoothing,
    )
    means = {"loss": float(loss)}
    if outputs.image is not None:
        means["psnr_db"] = float(metrics.psnr(outputs.image, batch.clean).mean())
    if outputs.logits is not None and batch.labels is not None:
        means["accuracy"] = metrics.accuracy(outputs.logits, batch.labels)
    return means
