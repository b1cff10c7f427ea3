"""How long a training takes on this machine, from a few of its steps."""

import statistics
import time
from collections.abc import Callable

import torch

from tapetum.arch import Architecture
from tapetum.data import ImageDataset
from tapetum.nn import TrainableNetwork, build
from tapetum.training import Length, Recipe, ShortTraining

__all__ = ["step_seconds", "training_minutes"]

NUM_STEPS = 4  # the first is a warm-up
LONGEST_S = 6.0
MANY_STEPS = 1_000_000  # of the schedule: its rate is still low, so that no loss diverges
VALIDATION = 0.35  # time of an image in validation, over that in training

Clock = Callable[[], float]


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
    length = Length.of(recipe, train.num_batches(recipe.batch_size), held_out=num_validation)
    step_s = step_seconds(build(architecture, seed=recipe.seed), recipe, train)
    validated = length.epochs * length.validation_images
    steps = length.total_steps + VALIDATION * validated / recipe.batch_size
    return steps * step_s / 60


def step_seconds(network: TrainableNetwork, recipe: Recipe, train: ImageDataset) -> float:
    """Return how long a step of a training takes here; the network is trained a little."""
    return _step_seconds(ShortTraining(network, recipe.adjusted(steps=MANY_STEPS), train))


def _step_seconds(training: ShortTraining) -> float:
    """Return the time of a step: with all threads, or with one where these are held up.

    Beside another busy program the threads of a step wait for each other, and it can take a hundred
    times as long. A training notices that and takes fewer threads, so one thread is the most that
    is expected. Its processor time counts, which a busy machine does not change.
    """
    if training.compute.device.type != "cpu":
        return _median_seconds(training, time.perf_counter)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone_s = _median_seconds(training, time.process_time)
    torch.set_num_threads(threads)
    if threads == 1:
        return alone_s
    return min(alone_s, _median_seconds(training, time.perf_counter, longest_s=alone_s))


def _median_seconds(
    training: ShortTraining, clock: Clock, *, longest_s: float = LONGEST_S
) -> float:
    """Return the median time of some steps; a first step of more than ``longest_s`` is enough."""
    begun, seconds = time.monotonic(), list[float]()
    while len(seconds) < NUM_STEPS and (len(seconds) < 2 or time.monotonic() - begun < LONGEST_S):
        start = clock()
        training.step()
        seconds.append(clock() - start)
        if seconds[0] > 2 * longest_s:
            return seconds[0]
    return statistics.median(seconds[1:])
