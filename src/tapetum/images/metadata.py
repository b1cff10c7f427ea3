"""Read what a file says beside its pixels: profile, resolution, scale, Exif data and texts."""

from collections.abc import Mapping
from typing import Any, Literal

from PIL import Image, TiffImagePlugin

from tapetum.images.decoded import Metadata, Resolution

__all__ = ["ORIENTATION", "UNITS", "read_metadata", "upright_exif"]

ORIENTATION = 0x0112
_DESCRIPTION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 270, 282, 283, 296
UNITS: Mapping[int, Literal["none", "inch", "cm"]] = {1: "none", 2: "inch", 3: "cm"}
"""Of a resolution, by the number in a TIFF file."""

# Of TIFF 6.0 and Exif: what a person wrote or a camera said, never the structure of the file.
_KEPT_TIFF_TAGS = (271, 272, 305, 306, 315, 316, 33432, 34665, 34853)

_MOST_TEXT = 1 << 16


def read_metadata(image: Image.Image) -> Metadata:
    """Return what an opened and loaded image says beside its pixels."""
    info = image.info
    tags: Any = getattr(image, "tag_v2", {})
    profile = info.get("icc_profile")
    description = tags.get(_DESCRIPTION)
    return Metadata(
        icc_profile=profile if isinstance(profile, bytes) and profile else None,
        resolution=_resolution(info, tags),
        description=description if isinstance(description, str) and description else None,
        exif=upright_exif(image),
        text=_texts(image),
        duration_ms=_number(info.get("duration")),
        loop=info["loop"] if isinstance(info.get("loop"), int) else None,
    )


def upright_exif(image: Image.Image) -> bytes | None:
    """Return the Exif data without its orientation, or None if nothing else is there."""
    try:
        exif = image.getexif()
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            kept = Image.Exif()
            for tag in _KEPT_TIFF_TAGS:
                if tag in exif:
                    kept[tag] = exif.get_ifd(tag) if tag in (34665, 34853) else exif[tag]
            exif = kept
        orientation = exif.pop(ORIENTATION, None)
        upright = exif.tobytes() if len(exif) else None
        if orientation is not None:  # the next frame of the file needs it
            exif[ORIENTATION] = orientation
        return upright
    except Exception:  # damaged Exif data must not cost the image
        return None


def _resolution(info: dict[Any, Any], tags: Any) -> Resolution | None:
    """Return the resolution; Pillow invents one of 1 dpi for TIFF files without."""
    if tags:
        x, y = _number(tags.get(_X_RESOLUTION)), _number(tags.get(_Y_RESOLUTION))
        unit = UNITS.get(tags.get(_RESOLUTION_UNIT, 2), "none")
        return Resolution(x, y, unit) if x and y else None
    dpi = info.get("dpi")
    if not isinstance(dpi, tuple) or len(dpi) != 2:
        return None
    x, y = _number(dpi[0]), _number(dpi[1])
    return Resolution(x, y, "inch") if x and y else None


def _texts(image: Image.Image) -> tuple[tuple[str, str], ...]:
    """Return the texts of a PNG file and the comment of a JPEG or GIF file."""
    texts = [(str(key), str(text)) for key, text in getattr(image, "text", {}).items()]
    comment = image.info.get("comment")
    if isinstance(comment, bytes):
        texts.append(("Comment", comment.decode("utf-8", errors="replace")))
    return tuple(pair for pair in texts if len(pair[1]) <= _MOST_TEXT)


def _number(value: Any) -> float | None:
    """Return a positive finite number, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if 0 < number < 1e9 else None
