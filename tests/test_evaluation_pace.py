"""The time of scoring: what is measured on some images, and what follows for all of them."""

from types import SimpleNamespace

import pytest

from tapetum.data import Dataset, Sample
from tapetum.evaluation import ScoringPace, pace, scoring_pace
from tapetum.noise import Gaussian
from tiny_training import TINY_DATA, Squares

LEVELS = [Gaussian(sigma=0.1), Gaussian(sigma=0.2), Gaussian(sigma=0.3)]
MEGAPIXELS = 1e9


def squares(count: int = 40, **info: object) -> Dataset:
    """Drawn images as a dataset."""
    return Dataset(Squares(4), Squares(count), TINY_DATA.model_copy(update=info))


class Clock:
    """A clock that only what is measured moves on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, is_coarse: bool = False) -> None:
        self.now_s, self.num_images = 0.0, 0
        name = "perf_counter" if is_coarse else "thread_time"
        monkeypatch.setattr(pace, "time", SimpleNamespace(**{name: lambda: self.now_s}))
        monkeypatch.setattr(pace.bundle, "clock_is_coarse", lambda: is_coarse)
        monkeypatch.setattr(pace, "measured", self.score)
        monkeypatch.setattr(pace, "has_filters", lambda: True)
        sample = Squares.sample
        monkeypatch.setattr(Squares, "sample", lambda *given: self.decode(sample(*given)))

    def decode(self, sample: Sample) -> Sample:
        """A quarter of a second for decoding; the first image loads something."""
        self.now_s += 0.25 if self.num_images else 100
        self.num_images += 1
        return sample

    def score(self, *given: object) -> None:
        """A label takes 1 s, denoised images 2 s in addition, and filters 4 s."""
        *_, is_compared, is_filtered = given
        self.now_s += 1 + 2 * bool(is_compared) + 4 * bool(is_filtered)


@pytest.mark.parametrize("is_coarse", [False, True])
def test_each_part_is_measured_without_what_the_first_image_loads(
    is_coarse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some seconds are enough, however many images there are.

    The clock on the wall is read where the processor's time is counted in long steps.
    """
    clock = Clock(monkeypatch, is_coarse=is_coarse)
    assert scoring_pace(squares(), LEVELS) == ScoringPace(0.25, 1.0, 3.0, 4.0, 3)
    assert clock.num_images == 2


def test_pairs_have_one_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is the noise that they bring."""
    Clock(monkeypatch)
    assert scoring_pace(squares(is_paired=True), LEVELS).num_levels == 1


def test_real_images_take_some_time() -> None:
    """More for a denoised image than for a label, and more with filters than without."""
    found = scoring_pace(squares(), LEVELS)
    assert 0 < found.labelled_s < found.compared_s
    assert found.filters_s > 0


@pytest.mark.parametrize("num_images", [1, 40])
def test_the_seconds_of_all_images_are_those_of_each(num_images: int) -> None:
    """Decoding once; label, image and network at each level; filters on ten images at most."""
    found, images = ScoringPace(0.25, 1.0, 3.0, 4.0, 3), squares(num_images)
    filtered = min(10, num_images)
    for filters in (False, True):
        given = {"max_megapixels": MEGAPIXELS, "filters": filters}
        expected = num_images * (0.25 + 3 * 3.0) + 3 * 4 * filtered * filters
        assert found.seconds(images, 0.0, **given) == pytest.approx(expected)
        # A pass for the label, and one for the image, which has the same size here.
        passes = found.seconds(images, 0.5, **given) - found.seconds(images, 0.0, **given)
        assert passes == pytest.approx(num_images * 3 * 2 * 0.5)


def test_large_images_that_are_not_denoised_take_less() -> None:
    """Of 1,000 x 1,000 pixels and 3 levels, 30 megapixels are 10 images; all get a label."""
    found, images = ScoringPace(0.0, 1.0, 3.0, 0.0, 3), squares(40, typical_px=(1000, 1000))
    assert found.seconds(images, 0.0, max_megapixels=30.0, filters=True) == 3 * (40 + 10 * 2)
    share = 1000 * 1000 / TINY_DATA.size_px**2
    took = found.seconds(images, 0.001, max_megapixels=30.0, filters=False) - 3 * (40 + 10 * 2)
    assert took == pytest.approx(3 * 0.001 * (40 + 10 * share))
