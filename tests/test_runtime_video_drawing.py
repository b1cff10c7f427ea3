"""Words in a frame, and labels that are averaged over time."""

import math

import numpy as np
import pytest

from tapetum.runtime.video.drawing import Stabiliser, draw

WORDS = ["salamander", "92 %", "12.3 ms"]


@pytest.mark.parametrize("size", [(1080, 1920), (480, 640), (64, 64), (200, 40), (12, 16), (2, 2)])
def test_words_are_small_and_the_rest_is_untouched(size: tuple[int, int]) -> None:
    """In the upper left corner, on 0.3 of its brightness; at most a tenth of a large frame."""
    frame = np.full((*size, 3), 90, np.uint8)
    drawn = draw(frame, WORDS)
    assert drawn.shape == frame.shape
    assert drawn.dtype == np.uint8
    changed = (drawn != 90).any(axis=2)
    rows, columns = changed.any(axis=1).sum(), changed.any(axis=0).sum()
    assert changed.sum() == changed[:rows, :columns].sum() > 0
    assert drawn[0, 0].tolist() == [27, 27, 27]
    if min(size) >= 64:
        assert drawn[:rows, :columns].max() > 200  # thin letters are smooth
    if min(size) >= 480:
        assert rows * columns < 0.1 * size[0] * size[1]
    assert (frame == 90).all()


def test_what_is_below_the_words_stays_visible() -> None:
    """A bright object is brighter than its surroundings there too."""
    frame = np.full((64, 64, 3), 50, np.uint8)
    frame[:3, 5:9] = 250
    row = draw(frame, WORDS)[0, :, 0].astype(int)
    assert set(row[5:9]) == {75}
    assert set(row[9:20]) == {15}


def test_a_line_that_fits_is_one_line() -> None:
    """A frame of 90 px has two lines, one of 400 px has one."""

    def height(width: int) -> int:
        return int((draw(np.full((90, width, 3), 90, np.uint8), WORDS) != 90).any((1, 2)).sum())

    assert height(90) > 1.5 * height(400)


def test_an_average_is_the_same_at_any_frame_rate() -> None:
    """After one time constant, 1/e of the old label is left."""
    old, new = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    for rate in (5, 30, 240):
        average = Stabiliser(0.5)
        average(old, 1.0)
        for number in range(1, rate + 1):
            mean = average(new, 1.0 + 0.5 * number / rate)
        assert mean == pytest.approx([1 / math.e, 1 - 1 / math.e], abs=1e-5)


def test_without_seconds_each_frame_stands_alone() -> None:
    """And the first frame always does."""
    first, second = np.array([0.9, 0.1], np.float32), np.array([0.2, 0.8], np.float32)
    for seconds in (0.0, 3.0):
        assert Stabiliser(seconds)(first, 0.0) is first
    alone = Stabiliser(0.0)
    alone(first, 0.0)
    assert alone(second, 0.1) is second
