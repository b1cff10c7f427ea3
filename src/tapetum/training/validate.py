"""A look at held-out pictures after each epoch: cheap, and always at the same noisy pictures.

The pictures are dealt out to the noise levels of the recipe, one level each, so that every level
is seen at the price of one pass.  For scores to report, see :mod:`tapetum.training.evaluate`.
"""

from collections.abc import Iterable, Iterator, Mapping

import torch

from tapetum import metrics
from tapetum.data import Batch, PictureSet, Selection, evaluation_batches
from tapetum.losses import LossWeights, joint_loss
from tapetum.nn import AnyNetwork, Outputs
from tapetum.noise import NoisePlan
from tapetum.training.learner import Learner

__all__ = ["dealt_batches", "look", "look_once", "validate"]

_LEVELS_OF_A_RANGE = 5


def validate(learner: Learner, pictures: PictureSet) -> dict[str, float]:
    """Looks at held-out pictures with the weights that would be kept, in float32.

    Each process looks at all of them, but rounding may differ from one to the next, and a plateau
    or a best epoch that only some processes see would drive them apart: they agree on the mean.

    Args:
        learner: Has the network.
        pictures: Of these at most the recipe's ``validation_pictures``, evenly spread.

    Returns:
        Means over the pictures: ``loss``; ``psnr_db`` and ``accuracy`` where the network has such
        an output and the pictures have labels.  Every process gets the same.
    """
    return learner.mean_over_processes(look_once(learner, learner.kept_network.eval(), pictures))


def look_once(learner: Learner, network: AnyNetwork, pictures: PictureSet) -> dict[str, float]:
    """As :func:`validate`, with a network of one's own and for this process alone.

    Args:
        learner: Has the recipe.
        network: In evaluation mode, where the learner's is.
        pictures: As above.
    """
    recipe = learner.recipe
    batches = dealt_batches(
        pictures,
        recipe.noise,
        count=recipe.validation_pictures,
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
    network: AnyNetwork, batches: Iterable[Batch], *, weights: LossWeights, label_smoothing: float
) -> dict[str, float]:
    """Means over the pictures of some batches.

    Args:
        network: In evaluation mode.
        batches: Where the network is; not necessarily of one size.
        weights: Of the loss.
        label_smoothing: Of the loss.

    Returns:
        ``loss``; ``psnr_db`` and ``accuracy`` where the network has such an output and the pictures
        have labels.
    """
    sums: dict[str, float] = {}
    num_pictures = 0
    for batch in batches:
        outputs = network(batch.noisy, batch.boxes)
        found = _measures(outputs, batch, weights=weights, label_smoothing=label_smoothing)
        for name, mean in found.items():
            sums[name] = sums.get(name, 0.0) + mean * len(batch.clean)
        num_pictures += len(batch.clean)
    return {name: total / num_pictures for name, total in sums.items()}


def dealt_batches(
    pictures: PictureSet, noise: NoisePlan, *, count: int, batch_size: int, seed: int
) -> Iterator[Batch]:
    """Some pictures, dealt out to the levels of a noise plan.

    Args:
        pictures: Where they come from.
        noise: Has the levels.
        count: How many at most, evenly spread: the first ones of a folder would be of one class.
        batch_size: Pictures a batch, at most.
        seed: Of the noise.
    """
    count = min(len(pictures), count)
    chosen = [index * len(pictures) // count for index in range(count)]
    levels = noise.spread(_LEVELS_OF_A_RANGE)
    for place, level in enumerate(levels):
        dealt = chosen[place :: len(levels)]
        if dealt:
            yield from evaluation_batches(
                Selection(pictures, dealt),
                level,
                protocol=noise.protocol,
                batch_size=batch_size,
                seed=seed,
            )


def _measures(
    outputs: Outputs, batch: Batch, *, weights: LossWeights, label_smoothing: float
) -> Mapping[str, float]:
    loss, _ = joint_loss(
        outputs.picture,
        outputs.logits,
        batch.clean,
        batch.labels,
        weights=weights,
        label_smoothing=label_smoothing,
    )
    means = {"loss": float(loss)}
    if outputs.picture is not None:
        means["psnr_db"] = float(metrics.psnr(outputs.picture, batch.clean).mean())
    if outputs.logits is not None and batch.labels is not None:
        means["accuracy"] = metrics.accuracy(outputs.logits, batch.labels)
    return means
