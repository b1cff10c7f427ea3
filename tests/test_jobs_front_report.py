"""What the report on fits of several budgets says of them."""

from types import SimpleNamespace
from typing import Any

from tapetum.jobs.front_report import front_remarks
from tapetum.scores import ScoreRow


def fitted(target_ms: float, accuracy: float | None, psnr_db: float | None) -> Any:
    """What a fit is asked of: its budget, and the scores of its package."""
    headline = ScoreRow(
        title="",
        noise=None,
        num_images=9,
        recalls={},
        filters_db={},
        accuracy=accuracy,
        macro_accuracy=accuracy,
        psnr_db=psnr_db,
    )
    delivery = SimpleNamespace(scores=SimpleNamespace(headline=headline))
    return SimpleNamespace(request=SimpleNamespace(target_ms=target_ms), delivery=delivery)


def test_a_smaller_budget_that_scores_better_is_named() -> None:
    """A larger network that trained too briefly is no gain, and the user is told."""
    fits = [fitted(1, 0.80, 27.0), fitted(2, 0.85, 28.0), fitted(4, 0.83, 27.5)]
    (remark,) = front_remarks(fits)
    assert remark.startswith(
        "the network for 2 ms scores better than that for 4 ms "
        "(85.0 %, 28.00 dB against 83.0 %, 27.50 dB)"
    )
    assert "--minutes" in remark


def test_being_ahead_in_one_score_alone_is_not_better() -> None:
    """Nor is an equal score; where one score is missing, the other decides."""
    assert not front_remarks([fitted(1, 0.85, 27.0), fitted(2, 0.80, 28.0)])
    assert not front_remarks([fitted(1, 0.85, 27.0), fitted(2, 0.85, 27.0)])
    (images,) = front_remarks([fitted(1, None, 28.0), fitted(2, None, 27.0)])
    assert "(28.00 dB against 27.00 dB)" in images
