"""Find the stored value that stands for white.

Cameras of 10, 12 or 14 bits store their values in files of 16 bits, and programs store floats of
any range. What a file hints at, or what is given, decides; else it is the largest value of the
type.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from tapetum.errors import DataError
from tapetum.runtime.files.decoded import Samples, largest_value

__all__ = ["WHITE_LEVELS", "WhiteLevel", "smallest_level", "white_of"]

WHITE_LEVELS = (1023, 4095, 16383, 65535)
"""The largest values of 10, 12, 14 and 16 bits."""


class WhiteLevel(NamedTuple):
    """The stored value of white, and sentences on what follows from it."""

    white: float
    notes: tuple[str, ...] = ()


def white_of(samples: Samples, white: float | None, *, evidence: Iterable[int] = ()) -> WhiteLevel:
    """Return the white of one image.

    Args:
        samples: The stored values, shape (h, w, c).
        white: What is given. It is for deep files: those of 8 bits keep 255 where it is larger, and
            integers ignore a white below 1.
        evidence: Values that the file itself hints at; one that the samples stay below is taken.

    Raises:
        DataError: Floats leave the range from 0 to 1, and no white is given.
    """
    if samples.dtype == np.uint8:
        return WhiteLevel(white if white is not None and 1 <= white < 255 else 255.0)
    num_colours = 1 if samples.shape[2] < 3 else 3
    brightest = float(samples[:, :, :num_colours].max(initial=0))
    if samples.dtype == np.float32:
        return _white_of_floats(samples[:, :, :num_colours], brightest, white)
    if white is not None and white >= 1:
        return WhiteLevel(white, _clipped(samples[:, :, :num_colours], white))
    hints = [hint for hint in evidence if hint in WHITE_LEVELS and brightest <= hint]
    if hints:
        return WhiteLevel(float(min(hints)))
    level = smallest_level(brightest)
    if level < largest_value(16) and brightest:
        note = f"its values stay below {level + 1:,}: if that is the range, give --white {level}"
        return WhiteLevel(largest_value(16), (note,))
    return WhiteLevel(largest_value(16))


def smallest_level(brightest: float) -> int:
    """Return the smallest of :data:`WHITE_LEVELS` that holds a value."""
    return next(level for level in WHITE_LEVELS if brightest <= level)


def _white_of_floats(samples: Samples, brightest: float, white: float | None) -> WhiteLevel:
    if not np.isfinite(samples).all():
        raise DataError("it has values that are not finite", "replace NaN and infinity")
    if white is not None:
        return WhiteLevel(white, _clipped(samples, white))
    if brightest > 1 or samples.min(initial=0) < 0:
        raise DataError(
            f"its floats go from {samples.min():.4g} to {brightest:.4g}, not from 0 to 1",
            f"give the value of white: --white {brightest:.4g}",
        )
    return WhiteLevel(1.0)


def _clipped(samples: Samples, white: float) -> tuple[str, ...]:
    """Return a note on the share of values that white clips."""
    outside = float(((samples > white) | (samples < 0)).mean()) if samples.size else 0.0
    return (f"{outside:.1%} of its values lie outside of 0 to {white:g} and were clipped",) * (
        outside > 0
    )
