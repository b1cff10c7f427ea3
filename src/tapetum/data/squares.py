"""Cut squares out of images."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.runtime import image, resample

__all__ = ["Integers", "Square", "cut", "middle_square", "random_square"]

Integers = NDArray[np.uint8] | NDArray[np.uint16]
"""A stored image, (c, h, w); the largest value of the type is white."""


class Square(NamedTuple):
    """A square part inside an image, in pixels."""

    left: int
    top: int
    side_px: int


def middle_square(height: int, width: int, *, side_px: int) -> Square:
    """Return the central square of ``side_px`` of an image."""
    return Square((width - side_px) // 2, (height - side_px) // 2, side_px)


def random_square(
    height: int, width: int, *, side_px: int, generator: np.random.Generator
) -> Square:
    """Return a random square of ``side_px`` of an image, uniformly over all places."""
    top = int(generator.integers(height - side_px + 1))
    left = int(generator.integers(width - side_px + 1))
    return Square(left, top, side_px)


def cut(pixels: Integers, square: Square, *, size_px: int, channels: int) -> NDArray[np.float32]:
    """Return a square of a stored image as floats in [0, 1], (channels, size_px, size_px).

    It is resampled if its side differs from ``size_px``.
    """
    left, top, side_px = square
    part = pixels[:, top : top + side_px, left : left + side_px]
    values = part.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    if side_px != size_px:
        values = resample(values, height=size_px, width=size_px)
    return image.as_colour(values, channels)
