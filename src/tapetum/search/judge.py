"""How good is a network of the supernet?  Judged only once its batch statistics are its own.

Batch normalisation remembers the mean and variance of whatever passed: in a supernet, of many
networks at once.  So they are estimated anew for the one that is judged, on pictures that the
weights learn from, and the judgement is on others.
"""

from collections.abc import Iterable

import torch
from torch import nn

from tapetum.data import Batch, PictureSet
from tapetum.nn import Network
from tapetum.search.recipe import SearchRecipe
from tapetum.training.validate import dealt_batches, measures

__all__ = ["judge", "reestimate_statistics"]


@torch.no_grad()
def reestimate_statistics(network: nn.Module, batches: Iterable[Batch]) -> None:
    """Replaces the statistics of every batch normalisation by those of some batches.

    Args:
        network: Changed in place; left in evaluation mode.
        batches: Where the network is; each counts alike.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average of all batches
    network.train()
    for batch in batches:
        network(batch.noisy, batch.boxes)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    network.eval()


@torch.no_grad()
def judge(network: Network, pictures: PictureSet, recipe: SearchRecipe) -> dict[str, float]:
    """Means over held-out pictures, dealt out to the recipe's noise levels.

    Args:
        network: In evaluation mode.
        pictures: Held out.
        recipe: Has the loss, the noise and how many pictures are looked at.

    Returns:
        ``loss``; ``psnr_db`` and ``accuracy`` where the network has such an output.
    """
    sums: dict[str, float] = {}
    num_pictures = 0
    batches = dealt_batches(
        pictures,
        recipe.noise,
        count=recipe.judged_pictures,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
    )
    for batch in batches:
        outputs = network(batch.noisy, batch.boxes)
        found = measures(
            outputs, batch, weights=recipe.loss, label_smoothing=recipe.label_smoothing
        )
        for name, mean in found.items():
            sums[name] = sums.get(name, 0.0) + mean * len(batch.clean)
        num_pictures += len(batch.clean)
    return {name: total / num_pictures for name, total in sums.items()}
