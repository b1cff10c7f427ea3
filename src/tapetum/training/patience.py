"""An early end, where held-out scores have been flat for as many minutes as a recipe allows.

The scores of a one-cycle or cosine schedule rise most at its end, while the learning rate falls. A
flat middle is therefore no reason to stop there: the training goes on as one that was asked to end
so many minutes later, with a whole schedule. With a constant rate, or that of a plateau, nothing
would be gained, and it stops at once.

Everything is computed from the rows of the validations, which are part of a checkpoint, so that a
resumed training ends as one that never stopped.
"""

import math
from collections.abc import Sequence

from tapetum.progress import in_words
from tapetum.records import Record
from tapetum.training.checkpoint import EpochRow
from tapetum.training.length import Length, TimedLength
from tapetum.training.recipe import Recipe

__all__ = ["LEAST_GAINS", "EarlyEnd"]

LEAST_GAINS = {"macro_accuracy": 0.005, "psnr_db": 0.1}
"""A score is flat where it gains less."""


class EarlyEnd(Record):
    """When held-out scores had been flat for long enough.

    Attributes:
        step: Number of steps at that moment.
        seconds: Time of training and validation until then.
        flat_minutes: For how long the scores had to be flat, in minutes.
        more_minutes: For how long the training goes on, in minutes.
        asked: The length that was asked for, in words.
    """

    step: int
    seconds: float
    flat_minutes: float
    more_minutes: float
    asked: str

    @classmethod
    def of(
        cls, rows: Sequence[EpochRow], recipe: Recipe, length: Length | TimedLength
    ) -> "EarlyEnd | None":
        """Return the early end of a training; None where it has none.

        The time of the warm-up does not count, nor that with images of half their size: scores
        may well be flat there.
        """
        if recipe.patience_minutes is None:
            return None
        best: dict[str, float] = {}
        seconds = improved_s = share = 0.0
        for row in rows:
            seconds += row.seconds
            better = _better(row, best)
            if better or share < max(recipe.warmup, recipe.half_size):  # after the row before
                best, improved_s = best | better, seconds
            share = length.share_after(row.step, seconds)
            if seconds - improved_s >= 60 * recipe.patience_minutes:
                ends_at_once = recipe.schedule in ("constant", "plateau")
                return cls(
                    step=row.step,
                    seconds=seconds,
                    flat_minutes=recipe.patience_minutes,
                    more_minutes=0.0 if ends_at_once else recipe.patience_minutes,
                    asked=recipe.duration,
                )
        return None

    def shorten(self, length: Length | TimedLength) -> Length | TimedLength:
        """Return the length of the training that ends early, which is never longer than asked."""
        more_s = 60 * self.more_minutes
        if isinstance(length, TimedLength):
            return length._replace(seconds=min(length.seconds, self.seconds + more_s))
        pace = length.work(self.step) / max(self.seconds, 1e-9)  # in steps of full size
        steps = self.step + math.ceil(more_s * pace)
        return length._replace(total_steps=min(length.total_steps, steps))

    def describe(self) -> str:
        """Return what happened, in words."""
        then = f"{in_words(self.more_minutes)} later" if self.more_minutes else "there"
        return (
            f"held-out scores had been flat for {in_words(self.flat_minutes)} after step "
            f"{self.step:,} ({in_words(self.seconds / 60)}), so the training ends {then} "
            f"instead of after {self.asked}"
        )


def _better(row: EpochRow, best: dict[str, float]) -> dict[str, float]:
    """Return the scores of a validation that gain enough on the best ones."""
    scores = ((name, row.validation.get(name)) for name in LEAST_GAINS)
    return {
        name: score
        for name, score in scores
        if score is not None and score >= best.get(name, -math.inf) + LEAST_GAINS[name]
    }
