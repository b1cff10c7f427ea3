"""Augmentation: the random changes of a training image, and how they are drawn.

The user decides; :mod:`tapetum.data.mirroring` chooses ``mirror`` where it is ``auto``.
"""

from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tapetum.records import Record

__all__ = ["Augmentation", "Mirror", "Orientation"]

Mirror = Literal["auto", "on", "off"]

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Augmentation(Record):
    """The random changes of training images; validation and prediction make none.

    Args:
        mirror: Whether images are mirrored left to right; ``auto`` mirrors where neither the names
            of the classes nor the images say that it matters.
        vertical_flip: Whether images are flipped upside down.
        quarter_turns: Whether images are turned by multiples of 90 degrees.
        crop_scale: The smallest part of an image that is cut out, as a share of its area; 1 keeps
            whole images. Unlabelled and paired images are cut at their own resolution instead.
        window_px: Side of the windows that are cut out of unlabelled images, at most the training
            size; None for the training size. Small windows of many images teach more in the same
            time.
        brightness: Largest relative change of the brightness.
        reason: Why ``auto`` became on or off; empty where the user has decided.
    """

    mirror: Mirror = "auto"
    vertical_flip: bool = False
    quarter_turns: bool = False
    crop_scale: Annotated[float, Field(gt=0, le=1)] = 0.64
    window_px: Annotated[int, Field(ge=16)] | None = None
    brightness: Fraction = 0.0
    reason: str = ""

    def window_of(self, size_px: int, *, has_labels: bool) -> int:
        """Return the side of the windows that are cut out, for training images of ``size_px``.

        Labelled images keep that size, which the classifier has to know.
        """
        return size_px if has_labels else min(self.window_px or size_px, size_px)

    def describe(self, *, window_px: int | None = None) -> str:
        """Return the changes in words, for people.

        Args:
            window_px: Side of the windows that are cut out of unlabelled images and of images with
                boxes; None for labelled images.
        """
        parts = [f"mirror {self.mirror}{f' ({self.reason})' if self.reason else ''}"]
        parts += ["vertical flip"] if self.vertical_flip else []
        parts += ["quarter turns"] if self.quarter_turns else []
        area = f"crops of at least {self.crop_scale:.0%} of the area"
        parts.append(area if window_px is None else f"windows of {window_px} px anywhere")
        parts += [f"brightness +-{self.brightness:.0%}"] if self.brightness else []
        return ", ".join(parts)

    def draw(self, generator: np.random.Generator) -> "Orientation":
        """Draw mirror, flip and turns; the same numbers are used up whatever is switched on."""
        mirror, flip, turns = generator.integers((2, 2, 4)).tolist()
        return Orientation(
            bool(mirror) and self.mirror == "on",
            bool(flip) and self.vertical_flip,
            turns if self.quarter_turns else 0,
        )

    def draw_gain(self, generator: np.random.Generator, brightest: float) -> np.float32:
        """Draw the factor of the brightness, at most so that the brightest value stays below 1."""
        gain = generator.uniform(1 - self.brightness, 1 + self.brightness)
        return np.float32(min(gain, self.gains(brightest)[1]))

    def gains(self, brightest: float) -> tuple[float, float]:
        """Return the smallest and the largest factor of an image with that brightest value."""
        largest = min(1 + self.brightness, 1 / max(brightest, 0.5)) if self.brightness else 1.0
        return 1 - self.brightness, largest


class Orientation(NamedTuple):
    """How a square image is mirrored and turned."""

    mirror: bool = False
    flip: bool = False
    turns: int = 0

    def image(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return an image (c, h, w), changed."""
        pixels = pixels[:, :, ::-1] if self.mirror else pixels
        pixels = pixels[:, ::-1] if self.flip else pixels
        return np.rot90(pixels, self.turns, axes=(1, 2)) if self.turns else pixels

    def boxes(self, boxes: NDArray[np.float32], size_px: int) -> NDArray[np.float32]:
        """Return boxes (k, 4) of an image of ``size_px`` x ``size_px``, changed alike."""
        left, top, right, bottom = boxes.T
        if self.mirror:
            left, right = size_px - right, size_px - left
        if self.flip:
            top, bottom = size_px - bottom, size_px - top
        for _ in range(self.turns):  # counter-clockwise, as np.rot90
            left, top, right, bottom = top, size_px - right, bottom, size_px - left
        return np.stack([left, top, right, bottom], axis=1)
