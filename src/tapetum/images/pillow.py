"""Decode image files with Pillow, at their full depth.

Pillow opens 16-bit colour but keeps only 8 bits of it. The image is therefore decoded a second time
with the opposite byte order, which makes Pillow keep the low bytes. This covers 16-bit RGB and RGBA
in PNG and TIFF, and grey with alpha in PNG. Colour JPEG 2000, AVIF and HEIC are read with 8 bits.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tapetum.errors import DataError
from tapetum.images.decoded import Samples, StoredImage, divided_by_alpha
from tapetum.images.facts import chosen_frames, deep_rawmode, frame_indices
from tapetum.images.metadata import read_metadata
from tapetum.images.source import Source, opened_by_pillow
from tapetum.images.white import LARGEST_OF_BITS

__all__ = ["pillow_frames"]

_BITS_TAG, _PHOTOMETRIC_TAG, _EXTRA_SAMPLES_TAG, _SAMPLE_FORMAT_TAG = 258, 262, 338, 339
_WHITE_IS_ZERO, _UNSIGNED, _SIGNED, _ASSOCIATED = 0, 1, 2, 1

# Rawmodes that keep one byte of each 16-bit sample, and the ones that keep the other byte.
_OTHER_BYTE = {"16B": "16L", "16L": "16B", "16N": "16B"}  # N is little-endian on our machines

_Decoded = tuple[Samples, NDArray[np.bool_] | None]


def pillow_frames(source: Source, *, only: Sequence[int] | None = None) -> Iterator[StoredImage]:
    """Decode the frames of a file, or some of them."""
    with opened_by_pillow(source) as image:
        indices = frame_indices(image)
        notes = _left_out(image, len(indices))
        for index in (indices[number] for number in chosen_frames(len(indices), only)):
            image.seek(index)
            samples, key = _decode(source, image, index)
            yield StoredImage(
                samples=samples,
                hints=_hints(image),
                key=key,
                metadata=read_metadata(image),
                format="JPEG" if image.format == "MPO" else image.format,
                notes=notes,
            )


def _left_out(image: Image.Image, num_frames: int) -> tuple[str, ...]:
    """Return a note on the pictures of a file that are no frames."""
    others = int(getattr(image, "n_frames", 1)) - num_frames
    if others <= 0:
        return ()
    kind = "smaller copies or masks" if image.format == "TIFF" else "further pictures"
    return (f"{others} {kind} in the file left out",)


def _decode(source: Source, image: Image.Image, index: int) -> _Decoded:
    """Return the samples, (h, w, c), of the current frame, and the alpha of its key."""
    tags: Any = getattr(image, "tag_v2", {})
    _require_unsigned(tags)
    deep = deep_rawmode(image)
    if deep is not None:
        samples, key = _deep_colour(source, index, deep, image.info.get("transparency"))
        if samples.shape[2] == 4 and np.max(tags.get(_EXTRA_SAMPLES_TAG, 0)) == _ASSOCIATED:
            samples = divided_by_alpha(samples)
        return samples, key
    if image.mode == "F":
        return np.atleast_3d(np.asarray(ImageOps.exif_transpose(image))), None
    if image.mode.startswith("I"):
        return _deep_grey(image, tags)
    return _shallow(image), None


def _hints(image: Image.Image) -> tuple[int, ...]:
    """Return the values of white that the file hints at."""
    tags: Any = getattr(image, "tag_v2", {})
    hints = [value for tag in (281, 341) for value in np.atleast_1d(tags.get(tag, ()))]
    bits = int(np.max(tags.get(_BITS_TAG, 0)))
    if 8 < bits < 16:
        hints.append(2**bits - 1)
    # The largest sample of an image may stand there, too, which says nothing of white.
    return tuple(int(hint) for hint in hints if hint in LARGEST_OF_BITS)


def _shallow(image: Image.Image) -> NDArray[np.uint8]:
    """Return the 8-bit samples, (h, w, c), of any mode that Pillow can convert."""
    is_grey = image.mode in ("1", "L", "LA", "La")
    has_alpha = image.has_transparency_data
    target = ("LA" if has_alpha else "L") if is_grey else ("RGBA" if has_alpha else "RGB")
    if getattr(image, "is_animated", False):  # in place, it would change the next frames too
        upright = ImageOps.exif_transpose(image)
    else:
        upright = image
        ImageOps.exif_transpose(image, in_place=True)
    converted = upright if upright.mode == target else upright.convert(target)
    samples = np.atleast_3d(np.asarray(converted))
    # Later frames of a GIF are RGB, and a WebP file has no grey.
    may_be_grey = image.mode in ("P", "PA") or image.format in ("GIF", "WEBP")
    if may_be_grey and (samples[:, :, :3] == samples[:, :, :1]).all():
        samples = samples[:, :, [0, 3]] if has_alpha else samples[:, :, :1]
    return samples


def _deep_grey(image: Image.Image, tags: Any) -> _Decoded:
    """Return the samples, (h, w, 1), of a grey image of integers, and the alpha of its key value.

    Integers above 16 bits become floats, whose white must be given.
    """
    values: NDArray[Any] = np.asarray(ImageOps.exif_transpose(image))[:, :, np.newaxis]
    if max(tags.get(_BITS_TAG, (0,))) == 32 and _sample_format(tags) == _UNSIGNED:
        values = values.view(np.uint32)  # Pillow knows signed ones only
    if values.min(initial=0) < 0:
        raise DataError("its integers are negative", "add an offset, or save it as floats")
    if values.max(initial=0) > 65535:
        return values.astype(np.float32), None
    if tags.get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO:
        values = 65535 - values  # Pillow inverts 8 bits only
    key = image.info.get("transparency")
    return values.astype(np.uint16), None if key is None else values[:, :, 0] != key


def _sample_format(tags: Any) -> int:
    return int(np.max(tags.get(_SAMPLE_FORMAT_TAG, _UNSIGNED)))


def _require_unsigned(tags: Any) -> None:
    """Refuse signed bytes, which Pillow would read as unsigned ones."""
    if _sample_format(tags) == _SIGNED and max(tags.get(_BITS_TAG, (8,))) <= 8:
        raise DataError("its integers are signed", "save it with 8 or 16 bits, unsigned")


def _deep_colour(
    source: Source, index: int, rawmode: str, key: tuple[int, int, int] | None
) -> _Decoded:
    """Return the samples, (h, w, c), of 16-bit colour, and the alpha of its key colour."""
    match = re.fullmatch(r"(RGB|RGBX|RGBA|LA);(16[BLN])", rawmode)
    if match is None:
        raise DataError(
            f"16-bit samples stored as {rawmode} cannot be read at full depth",
            "save it as 16-bit RGB PNG",
        )
    kind, order = match.groups()
    if kind == "LA":  # four bytes per pixel: grey high and low, alpha high and low
        quads = _decode_as(source, index, "RGBA").astype(np.uint16)
        return quads[:, :, [0, 2]] * 256 + quads[:, :, [1, 3]], None
    high = _decode_as(source, index, rawmode).astype(np.uint16)
    samples = high * 256 + _decode_as(source, index, f"{kind};{_OTHER_BYTE[order]}")
    return samples, None if key is None else (samples != np.array(key)).any(axis=2)


def _decode_as(source: Source, index: int, rawmode: str) -> NDArray[np.uint8]:
    """Decode a frame with another raw mode."""
    with opened_by_pillow(source) as image:
        image.seek(index)
        tiles = image.tile  # type: ignore[attr-defined]  # every opened file has tiles
        image.tile = [  # type: ignore[attr-defined]
            tile._replace(args=rawmode if isinstance(tile.args, str) else (rawmode, *tile.args[1:]))
            for tile in tiles
        ]
        return np.asarray(ImageOps.exif_transpose(image))
