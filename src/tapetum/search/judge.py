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
from tapetum.training.validate import dealt_batches, look

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


def judge(network: Network, pictures: PictureSet, recipe: SearchRecipe) -> dict[str, float]:
    """Means over held-out pictures, dealt out to the recipe's noise levels.

    Args:
        network: In evaluation mode.
        pictures: Held out.
        recipe: Has the loss, the noise and how many pictures are looked at.

    Returns:
        ``loss``; ``psnr_db`` and ``accuracy`` where the network has such an output.
    """
    batches = dealt_batches(
        pictures,
        recipe.noise,
        count=recipe.judged_pictures,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
    )
    return look(network, batches, weights=recipe.loss, label_smoothing=recipe.label_smoothing)
