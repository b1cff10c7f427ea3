"""The preparation of images: what every part of Tapetum feeds to a network."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from tapetum.errors import DataError
from tapetum.images import DecodedImage, resample
from tapetum.noise import Gaussian, add_noise, generator_for_image
from tapetum.runtime import Preparation

RESIZES: tuple[Literal["squash", "letterbox", "crop"], ...] = ("squash", "letterbox", "crop")


def prepare(
    preparation: Preparation,
    pixels: NDArray[np.float32],
    alpha: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """What a network sees of an image of 8 bits."""
    image = DecodedImage(pixels, alpha, 8, "grey" if len(pixels) == 1 else "rgb")
    return preparation.resized(preparation.colours(image))


def drawn(channels: int, height: int, width: int) -> NDArray[np.float32]:
    """Random pixels."""
    generator = np.random.default_rng((channels, height, width))
    return generator.random((channels, height, width), dtype=np.float32)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", [(8, 8), (16, 16), (40, 40), (9, 31), (31, 9), (200, 1)])
def test_prepared_images_are_square_and_keep_a_constant(
    resize: Literal["squash", "letterbox", "crop"], size: tuple[int, int]
) -> None:
    """Whatever the size, an image of one grey level becomes a square of that level."""
    preparation = Preparation(size_px=16, channels=3, resize=resize, background=0.25)
    prepared = prepare(preparation, np.full((1, *size), 0.25, np.float32))
    assert prepared.shape == (3, 16, 16)
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(prepared, 0.25, atol=1e-6)


@pytest.mark.parametrize("resize", RESIZES)
def test_an_image_of_the_prepared_size_is_unchanged(
    resize: Literal["squash", "letterbox", "crop"],
) -> None:
    """Nothing is resampled where nothing has to be."""
    pixels = drawn(3, 16, 16)
    preparation = Preparation(size_px=16, channels=3, resize=resize)
    np.testing.assert_array_equal(prepare(preparation, pixels), pixels)


def test_without_a_size_every_image_keeps_its_own() -> None:
    """A network without labels of whole images sees them as they are."""
    pixels = drawn(1, 9, 31)
    np.testing.assert_array_equal(prepare(Preparation(channels=1), pixels), pixels)


def test_squash_sees_the_whole_image_and_crop_its_middle() -> None:
    """Bright ends of a wide image are seen by squash and letterbox, not by crop."""
    pixels = np.zeros((1, 16, 64), np.float32)
    pixels[:, :, :8] = pixels[:, :, -8:] = 1
    prepared = {
        name: Preparation(size_px=16, channels=1, resize=name, background=0) for name in RESIZES
    }
    peaks = {name: float(prepare(one, pixels).max()) for name, one in prepared.items()}
    assert peaks["squash"] > 0.9
    assert peaks["letterbox"] > 0.9
    assert peaks["crop"] == 0


def test_a_letterbox_is_centred_on_the_background() -> None:
    """The image keeps its proportions; rows above and below have the background's level."""
    preparation = Preparation(size_px=16, channels=1, resize="letterbox", background=0.75)
    prepared = prepare(preparation, np.zeros((1, 20, 40), np.float32))[0]
    np.testing.assert_array_equal(prepared[4:12], 0)
    np.testing.assert_array_equal(prepared[[0, 1, 2, 3, 12, 13, 14, 15]], 0.75)


def test_hidden_colours_are_never_seen() -> None:
    """Two images that differ only where they are transparent are prepared alike."""
    pixels, alpha = drawn(3, 12, 12), np.ones((12, 12), np.float32)
    alpha[3:6] = 0
    other = pixels.copy()
    other[:, 3:6] = 1 - other[:, 3:6]
    preparation = Preparation(size_px=8, channels=1)
    np.testing.assert_array_equal(
        prepare(preparation, pixels, alpha), prepare(preparation, other, alpha)
    )


def test_transparency_is_blended_with_the_background() -> None:
    """Half transparent white over black is mid-grey."""
    alpha = np.full((4, 4), 0.5, np.float32)
    preparation = Preparation(channels=1, background=0)
    prepared = prepare(preparation, np.ones((1, 4, 4), np.float32), alpha)
    np.testing.assert_array_equal(prepared, 0.5)


def test_noise_survives_the_resize() -> None:
    """Values outside [0, 1] are not clipped: networks for unclipped noise need them."""
    pixels = np.full((1, 8, 8), 1.5, np.float32)
    np.testing.assert_allclose(Preparation(size_px=4, channels=1).resized(pixels), 1.5)


@pytest.mark.parametrize("resize", RESIZES)
def test_a_box_frames_the_same_object_in_the_prepared_image(
    resize: Literal["squash", "letterbox", "crop"],
) -> None:
    """The prepared image is bright inside of the mapped box, and dark outside of it."""
    pixels = np.zeros((1, 40, 80), np.float32)
    pixels[:, 10:30, 30:50] = 1
    preparation = Preparation(size_px=40, channels=1, resize=resize, background=0)
    prepared = prepare(preparation, pixels)[0]
    box = preparation.boxes(np.array([[30, 10, 50, 30]], np.float32), 40, 80)[0]
    left, top, right, bottom = box.round().astype(int)
    assert prepared[top + 1 : bottom - 1, left + 1 : right - 1].min() > 0.9
    prepared[top - 1 : bottom + 1, left - 1 : right + 1] = 0
    assert prepared.max() < 0.1


def test_a_region_is_prepared_like_an_image() -> None:
    """Training takes parts of an image through the same function."""
    preparation = Preparation(size_px=16, channels=3)
    pixels = drawn(3, 40, 60)
    region = pixels[:, 5:30, 10:40]
    np.testing.assert_array_equal(
        preparation.resized(region), prepare(preparation, np.ascontiguousarray(region))
    )


def test_a_fine_pattern_does_not_alias() -> None:
    """A chessboard of pixels becomes grey, and enlarging stays in the range of the image."""
    board = np.indices((32, 32)).sum(axis=0)[np.newaxis].astype(np.float32) % 2
    np.testing.assert_allclose(resample(board, height=8, width=8)[0, 2:-2, 2:-2], 0.5, atol=0.02)
    enlarged = resample(board[:, :9, :9], height=20, width=30)
    assert enlarged.shape == (1, 20, 30)
    assert 0 <= enlarged.min() <= enlarged.max() <= 1


def test_channels_that_no_file_has_are_refused() -> None:
    """Five channels come as arrays only."""
    with pytest.raises(DataError, match="cannot turn 3 channels into 5"):
        prepare(Preparation(channels=5), drawn(3, 4, 4))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "at their own size, alpha over grey 0.5"),
        ({"size_px": 32}, "stretched to 32 x 32 px, alpha over grey 0.5"),
        (
            {"size_px": 32, "resize": "letterbox", "white": 4095},
            "fitted into 32 x 32 px in their proportions, alpha over grey 0.5, 4095 of deep files "
            "is white",
        ),
        (
            {"size_px": 8, "resize": "crop", "background": 1},
            "cut to the central square, resized to 8 x 8 px, alpha over grey 1",
        ),
    ],
    ids=str,
)
def test_people_can_read_what_is_done(fields: dict[str, Any], text: str) -> None:
    """Each decision that differs between packages is in the sentence."""
    assert Preparation(channels=1, **fields).text == text


def test_a_grey_image_stored_as_rgb_gets_one_noise_not_three() -> None:
    """Noise of sigma 0.1 has that deviation in the network, however the file stores grey."""
    grey = DecodedImage(np.full((1, 96, 96), 0.5, np.float32), None, 8, "grey")
    stored = DecodedImage(np.repeat(grey.pixels, 3, axis=0), None, 8, "rgb")
    preparation = Preparation(channels=1)
    given = preparation.in_channels(stored)
    assert np.allclose(given.pixels, grey.pixels)
    noisy = add_noise(given.pixels, Gaussian(sigma=0.1), generator_for_image(given.pixels, 0))
    seen = preparation.colours(replace(given, pixels=noisy))
    assert abs(float((seen - grey.pixels).std()) - 0.1) < 0.005
