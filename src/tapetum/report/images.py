"""Images for a report (inline PNG) and for a README (a contact sheet)."""

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tapetum.errors import InputError, needs_extra
from tapetum.report.content import Box, Example

__all__ = ["contact_sheet", "data_uri", "decibels", "percent", "placed_on", "png_of"]


def decibels(value_db: float) -> str:
    """Format a ratio with a tenth of a decibel; ``exact`` for an image equal to the truth."""
    return "exact" if math.isinf(value_db) else f"{value_db:.1f}\N{NO-BREAK SPACE}dB"


def percent(share: float) -> str:
    """Format a share in [0, 1] as whole percents."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def data_uri(pixels: NDArray[np.float32]) -> str:
    """Return an image as a ``data:`` address."""
    return f"data:image/png;base64,{base64.b64encode(png_of(pixels)).decode()}"


def png_of(pixels: NDArray[np.float32]) -> bytes:
    """Return an image (c, h, w) as an 8-bit PNG; values outside [0, 1] are clipped."""
    return _to_png(_to_image(pixels))


def placed_on(box: Box, pixels: NDArray[np.float32]) -> str:
    """Return the position of a box over an image of any displayed size, as CSS."""
    height, width = pixels.shape[-2:]
    left, top, right, bottom = box
    return (
        f"left:{left / width:.2%};top:{top / height:.2%};"
        f"width:{(right - left) / width:.2%};height:{(bottom - top) / height:.2%}"
    )


def contact_sheet(examples: Sequence[Example], *, tile_px: int = 256) -> bytes:
    """Draw a PNG with a row for each example: noisy, denoised, truth, and a line of text below.

    Args:
        examples: The examples, at least one.
        tile_px: The largest side of an image; smaller images are enlarged by a whole factor, larger
            ones reduced.

    Raises:
        InputError: There is no example, or an image is neither grey nor RGB.
        MissingExtraError: matplotlib, whose font is used, is not installed.
    """
    if not examples:
        raise InputError("a contact sheet needs examples", "give at least one")
    rows = [
        [_fit(_to_image(pixels), tile_px) for pixels in (shown.noisy, shown.denoised, shown.truth)]
        for shown in examples
    ]
    lines = [_in_words(shown) for shown in examples]
    width = max(tile.width for row in rows for tile in row)
    height = max(tile.height for row in rows for tile in row)
    font, gap_px, line_px = _font(size_px=13), 8, 22
    row_px = height + line_px + gap_px
    longest_px = math.ceil(max(font.getlength(line) for line in lines))
    size = (max(3 * (width + gap_px), longest_px + gap_px) + gap_px, line_px + len(rows) * row_px)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    lefts = [gap_px + column * (width + gap_px) for column in range(3)]
    for left, heading in zip(lefts, ("noisy", "denoised", "truth"), strict=True):
        draw.text((left + width / 2, line_px / 2), heading, "black", font, anchor="mm")
    for index, (row, line) in enumerate(zip(rows, lines, strict=True)):
        top = line_px + index * row_px
        for left, tile in zip(lefts, row, strict=True):
            sheet.paste(tile, (left + (width - tile.width) // 2, top + (height - tile.height) // 2))
        draw.text((gap_px, top + height + line_px / 2), line, "black", font, anchor="lm")
    return _to_png(sheet)


def _fit(image: Image.Image, side_px: int) -> Image.Image:
    """Enlarge an image by a whole factor, or reduce it, to fit a square."""
    longest_px = max(image.size)
    scale = side_px // longest_px or side_px / longest_px
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    filters = Image.Resampling
    return image.resize(size, filters.LANCZOS if scale < 1 else filters.NEAREST)


def _font(*, size_px: int) -> ImageFont.FreeTypeFont:
    """Load the font of matplotlib: that of Pillow has neither Greek letters nor accents."""
    with needs_extra("train"):
        import matplotlib
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(path, size_px)


def _in_words(example: Example) -> str:
    """Return the text below a row of a contact sheet."""
    labels = ", ".join(
        f"{'✓' if label.is_right else '✗'} {label.name} ({percent(label.confidence)}"
        f"{'' if label.is_right else f'; it is {label.true_name}'})"
        for label in example.labels
    )
    psnr = f"{decibels(example.noisy_psnr_db)} → {decibels(example.psnr_db)}"
    return "   ".join(part for part in (example.caption, psnr, labels) if part)


def _to_image(pixels: NDArray[np.float32]) -> Image.Image:
    """Return an 8-bit image of (c, h, w) floats; values outside [0, 1] are clipped."""
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3):
        raise InputError(
            f"an image of shape {pixels.shape} cannot be shown", "give (1, h, w) or (3, h, w)"
        )
    levels = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
    return Image.fromarray(levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0).copy())


def _to_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
