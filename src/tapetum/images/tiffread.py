"""Read the TIFF files that Pillow cannot: floats in colour, planes apart, large stacks of ImageJ.

The package ``tifffile`` does the work. Whether a file needs it, :func:`tiff_reason` says.
"""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from tapetum.errors import DataError
from tapetum.images.decoded import (
    BitDepth,
    Metadata,
    Resolution,
    Samples,
    StoredImage,
    divided_by_alpha,
    largest_value,
)
from tapetum.images.facts import ImageFacts, chosen_frames, deep_rawmode
from tapetum.images.metadata import UNITS
from tapetum.images.source import Source, extra, opened, opened_by_pillow

__all__ = ["TIFF_SIGNATURES", "needs_tifffile", "tiff_facts", "tiff_frames"]

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_BITS_TAG, _DESCRIPTION_TAG, _PLANAR_TAG, _PLANES_APART = 258, 270, 284, 2
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_ASSOCIATED = 1


def needs_tifffile(source: Source) -> bool:
    """Return whether Pillow does not read a TIFF file rightly."""
    try:
        with opened_by_pillow(source) as image:
            tags: Any = getattr(image, "tag_v2", {})
            if tags.get(_PLANAR_TAG) == _PLANES_APART and max(tags.get(_BITS_TAG, (8,))) > 8:
                return True
            if _rawmode_is_foreign(image):
                return True
            images = re.search(r"^images=(\d+)", str(tags.get(_DESCRIPTION_TAG, "")), re.MULTILINE)
            # A stack of ImageJ in one piece has several images and one frame.
            return bool(images and int(images[1]) > 1 and getattr(image, "n_frames", 1) == 1)
    except UnidentifiedImageError:
        return True


def tiff_facts(source: Source) -> ImageFacts:
    """Return what the header of a TIFF file says."""
    with _opened_tiff(source) as tiff:
        kind = _kind_of(tiff.pages.first)
        return ImageFacts(
            format="TIFF",
            width_px=int(tiff.pages.first.imagewidth),
            height_px=int(tiff.pages.first.imagelength),
            num_frames=_num_frames(tiff),
            mode="grey" if kind.num_colours == 1 else "rgb",
            bit_depth=kind.bit_depth,
            has_alpha=kind.alpha is not None,
        )


def tiff_frames(source: Source, *, only: Sequence[int] | None = None) -> Iterator[StoredImage]:
    """Decode the frames of a TIFF file, or some of them."""
    with _opened_tiff(source) as tiff:
        count = _num_frames(tiff)
        in_one_piece = count > len(tiff.pages)
        stack = tiff.series[0].asarray(out="memmap") if in_one_piece else None
        for index in chosen_frames(count, only):
            page = tiff.pages.first if stack is not None else tiff.pages[index]
            values = page.asarray() if stack is None else stack.reshape(count, *page.shape)[index]
            samples = _samples(np.asarray(values), page)
            yield StoredImage(samples, metadata=_metadata(page), format="TIFF")


class _Kind(NamedTuple):
    """Colours, alpha and depth of a page."""

    num_colours: int
    alpha: int | None  # associated or not
    bit_depth: BitDepth


@contextmanager
def _opened_tiff(source: Source) -> Iterator[Any]:
    tifffile = extra("tifffile", "tiff")
    with opened(source) as file, tifffile.TiffFile(file) as tiff:
        yield tiff


def _rawmode_is_foreign(image: Image.Image) -> bool:
    """Whether Pillow opens 16-bit samples whose low bytes it cannot give."""
    rawmode = deep_rawmode(image)
    return rawmode is not None and not re.fullmatch(r"(RGB|RGBX|RGBA);16[BLN]", rawmode)


def _num_frames(tiff: Any) -> int:
    page, series = tiff.pages.first, tiff.series[0]
    if (num_pages := len(tiff.pages)) > 1:
        return num_pages
    return max(1, math.prod(map(int, series.shape)) // max(1, math.prod(map(int, page.shape))))


def _kind_of(page: Any) -> _Kind:
    """Return what a page holds."""
    samples, dtype = int(page.samplesperpixel), np.dtype(page.dtype or "V1")
    extras = [int(kind) for kind in page.extrasamples]
    num_colours = samples - len(extras)
    is_plain = int(page.photometric) in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB)
    if not is_plain or num_colours not in (1, 3) or len(extras) > 1:
        raise DataError(
            f"it has {samples} channels of kind {page.photometric.name}",
            "save it as grey or RGB, with or without alpha",
        )
    if dtype.kind not in "uif" or (dtype.kind == "i" and dtype.itemsize == 1):
        raise DataError(f"its numbers are {dtype}", "save it as uint8, uint16 or floats")
    depth: BitDepth = 8 if dtype == np.uint8 else 16 if dtype.itemsize == 2 else 32
    return _Kind(num_colours, extras[0] if extras else None, 32 if dtype.kind == "f" else depth)


def _samples(values: NDArray[Any], page: Any) -> Samples:
    """Return the samples, (h, w, c), of the values of a page."""
    kind = _kind_of(page)
    if page.axes == "SYX":
        values = np.moveaxis(values, 0, 2)
    values = values.reshape(page.imagelength, page.imagewidth, -1)
    if values.dtype.kind == "i" and values.min(initial=0) < 0:
        raise DataError("its integers are negative", "add an offset, or save it as floats")
    samples: Samples = values.astype({8: np.uint8, 16: np.uint16, 32: np.float32}[kind.bit_depth])
    if int(page.photometric) == _WHITE_IS_ZERO:
        samples[:, :, 0] = largest_value(kind.bit_depth) - samples[:, :, 0]
    return divided_by_alpha(samples) if kind.alpha == _ASSOCIATED else samples


def _metadata(page: Any) -> Metadata:
    """Return what a page says beside its pixels."""
    tags = {tag.code: tag.value for tag in page.tags.values()}
    resolution = None
    if 282 in tags and 283 in tags:
        x, y = (value[0] / value[1] if value[1] else 0.0 for value in (tags[282], tags[283]))
        unit = UNITS.get(int(tags.get(296, 2)), "none")
        resolution = Resolution(x, y, unit) if x > 0 and y > 0 else None
    profile, description = tags.get(34675), tags.get(_DESCRIPTION_TAG)
    return Metadata(
        icc_profile=profile if isinstance(profile, bytes) else None,
        resolution=resolution,
        description=description if isinstance(description, str) else None,
    )
