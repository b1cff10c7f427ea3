r"""Two-digit images: the controlled study of the paper, composed from MNIST digits.

Each image has a constant background of random grey in [0.1, 0.3] and two digits of 28 x 28 px at
random places that do not overlap. Digit and background are blended by :math:`x =
\max(\text{background}, \text{digit})`, so that the black border of a digit does not reveal its
place. The paper prints neither this rule nor the size of the images; 96 x 96 px fits the costs that
it prints.

Every digit of a part is used equally often: 30,000 images hold each of MNIST's 60,000 training
digits exactly once. The seed fixes grey values and places; images are composed on request.

:class:`DigitCrops` are the single digits for classifiers: the same task in a tenth of the time.

References:
    Pushing Joint Image Denoising and Classification to the Edge
    (Markhorst, van Gemert, Kayhan, 2024), https://arxiv.org/abs/2409.08943, section 3.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tapetum.data.dataset import ImageDataset, Samples
from tapetum.data.mnist import DIGIT_PX, find_digits
from tapetum.errors import DataError
from tapetum.noise import generator_for

__all__ = ["DIGITS", "DIGIT_CROPS", "IMAGE_PX", "DigitCrops", "DigitDataset", "open_digits"]

DIGITS, DIGIT_CROPS = "digits", "digit-crops"
"""The names of the dataset of two-digit images, and of that of their single digits."""

IMAGE_PX = 96
"""Height and width of a two-digit image."""

Blend = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""Blends digits (b, 28, 28) with their backgrounds (b, 1, 1), both in [0, 1]."""

_DIGITS_A_IMAGE = 2
_DARKEST, _BRIGHTEST = 0.1, 0.3


class DigitDataset(ImageDataset):
    """A fixed dataset of two-digit images.

    Args:
        digit_images: The digits, shape (n, 28, 28).
        labels: The digits' labels, 0 to 9, shape (n,).
        count: Number of images.
        seed: Random seed of digits, grey values and places.
        source: The origin of the digits, in a sentence for people.
        blend: How digit and background are blended; by default the maximum of the two.

    Raises:
        DataError: No images were requested.
    """

    channels = 1
    class_names = tuple("0123456789")
    size_px = IMAGE_PX

    def __init__(
        self,
        digit_images: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        *,
        count: int = 30_000,
        seed: int,
        source: str,
        blend: Blend = np.maximum,
    ) -> None:
        if count < 1:
            raise DataError(f"{count} images were requested", "request at least one")
        generator = generator_for(seed)
        self.source = source
        self._images = digit_images
        self._blend = blend
        self._digits = _draw_digits(generator, len(digit_images), count)
        self._labels = labels[self._digits].astype(np.int64)
        self._corners = _draw_corners(generator, count)
        self._greys = generator.uniform(_DARKEST, _BRIGHTEST, count).astype(np.float32)

    def __len__(self) -> int:
        return len(self._digits)

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """Return images (b, 1, 96, 96), labels (b, 2) and boxes (b, 2, 4) in pixels."""
        del epoch, seed, train
        rows = np.asarray(indices, dtype=np.int64)
        corners = self._corners[rows].astype(np.float32)
        return Samples(
            images=self._compose(rows),
            noisy=None,
            labels=self._labels[rows],
            boxes=np.concatenate([corners, corners + DIGIT_PX], axis=2),
        )

    def _compose(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        greys = self._greys[rows, np.newaxis, np.newaxis]
        canvas = np.empty((len(rows), IMAGE_PX, IMAGE_PX), dtype=np.float32)
        canvas[:] = greys
        places = sliding_window_view(canvas, (DIGIT_PX, DIGIT_PX), axis=(1, 2), writeable=True)
        images = np.arange(len(rows))
        for digit in range(_DIGITS_A_IMAGE):
            left, top = self._corners[rows, digit].T
            places[images, top, left] = self.crops_of(rows, digit)
        return canvas[:, np.newaxis]

    def labels_of(self, rows: NDArray[np.int64], digits: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the label of one digit (0 or 1) of each image, shape (b,)."""
        return self._labels[rows, digits]

    def crops_of(
        self, rows: NDArray[np.int64], digits: int | NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return one digit (0 or 1) of each image with its background, shape (b, 28, 28)."""
        values: NDArray[np.float32] = self._images[self._digits[rows, digits]] / np.float32(255)
        return self._blend(values, self._greys[rows, np.newaxis, np.newaxis])


class DigitCrops(ImageDataset):
    """The single digits of two-digit images; digit ``k`` of image ``i`` has index ``2 i + k``."""

    channels = 1
    class_names = DigitDataset.class_names
    size_px = DIGIT_PX

    def __init__(self, images: DigitDataset) -> None:
        self.source = f"single {images.source}"
        self._images = images

    def __len__(self) -> int:
        return _DIGITS_A_IMAGE * len(self._images)

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """Return images (b, 1, 28, 28) and labels (b,) of some indices."""
        del epoch, seed, train
        rows, digits = np.divmod(np.asarray(indices, dtype=np.int64), _DIGITS_A_IMAGE)
        return Samples(
            images=self._images.crops_of(rows, digits)[:, np.newaxis],
            noisy=None,
            labels=self._images.labels_of(rows, digits),
            boxes=None,
        )


def open_digits(
    data_root: Path | None,
    *,
    download: bool = False,
    train_count: int = 30_000,
    test_count: int = 2_000,
    seed: int,
    blend: Blend = np.maximum,
) -> tuple[DigitDataset, DigitDataset]:
    """Find digits and compose images for training and testing; no digit is in both.

    The first two arguments are those of :func:`tapetum.data.mnist.find_digits`, the others those
    of :class:`DigitDataset`.
    """
    digits = find_digits(data_root, download=download)
    part = partial(DigitDataset, source=digits.description, blend=blend)
    # Seeds 2 n and 2 n + 1, so that no seed's training places are another seed's test places.
    return (
        part(digits.train_images, digits.train_labels, count=train_count, seed=2 * seed),
        part(digits.test_images, digits.test_labels, count=test_count, seed=2 * seed + 1),
    )


def _draw_digits(generator: np.random.Generator, num_digits: int, count: int) -> NDArray[np.int64]:
    """Draw the digits of each image, (count, 2), from whole shuffled rounds of all digits."""
    needed = count * _DIGITS_A_IMAGE
    rounds = [generator.permutation(num_digits) for _ in range(-(-needed // num_digits))]
    return np.concatenate(rounds)[:needed].reshape(count, _DIGITS_A_IMAGE)


def _draw_corners(generator: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Draw left and top of each digit, (count, 2, 2), uniformly over all pairs without overlap."""
    num_places = IMAGE_PX - DIGIT_PX + 1
    corners = generator.integers(0, num_places, (count, _DIGITS_A_IMAGE, 2))
    while True:
        overlap = np.abs(corners[:, 0] - corners[:, 1]).max(axis=1) < DIGIT_PX
        if not overlap.any():
            return corners
        corners[overlap] = generator.integers(0, num_places, (overlap.sum(), _DIGITS_A_IMAGE, 2))
