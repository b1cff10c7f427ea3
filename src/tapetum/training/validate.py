"""A quick validation on held-out images after each epoch, always with the same noise.

The images are dealt out to the noise levels of the recipe, one level each, so that every level
is seen at the price of one pass.  For scores to report, see :mod:`tapetum.training.evaluate`.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from tapetum import metrics
from tapetum.data import Batch, ImageDataset, Subset, evaluation_batches
from tapetum.losses import LossWeights, joint_loss
from tapetum.nn import TrainableNetwork
from tapetum.noise import NoisePlan
from tapetum.training.compute import Compute
from tapetum.training.learner import Learner

__all__ = ["LossPlan", "dealt_batches", "look", "reestimate_statistics", "validate"]

_LEVELS_OF_A_RANGE = 5


@runtime_checkable
class LossPlan(Protocol):
    """The fields of a recipe that decide the loss of an image."""

    @property
    def loss(self) -> LossWeights:
        """Weights of the loss."""

    @property
    def label_smoothing(self) -> float:
        """Share of the target that is spread over all classes."""

    @property
    def noise(self) -> NoisePlan:
        """Noise of the images."""

    @property
    def batch_size(self) -> int:
        """Images in one batch."""

    @property
    def seed(self) -> int:
        """Seed of the noise."""

    @property
    def channels_last(self) -> bool:
        """Order of values in memory."""


def validate(learner: Learner, images: ImageDataset) -> dict[str, float]:
    """Validate the weights that would be kept, in float32.

    Each process looks at all images, but rounding may differ between processes.  They agree on the
    mean, so that a plateau or a best epoch is the same in all.

    Args:
        learner: Has the network.
        images: At most the recipe's ``validation_images`` of them are used, evenly spread.

    Returns:
        Means over the images: ``loss``; ``psnr_db`` and ``accuracy`` where the network has such
        an output and the images have labels.  Every process gets the same.
    """
    network, recipe = learner.kept_network.eval(), learner.recipe
    return learner.compute.mean(
        look(network, images, recipe, learner.compute, count=recipe.validation_images)
    )


@torch.no_grad()
def look(
    network: TrainableNetwork,
    images: ImageDataset,
    plan: LossPlan,
    compute: Compute | None = None,
    *,
    count: int,
    statistics: Iterable[Batch] = (),
) -> dict[str, float]:
    """Return the mean loss and scores of a network, for this process alone.

    Args:
        network: A network in evaluation mode.
        images: Images that were held out.
        plan: A recipe, which has the loss and the noise.
        compute: Where the network is; by default on the CPU.
        count: Number of images to use at most.
        statistics: Batches from which batch statistics are estimated first, where there are any.

    Returns:
        As :func:`validate`.
    """
    if statistics:
        reestimate_statistics(network, statistics)
    sums: dict[str, float] = {}
    num_images = 0
    for dealt in dealt_batches(images, plan, count=count):
        batch = dealt if compute is None else compute.move(dealt, channels_last=plan.channels_last)
        for name, mean in _measures(network, batch, plan).items():
            sums[name] = sums.get(name, 0.0) + mean * len(batch.clean)
        num_images += len(batch.clean)
    return {name: total / num_images for name, total in sums.items()}


@torch.no_grad()
def reestimate_statistics(network: nn.Module, batches: Iterable[Batch]) -> None:
    """Replace the statistics of every batch normalisation by those of some batches.

    Args:
        network: Changed in place; left in evaluation mode.
        batches: Batches on the network's device; each has the same weight.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average of all batches
    network.train()
    for batch in batches:
        network(batch.noisy, batch.boxes)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def dealt_batches(images: ImageDataset, plan: LossPlan, *, count: int) -> Iterator[Batch]:
    """Yield batches of some images, dealt out to the levels of a noise plan.

    Args:
        images: The images.
        plan: Has the noise, the batch size and the seed.
        count: Number of images at most, evenly spread: the first ones of a folder would be of one
            class.
    """
    count = min(len(images), count)
    chosen = [index * len(images) // count for index in range(count)]
    levels = plan.noise.spread(_LEVELS_OF_A_RANGE)
    for place, level in enumerate(levels):
        dealt = chosen[place :: len(levels)]
        if dealt:
            yield from evaluation_batches(
                Subset(images, dealt),
                level,
                protocol=plan.noise.protocol,
                batch_size=plan.batch_size,
                seed=plan.seed,
            )


def _measures(network: TrainableNetwork, batch: Batch, plan: LossPlan) -> dict[str, float]:
    outputs = network(batch.noisy, batch.boxes)
    loss, _ = joint_loss(
        outputs.image,
        outputs.logits,
        batch.clean,
        batch.labels,
        weights=plan.loss,
        label_smoothing=plan.label_smoothing,
    )
    means = {"loss": float(loss)}
    if outputs.image is not None:
        means["psnr_db"] = float(metrics.psnr(outputs.image, batch.clean).mean())
    if outputs.logits is not None and batch.labels is not None:
        means["accuracy"] = metrics.accuracy(outputs.logits, batch.labels)
    return means
