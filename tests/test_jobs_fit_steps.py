"""Steps that were planned and not made are said, with the reason."""

from types import SimpleNamespace
from typing import Any

import pytest

from tapetum.jobs.fit_steps import StepsMade
from tapetum.records import Weight


def made(steps: int, *, core_share: float | None = None, early_end: object = None) -> Any:
    """The result of a training."""
    return SimpleNamespace(steps=steps, core_share=core_share, early_end=early_end)


@pytest.mark.parametrize("steps", [700, 1_000, 3_000])
def test_about_the_planned_steps_need_no_note(steps: int) -> None:
    """Nor do more of them, even on a busy machine."""
    assert not StepsMade.of(1_000, made(steps, core_share=0.3), 0.9).notes


@pytest.mark.parametrize(
    ("core_share", "share", "reason"),
    [
        (0.31, 1.0, "machine busy, its steps got 31% of a core"),
        (0.99, 0.5, "the total time left 50% of its planned length"),
        (None, 1.0, "its steps took longer than when they were planned"),
    ],
)
def test_far_fewer_steps_are_said_with_their_reason(
    core_share: float | None, share: float, reason: str
) -> None:
    """A busy machine, less time, or slower steps."""
    steps = StepsMade.of(1_000, made(220, core_share=core_share), share)
    (note,) = steps.notes
    assert note == f"the training made 220 of about 1,000 planned steps (22%): {reason}"
    assert note.weight is Weight.TRAINING
    assert (steps.planned, steps.made, steps.reason) == (1_000, 220, reason)


def test_a_training_that_ended_since_it_was_done_is_no_fault() -> None:
    """Flat held-out scores end it."""
    assert not StepsMade.of(1_000, made(220, core_share=0.3, early_end=object()), 1.0).notes
