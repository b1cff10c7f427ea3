"""A network is better than another by what a doubling of the latency buys, beyond the noise."""

import pytest

from tapetum.jobs.compare import gain
from tapetum.scores import ScoreRow
from tapetum.search import Doubling, Prefer

DOUBLING = Doubling()


def row(accuracy: float | None, psnr_db: float | None, *, num_images: int = 1000) -> ScoreRow:
    """Mean scores."""
    scores = {"macro_accuracy": accuracy, "psnr_db": psnr_db}
    return ScoreRow(title="mean", noise=None, num_images=num_images, **scores)


@pytest.mark.parametrize(("prefer", "weight"), [("label", 0.8), ("balanced", 0.5), ("image", 0.2)])
def test_a_doubling_in_one_score_counts_by_the_preference(prefer: Prefer, weight: float) -> None:
    """And a doubling in both is one doubling, whatever is preferred."""
    ours = row(0.5, 20.0)
    label, _ = gain(ours, row(0.5 + DOUBLING.accuracy, 20.0), prefer)
    image, _ = gain(ours, row(0.5, 20.0 + DOUBLING.psnr_db), prefer)
    both, _ = gain(ours, row(0.5 + DOUBLING.accuracy, 20.0 + DOUBLING.psnr_db), prefer)
    assert label == pytest.approx(weight)
    assert image == pytest.approx(1 - weight)
    assert both == pytest.approx(1)


def test_one_score_alone_decides_where_the_other_is_missing() -> None:
    """A denoiser has no labels."""
    value, error = gain(row(None, 20.0), row(None, 20.0 + DOUBLING.psnr_db), "label")
    assert value == pytest.approx(1)
    assert 0 < error < 1


def test_few_images_tell_less() -> None:
    """The standard error falls with their number."""
    errors = [
        gain(row(0.5, 20.0, num_images=n), row(0.6, 20.0, num_images=n), "balanced")[1]
        for n in (10, 100, 1000)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 2 * errors[2]
