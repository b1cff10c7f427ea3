"""Laws of the range that a training measures: that of its images, with its noise, and no more."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from folders import draw_tree
from tapetum.data import Dataset, open_dataset
from tapetum.jobs.brightness import training_brightness
from tapetum.noise import NoisePlan, add_noise, generator_for
from tapetum.runtime import BrightnessRange, brightness_of
from tapetum.training import Recipe

SIDE = 24


def levels_in(root: Path, low: float, high: float, count: int = 15) -> Dataset:
    """A folder of two classes whose images have means between two levels, as drawn."""
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for index, level in enumerate(np.linspace(low, high, count)):
            values = (255 * level * generator.uniform(0.5, 1.5, (SIDE, SIDE))).clip(0, 255)
            Image.fromarray(values.astype(np.uint8)).save(root / name / f"{index}.png")
    return open_dataset(str(root), seed=0, size_px=SIDE)


@pytest.fixture(scope="module")
def middle(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Images with means from 0.2 to 0.6."""
    return levels_in(tmp_path_factory.mktemp("middle"), 0.2, 0.6)


def recipe_of(noise: str = "gaussian:0-0.5", brightness: float = 0.0) -> Recipe:
    """A recipe with a noise and a change of the brightness."""
    recipe = Recipe.named("images").adjusted(noise=NoisePlan.parse(noise).model_dump())
    changes = {"brightness": brightness, "mirror": "off"}
    return recipe.model_copy(
        update={"augmentation": recipe.augmentation.model_copy(update=changes)}
    )


def measured(dataset: Dataset, recipe: Recipe) -> BrightnessRange:
    """The range of the training images, which have labels."""
    found = training_brightness(dataset.train, recipe)
    assert found is not None
    return found


def images_of(dataset: Dataset) -> NDArray[np.float32]:
    """The validation images as a device prepares them."""
    part = dataset.validation
    return part.take(range(len(part)), epoch=0, seed=0, train=False).images


def test_the_range_is_that_of_whole_images(middle: Dataset) -> None:
    """Without noise and changes it is what one measures by hand; crops play no part."""
    part = middle.train
    whole = part.take(range(len(part)), epoch=0, seed=0, train=False).images
    by_hand = [brightness_of(image)[0] for image in whole]
    found = measured(middle, recipe_of("gaussian:0"))
    assert (found.darkest, found.brightest) == (min(by_hand), max(by_hand))
    assert found.covered == (min(by_hand), max(by_hand))
    assert found.num_images == len(part)


def test_the_range_covers_the_random_brightness(middle: Dataset) -> None:
    """Down to the smallest factor, and up to where the brightest value is white."""
    found = measured(middle, recipe_of("gaussian:0", brightness=0.5))
    assert found.covered[0] == pytest.approx(0.5 * found.darkest, abs=1e-4)
    assert found.brightest < found.covered[1] < 1.5 * found.brightest


NOISES = "gaussian:0-0.5", "speckle:0-1", "salt-and-pepper:0-0.5", "poisson-gaussian:0.05,0-0.3"
CASES = [(low, noise) for low in (0.02, 0.4, 0.9) for noise in NOISES]
# Most is gained by clipping where images are darkest; the others are for slow tests.
MARKED = [CASES[0], *(pytest.param(*one, marks=pytest.mark.slow) for one in CASES[1:])]


@pytest.mark.parametrize(("low", "noise"), MARKED)
def test_the_noise_of_the_training_is_no_alarm(low: float, noise: str, tmp_path: Path) -> None:
    """Images of the same light at any trained level, clipped by a file or not, have no warning."""
    dataset, recipe = levels_in(tmp_path, low, low + 0.05), recipe_of(noise)
    found = measured(dataset, recipe)
    for index, level in enumerate((recipe.noise.strongest, *recipe.noise.spread(3))):
        for protocol in ("benchmark", "camera"):
            generator = generator_for(1, index)
            for image in images_of(dataset):
                noisy = add_noise(image, level, generator, protocol=protocol)
                assert found.doubts(brightness_of(noisy)) == ()


def test_images_of_another_light_are_an_alarm_under_little_noise(middle: Dataset) -> None:
    """A tenth of the light, or a white image, of images in the middle; with noise of 0.05 too."""
    found, generator = measured(middle, recipe_of()), np.random.default_rng(0)
    for image in images_of(middle)[:4]:
        for other, side in ((0.1 * image, "darker"), (0.95 + 0 * image, "brighter")):
            noisy = other + 0.05 * generator.standard_normal(image.shape, np.float32)
            (told,) = found.doubts(brightness_of(noisy.clip(0, 1)))
            assert told.startswith(side)


def test_images_without_labels_have_no_range(tmp_path: Path) -> None:
    """There is no label that could be wrong."""
    dataset = open_dataset(str(draw_tree(tmp_path / "photos", {".": 12})), seed=0)
    assert training_brightness(dataset.train, recipe_of()) is None


def test_boxes_are_measured_one_by_one() -> None:
    """Digits have two in each image."""
    dataset = open_dataset("digits", seed=0, train_count=8, test_count=4)
    found = measured(dataset, recipe_of("gaussian:0.5"))
    assert found.num_images == 16
    assert 0 <= found.darkest < found.brightest <= 1
