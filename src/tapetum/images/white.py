"""Find the stored value that stands for white.

Cameras of 10, 12 or 14 bits store their values in files of 16 bits, and programs store floats of
any range. What a file hints at, or what is given, decides; else it is the largest value of the
type.
"""

from dataclasses import replace

import numpy as np

from tapetum.errors import DataError
from tapetum.images.decoded import Samples, StoredImage, largest_value

__all__ = ["LARGEST_OF_BITS", "smallest_level", "usable_hint", "with_white"]

LARGEST_OF_BITS = tuple(2**bits - 1 for bits in range(9, 17))
"""The largest values of 9 to 16 bits."""

_USUAL_LEVELS = (1023, 4095, 16383, 65535)  # of cameras: 10, 12, 14 and 16 bits


def with_white(stored: StoredImage, white: float | None) -> StoredImage:
    """Choose the white of an image, with notes on what follows from it.

    Args:
        stored: The image.
        white: What is given. It is for deep files: those of 8 bits keep 255, integers ignore a
            white below 1, and floats from 0 to 1 ignore one of integers. Without it, a hint of the
            file that the values stay below is taken, else the largest value of the type.
    """
    if stored.bit_depth == 8:
        return replace(stored, white=255.0)
    brightest = float(stored.colours.max(initial=0))
    if stored.bit_depth == 32:
        return _with_white_of_floats(stored, brightest, white)
    if white is not None and white >= 1:
        return replace(stored, white=white, notes=stored.notes + _clipped(stored.colours, white))
    if hint := usable_hint(stored, brightest):
        return replace(stored, white=float(hint))
    level = smallest_level(brightest)
    note: tuple[str, ...] = ()
    if brightest > 0 and level < largest_value(16):
        note = (f"its values stay below {level + 1:,}: if that is the range, give --white {level}",)
    return replace(stored, white=largest_value(16), notes=stored.notes + note)


def usable_hint(stored: StoredImage, brightest: float) -> int | None:
    """Return the smallest hint of the file that holds its values; 16 bits say nothing of them."""
    hints = [hint for hint in stored.hints if brightest <= hint < largest_value(16)]
    return min(hints, default=None)


def smallest_level(brightest: float) -> int:
    """Return the smallest largest value of 10, 12, 14 and 16 bits that holds a value."""
    return next(level for level in _USUAL_LEVELS if brightest <= level)


def _with_white_of_floats(
    stored: StoredImage, brightest: float, white: float | None
) -> StoredImage:
    colours = stored.colours
    if not np.isfinite(stored.samples).all():
        raise DataError("it has values that are not finite", "replace NaN and infinity")
    if white in LARGEST_OF_BITS and 0 < brightest <= 1 and colours.min(initial=0) >= 0:
        note = f"its floats go up to {brightest:.3g}, so its white is 1 and not {white:g}"
        return replace(stored, white=1.0, notes=(*stored.notes, note))
    if white is not None:
        return replace(stored, white=white, notes=stored.notes + _clipped(colours, white))
    if brightest > 1 or colours.min(initial=0) < 0:
        raise DataError(
            f"its floats go from {colours.min():.4g} to {brightest:.4g}, not from 0 to 1",
            f"give the value of white: --white {brightest:.4g}",
        )
    return replace(stored, white=1.0)


def _clipped(samples: Samples, white: float) -> tuple[str, ...]:
    """Return a note on the share of values that white clips."""
    outside = float(((samples > white) | (samples < 0)).mean()) if samples.size else 0.0
    return (f"{outside:.1%} of its values lie outside of 0 to {white:g} and were clipped",) * (
        outside > 0
    )
