"""Convert what a predictor is given to what a network takes.

Files, bytes, Pillow images and arrays become a :class:`Source`: float32, channels first, with the
channels of the network. Arrays have their channels last, as everywhere outside of Tapetum's rooms.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageOps

from tapetum.errors import DataError, InputError
from tapetum.images import DecodedImage, read_frames
from tapetum.runtime.manifest import Manifest

__all__ = [
    "ImageLike",
    "Source",
    "as_source",
    "check_boxes",
    "load",
    "load_frames",
    "split_batch",
    "type_name",
]

ImageLike = (
    Path | str | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[Any]
    | DecodedImage
)  # fmt: skip
"""An image: a file, its content, an open file, a Pillow image, an array or a decoded image."""

_TYPES = "a path, bytes, an open file, a Pillow image or a numpy array"
_FARTHEST_NOISE = 20.0  # larger values mean another scale, such as 0 to 255
_MOST_CHANNELS = 4


class Source(NamedTuple):
    """An image as a network takes it.

    Attributes:
        pixels: Shape (c, h, w), in the channels of the network, at the size of the image.
        image: The image as it was given; None where no file has such channels.
        has_flat_axis: Whether it came as an array of shape (h, w, 1).
    """

    pixels: NDArray[np.float32]
    image: DecodedImage | None
    has_flat_axis: bool = False


def load(image: ImageLike, manifest: Manifest) -> DecodedImage | NDArray[Any]:
    """Read and decode an image; arrays and decoded images are returned as they are."""
    if isinstance(image, np.ndarray):
        return _plain(image)
    _require_colours(manifest)
    if isinstance(image, DecodedImage):
        return image
    if isinstance(image, Image.Image):
        return _from_pillow(image, manifest.preparation.white)
    frames = load_frames(image, manifest)
    first = next(frames)
    if next(frames, None) is not None:
        name = str(image) if isinstance(image, Path | str) else "the file"
        remedy = "pass it to the method frames, which yields each"
        raise InputError(f"{name} has several frames", remedy)
    return first


def load_frames(image: Any, manifest: Manifest) -> Iterator[DecodedImage]:
    """Read and decode the frames of a file: a path, bytes, or an open file."""
    _require_colours(manifest)
    white = manifest.preparation.white
    if isinstance(image, Path | str):
        return read_frames(Path(image), white=white)
    if isinstance(image, bytes | bytearray | memoryview):
        return read_frames(bytes(image), white=white)
    if not hasattr(image, "read"):
        raise InputError(f"{type_name(image)} is not an image", f"pass {_TYPES}{_hint(image)}")
    try:
        content = image.read()
    except (OSError, ValueError) as error:
        raise InputError(f"the file cannot be read: {error}", "open it with mode 'rb'") from error
    if not isinstance(content, bytes):
        raise InputError("the file is open as text", "open it with mode 'rb'")
    return read_frames(content, white=white)


def as_source(image: DecodedImage | NDArray[Any], manifest: Manifest) -> Source:
    """Convert an image to the colours of the network; see :meth:`Predictor.__call__`."""
    preparation = manifest.preparation
    has_flat_axis = False
    if isinstance(image, np.ndarray):
        has_flat_axis = image.ndim == 3 and image.shape[2] == 1
        if manifest.colour == "other":
            return _of_other_channels(image, manifest)
        image = _from_array(image, preparation.white)
    if 0 in image.pixels.shape:
        raise InputError("the image is empty", "pass an image with at least one pixel")
    return Source(preparation.colours(image), image, has_flat_axis)


def split_batch(images: Any) -> list[Any]:
    """Return the images of a batch: a list or tuple, or an array of shape (n, h, w[, c])."""
    if isinstance(images, np.ndarray):
        is_one = images.ndim == 2 or (images.ndim == 3 and images.shape[2] <= _MOST_CHANNELS)
        if is_one or images.ndim not in (3, 4):
            raise InputError(
                f"an array of shape {images.shape} is not a batch of images",
                "pass (n, h, w, c), or (n, h, w) for grey, or a list of images",
            )
        return list(images)
    single = str | Path | bytes | bytearray | memoryview | Image.Image | DecodedImage
    if isinstance(images, single) or not hasattr(images, "__iter__") or hasattr(images, "read"):
        raise InputError(
            f"{type_name(images)} is not a batch of images",
            "pass a list of images, or an array of shape (n, h, w, c)",
        )
    return list(images)


def check_boxes(boxes: ArrayLike, height_px: int, width_px: int) -> NDArray[np.float32]:
    """Return boxes as a network takes them, shape (k, 4): left, top, right, bottom in pixels."""
    remedy = "pass numbers of shape (k, 4): left, top, right, bottom in pixels"
    try:
        given = np.asarray(boxes)
    except ValueError as error:  # lists of different lengths
        raise InputError("boxes are not all of four numbers", remedy) from error
    if given.shape in ((0,), (0, 4)):  # a detector has found nothing
        return np.empty((0, 4), np.float32)
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


def _require_colours(manifest: Manifest) -> None:
    """Refuse files for networks that are neither grey nor RGB."""
    if manifest.colour == "other":
        raise InputError(
            f"{manifest.name} takes {manifest.image_channels} channels, which no image file has",
            f"pass an array of shape (h, w, {manifest.image_channels})",
        )


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array in the byte order of this machine; masked values are refused."""
    if isinstance(array, np.ma.MaskedArray):
        if np.ma.is_masked(array):
            raise InputError("the array has masked values", "fill them: array.filled(0)")
        array = array.data
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _of_other_channels(array: NDArray[Any], manifest: Manifest) -> Source:
    """Return an array for a network that is neither grey nor RGB."""
    channels = manifest.image_channels
    if array.ndim != 3 or array.shape[2] != channels:
        raise InputError(
            f"the array has shape {array.shape} but {manifest.name} takes {channels} channels",
            f"pass an array of shape (h, w, {channels}){_shape_hint(array, {channels})}",
        )
    if not array.size:
        raise InputError("the image is empty", "pass an image with at least one pixel")
    values = _unit_range(array, manifest.preparation.white)
    return Source(np.ascontiguousarray(np.moveaxis(values, 2, 0)), None)


def _from_array(array: NDArray[Any], white: float | None) -> DecodedImage:
    """Split an array of shape (h, w) or (h, w, c) into planes and alpha."""
    channels = 1 if array.ndim == 2 else array.shape[-1]
    if array.ndim not in (2, 3) or not 1 <= channels <= _MOST_CHANNELS:
        raise InputError(
            f"an array of shape {array.shape} is not an image",
            "pass (h, w), or (h, w, c) with the channels last: grey or RGB, then alpha if there "
            f"is any{_shape_hint(array, {1, 2, 3, 4})}",
        )
    planes = array[np.newaxis] if array.ndim == 2 else np.moveaxis(array, 2, 0)
    num_colours = 1 if channels < 3 else 3
    alpha = _unit_range(planes[num_colours], None) if channels in (2, 4) else None
    return DecodedImage(
        _unit_range(np.ascontiguousarray(planes[:num_colours]), white),
        alpha,
        8 if array.dtype == np.uint8 else 16,
        "grey" if num_colours == 1 else "rgb",
        white=None if array.dtype == np.uint8 else white,
    )


def _unit_range(values: NDArray[Any], white: float | None) -> NDArray[np.float32]:
    """Return values on the scale [0, 1]; ``white`` becomes 1 in integers of 16 bits."""
    if values.dtype in (np.uint8, np.uint16):
        largest: float = np.iinfo(values.dtype).max
        if white is not None and values.dtype == np.uint16:
            largest = white
        scaled: NDArray[np.float32] = values.astype(np.float32) / np.float32(largest)
        return np.minimum(scaled, np.float32(1))
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
    return values.astype(np.float32)


def _from_pillow(image: Image.Image, white: float | None) -> DecodedImage | NDArray[Any]:
    """Return the samples of a Pillow image as an array, upright; with notes where it has any."""
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode == "F":
            return np.asarray(image)
        if image.mode.startswith("I"):
            values = np.asarray(image)
            if values.size and (values.min() < 0 or values.max() > np.iinfo(np.uint16).max):
                raise InputError("its integers do not fit 16 bits", "pass a uint16 array")
            values = values.astype(np.uint16)
            return values if image.mode != "I" else _with_note(values, white)
        colours = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
        colours += "A" if image.has_transparency_data else ""
        samples = np.asarray(image.convert(colours))
        if image.mode in ("P", "PA") and (samples[..., :3] == samples[..., :1]).all():
            samples = samples[..., [0, 3]] if "A" in colours else samples[..., 0]  # as in files
        return samples
    except (OSError, ValueError, SyntaxError) as error:  # it is decoded only now
        raise DataError(f"the Pillow image cannot be decoded: {error}", "open it again") from error


def _with_note(values: NDArray[np.uint16], white: float | None) -> DecodedImage:
    """Return an image of 32-bit integers, which do not say what is white."""
    note = f"its integers of 32 bits were read as 16 bits, with {white or 65535:g} for white"
    return replace(_from_array(values, white), notes=(note,))


def _shape_hint(array: NDArray[Any], channels: set[int]) -> str:
    """Return the likely mistake behind a wrong shape."""
    if array.ndim == 3 and array.shape[0] in channels:
        return "; channels come first here, so pass np.moveaxis(array, 0, 2)"
    if array.ndim == 4:
        return "; a batch goes to predict_many"
    return ""


def _hint(value: Any) -> str:
    """Return what to do with a value that is nearly an image."""
    if isinstance(value, list | tuple):
        return "; a list of images goes to predict_many"
    if hasattr(value, "permute"):  # a tensor of torch
        return "; of a tensor (c, h, w), pass tensor.permute(1, 2, 0).numpy()"
    return ""


def type_name(value: Any) -> str:
    """Return the type of a value with its article, for an error."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
