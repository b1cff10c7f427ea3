"""Held-out scores after an epoch: which images count for which score."""

from typing import Any

import numpy as np
import pytest

from tapetum.nn import Outputs, TrainableNetwork
from tapetum.noise import NoisePlan
from tapetum.training.validate import look
from tiny_race import Dots, tiny_recipe


class _Shifted(TrainableNetwork):
    """Returns the image, a little brighter."""

    def forward(self, noisy: Any, boxes: Any = None) -> Outputs:
        """Shifts all values."""
        del boxes
        return Outputs(noisy + 0.01, None)

    def freeze_unused(self, **options: bool) -> None:
        """Has nothing to freeze."""


@pytest.mark.parametrize(
    ("levels", "mean_square"), [((0.0, 0.1), 0.1**2 + 0.01**2), ((0.0,), 0.01**2)]
)
def test_the_psnr_is_that_of_noisy_images_where_there_are_any(
    levels: tuple[float, ...], mean_square: float
) -> None:
    """A clean image, which no network has to change, would be most of the mean."""
    recipe = tiny_recipe(noise=NoisePlan(kind="gaussian", levels=levels))
    found = look(_Shifted(), Dots(40), recipe, count=40)
    assert found["psnr_db"] == pytest.approx(-10 * np.log10(mean_square), abs=0.2)
    assert ("gain_db" in found) == any(levels)
