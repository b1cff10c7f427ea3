"""How long a training or a search is: the one place where steps are counted."""

from typing import NamedTuple

from tapetum.training.recipe import Recipe

__all__ = ["MOST_EPOCHS", "Length"]

MOST_EPOCHS = 40
"""A training that is counted in steps validates at most so often."""


class Length(NamedTuple):
    """A number of steps, divided into epochs.

    Attributes:
        total_steps: Steps from the beginning to the end.
        steps_per_pass: Steps in which every image is seen once.
        passes_per_epoch: Passes over the images from one validation to the next.
    """

    total_steps: int
    steps_per_pass: int
    passes_per_epoch: int = 1

    @classmethod
    def of(cls, recipe: Recipe, steps_per_pass: int) -> "Length":
        """Return the length of a training by a recipe, whose steps come before its epochs.

        Where the images are few, many short passes make an epoch, so that validation takes a
        small share of the time.
        """
        if recipe.steps is None:
            return cls(recipe.epochs * steps_per_pass, steps_per_pass)
        passes = -(-recipe.steps // steps_per_pass)
        return cls(recipe.steps, steps_per_pass, -(-passes // MOST_EPOCHS))

    @property
    def steps_per_epoch(self) -> int:
        """Steps of each epoch but the last, which may be cut."""
        return self.passes_per_epoch * self.steps_per_pass

    @property
    def epochs(self) -> int:
        """Number of epochs; the last one may be cut."""
        return -(-self.total_steps // self.steps_per_epoch)

    @property
    def passes(self) -> int:
        """Number of passes over the images; the last one may be cut."""
        return -(-self.total_steps // self.steps_per_pass)

    def end_of(self, epoch: int) -> int:
        """Return the number of steps at the end of an epoch, which is counted from 0."""
        return min((epoch + 1) * self.steps_per_epoch, self.total_steps)

    def place(self, step: int) -> tuple[int, int]:
        """Return the pass of a step and its place in the pass, all counted from 0."""
        return divmod(step, self.steps_per_pass)
