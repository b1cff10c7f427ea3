"""Convert between image files and arrays; every conversion happens in this module.

Files are grey or RGB, with or without alpha, with palettes, 8 or 16 bits per channel, or rotated by
their EXIF tag.

Pillow opens 16-bit colour but keeps only 8 bits of it. The image is therefore decoded a second time
with the opposite byte order, which makes Pillow keep the low bytes. This covers 16-bit RGB and RGBA
in PNG and TIFF, and grey with alpha in PNG. Other 16-bit files (CMYK and planar TIFF, colour PPM)
are refused instead of being read at half their depth. JPEG 2000 in colour is read with 8 bits.

Only the first image of a GIF or TIFF file is read. Colour profiles and other metadata are neither
read nor written.
"""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from tapetum.errors import DataError
from tapetum.records import write_atomically
from tapetum.runtime.png16 import encode_png16

__all__ = [
    "IMAGE_SUFFIXES",
    "DecodedImage",
    "as_colour",
    "decode_image",
    "encode_image",
    "lossless_suffix",
    "read_image",
    "write_image",
]

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm"}
    | {".tif", ".tiff", ".webp"}
)
"""Lower-case suffixes of the files that are taken for images."""

_LOSSLESS_SUFFIXES = frozenset({".png", ".tif", ".tiff"})

# An explicit list: a disguised file must not reach a decoder that starts programs (EPS).
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as Pillow's "L"

_BITS_TAG, _PLANAR_TAG = 258, 284  # of TIFF 6.0: BitsPerSample, PlanarConfiguration

# Rawmodes that keep one byte of each 16-bit sample, and the ones that keep the other byte.
_OTHER_BYTE = {"16B": "16L", "16L": "16B", "16N": "16B"}  # N is little-endian on our machines

_WRITERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    ".bmp": ("BMP", {}),
    ".jpeg": ("JPEG", {"quality": 95}),
    ".jpg": ("JPEG", {"quality": 95}),
    ".png": ("PNG", {}),
    ".tif": ("TIFF", {"compression": "tiff_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_deflate"}),
    ".webp": ("WEBP", {"lossless": True, "exact": True}),
}

_Samples = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An image inside Tapetum.

    Args:
        pixels: Shape (c, h, w), in [0, 1]; c is 1 for grey and 3 for RGB.
        alpha: Opacity, shape (h, w), in [0, 1]; None without alpha.
        bit_depth: Bits per channel of the source, and of the file that is written.
        mode: The meaning of the channels.

    Raises:
        DataError: Shape, mode and alpha do not fit together.
    """

    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32] | None
    bit_depth: Literal[8, 16]
    mode: Literal["grey", "rgb"]

    def __post_init__(self) -> None:
        channels = 1 if self.mode == "grey" else 3
        if self.pixels.ndim != 3 or self.pixels.shape[0] != channels:
            raise DataError(
                f"a {self.mode} image has shape ({channels}, h, w), not {self.pixels.shape}",
                "give channels first",
            )
        if self.alpha is not None and self.alpha.shape != self.pixels.shape[1:]:
            raise DataError(
                f"alpha of {self.alpha.shape} does not fit pixels of {self.pixels.shape[1:]}",
                "give both the same height and width",
            )

    def to_integers(self) -> _Samples:
        """Return the pixels as a file stores them: shape (c, h, w), clipped and rounded."""
        return _to_integers(self.pixels, self.bit_depth)


def read_image(path: Path) -> DecodedImage:
    """Read an image file.

    Raises:
        DataError: There is no such file, or it is not a complete image.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = f"cannot read {path}: {error.strerror or error}"
        raise DataError(problem, "check the path") from error
    try:
        return decode_image(content)
    except DataError as error:
        raise DataError(f"cannot read {path}: {error.problem}", error.remedy) from error


def decode_image(content: bytes) -> DecodedImage:
    """Decode an image from the bytes of its file.

    Raises:
        DataError: The bytes are not a complete image; the message has no file name.
    """
    if not content:
        raise DataError("the file is empty", "copy it again")
    try:
        return _decode(content)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        known = f"a known format ({', '.join(_FORMATS)})"
        raise DataError(f"not an image in {known}", "convert it to PNG") from error
    except Image.DecompressionBombError as error:
        raise DataError("it has too many pixels to be opened safely", "make it smaller") from error
    except Exception as error:  # decoders of untrusted bytes raise almost any exception
        raise DataError(
            f"it is damaged ({str(error) or type(error).__name__})",
            "copy the file again or leave it out",
        ) from error


def write_image(path: Path, image: DecodedImage) -> None:
    """Write an image in one step, in the format of the path's suffix (PNG without one).

    Raises:
        DataError: The format cannot keep the image's depth or alpha, or the path cannot be written.
    """
    content = encode_image(image, path.suffix.lower() or ".png")
    try:
        write_atomically(path, content)
    except OSError as error:
        problem = f"cannot write {path}: {error.strerror or error}"
        raise DataError(problem, "choose another place") from error


def encode_image(image: DecodedImage, suffix: str = ".png") -> bytes:
    """Encode an image as the bytes of a file.

    Args:
        image: The image; values outside [0, 1] are clipped.
        suffix: Lower-case suffix that selects the format.

    Raises:
        DataError: The format is not supported, or cannot keep the image's depth or alpha.
    """
    if suffix not in _WRITERS:
        raise DataError(f"images cannot be written as {suffix!r}", f"use {', '.join(_WRITERS)}")
    format_name, options = _WRITERS[suffix]
    misfit = _misfit(image, format_name)
    if misfit is not None:
        raise DataError(misfit, "write a .png")
    samples = _interleave(image)
    if image.bit_depth == 16 and format_name == "PNG":
        return encode_png16(samples.astype(np.uint16))
    file = io.BytesIO()
    pillow_image = Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
    pillow_image.save(file, format_name, **options)
    return file.getvalue()


def lossless_suffix(image: DecodedImage, suffix: str) -> str:
    """Return ``suffix`` if its format keeps every bit, the depth and the alpha; else ``.png``."""
    lower = suffix.lower()
    keeps_all = lower in _LOSSLESS_SUFFIXES and not _misfit(image, _WRITERS[lower][0])
    return suffix if keeps_all else ".png"


def as_colour(pixels: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Convert between grey and RGB; grey is the luma of ITU-R BT.601.

    Args:
        pixels: Shape (..., c, h, w) with c 1 or 3.
        channels: Number of channels to return, 1 or 3.

    Raises:
        DataError: The number of channels is neither 1 nor 3.
    """
    given = pixels.shape[-3]
    if {given, channels} - {1, 3}:
        problem = f"cannot turn {given} channels into {channels}"
        raise DataError(problem, "images have 1 channel (grey) or 3 (RGB)")
    if given == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-3)
    grey: NDArray[np.float32] = np.einsum("...chw,c->...hw", pixels, _LUMA)
    return grey[..., np.newaxis, :, :]


def _open(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=_FORMATS)


def _decode(content: bytes) -> DecodedImage:
    with _open(content) as image:
        deep = _deep_rawmode(image)
        if deep is not None:
            return _from_samples(*_deep_colour(content, deep, image.info.get("transparency")))
        if image.mode == "F":
            raise DataError("its numbers are floats without a fixed range", "save it with 16 bits")
        if image.mode.startswith("I"):
            return _from_samples(*_deep_grey(image))
        return _from_samples(_shallow(image))


def _from_samples(samples: _Samples, alpha: NDArray[np.bool_] | None = None) -> DecodedImage:
    """Make an image of (h, w, c) samples: grey, grey + alpha, RGB, RGB + alpha."""
    largest = np.float32(np.iinfo(samples.dtype).max)
    planes = np.ascontiguousarray(np.moveaxis(samples, 2, 0)).astype(np.float32) / largest
    num_colours = 1 if samples.shape[2] < 3 else 3
    opacity = planes[num_colours] if samples.shape[2] in (2, 4) else None
    if alpha is not None:
        opacity = alpha.astype(np.float32)
    return DecodedImage(
        pixels=planes[:num_colours],
        alpha=opacity,
        bit_depth=8 if samples.dtype == np.uint8 else 16,
        mode="grey" if num_colours == 1 else "rgb",
    )


def _shallow(image: Image.Image) -> NDArray[np.uint8]:
    """Return the 8-bit samples, (h, w, c), of any mode that Pillow can convert."""
    is_grey = image.mode in ("1", "L", "LA", "La")
    has_alpha = image.has_transparency_data
    target = ("LA" if has_alpha else "L") if is_grey else ("RGBA" if has_alpha else "RGB")
    samples = np.atleast_3d(np.asarray(ImageOps.exif_transpose(image).convert(target)))
    if image.mode in ("P", "PA") and (samples[:, :, :3] == samples[:, :, :1]).all():
        samples = samples[:, :, [0, 3]] if has_alpha else samples[:, :, :1]
    return samples


def _deep_grey(image: Image.Image) -> tuple[NDArray[np.uint16], NDArray[np.bool_] | None]:
    """Return the samples, (h, w, 1), of a 16-bit grey image, and the alpha of its key value."""
    values = np.asarray(ImageOps.exif_transpose(image))
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise DataError("its integers do not fit 16 bits", "save it with 16 bits")
    key = image.info.get("transparency")
    return values.astype(np.uint16)[:, :, np.newaxis], None if key is None else values != key


def _deep_rawmode(image: Image.Image) -> str | None:
    """Return Pillow's raw mode of a file with 16-bit colour; None for other files."""
    tags = getattr(image, "tag_v2", {})
    if tags.get(_PLANAR_TAG) == 2 and max(tags.get(_BITS_TAG, (8,))) > 8:
        raise DataError("16-bit colour in separate planes cannot be read", "save it as 16-bit PNG")
    for tile in getattr(image, "tile", ()):
        if tile.codec_name.startswith("ppm") and image.mode == "RGB" and tile.args[-1] > 255:
            raise DataError("16-bit colour in a PPM file cannot be read", "save it as 16-bit PNG")
        rawmode = tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0]
        if ";16" in str(rawmode) and not image.mode.startswith("I"):
            return str(rawmode)
    return None


def _deep_colour(
    content: bytes, rawmode: str, key: tuple[int, int, int] | None
) -> tuple[NDArray[np.uint16], NDArray[np.bool_] | None]:
    """Return the samples, (h, w, c), of 16-bit colour, and the alpha of its key colour."""
    match = re.fullmatch(r"(RGB|RGBX|RGBA|LA);(16[BLN])", rawmode)
    if match is None:
        raise DataError(
            f"16-bit samples stored as {rawmode} cannot be read at full depth",
            "save it as 16-bit RGB PNG",
        )
    kind, order = match.groups()
    if kind == "LA":  # four bytes per pixel: grey high and low, alpha high and low
        quads = _decode_as(content, "RGBA").astype(np.uint16)
        return quads[:, :, [0, 2]] * 256 + quads[:, :, [1, 3]], None
    high = _decode_as(content, rawmode).astype(np.uint16)
    samples = high * 256 + _decode_as(content, f"{kind};{_OTHER_BYTE[order]}")
    return samples, None if key is None else (samples != np.array(key)).any(axis=2)


def _decode_as(content: bytes, rawmode: str) -> NDArray[np.uint8]:
    """Decode an image with another raw mode."""
    with _open(content) as image:
        tiles = image.tile  # type: ignore[attr-defined]  # every opened file has tiles
        image.tile = [  # type: ignore[attr-defined]
            tile._replace(args=rawmode if isinstance(tile.args, str) else (rawmode, *tile.args[1:]))
            for tile in tiles
        ]
        return np.asarray(ImageOps.exif_transpose(image))


def _misfit(image: DecodedImage, format_name: str) -> str | None:
    """Describe what a format cannot keep of an image; None if it keeps depth and alpha."""
    is_deep, has_alpha = image.bit_depth == 16, image.alpha is not None
    is_plain = image.mode == "grey" and not has_alpha
    keeps_depth = format_name == "PNG" or (format_name == "TIFF" and is_plain)
    if is_deep and not keeps_depth:
        kind = f"{image.mode}{' with alpha' if has_alpha else ''}"
        return f"{format_name} cannot keep 16 bits of {kind} here"
    if has_alpha and format_name not in ("PNG", "TIFF", "WEBP"):
        return f"{format_name} cannot keep the image's alpha"
    return None


def _interleave(image: DecodedImage) -> _Samples:
    """Return the samples as files store them: (h, w, c), alpha last."""
    planes = image.pixels
    if image.alpha is not None:
        planes = np.concatenate([planes, image.alpha[np.newaxis]])
    return _to_integers(np.ascontiguousarray(np.moveaxis(planes, 0, 2)), image.bit_depth)


def _to_integers(values: NDArray[np.float32], bit_depth: int) -> _Samples:
    scaled: NDArray[np.float32] = np.rint(np.clip(values, 0, 1) * np.float32(2**bit_depth - 1))
    return scaled.astype(np.uint8) if bit_depth == 8 else scaled.astype(np.uint16)
