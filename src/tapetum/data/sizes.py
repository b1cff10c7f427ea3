"""The training size of a folder, from the sizes of its images."""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["LARGEST_DEFAULT_PX", "SMALLEST_PX", "TrainingSize", "training_size"]

SMALLEST_PX = 16
"""The smallest size of images: SSIM needs 11 px, and networks halve the size several times."""

LARGEST_DEFAULT_PX = 256
"""The largest default size: larger images train slowly on a CPU."""

_LOW_SHARE = 0.1  # of the images may be smaller
_ODD = 0.75  # of the next larger side: below it, the smallest image of a few is odd


class TrainingSize(NamedTuple):
    """The height and width of training images, and the rule that set it, in a sentence."""

    size_px: int
    rule: str


def training_size(shorter_sides_px: Sequence[int], given_px: int | None = None) -> TrainingSize:
    """Return the training size for images with such shorter sides.

    It is the side that nine of ten images reach, rounded down to a multiple of 8.  Of fewer than
    ten images all reach it but one that is odd.
    """
    if given_px is not None:
        return TrainingSize(given_px, f"{given_px} px, as given")
    sides = sorted(shorter_sides_px) or [SMALLEST_PX]
    place = int(_LOW_SHARE * len(sides))
    if not place and len(sides) > 2 and sides[0] < _ODD * sides[1]:
        place = 1
    side = sides[place]
    whose = "every image but one" if place == 1 else "nine of ten images"
    whose = "every image" if sides[0] == side else whose
    reached = f"the shorter side of {whose} is at least {side} px"
    rounded = side // 8 * 8
    if rounded > LARGEST_DEFAULT_PX:
        rule = f"{LARGEST_DEFAULT_PX} px, the largest default: {reached} (--size chooses another)"
        return TrainingSize(LARGEST_DEFAULT_PX, rule)
    if rounded < SMALLEST_PX:
        return TrainingSize(SMALLEST_PX, f"{SMALLEST_PX} px, the smallest size: {reached}")
    rule = f"{rounded} px: {reached}, rounded down to a multiple of 8"
    return TrainingSize(rounded, rule)
