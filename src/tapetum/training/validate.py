"""A look at held-out pictures after each epoch: cheap, and always at the same noisy pictures.

The pictures are dealt out to the noise levels of the recipe, one level each, so that every level
is seen at the price of one pass.  For scores to report, see :mod:`tapetum.training.evaluate`.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from tapetum import metrics
from tapetum.data import Batch, Clean, PictureSet, evaluation_batches
from tapetum.losses import joint_loss
from tapetum.nn import Outputs
from tapetum.noise import Noise, NoisePlan
from tapetum.training.learner import Learner
from tapetum.training.recipe import Recipe

__all__ = ["Selection", "noise_levels", "validate"]

_LEVELS_OF_A_RANGE = 5


@torch.no_grad()
def validate(learner: Learner, pictures: PictureSet) -> dict[str, float]:
    """Looks at held-out pictures with the weights that would be kept, in float32.

    Each process looks at all of them, so that all agree without a word.

    Args:
        learner: Has the network.
        pictures: Of these at most the recipe's ``validation_pictures``, evenly spread.

    Returns:
        Means over the pictures: ``loss``; ``psnr_db`` and ``accuracy`` where the network has such
        an output and the pictures have labels.
    """
    network = learner.kept_network.eval()
    sums: dict[str, float] = {}
    num_pictures = 0
    for batch in _batches(pictures, learner.recipe):
        moved = learner.to_device(batch)
        outputs = network(moved.noisy, moved.boxes)
        for name, mean in _measures(outputs, moved, learner.recipe).items():
            sums[name] = sums.get(name, 0.0) + mean * len(moved.clean)
        num_pictures += len(moved.clean)
    return {name: total / num_pictures for name, total in sums.items()}


def noise_levels(plan: NoisePlan) -> list[Noise]:
    """The levels of a plan; of a range, a few from end to end."""
    if plan.levels is not None:
        return [plan.at(level) for level in plan.levels]
    low, high = plan.low or 0.0, plan.high or 0.0
    return [plan.at(float(level)) for level in np.linspace(low, high, _LEVELS_OF_A_RANGE)]


class Selection:
    """Some pictures of a set, as a set (a :class:`tapetum.data.PictureSet`).

    Args:
        pictures: The whole set.
        indices: Which of them, in which order.
    """

    def __init__(self, pictures: PictureSet, indices: Sequence[int]) -> None:
        self.pictures = pictures
        self.indices = indices
        self.channels = pictures.channels
        self.class_names = pictures.class_names
        self.source = pictures.source

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Clean:
        """The pictures of some places in the selection."""
        chosen = [self.indices[index] for index in indices]
        return self.pictures.take(chosen, epoch=epoch, seed=seed, train=train)


def _batches(pictures: PictureSet, recipe: Recipe) -> Iterator[Batch]:
    count = min(len(pictures), recipe.validation_pictures)
    # Evenly spread: the first ones of a folder would all be of one class.
    chosen = [index * len(pictures) // count for index in range(count)]
    levels = noise_levels(recipe.noise)
    for place, level in enumerate(levels):
        dealt = chosen[place :: len(levels)]
        if dealt:
            yield from evaluation_batches(
                Selection(pictures, dealt),
                level,
                protocol=recipe.noise.protocol,
                batch_size=recipe.batch_size,
                seed=recipe.seed,
            )


def _measures(outputs: Outputs, batch: Batch, recipe: Recipe) -> Mapping[str, float]:
    loss, _ = joint_loss(
        outputs.picture,
        outputs.logits,
        batch.clean,
        batch.labels,
        weights=recipe.loss,
        label_smoothing=recipe.label_smoothing,
    )
    means = {"loss": float(loss)}
    if outputs.picture is not None:
        means["psnr_db"] = float(metrics.psnr(outputs.picture, batch.clean).mean())
    if outputs.logits is not None and batch.labels is not None:
        means["accuracy"] = metrics.accuracy(outputs.logits, batch.labels)
    return means
