"""The brightness of training images, and whether another image lies outside of it.

A network that never saw a dark image labels one all the same, with a high probability. So training
measures the mean value of its images, and the package keeps the range of these means.
"""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from tapetum.records import Record

__all__ = ["BrightnessRange", "brightness_of"]

Side = Literal["darker", "brighter"]

MARGIN, LEAST_MARGIN = 0.15, 0.02
_DIGITS = 4  # after the point: more than 8 bits show


class BrightnessRange(Record):
    """The means of the training images as a network sees them, where white is 1; or of their boxes.

    Args:
        num_images: Number of images, or of boxes, that were measured.
        darkest: The smallest mean.
        dark: One of a hundred is darker than this.
        bright: One of a hundred is brighter than this.
        brightest: The largest mean.
        covered: The smallest and the largest mean that the training has shown, with the random
            changes of the brightness and with the strongest noise, which brightens a dark image
            where its values are clipped.
    """

    num_images: PositiveInt
    darkest: float
    dark: float
    bright: float
    brightest: float
    covered: tuple[float, float]

    @classmethod
    def of(cls, means: Sequence[float], shown: Iterable[float] = ()) -> Self:
        """Return the range of some means.

        Args:
            means: The mean of each training image, at least one.
            shown: Further means that the training has shown.
        """
        quantiles = np.quantile(means, (0, 0.01, 0.99, 1))
        darkest, dark, bright, brightest = (round(float(one), _DIGITS) for one in quantiles)
        every = [darkest, brightest, *(round(float(one), _DIGITS) for one in shown)]
        return cls(
            num_images=len(means),
            darkest=darkest,
            dark=dark,
            bright=bright,
            brightest=brightest,
            covered=(min(every), max(every)),
        )

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest mean without a warning.

        They leave a margin of 15 % of the distance to black and to white, and of 0.02 at least.
        """
        lowest, highest = self.covered
        return (
            lowest - max(LEAST_MARGIN, MARGIN * lowest),
            highest + max(LEAST_MARGIN, MARGIN * (1 - highest)),
        )

    def text(self, what: str = "images") -> str:
        """Return which means were measured, in words; ``what`` is images or boxes."""
        return (
            f"{self.num_images:,} measured training {what} (mean values {self.darkest:.2g} to "
            f"{self.brightest:.2g})"
        )

    def doubt(self, side: Side, what: str = "images") -> str:
        """Return what must be known of an image on one side of the range."""
        subject = "a box is " if what == "boxes" else ""
        return f"{subject}{side} than each of {self.text(what)}: the label may be wrong"

    def doubts(self, means: Sequence[float], what: str = "images") -> tuple[str, ...]:
        """Return a sentence for each side of the range on which some means lie.

        It does not name them, so that the sentences of many images are equal and can be counted.
        """
        lowest, highest = self.limits
        beyond: dict[Side, bool] = {
            "darker": any(mean < lowest for mean in means),
            "brighter": any(mean > highest for mean in means),
        }
        return tuple(self.doubt(side, what) for side, is_so in beyond.items() if is_so)


def brightness_of(
    pixels: NDArray[np.float32], boxes: NDArray[np.float32] | None = None
) -> tuple[float, ...]:
    """Return the mean value of an image, or of each box.

    Args:
        pixels: Shape (c, h, w).
        boxes: Shape (k, 4): left, top, right, bottom in pixels; None for the whole image.
    """
    parts = [pixels] if boxes is None else [_inside(pixels, box.tolist()) for box in boxes]
    return tuple(round(float(part.mean(dtype=np.float64)), _DIGITS) for part in parts)


def _inside(pixels: NDArray[np.float32], box: Sequence[float]) -> NDArray[np.float32]:
    """Return the pixels that a box touches, at least one."""
    height, width = pixels.shape[1:]
    left, top = min(int(box[0]), width - 1), min(int(box[1]), height - 1)
    return pixels[:, top : max(top + 1, ceil(box[3])), left : max(left + 1, ceil(box[2]))]
