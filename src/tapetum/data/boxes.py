"""Boxes of a table of labels: each box in an image is a sample, whose label belongs to the box."""

from collections.abc import Sequence
from dataclasses import replace

from tapetum.data.loading import DecodedFile
from tapetum.images import LeftOut

__all__ = ["boxed", "inside"]


def inside(loaded: Sequence[DecodedFile]) -> tuple[list[DecodedFile], list[LeftOut]]:
    """Return the images whose box shows a part of the image, and the others with the reason."""
    kept, lost = [], []
    for one in loaded:
        left, top, right, bottom = _clipped(one)
        if right - left >= 1 and bottom - top >= 1:
            kept.append(one)
        else:
            size = f"{one.width} x {one.height} px"
            reason = f"its box {one.file.box} shows less than a pixel of the image of {size}"
            lost.append(LeftOut(one.file.path, reason))
    return kept, lost


def boxed(loaded: Sequence[DecodedFile]) -> list[DecodedFile]:
    """Return images with boxes inside the image; those without a box get one around all of it."""
    return [replace(one, file=one.file._replace(box=_clipped(one))) for one in loaded]


def _clipped(one: DecodedFile) -> tuple[float, float, float, float]:
    width, height = float(one.width), float(one.height)
    left, top, right, bottom = one.file.box or (0.0, 0.0, width, height)
    return max(0.0, left), max(0.0, top), min(width, right), min(height, bottom)
