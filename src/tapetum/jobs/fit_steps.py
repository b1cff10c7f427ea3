"""How many steps the training of a fit made, beside those that were planned."""

from pydantic import NonNegativeInt, PositiveInt

from tapetum.records import Note, Record, Weight
from tapetum.training import Result

__all__ = ["StepsMade"]

ENOUGH = 0.7  # of the planned steps: fewer are said
BUSY_BELOW = 0.85  # share of a core


class StepsMade(Record):
    """The steps of a training.

    Attributes:
        planned: Number of steps that were planned; about, where a time was planned.
        made: Number of steps that were made.
        reason: Why they are far fewer, such as ``machine busy``; empty where they are not.
    """

    planned: PositiveInt
    made: NonNegativeInt
    reason: str = ""

    @classmethod
    def of(cls, planned: int, result: Result, share: float) -> "StepsMade":
        """Return the steps of a training that has ended.

        Args:
            planned: Number of steps that were planned.
            result: How the training ended.
            share: Share of its planned length that the total time left for it.
        """
        reason = ""
        if result.steps < ENOUGH * planned and result.early_end is None:
            reason = _reason(result, share)
        return cls(planned=planned, made=result.steps, reason=reason)

    @property
    def notes(self) -> tuple[Note, ...]:
        """Say that far fewer steps were made than planned, and why; nothing where they were not."""
        if not self.reason:
            return ()
        share = self.made / self.planned
        text = (
            f"the training made {self.made:,} of about {self.planned:,} planned steps "
            f"({share:.0%}): {self.reason}"
        )
        return (Note(text, Weight.TRAINING),)


def _reason(result: Result, share: float) -> str:
    reasons = []
    if result.core_share is not None and result.core_share < BUSY_BELOW:
        reasons.append(f"machine busy, its steps got {result.core_share:.0%} of a core")
    if share < ENOUGH:
        reasons.append(f"the total time left {share:.0%} of its planned length")
    return "; ".join(reasons) or "its steps took longer than when they were planned"
