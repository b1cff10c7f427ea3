"""Boxes of a table of labels: each box in an image is a sample, whose label belongs to the box."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tapetum.data.layout import ImageFile, Layout
from tapetum.data.survey import Surveyed
from tapetum.images import LeftOut

__all__ = ["inside"]


def inside(layout: Layout, seen: Mapping[Path, Surveyed]) -> Layout:
    """Return a layout with its boxes cut to their images; boxes that show nothing are left out."""
    lost: list[LeftOut] = []

    def clipped(files: Sequence[ImageFile]) -> list[ImageFile]:
        kept = []
        for one in files:
            box = _clipped(one, seen[one.path])
            if box is not None and min(box[2] - box[0], box[3] - box[1]) < 1:
                size = seen[one.path].size
                reason = f"its box {one.box} shows less than a pixel of the image of {size}"
                lost.append(LeftOut(one.path, reason))
            else:
                kept.append(one._replace(box=box))
        return kept

    layout = layout.changed(clipped)
    return layout._replace(left_out=(*layout.left_out, *lost))


def _clipped(one: ImageFile, file: Surveyed) -> tuple[float, float, float, float] | None:
    if one.box is None:
        return None
    width, height = float(file.facts.width_px), float(file.facts.height_px)
    left, top, right, bottom = one.box
    return max(0.0, left), max(0.0, top), min(width, right), min(height, bottom)
