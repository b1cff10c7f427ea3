"""The regions of an image that a training sees."""

from math import ceil, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.data.layout import Box

__all__ = ["Region", "part", "window"]


class Region(NamedTuple):
    """A rectangle inside an image, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return the region of an image (c, h, w), of any type."""
        return pixels[:, self.top : self.top + self.height, self.left : self.left + self.width]

    def boxes(self, boxes: NDArray[np.float32], size_px: int) -> NDArray[np.float32]:
        """Return boxes (k, 4) of the image in the region, resampled to a square of ``size_px``."""
        corner = np.array([self.left, self.top] * 2, np.float32)
        scale = np.array([size_px / self.width, size_px / self.height] * 2, np.float32)
        mapped: NDArray[np.float32] = np.clip((boxes - corner) * scale, 0, size_px)
        return mapped.astype(np.float32)


def part(height: int, width: int, *, smallest: float, generator: np.random.Generator) -> Region:
    """Return a random region with the proportions of the image.

    Its share of the area is drawn uniformly from the smallest up to 1.
    """
    side = sqrt(generator.uniform(smallest, 1))
    inner = max(1, round(side * height)), max(1, round(side * width))
    return _at_random(*inner, height, width, generator)


def window(
    height: int,
    width: int,
    *,
    size_px: int,
    box: Box | None = None,
    generator: np.random.Generator | None = None,
) -> Region:
    """Return a square window of ``size_px``, or less where the image is smaller.

    The window is larger where a box would not fit, and contains the box.  The generator draws the
    place; without one, it is the middle of the image, or of the box.
    """
    left, top, right, bottom = (width / 2, height / 2) * 2 if box is None else box
    side = max(size_px, ceil(right - left), ceil(bottom - top)) if box else size_px
    columns, rows = min(side, width), min(side, height)
    if generator is None:
        x, y = round((left + right - columns) / 2), round((top + bottom - rows) / 2)
        left, top = min(max(x, 0), width - columns), min(max(y, 0), height - rows)
        return Region(left, top, columns, rows)
    if box is None:
        return _at_random(rows, columns, height, width, generator)
    return Region(
        _around(left, right, columns, width, generator),
        _around(top, bottom, rows, height, generator),
        columns,
        rows,
    )


def _at_random(
    height: int, width: int, of_height: int, of_width: int, generator: np.random.Generator
) -> Region:
    """Return a region of a size, uniformly over all places of an image."""
    top = int(generator.integers(of_height - height + 1))
    left = int(generator.integers(of_width - width + 1))
    return Region(left, top, width, height)


def _around(start: float, end: float, side: int, total: int, generator: np.random.Generator) -> int:
    """Draw where a window of a side begins so that it contains a range."""
    first, last = max(0, ceil(end) - side), min(int(start), total - side)
    return int(generator.integers(min(first, last), max(first, last) + 1))
