"""Random changes of training images."""

import numpy as np
import pytest

from tapetum.data import Augmentation
from tapetum.data.augmentation import Orientation
from tapetum.noise import generator_for


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_boxes_turn_with_the_image(mirror: bool, flip: bool, turns: int) -> None:
    """The pixels in a box stay in the box."""
    image = np.zeros((1, 12, 12), np.float32)
    image[0, 2:5, 1:8] = 1
    changed = Orientation(mirror, flip, turns)
    box = changed.boxes(np.array([[1, 2, 8, 5]], np.float32), 12)
    left, top, right, bottom = box[0].astype(int)
    found = changed.image(image)[0]
    assert found[top:bottom, left:right].all()
    assert found.sum() == image.sum() == (right - left) * (bottom - top)


def test_what_is_off_never_happens() -> None:
    """Each change is drawn only where it is on; ``auto`` that nobody decided is off."""
    generator = generator_for(0)
    drawn = [Augmentation().draw(generator) for _ in range(50)]
    assert set(drawn) == {Orientation()}
    every = Augmentation(mirror="on", vertical_flip=True, quarter_turns=True)
    assert len({every.draw(generator) for _ in range(300)}) == 16


def test_switching_one_change_on_moves_no_other() -> None:
    """With the same generator the mirror is the same, with and without turns."""
    first, second = generator_for(1), generator_for(1)
    with_turns = Augmentation(mirror="on", quarter_turns=True)
    for _ in range(20):
        assert Augmentation(mirror="on").draw(first).mirror == with_turns.draw(second).mirror


def test_brightness_stays_in_range() -> None:
    """The factor is within the stated share, and no value leaves [0, 1]."""
    generator = generator_for(0)
    gains = [float(Augmentation(brightness=0.3).draw_gain(generator, 0.9)) for _ in range(200)]
    assert min(gains) >= 0.7
    assert min(gains) < 0.75
    assert 1.05 < max(gains) <= 1 / 0.9 + 1e-6
    assert Augmentation().draw_gain(generator, 0.9) == 1


def test_the_changes_are_described() -> None:
    """A report names each change that is on, and the reason of a decision."""
    text = Augmentation(mirror="off", reason="class 'left' names a direction").describe()
    assert text == (
        "mirror off (class 'left' names a direction), crops of at least 64% of the area"
    )
    text = Augmentation(mirror="on", vertical_flip=True, quarter_turns=True, brightness=0.1)
    assert "vertical flip, quarter turns" in text.describe()
    assert "brightness" in text.describe()
    assert "windows of 64 px" in text.describe(window_px=64)
