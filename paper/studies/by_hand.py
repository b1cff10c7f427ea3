"""An epoch of a training, for scripts that change what no recipe can say.

For ``sequential_contrast.py`` and ``table_7_accuracy.py``.
"""

from tapetum.data import ImageDataset, steps_per_epoch
from tapetum.training.learner import Learner


def take_epoch(learner: Learner, images: ImageDataset, epoch: int) -> None:
    """Takes the steps of one epoch, the first of which is 0."""
    first = epoch * steps_per_epoch(images, learner.recipe.batch_size)
    batches = learner.batches(images, epoch, first_step=0)
    for step, batch in enumerate(batches, start=first):
        loss, _ = learner.losses(batch, step=step)
        learner.descend(loss, step=step)
