"""Measure the brightness of training images, as the package will warn of other images.

Random crops, mirrors and turns are left out, so that the means are those of whole images. What the
random brightness and the noise of the training add to their range is measured beside.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tapetum.data import Augmentation, ImageDataset
from tapetum.noise import NoisePlan, add_noise, generator_for
from tapetum.runtime import BrightnessRange, brightness_of
from tapetum.training import BaseRecipe

__all__ = ["training_brightness"]

MOST_MEASURED = 1_000  # images, evenly spread
AT_ONCE = 32
NOISE_KEY = 2  # a key of its own, so that the noise is none of the training

_Floats = NDArray[np.float32]


def training_brightness(images: ImageDataset, recipe: BaseRecipe) -> BrightnessRange | None:
    """Return the means of training images, or of their boxes; None without labels."""
    if not images.class_names:
        return None
    means: list[float] = []
    shown: list[float] = []
    changes = Augmentation(mirror="off")
    if images.augmentation is not None:
        changes = changes.model_copy(update={"brightness": recipe.augmentation.brightness})
    for number, (clean, noisy, boxes) in enumerate(_each(images, recipe.seed)):
        # A device receives the noisy twin of a pair.
        own = brightness_of(clean if noisy is None else noisy, boxes)
        means += own
        shown += [gain * mean for gain in changes.gains(float(clean.max())) for mean in own]
        if noisy is None:
            generator = generator_for(recipe.seed, number, NOISE_KEY)
            shown += _noisy_means(clean, boxes, recipe.noise, generator)
    return BrightnessRange.of(means, shown)


def _each(
    images: ImageDataset, seed: int
) -> Iterator[tuple[_Floats, _Floats | None, _Floats | None]]:
    """Yield some images, evenly spread over all, each with its noisy twin and its boxes."""
    chosen = images.spread(MOST_MEASURED)
    whole = images.augmented(Augmentation(mirror="off", crop_scale=1.0))
    for start in range(0, len(chosen), AT_ONCE):
        # Training views come from memory where the images are kept there.
        taken = whole.take(chosen[start : start + AT_ONCE], epoch=0, seed=seed, train=True)
        none = [None] * len(taken.images)
        others = (none if part is None else part for part in (taken.noisy, taken.boxes))
        yield from zip(taken.images, *others, strict=True)


def _noisy_means(
    clean: _Floats, boxes: _Floats | None, noise: NoisePlan, generator: np.random.Generator
) -> list[float]:
    """Return the means at the strongest noise, as floats and as a file would clip it."""
    noisy = add_noise(clean, noise.strongest, generator)
    return [mean for each in (noisy, noisy.clip(0, 1)) for mean in brightness_of(each, boxes)]
