"""Images and figures for a report: inline PNG, and numbers with units."""

import base64
import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tapetum.errors import InputError
from tapetum.report.content import Box

__all__ = ["data_uri", "decibels", "percent", "placed_on", "png_of"]


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
    """Return an image (c, h, w) as an 8-bit PNG; values outside [0, 1] are clipped.

    Raises:
        InputError: The image is neither grey nor RGB.
    """
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3):
        raise InputError(
            f"an image of shape {pixels.shape} cannot be shown", "give (1, h, w) or (3, h, w)"
        )
    levels = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0).copy())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def placed_on(box: Box, pixels: NDArray[np.float32]) -> str:
    """Return the position of a box over an image of any displayed size, as CSS."""
    height, width = pixels.shape[-2:]
    left, top, right, bottom = box
    return (
        f"left:{left / width:.2%};top:{top / height:.2%};"
        f"width:{(right - left) / width:.2%};height:{(bottom - top) / height:.2%}"
    )
