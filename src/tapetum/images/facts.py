"""Look at the header of an image file before it is decoded: what it is and what it would cost."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from PIL import Image

from tapetum.errors import DataError
from tapetum.images.decoded import BitDepth
from tapetum.images.metadata import ORIENTATION
from tapetum.images.source import Source, opened_by_pillow

__all__ = [
    "ImageFacts",
    "chosen_frames",
    "deep_rawmode",
    "frame_indices",
    "pillow_facts",
    "rawmode_of",
    "require_count",
    "require_pixels",
    "require_room",
]

_SUBFILE_TAG, _REDUCED_OR_MASK = 254, 1 | 4
_MOST_FRAMES = 1_000_000  # a header of some bytes can say that there are billions


class ImageFacts(NamedTuple):
    """What the header of an image file says.

    Attributes:
        format: Format, such as ``PNG``.
        width_px: Width of the upright image.
        height_px: Height of the upright image.
        num_frames: Images in a stack or animation.
        mode: Whether the image is grey or RGB.
        bit_depth: Bits per channel; 32 for floats.
        has_alpha: Whether it has alpha, or a key colour.
    """

    format: str
    width_px: int
    height_px: int
    num_frames: int
    mode: Literal["grey", "rgb"]
    bit_depth: BitDepth
    has_alpha: bool


def pillow_facts(source: Source) -> ImageFacts:
    """Return the facts of a file that Pillow opens."""
    with opened_by_pillow(source) as image:
        width, height = image.size
        if _orientation(image) >= 5:
            width, height = height, width
        rawmode = rawmode_of(image)
        return ImageFacts(
            format=image.format or "",
            width_px=width,
            height_px=height,
            num_frames=len(frame_indices(image)),
            mode="grey" if _is_grey(image) else "rgb",
            bit_depth=32
            if image.mode == "F"
            else 16
            if deep_rawmode(image) or "I" in image.mode
            else 8,
            has_alpha=image.has_transparency_data or rawmode.startswith(("LA", "RGBA")),
        )


def deep_rawmode(image: Image.Image) -> str | None:
    """Return Pillow's raw mode of a file with colour of 16 bits a sample; None for other files.

    That of a bitmap with 16 bits a pixel ends in ``;16`` as well, without an order of bytes.
    """
    rawmode = rawmode_of(image)
    is_deep = re.search(r";16[BLN]", rawmode) and not image.mode.startswith("I")
    return rawmode if is_deep else None


def chosen_frames(num_frames: int, only: Sequence[int] | None) -> Sequence[int]:
    """Return the numbers of all frames, or of those that are wanted."""
    for index in only or ():
        if not 0 <= index < num_frames:
            raise DataError(f"it has {num_frames} frames, no frame {index}", "count from 0")
    return range(num_frames) if only is None else only


def frame_indices(image: Image.Image) -> list[int]:
    """Return the numbers of the frames of an opened file.

    Smaller copies and masks in a TIFF file, and the second picture of a JPEG file, are no frames.
    """
    count = require_count(int(getattr(image, "n_frames", 1)))
    if image.format == "MPO" or count == 1:
        return [0]
    if image.format != "TIFF":
        return list(range(count))
    kept = []
    for index in range(count):
        image.seek(index)
        subfile: Any = image.tag_v2.get(_SUBFILE_TAG, 0)  # type: ignore[attr-defined]
        if not int(subfile) & _REDUCED_OR_MASK:
            kept.append(index)
    image.seek(0)
    return kept or [0]


def require_count(num_frames: int) -> int:
    """Return the number of frames that a header tells, and refuse more than anybody stores."""
    if num_frames > _MOST_FRAMES:
        raise DataError(
            f"its header says that it has {num_frames:,} frames",
            "copy the file again or leave it out",
        )
    return num_frames


def require_pixels(facts: ImageFacts) -> ImageFacts:
    """Return the facts of an image, and refuse one without any pixel."""
    if not facts.width_px * facts.height_px:
        raise DataError("it has no pixels", "leave it out")
    return facts


def require_room(
    facts: ImageFacts,
    max_megapixels: float | None,
    *,
    num_frames: int = 1,
    as_floats: bool = True,
) -> None:
    """Raise a :class:`DataError` if decoding would fill the memory of this device.

    Args:
        facts: What the header says.
        max_megapixels: The most to decode; by default what fits half of the memory.
        num_frames: Number of frames that are in memory at once.
        as_floats: Whether the pixels are converted to floats, all at once.
    """
    megapixels = facts.width_px * facts.height_px * num_frames / 1e6
    limit = max_megapixels
    if limit is None:
        limit = memory_bytes() / 2 / _bytes_per_pixel(facts, as_floats=as_floats) / 1e6
    if megapixels > limit:
        frames = "" if num_frames == 1 else f"{num_frames:,} frames of "
        raise DataError(
            f"it has too many pixels: {frames}{facts.width_px} x {facts.height_px}, which is "
            f"{_in_digits(megapixels)} megapixels; the limit is {_in_digits(limit)}",
            f"make it smaller, or allow it with --max-megapixels {int(megapixels) + 1}",
        )


def _in_digits(megapixels: float) -> str:
    return f"{megapixels:,.0f}" if megapixels >= 100 else f"{megapixels:.3g}"


def memory_bytes() -> int:
    """Return the memory that this process may use: of the machine, or of its control group."""
    sizes = [1 << 33]  # where nothing is known
    with suppress(AttributeError, OSError, ValueError):
        sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError, ValueError):
        sizes.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(sizes)


def _bytes_per_pixel(facts: ImageFacts, *, as_floats: bool) -> int:
    """Return what it takes to decode, denoise and write a pixel, at its peak.

    Pillow's image and its bytes come first. Then there are the samples of the image and of the
    result, and as floats: the image, what the network sees, and two forms of the result.
    """
    channels = (1 if facts.mode == "grey" else 3) + facts.has_alpha
    size_bytes = facts.bit_depth // 8
    held = {1: 1, 2: 4, 3: 4, 4: 4}[channels] * (2 if facts.bit_depth == 16 else size_bytes)
    decoding = held + 2 * channels * size_bytes
    return max(decoding, 3 * channels * size_bytes + 16 * channels * as_floats)


def _orientation(image: Image.Image) -> int:
    """Return the orientation by Exif; 1 if the header does not say."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # Pillow would decode the image to look behind it
    with suppress(Exception):  # damaged Exif data
        return int(image.getexif().get(ORIENTATION, 1))
    return 1


def rawmode_of(image: Image.Image) -> str:
    """Return Pillow's name for the samples of an opened file; empty if it does not say."""
    for tile in getattr(image, "tile", ()):
        return str(tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0])
    return ""


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P" and image.palette is not None:
        colours = image.palette.getdata()[1] if image.palette.rawmode else image.palette.palette
        step = len(image.palette.mode)
        return all(
            colours[i] == colours[i + 1] == colours[i + 2] for i in range(0, len(colours) - 2, step)
        )
    if rawmode_of(image).startswith("LA"):
        return True
    return image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")
