"""How good is a network of the supernet?  Judged only once its batch statistics are its own.

Batch normalisation remembers the mean and variance of whatever passed: in a supernet, of many
networks at once.  So they are estimated anew for the one that is judged, on images that the
weights learn from, and the judgement is on others.
"""

from tapetum.data import ImageDataset
from tapetum.nn import Network
from tapetum.search.recipe import SearchRecipe
from tapetum.training.validate import dealt_batches, look

__all__ = ["judge"]


def judge(network: Network, images: ImageDataset, recipe: SearchRecipe) -> dict[str, float]:
    """Means over held-out images, dealt out to the recipe's noise levels.

    Args:
        network: In evaluation mode.
        images: Held out.
        recipe: Has the loss, the noise and how many images are looked at.

    Returns:
        ``loss``; ``psnr_db`` and ``accuracy`` where the network has such an output.
    """
    batches = dealt_batches(
        images,
        recipe.noise,
        count=recipe.judged_images,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
    )
    return look(network, batches, weights=recipe.loss, label_smoothing=recipe.label_smoothing)
