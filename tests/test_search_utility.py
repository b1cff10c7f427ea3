"""Which candidate is best, in one number, and how certain that is."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tapetum.nn import Outputs, build
from tapetum.noise import NoisePlan
from tapetum.scores import SEEN_DB
from tapetum.search.judge import Measures, judge
from tapetum.search.utility import DOUBLING_ACCURACY, DOUBLING_DB, SEED_DB, Prefer, order, utilities
from tiny_race import Dots, tiny_recipe
from tiny_training import Squares, tiny_architecture


def _measures(
    accuracy: float | None = None, psnr_db: float | None = None, n: int = 100
) -> Measures:
    """Every image alike, but for the labels that are right."""
    right = None if accuracy is None else tuple(float(i < accuracy * n) for i in range(n))
    decibels = None if psnr_db is None else (psnr_db,) * n
    return Measures(num_images=n, num_views=n, balanced=right, decibels=decibels)


def _winner(measured: dict[str, Measures], prefer: Prefer = "balanced") -> str:
    return order(measured, prefer=prefer)[0].name


class _Answers(nn.Module):
    """Says one class with a certain share of errors, and returns the image unchanged."""

    def __init__(self, logits: Any = None, *, has_image: bool = True) -> None:
        super().__init__()
        self.logits, self.has_image = logits, has_image

    def forward(self, noisy: Any, boxes: Any) -> Outputs:
        del boxes
        logits = None if self.logits is None else self.logits(noisy)
        return Outputs(noisy if self.has_image else None, logits)


def _always(which: int) -> Any:
    return lambda noisy: torch.eye(2)[which].expand(len(noisy), 2)


class _Uneven(Dots):
    """Three of four images are of the first class."""

    def take(self, indices: Any, **options: Any) -> Any:
        """Labels the dots anew."""
        samples = super().take(indices, **options)
        labels = np.array([index % 4 == 3 for index in indices], np.int64)
        return samples._replace(labels=labels)


def test_the_mean_over_images_is_the_utility_of_the_means() -> None:
    """Accuracy and PSNR, each in units of a doubling, weighed alike."""
    measures = _measures(0.7, 24.0)
    expected = 0.5 * 0.7 / DOUBLING_ACCURACY + 0.5 * 24.0 / DOUBLING_DB
    each = utilities(measures, prefer="balanced")
    assert each.mean() == pytest.approx(expected)


def test_what_a_doubling_buys_is_worth_the_same_in_both_scores() -> None:
    """A candidate ahead by one doubling in accuracy equals one ahead by one in PSNR."""
    measured = {
        "label": _measures(0.7 + 0.01, 22.0),
        "image": _measures(0.7, 22.0 + 0.01 / DOUBLING_ACCURACY * DOUBLING_DB),
    }
    first, second = order(measured, prefer="balanced")
    assert second.behind == pytest.approx(first.behind, abs=1e-9)
    assert _winner(measured, "label") == "label"
    assert _winner(measured, "image") == "image"


def test_one_score_alone_decides_where_the_other_is_missing() -> None:
    """A denoiser has no labels, a classifier no image, whatever the user prefers."""
    denoisers = {"worse": _measures(None, 22.0), "better": _measures(None, 22.1)}
    classifiers = {"worse": _measures(0.5), "better": _measures(0.6)}
    for prefer in ("label", "balanced", "image"):
        assert _winner(denoisers, prefer) == "better"  # type: ignore[arg-type]
        assert _winner(classifiers, prefer) == "better"  # type: ignore[arg-type]


def test_candidates_within_one_and_a_half_standard_errors_are_ties() -> None:
    """The error is that of the difference, image by image: common ups and downs do not count.

    The seeds of two trainings add to it.
    """
    generator = np.random.default_rng(0)
    hard = generator.normal(22, 5, 400)  # differs from image to image, for all candidates
    little = generator.normal(0, 0.1, 400)

    def measured(by_image: Any) -> Measures:
        values = tuple(by_image.tolist())
        return Measures(num_images=400, num_views=400, decibels=values)

    places = order(
        {
            "best": measured(hard + 0.12),
            "tied": measured(hard + 0.12 + little - little.mean() - 0.002),
            "behind": measured(hard),
        },
        prefer="image",
    )
    assert [place.name for place in places] == ["best", "tied", "behind"]
    assert [place.is_tied for place in places] == [True, True, False]
    of_images, of_seeds = 0.1 / 20, 2**0.5 * SEED_DB
    expected = np.hypot(of_images, of_seeds) / DOUBLING_DB
    assert places[1].behind_error == pytest.approx(expected, rel=0.01)
    assert places[2].behind_error == pytest.approx(of_seeds / DOUBLING_DB)


def test_always_the_most_frequent_class_is_worth_as_little_as_always_another() -> None:
    """It is right in 75 % of the images; averaged over classes that is a half."""
    frequent, rare = (
        judge(_Answers(_always(which)), _Uneven(40), tiny_recipe(), views=40)
        for which in (0, 1)  # type: ignore[arg-type]
    )
    assert frequent.macro_accuracy == rare.macro_accuracy == 0.5
    assert frequent.balanced is not None
    assert np.mean(frequent.balanced) == pytest.approx(0.5)


def test_the_error_of_an_accuracy_is_binomial_over_images() -> None:
    """However many noise levels each image is seen at; here all of one class are wrong."""

    def is_bright(noisy: Any) -> Any:
        return noisy.mean((1, 2, 3))[:, None] * torch.tensor([0.0, 1.0])

    one, five = (
        judge(_Answers(is_bright), Dots(100), tiny_recipe(), views=views)
        for views in (100, 500)  # type: ignore[arg-type]
    )
    assert (one.num_views, five.num_views) == (100, 500)
    assert one.macro_accuracy == five.macro_accuracy == 0.5
    share = 51 / 52  # of either class: that none of 50 is wrong, or right, is not certain
    expected = (2 * share * (1 - share) / 50) ** 0.5 / 2
    assert one.macro_accuracy_error == pytest.approx(expected)
    assert five.macro_accuracy_error == pytest.approx(expected)


def test_views_are_dealt_to_all_levels_of_the_noise() -> None:
    """An unchanged image has the PSNR of the noise; the mean is over the levels."""
    recipe = tiny_recipe(noise=NoisePlan(kind="gaussian", levels=(0.02, 0.05)))
    for views in (50, 100):
        seen = judge(_Answers(), Dots(50), recipe, views=views)  # type: ignore[arg-type]
        assert seen.num_views == views
        assert seen.psnr_db == pytest.approx(-10 * np.log10(0.02 * 0.05), abs=0.2)
        assert seen.macro_accuracy is None


@pytest.mark.parametrize(("count", "views"), [(50, 50), (50, 70), (50, 100), (1, 1)])
def test_clean_views_give_labels_but_no_decibels(count: int, views: int) -> None:
    """The mean of the images' values is the PSNR of the noisy views, however these are dealt."""
    recipe = tiny_recipe(noise=NoisePlan(kind="gaussian", levels=(0.0, 0.05)))
    seen = judge(_Answers(), Dots(count), recipe, views=views)  # type: ignore[arg-type]
    assert seen.num_views == max(count, views // count * count)
    assert seen.psnr_db == pytest.approx(-20 * np.log10(0.05), abs=0.5)
    assert seen.decibels is not None
    assert len(seen.decibels) == count
    assert np.mean(seen.decibels) == pytest.approx(seen.psnr_db)
    assert seen.psnr_error_db is not None
    assert seen.psnr_error_db < 0.5  # images without a noisy view do not spread it


def test_a_perfect_image_is_worth_no_more_than_the_cap() -> None:
    """Without noise the unchanged image would be worth infinitely much."""
    recipe = tiny_recipe(noise=NoisePlan(kind="gaussian", levels=(0.0,)))
    seen = judge(_Answers(), Dots(10), recipe, views=10)  # type: ignore[arg-type]
    assert (seen.psnr_db, seen.psnr_error_db) == (SEEN_DB, 0.0)


def test_labels_of_boxes_count_one_by_one() -> None:
    """A network for boxes gets those of each image."""
    network = build(tiny_architecture(boxes=True), seed=0).eval()
    seen = judge(network, Squares(10, with_boxes=True), tiny_recipe(), views=20)
    assert (seen.num_images, seen.num_views) == (10, 20)
    assert seen.balanced is not None
    assert np.mean(seen.balanced) == pytest.approx(seen.macro_accuracy)


def test_a_classifier_alone_has_no_psnr() -> None:
    """And images without labels no accuracy."""
    seen = judge(_Answers(_always(0), has_image=False), Dots(10), tiny_recipe(), views=10)  # type: ignore[arg-type]
    assert seen.psnr_db is None
    assert seen.decibels is None
    assert seen.macro_accuracy == 0.5
