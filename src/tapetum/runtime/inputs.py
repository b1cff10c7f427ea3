"""Convert what a predictor is given to what a network takes.

Files, arrays and images become a :class:`Source`: float32 in [0, 1], channels first, with the
channels of the network.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapetum.errors import DataError, InputError
from tapetum.runtime.image import IMAGE_SUFFIXES, DecodedImage, as_colour, read_image
from tapetum.runtime.manifest import Manifest

__all__ = ["Source", "as_source", "check_boxes", "images_in"]

_FARTHEST_NOISE = 20.0  # larger values mean another scale, such as 0 to 255


class Source(NamedTuple):
    """A :class:`DecodedImage` of any number of channels; arrays of floats have 16 bits."""

    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32] | None
    bit_depth: Literal[8, 16, 32]


def as_source(image: Path | str | NDArray[Any] | DecodedImage, manifest: Manifest) -> Source:
    """Read an image, as described at :meth:`Predictor.__call__`, in the colours of the network.

    Raises:
        InputError: The array has another shape, type or range.
        DataError: The file cannot be read.
    """
    if isinstance(image, np.ndarray):
        source = _from_array(image, manifest.colour == "other")
    elif manifest.colour == "other":
        raise InputError(
            f"{manifest.name} takes {manifest.image_channels} channels, which no image file has",
            f"pass an array of shape (h, w, {manifest.image_channels})",
        )
    else:
        decoded = image if isinstance(image, DecodedImage) else read_image(Path(image))
        source = Source(decoded.pixels, decoded.alpha, decoded.bit_depth)
    if 0 in source.pixels.shape:
        raise InputError("the image is empty", "pass an image with at least one pixel")
    channels = manifest.image_channels
    if manifest.colour != "other":
        return source._replace(pixels=as_colour(source.pixels, channels))
    if len(source.pixels) != channels:
        raise InputError(
            f"the image has {len(source.pixels)} channels but the network takes {channels}",
            f"pass an array of shape (h, w, {channels})",
        )
    return source


def check_boxes(boxes: ArrayLike, height_px: int, width_px: int) -> NDArray[np.float32]:
    """Return boxes as a network takes them, shape (k, 4): left, top, right, bottom in pixels.

    Raises:
        InputError: The shape is another, there is no box, or a box is empty or leaves the image.
    """
    remedy = "pass numbers of shape (k, 4): left, top, right, bottom in pixels"
    try:
        given = np.asarray(boxes)
    except ValueError as error:  # lists of different lengths
        raise InputError("boxes are not all of four numbers", remedy) from error
    if not given.size:
        raise InputError("no box was passed", "pass at least one box, or use mode='image'")
    if given.ndim != 2 or given.shape[1] != 4 or given.dtype.kind not in "uif":
        raise InputError(f"boxes are {given.dtype} of shape {given.shape}", remedy)
    checked = given.astype(np.float32)
    left, top, right, bottom = checked.T
    inside = (left >= 0) & (top >= 0) & (right <= width_px) & (bottom <= height_px)
    wrong = np.flatnonzero(~(inside & (left < right) & (top < bottom)))  # also true for NaN
    if wrong.size:
        index = int(wrong[0])
        raise InputError(
            f"box {index}, {given[index].tolist()}, is not inside the image of {width_px} x "
            f"{height_px} px",
            "pass left < right <= width and top < bottom <= height, in pixels",
        )
    return checked


def images_in(folder: Path, *, without: Path | None = None) -> list[Path]:
    """Return the image files of a folder and its sub-folders, sorted by name, without hidden ones.

    Args:
        folder: The folder.
        without: A sub-folder to leave out.

    Raises:
        DataError: The folder does not exist, cannot be read, or has no image.
    """
    try:
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}", "check the path")
        images = sorted(_walk(folder, None if without is None else without.resolve()))
    except OSError as error:
        raise DataError(
            f"cannot read {error.filename or folder}: {error.strerror or error}",
            "change its permissions, or give another folder",
        ) from error
    if not images:
        outside = "" if without is None else f" outside of {without}"
        raise DataError(
            f"no image in {folder}{outside}",
            f"known suffixes: {', '.join(sorted(IMAGE_SUFFIXES))}",
        )
    return images


def _walk(folder: Path, without: Path | None) -> Iterator[Path]:
    """Return image files in no order; raise OSError if a folder cannot be read."""

    def stop(error: OSError) -> None:  # os.walk would take the folder as empty
        raise error

    for place, folders, names in os.walk(folder, onerror=stop):
        here = Path(place)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and (without is None or (here / name).resolve() != without)
        ]
        for name in names:
            path = here / name
            known = path.suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")
            if known and path.is_file():
                yield path


def _from_array(array: NDArray[Any], keep_channels: bool) -> Source:
    """Split an array of shape (h, w) or (h, w, c) into planes and alpha."""
    if array.ndim not in (2, 3):
        raise InputError(
            f"an array of shape {array.shape} is not an image", "pass (h, w) or (h, w, c)"
        )
    planes = array[np.newaxis] if array.ndim == 2 else np.moveaxis(array, 2, 0)
    values, bit_depth = _unit_range(np.ascontiguousarray(planes))
    if keep_channels or len(values) in (1, 3):
        return Source(values, None, bit_depth)
    if len(values) in (2, 4):
        return Source(values[:-1], values[-1], bit_depth)
    raise InputError(
        f"an array of shape {array.shape} has {len(values)} channels",
        "pass (h, w) or (h, w, c) with the channels last: grey or RGB, then alpha if there is any",
    )


def _unit_range(values: NDArray[Any]) -> tuple[NDArray[np.float32], Literal[8, 16]]:
    """Return values on the scale [0, 1], and their bit depth."""
    if values.dtype in (np.uint8, np.uint16):
        white = np.float32(np.iinfo(values.dtype).max)
        return values.astype(np.float32) / white, 8 if values.dtype == np.uint8 else 16
    if values.dtype.kind != "f":
        raise InputError(
            f"an array of {values.dtype} is not an image", "pass uint8, uint16, or floats in [0, 1]"
        )
    if not np.isfinite(values).all():
        raise InputError("the image has values that are not finite", "replace NaN and infinity")
    # Noise may leave [0, 1], and a network trained on such noise needs it, but not this far.
    if values.size and max(-values.min(), values.max()) > _FARTHEST_NOISE:
        raise InputError(
            f"the image has values from {values.min():.4g} to {values.max():.4g}",
            "divide floats to the scale [0, 1], or pass uint8 or uint16",
        )
    return values.astype(np.float32), 16
