"""Turns minutes of one core into steps of a training.

Processor time counts, so that a busy machine changes little, and a training of so many steps can be
repeated.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tapetum.arch import Architecture
from tapetum.data import Dataset
from tapetum.jobs.durations import training_minutes
from tapetum.nn import build
from tapetum.search import step_seconds
from tapetum.training import Recipe

__all__ = ["processor_minutes", "steps_within"]

_Result = TypeVar("_Result")

FEWEST_STEPS, TRIED_STEPS, NUM_TRIES = 4, 1000, 5


def steps_within(minutes: float, network: Architecture, recipe: Recipe, dataset: Dataset) -> int:
    """Return the steps that take so many minutes here, validation included."""

    def takes(steps: int) -> float:
        given = recipe.adjusted(steps=steps)
        return training_minutes(
            step_seconds(build(network, seed=given.seed), given, dataset.train),
            given,
            num_batches=dataset.train.num_batches(given.batch_size),
            num_validation=len(dataset.validation),
        )

    steps = max(FEWEST_STEPS, int(TRIED_STEPS * minutes / takes(TRIED_STEPS)))
    median = statistics.median(takes(steps) for _ in range(NUM_TRIES))
    return max(FEWEST_STEPS, round(steps * minutes / median))


def processor_minutes(run: Path, work: Callable[[], _Result]) -> tuple[_Result, float | None]:
    """Return what a training returns, and its processor minutes; None if it continued a run."""
    begun_s, is_continued = time.process_time(), run.exists()
    result = work()
    used = round((time.process_time() - begun_s) / 60, 2)
    return result, None if is_continued else used
