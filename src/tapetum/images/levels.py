"""Find the white level that all deep files of a folder share."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tapetum.errors import DataError
from tapetum.images.decoded import StoredImage, largest_value
from tapetum.images.facts import require_room
from tapetum.images.readers import reader_of
from tapetum.images.source import reasons_in_words
from tapetum.images.white import smallest_level, usable_hint
from tapetum.provenance import usable_cores

__all__ = ["FoundWhite", "find_white_level"]

_PERCENTILE = 99.9  # single bright pixels are faults of the sensor
_MOST_THREADS = 8


class FoundWhite(NamedTuple):
    """The white level of a folder.

    Attributes:
        white: The stored value that 1.0 stands for; None for the largest value of each file's type.
        reason: How it was found, a sentence without a full stop; None where there was nothing to
            find: no file of more than 8 bits.
        brightest: The largest stored value of the files of 16 bits; None where there are none.
    """

    white: float | None
    reason: str | None
    brightest: float | None = None


def find_white_level(paths: Iterable[Path]) -> FoundWhite:
    """Find the white level that the files of 16 bits, or of floats, share.

    For integers each file has the level that it states, if it is below 65535 and holds its values,
    else the smallest of 1023, 4095, 16383 and 65535 that does; white is the largest of them.
    Floats from 0 to 1 are taken as they are; for other floats white is the largest of the 99.9th
    percentiles of the files.

    Files of 8 bits are not decoded, and files that cannot be read are ignored.

    Raises:
        DataError: Floats and integers of different scales are mixed.
    """
    integers, floats, num_deep, brightest = [0.0], [0.0], 0, 0.0
    with ThreadPoolExecutor(min(_MOST_THREADS, usable_cores())) as pool:
        for seen in pool.map(_brightest, paths):
            num_deep += bool(seen)
            for is_float, value, largest in seen:
                (floats if is_float else integers).append(value)
                brightest = brightest if is_float else max(brightest, largest)
    level = max(integers) if len(integers) > 1 else None
    white = max(floats) if max(floats) > 1 else None
    if level is not None and len(floats) > 1 and (white or level < largest_value(16)):
        raise DataError(
            "files of floats and of 16 bits are mixed, and their scales differ",
            "convert them to one type, or give the value of white with --white",
        )
    if level is not None:
        return _of_integers(level, brightest, num_deep)
    if white is not None:
        reason = f"the {_PERCENTILE}th percentile of floats in {num_deep:,} files is {white:g}"
        return FoundWhite(white, f"{reason}, so that is white")
    return FoundWhite(None, "floats lie between 0 and 1" if len(floats) > 1 else None)


def _of_integers(level: float, brightest: float, num_deep: int) -> FoundWhite:
    if level == largest_value(16):
        return FoundWhite(None, None, brightest)
    is_seen = level == smallest_level(brightest)
    stated = f" and state a largest one of {level:g}"
    why = f", which is {int(level).bit_length()}-bit data" if is_seen else stated
    reason = f"{num_deep:,} files of 16 bits have values up to {brightest:g}{why}"
    return FoundWhite(level, f"{reason}, so white is {level:g}", brightest)


def _brightest(path: Path) -> list[tuple[bool, float, float]]:
    """Return of each frame of a deep file whether it has floats, its level and largest value."""
    with suppress(DataError), reasons_in_words():
        reader = reader_of(path)
        facts = reader.facts(path)
        if facts.bit_depth == 8:
            return []
        require_room(facts, None, as_floats=False)
        return [_brightest_of(stored) for stored in reader.frames(path)]
    return []


def _brightest_of(stored: StoredImage) -> tuple[bool, float, float]:
    brightest = float(stored.colours.max(initial=0))
    if stored.bit_depth == 16:
        return False, float(usable_hint(stored, brightest) or smallest_level(brightest)), brightest
    outside = not 0 <= float(stored.colours.min(initial=0)) <= brightest <= 1
    level = float(np.percentile(stored.colours, _PERCENTILE)) if outside else 1.0
    return True, level, brightest
