"""Encode images and animations as files."""

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

from tapetum.errors import DataError, InputError, nearest
from tapetum.images.decoded import DecodedImage, Metadata, StoredImage, largest_value
from tapetum.images.npy import encode_npy
from tapetum.images.png16 import encode_png16
from tapetum.images.pnm import encode_pnm16
from tapetum.images.quiet import without_warnings
from tapetum.images.source import add_heif
from tapetum.images.tiff import encode_tiff
from tapetum.records import write_atomically

__all__ = [
    "OutputFormat",
    "encode_frames",
    "output_format",
    "write_frames",
    "write_image",
]


AnyImage = DecodedImage | StoredImage


class _Format(NamedTuple):
    """What a format of files can keep; the first suffix is the usual one."""

    suffixes: tuple[str, ...]
    options: Mapping[str, Any]
    depths: tuple[int, ...] = (8,)
    alpha: bool = False
    frames: bool = False
    colour_depth: int = 8  # of colour images


_QUALITY = 95  # no visible loss; colours at full resolution

_FORMATS: Mapping[str, _Format] = {
    "PNG": _Format((".png", ".apng"), {}, (8, 16), alpha=True, frames=True, colour_depth=16),
    "JPEG": _Format(
        (".jpg", ".jpeg", ".jpe", ".jfif"), {"quality": _QUALITY, "subsampling": "4:4:4"}
    ),
    "TIFF": _Format((".tif", ".tiff"), {}, (8, 16, 32), alpha=True, frames=True, colour_depth=32),
    "WEBP": _Format((".webp",), {"lossless": True, "exact": True}, alpha=True, frames=True),
    "GIF": _Format((".gif",), {}, alpha=True, frames=True),
    "BMP": _Format((".bmp",), {}),
    "DIB": _Format((".dib",), {}),
    "PPM": _Format((".ppm", ".pgm", ".pnm"), {}, (8, 16), colour_depth=16),
    "JPEG2000": _Format((".jp2",), {}, (8, 16), alpha=True),
    "NPY": _Format((".npy",), {}, (8, 16, 32), alpha=True, frames=True, colour_depth=32),
    "HEIF": _Format(
        (".heic", ".heif", ".hif"), {"quality": _QUALITY, "chroma": 444}, alpha=True, frames=True
    ),
    "AVIF": _Format(
        (".avif",), {"quality": _QUALITY, "subsampling": "4:4:4"}, alpha=True, frames=True
    ),
}


class OutputFormat(NamedTuple):
    """How an image is written.

    Attributes:
        suffix: Suffix of the file, which selects its format.
        reason: Why it is not the format that was requested or read, or what it loses; None if there
            is nothing to say.
    """

    suffix: str
    reason: str | None


def output_format(
    image: AnyImage, requested: str | None = None, *, suffix: str = "", num_frames: int = 1
) -> OutputFormat:
    """Choose the format of a denoised image: the requested one, else that of the file it came from.

    An image that the format cannot keep goes to PNG (floats and deep stacks: to TIFF).

    Args:
        image: The image.
        requested: Name or suffix of a format, such as ``png`` or ``.jpg``.
        suffix: Suffix of the file that was read; it is kept where it fits the format.
        num_frames: Number of images in the file.

    Raises:
        DataError: There is no such format, or the image does not fit the requested one.
    """
    if requested is not None:
        name = _format_of("." + requested.lower().removeprefix("."))
        misfit = _misfit(image, name, num_frames)
        if misfit is not None:
            raise DataError(misfit, f"use {_refuge(image, num_frames)[1:]}")
        return OutputFormat("." + requested.lower().removeprefix("."), _loss(image, name))
    name = image.format or "PNG"
    if name not in _FORMATS:
        return OutputFormat(_refuge(image, num_frames), f"{name} files are read, not written")
    misfit = _misfit(image, name, num_frames)
    if misfit is not None:
        return OutputFormat(_refuge(image, num_frames), misfit)
    suffixes = _FORMATS[name].suffixes
    return OutputFormat(suffix if suffix.lower() in suffixes else suffixes[0], _loss(image, name))


def write_image(path: Path | str, image: AnyImage) -> None:
    """Write an image in one step, in the format of the path's suffix (PNG without one).

    The values are on the scale of :attr:`DecodedImage.white`, and those outside of [0, 1] are
    clipped. Profile, resolution, Exif data and texts are written where the format has a place for
    them.

    Raises:
        InputError: It is not a decoded image.
        DataError: The format cannot keep the image's depth or alpha, or the path cannot be written.
    """
    write_frames(Path(path), [image], num_frames=1)


def write_frames(path: Path, frames: Iterable[AnyImage], *, num_frames: int) -> None:
    """Write the frames of a stack or animation as one file; see :func:`write_image`.

    TIFF files and arrays are written frame by frame. The frames of other formats are collected
    first, as their samples.

    Raises:
        DataError: The format cannot keep the images, or the path cannot be written.
    """
    content = encode_frames(frames, path.suffix.lower() or ".png", num_frames)
    try:
        write_atomically(path, content)
    except OSError as error:
        problem = f"cannot write {path}: {error.strerror or error}"
        raise DataError(problem, "choose another place") from error


def encode_frames(frames: Iterable[AnyImage], suffix: str, num_frames: int) -> Iterator[bytes]:
    """Encode images as the parts of one file, in the format of a lower-case suffix."""
    name = _format_of(suffix)
    if num_frames < 1:
        raise DataError("there is no frame to write", "give at least one image")
    images = _fitting(frames, name, num_frames)
    if name == "TIFF":
        return encode_tiff((image.to_samples(), image.metadata) for image in images)
    if name == "NPY":
        return encode_npy((image.to_samples() for image in images), num_frames)
    return _encode_whole(images, name)


def _fitting(frames: Iterable[AnyImage], name: str, num_frames: int) -> Iterator[AnyImage]:
    """Yield the images; refuse one that does not fit the format."""
    for image in frames:
        if not isinstance(image, DecodedImage | StoredImage):
            raise InputError(
                f"an image to write is a DecodedImage, not {type(image).__name__}",
                "write the field 'denoised' of a prediction, or wrap an array in DecodedImage",
            )
        misfit = _misfit(image, name, num_frames)
        if misfit is not None:
            raise DataError(misfit, f"write a {_refuge(image, num_frames)}")
        yield image


def _encode_whole(images: Iterator[AnyImage], name: str) -> Iterator[bytes]:
    """Encode images of a format that is not written frame by frame."""
    first = next(images)
    if name == "PPM" and first.bit_depth == 16:
        samples = first.to_samples().astype(np.uint16)
        yield encode_pnm16(samples, first.white or largest_value(16))
    elif name == "PNG" and first.bit_depth == 16:
        yield encode_png16(first.to_samples().astype(np.uint16), first.metadata)
    else:
        yield _encode_by_pillow(first, images, name)


def _format_of(suffix: str) -> str:
    for name, kind in _FORMATS.items():
        if suffix in kind.suffixes:
            return name
    known = [suffix for kind in _FORMATS.values() for suffix in kind.suffixes]
    raise DataError(f"images cannot be written as {suffix!r}", nearest(suffix, known))


def _misfit(image: AnyImage, name: str, num_frames: int) -> str | None:
    """Describe what a format cannot keep of an image; None if it keeps depth, alpha and frames."""
    kind = _FORMATS[name]
    deepest = max(kind.depths) if image.mode == "grey" else kind.colour_depth
    if image.bit_depth > deepest:
        what = "floats" if image.bit_depth == 32 else "16 bits"
        return f"{name} cannot keep {what} of {image.mode} here"
    if image.has_alpha and not kind.alpha:
        return f"{name} cannot keep the image's alpha"
    if num_frames > 1 and not kind.frames:
        return f"{name} holds one image, not {num_frames}"
    if num_frames > 1 and name == "PNG" and image.bit_depth > 8:
        return "animated PNG cannot keep 16 bits here"
    return None


def _refuge(image: AnyImage, num_frames: int) -> str:
    """Return the suffix of a format that keeps the image."""
    return ".tif" if _misfit(image, "PNG", num_frames) else ".png"


def _loss(image: AnyImage, name: str) -> str | None:
    """Describe what a format changes in an image that fits."""
    if name == "GIF" and image.mode == "rgb":
        return "GIF holds 256 colours a frame, so colours were reduced"
    return None


def _encode_by_pillow(first: AnyImage, others: Iterable[AnyImage], name: str) -> bytes:
    file = io.BytesIO()
    if name == "HEIF":
        add_heif()
    options = dict(_FORMATS[name].options) | _save_options(first.metadata, name)
    pictures, durations = [], [first.metadata.duration_ms or 100]
    for image in others:
        pictures.append(_picture(image))
        durations.append(image.metadata.duration_ms or 100)
    if pictures:
        loop = first.metadata.loop
        options |= {"save_all": True, "append_images": pictures, "duration": durations}
        options |= {} if loop is None else {"loop": loop}
        # Frames that only store changes would give an image without alpha one.
        options |= {"kmin": 0, "kmax": 1} if name == "WEBP" else {}
    with without_warnings():
        try:
            _picture(first).save(file, name, **options)
        except Exception as error:  # encoders raise almost any exception, such as for its size
            raise DataError(
                f"{name} cannot keep this image ({' '.join(str(error).split())[:200]})",
                f"use {_refuge(first, 1 + len(pictures))[1:]}",
            ) from error
    return file.getvalue()


def _picture(image: AnyImage) -> Image.Image:
    samples = image.to_samples()
    return Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)


def _save_options(metadata: Metadata, name: str) -> dict[str, Any]:
    """Return what Pillow writes beside the pixels."""
    options: dict[str, Any] = {}
    if name in ("PNG", "JPEG", "WEBP", "AVIF"):
        options |= {"icc_profile": metadata.icc_profile} if metadata.icc_profile else {}
        options |= {"exif": metadata.exif} if metadata.exif else {}
    if metadata.resolution is not None and name in ("PNG", "JPEG", "BMP", "DIB"):
        x, y, unit = metadata.resolution
        scale = {"inch": 1.0, "cm": 2.54}.get(unit)
        options |= {} if scale is None else {"dpi": (x * scale, y * scale)}
    if metadata.text and name == "PNG":
        texts = PngImagePlugin.PngInfo()
        for key, text in metadata.text:
            texts.add_itxt(key, text)
        options["pnginfo"] = texts
    return options
