"""What the report on fits of several budgets says of them."""

from types import SimpleNamespace
from typing import Any

from tapetum.jobs.front_report import front_remarks
from tapetum.scores import ScoreRow

COUNTS = {"cat": 500, "dog": 500}


def fitted(target_ms: float, accuracy: float | None, psnr_db: float | None) -> Any:
    """What a fit is asked of: its budget, and the scores of its package."""
    headline = ScoreRow(
        title="",
        noise=None,
        num_images=9,
        recalls={} if accuracy is None else dict.fromkeys(COUNTS, accuracy),
        filters_db={},
        accuracy=accuracy,
        macro_accuracy=accuracy,
        psnr_db=psnr_db,
    )
    scores = SimpleNamespace(headline=headline, class_images=COUNTS)
    request = SimpleNamespace(target_ms=target_ms, method=None)
    return SimpleNamespace(request=request, delivery=SimpleNamespace(scores=scores))


def test_a_smaller_budget_that_scores_better_is_named() -> None:
    """A larger network that trained too briefly is no gain, and the user is told."""
    fits = [fitted(1, 0.80, 27.0), fitted(2, 0.85, 28.0), fitted(4, 0.83, 27.5)]
    (remark,) = front_remarks(fits)
    assert remark.startswith(
        "the network for 2 ms scores better than that for 4 ms "
        "(85.0 %, 28.00 dB against 83.0 %, 27.50 dB)"
    )
    assert "--minutes" in remark


def test_a_lead_within_the_noise_is_not_better() -> None:
    """One score can make up for the other, and one decides where the other is missing."""
    assert not front_remarks([fitted(1, 0.83, 27.1), fitted(2, 0.83, 27.0)])
    assert not front_remarks([fitted(1, 0.85, 27.0), fitted(2, 0.83, 28.0)])
    (both,) = front_remarks([fitted(1, 0.85, 28.0), fitted(2, 0.85, 27.0)])
    assert "(85.0 %, 28.00 dB against 85.0 %, 27.00 dB)" in both
    (images,) = front_remarks([fitted(1, None, 28.0), fitted(2, None, 27.0)])
    assert "(28.00 dB against 27.00 dB)" in images
