"""A training in memory, step by step: no folder, no checkpoint, no validation."""

import math
from collections.abc import Iterator
from itertools import islice

from tapetum.data import ImageDataset
from tapetum.errors import TrainingError
from tapetum.nn import TrainableNetwork, reestimate_statistics
from tapetum.training.batches import Batch
from tapetum.training.compute import Compute
from tapetum.training.learner import Learner
from tapetum.training.length import Length
from tapetum.training.process import most_trainings
from tapetum.training.recipe import Recipe

__all__ = ["ShortTraining"]

STATISTICS_SHARE = 20  # one batch for the statistics after so many steps, at most


class ShortTraining:
    """The training of a network by a recipe, in one process.

    Args:
        network: The network, with fresh weights; trained in place.
        recipe: How to train it.
        images: Images to learn from.

    Attributes:
        length: How many steps there are.
        steps: Number of steps taken.
    """

    def __init__(self, network: TrainableNetwork, recipe: Recipe, images: ImageDataset) -> None:
        self.recipe, self.compute = recipe, Compute()
        self.images = images.augmented(recipe.augmentation)
        self.length = Length.of(recipe, images.num_batches(recipe.batch_size))
        self.steps = 0
        self._learner = Learner(
            network,
            recipe,
            self.compute,
            has_labels=bool(images.class_names),
        )
        self._batches: Iterator[Batch] = iter(())

    @staticmethod
    def most_at_once() -> int:
        """Return how many trainings run on this machine at once by default, one a process."""
        return most_trainings()

    def step(self, *, half_size: bool | None = None) -> None:
        """Move the weights by one batch.

        Args:
            half_size: Whether its images have half their size; by default as the recipe says.

        Raises:
            TrainingError: The loss is not finite.
        """
        number, place = divmod(self.steps, self.length.steps_per_pass)
        if place == 0:
            self._batches = self.compute.batches(self.recipe, self.images, number)
        is_half = self.steps < self.length.half_steps if half_size is None else half_size
        batch = next(self._batches)
        loss, _ = self._learner.losses(batch.halved() if is_half else batch, step=self.steps)
        if not math.isfinite(loss.item()):
            raise TrainingError(
                f"the loss is {loss.item()} at step {self.steps + 1:,}",
                "lower the learning_rate, or the clip_norm",
            )
        total_steps = self.length.at_pace(self.steps)
        self._learner.descend(loss, step=self.steps, total_steps=total_steps)
        self.steps += 1

    def finish(self) -> TrainableNetwork:
        """Return the network that is kept, the average where there is one, in evaluation mode.

        Where the recipe estimates batch statistics again, so does this, on few batches.
        """
        network = self._learner.kept_network
        count = min(self.recipe.recalibration_batches, self.steps // STATISTICS_SHARE)
        if count:
            number = -(-self.steps // self.length.steps_per_pass)
            batches = islice(self.compute.batches(self.recipe, self.images, number), count)
            reestimate_statistics(network, ((batch.noisy, batch.boxes) for batch in batches))
        return network.eval()
