"""How long a training takes on this machine, from a few of its steps."""

import statistics
import time

from tapetum.arch import Architecture
from tapetum.data import ImageDataset
from tapetum.nn import build
from tapetum.training import Length, Recipe, ShortTraining

__all__ = ["training_minutes"]

NUM_STEPS = 4  # the first is a warm-up
LONGEST_S = 6.0
MANY_STEPS = 1_000_000  # of the schedule: its rate is still low, so that no loss diverges
VALIDATION = 0.35  # time of an image in validation, over that in training


def training_minutes(
    architecture: Architecture, recipe: Recipe, train: ImageDataset, *, num_validation: int
) -> float:
    """Return how long a whole training takes, with its validation, in minutes.

    Args:
        architecture: The network; its weights are random.
        recipe: How it is trained.
        train: The training images.
        num_validation: Number of validation images.
    """
    length = Length.of(recipe, train.num_batches(recipe.batch_size))
    network = build(architecture, seed=recipe.seed)
    training = ShortTraining(network, recipe.adjusted(steps=MANY_STEPS), train)
    begun, seconds = time.monotonic(), list[float]()
    while len(seconds) < NUM_STEPS and (len(seconds) < 2 or time.monotonic() - begun < LONGEST_S):
        start = time.perf_counter()
        training.step()
        seconds.append(time.perf_counter() - start)
    step_s = statistics.median(seconds[1:])
    validated = length.epochs * min(num_validation, recipe.validation_images)
    steps = length.total_steps + VALIDATION * validated / recipe.batch_size
    return steps * step_s / 60
