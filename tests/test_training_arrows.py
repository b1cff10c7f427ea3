"""A task that a mirror would make impossible is learnt with the defaults."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import tapetum

NUM_TRAIN, NUM_VALIDATION = 80, 20  # of each class
SIZE_PX = 48


def draw_arrow(points_left: bool, generator: np.random.Generator) -> Image.Image:
    """A bright arrow at a random place on a dark, noisy ground."""
    canvas = Image.new("L", (SIZE_PX, SIZE_PX), 40)
    x, y = generator.integers(4, 16), generator.integers(12, 28)
    outline = [(0, 0), (16, 0), (16, -8), (28, 4), (16, 16), (16, 8), (0, 8)]
    shown = [(x + (28 - a if points_left else a), y + b) for a, b in outline]
    ImageDraw.Draw(canvas).polygon(shown, fill=230)
    values = np.asarray(canvas, float) + generator.normal(0, 6, (SIZE_PX, SIZE_PX))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


@pytest.mark.slow
@pytest.mark.parametrize("names", [("left", "right"), ("forward", "back")], ids="-".join)
def test_arrows_are_told_apart(names: tuple[str, str], tmp_path: Path) -> None:
    """Over 95 % after 20 epochs, whether or not the names of the classes give a hint."""
    generator = np.random.default_rng(0)
    for part, count in (("train", NUM_TRAIN), ("val", NUM_VALIDATION)):
        for name in names:
            place = tmp_path / "data" / part / name
            place.mkdir(parents=True)
            for index in range(count):
                draw_arrow(name == names[0], generator).save(place / f"{index}.png")
    result = tapetum.train(
        tmp_path / "data", tmp_path / "run", architecture="dc-net-reduced-integrated", epochs=20
    )
    assert result.scores is not None
    assert result.scores.rows[0].accuracy is not None
    assert result.scores.rows[0].accuracy > 0.95
