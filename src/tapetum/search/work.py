"""A piece of work: the training of one candidate in one round of a race.

A piece is a small record that says everything: architecture, recipe with its steps, where the
images lie. Performing it writes one file, in one step, and is the same in every process: one
thread, a seed, a number of steps that was fixed before. So a piece that was killed is performed
again, and one whose file is there is never performed twice.
"""

import time
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt
from safetensors.torch import load_file

from tapetum.arch import Architecture
from tapetum.data import open_stored
from tapetum.images import AnyPath
from tapetum.nn import build
from tapetum.records import Record
from tapetum.search.judge import Measures, judge
from tapetum.search.pace import Pacing
from tapetum.training import Recipe, ShortTraining

__all__ = ["Outcome", "Piece", "Task", "Work", "perform"]


class Outcome(Record):
    """How a piece ended.

    Attributes:
        name: Name of the candidate.
        steps: Number of steps.
        seconds: Time for everything, in seconds of the wall clock.
        measures: Scores on held-out images; None where the training failed.
        fault: Why it failed; empty otherwise.
    """

    name: str
    steps: NonNegativeInt = 0
    seconds: float = 0.0
    measures: Measures | None = None
    fault: str = ""


class Piece(Record):
    """The training of one candidate in one round: a task for a worker.

    Attributes:
        kind: Tells it from other tasks.
        architecture: The candidate.
        recipe: How to train it, with the number of steps.
        weights: File of the weights that it begins with; None for random ones.
        train: Folder of stored images to train on.
        held_out: Folder of stored images to judge it by.
        views: How often it may run on a held-out image.
        out: File for the :class:`Outcome`.
    """

    kind: Literal["train"] = "train"
    architecture: Architecture
    recipe: Recipe
    weights: AnyPath | None = None
    train: AnyPath
    held_out: AnyPath
    views: PositiveInt
    out: AnyPath

    def perform(self) -> Outcome:
        """Train and judge in this process; what goes wrong is the outcome."""
        start = time.perf_counter()
        try:
            network = build(self.architecture, seed=self.recipe.seed)
            if self.weights is not None:
                network.load_state_dict(load_file(self.weights))
            training = ShortTraining(network, self.recipe, open_stored(self.train))
            while training.steps < training.length.total_steps:
                training.step()
            held_out = open_stored(self.held_out)
            measures = judge(training.finish(), held_out, self.recipe, views=self.views)
        except Exception as error:  # whatever a candidate does, the race goes on
            return self.failed(str(error) or type(error).__name__)
        return Outcome(
            name=self.architecture.name,
            steps=training.steps,
            seconds=time.perf_counter() - start,
            measures=measures,
        )

    def failed(self, fault: str) -> Outcome:
        """Return the outcome of a piece that cannot be performed."""
        return Outcome(name=self.architecture.name, fault=fault)


Work = Piece | Pacing


class Task(Record):
    """Any work, as a worker receives it."""

    work: Annotated[Work, Field(discriminator="kind")]


def perform(work: Work) -> None:
    """Perform work and write its result, unless it is there."""
    if not work.out.exists():
        work.perform().write(work.out)
