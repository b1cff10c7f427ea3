"""Decode the files of a folder in parallel and keep what fits into memory.

Pillow releases the lock of Python while it decodes, so threads are enough.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.data.layout import ImageFile
from tapetum.errors import DataError
from tapetum.provenance import usable_cores
from tapetum.runtime import LeftOut, image, resample

__all__ = [
    "DecodedFile",
    "Pixels",
    "Progress",
    "decoding_threads",
    "load_all",
    "read_pixels",
]

Integers = NDArray[np.uint8] | NDArray[np.uint16]
"""A stored image, (c, h, w); the largest value of the type is white."""

Progress = Callable[[int, int], None]  # files done, all files

_MOST_THREADS = 8  # each holds a whole decoded image


class Pixels(NamedTuple):
    """A decoded image and, in a paired folder, its noisy twin of the same height and width."""

    clean: Integers
    noisy: Integers | None


@dataclass(frozen=True, eq=False)
class DecodedFile:
    """A file that can be read.

    Args:
        file: The file.
        height: Height in pixels, after a reduction to ``largest_px``.
        width: Width in pixels, likewise.
        is_colour: Whether red, green and blue differ anywhere, in the image or its twin.
        largest_px: Limit of the shorter side; None for no limit.
        kept: The pixels; None where memory was full.
    """

    file: ImageFile
    height: int
    width: int
    is_colour: bool
    largest_px: int | None
    kept: Pixels | None

    @property
    def shorter_side_px(self) -> int:
        """The smaller one of height and width."""
        return min(self.height, self.width)

    def pixels(self) -> Pixels:
        """Return the pixels, from memory or else from the file.

        Raises:
            DataError: The file cannot be read any more.
        """
        if self.kept is not None:
            return self.kept
        try:
            return read_pixels(self.file, self.largest_px)
        except DataError as error:
            raise DataError(
                f"{self.file.path} could be read before, but now {error.problem}", error.remedy
            ) from error


def decoding_threads() -> int:
    """Return the number of files to decode at once: one for each usable core, at most 8."""
    return min(_MOST_THREADS, usable_cores())


def load_all(
    files: Sequence[ImageFile],
    *,
    largest_px: int | None,
    kept_bytes: int,
    progress: Progress | None = None,
) -> tuple[list[DecodedFile], list[LeftOut]]:
    """Decode every file once; return the readable files, and the others with the reason.

    Args:
        files: The files.
        largest_px: Limit of the shorter side of an image; larger images are reduced.
        kept_bytes: Memory for the images; images beyond it are not kept.
        progress: Called after every file.
    """
    loaded: list[DecodedFile] = []
    skipped: list[LeftOut] = []
    pool = ThreadPoolExecutor(decoding_threads())
    try:
        results = pool.map(lambda file: _try_to_read(file, largest_px), files)
        for done, (file, result) in enumerate(zip(files, results, strict=True), start=1):
            if isinstance(result, Pixels):
                kept_bytes -= sum(part.nbytes for part in result if part is not None)
                loaded.append(_describe(file, result, largest_px, keep=kept_bytes >= 0))
            else:
                skipped.append(result)
            if progress is not None:
                progress(done, len(files))
    finally:
        pool.shutdown(cancel_futures=True)  # after an interrupt, do not wait for the rest
    return loaded, skipped


def read_pixels(file: ImageFile, largest_px: int | None) -> Pixels:
    """Decode a file and its noisy twin; an error is the reason alone, without the file's name."""
    clean = _read(file.path, file.frame, largest_px)
    if file.noisy_path is None:
        return Pixels(clean, None)
    try:
        noisy = _read(file.noisy_path, file.frame, largest_px)
    except DataError as error:
        problem = f"its noisy twin {file.noisy_path}: {error.problem}"
        raise DataError(problem, error.remedy) from error
    if noisy.shape[1:] != clean.shape[1:]:
        problem = f"it is {_size(clean)}, its noisy twin {_size(noisy)}"
        raise DataError(problem, "give twins the same size")
    return Pixels(clean, noisy)


def _try_to_read(file: ImageFile, largest_px: int | None) -> Pixels | LeftOut:
    try:
        return read_pixels(file, largest_px)
    except DataError as error:
        return LeftOut(file.path, error.problem)


def _read(path: Path, frame: int, largest_px: int | None) -> Integers:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(error.strerror or str(error), "check the file") from error
    decoded = image.decode_image(content, frame=frame)
    height, width = decoded.pixels.shape[1:]
    ratio = 1.0 if largest_px is None else largest_px / min(height, width)
    if ratio < 1:
        smaller = resample(decoded.pixels, height=round(height * ratio), width=round(width * ratio))
        decoded = replace(decoded, pixels=smaller, alpha=None)
    return _without_equal_channels(decoded.to_integers())


def _without_equal_channels(pixels: Integers) -> Integers:
    """Return one channel if all are equal: many grey images are stored as colour."""
    first = pixels[:1]
    return first.copy() if len(pixels) == 3 and bool((pixels == first).all()) else pixels


def _describe(
    file: ImageFile, pixels: Pixels, largest_px: int | None, *, keep: bool
) -> DecodedFile:
    height, width = pixels.clean.shape[1:]
    num_channels = max(len(part) for part in pixels if part is not None)
    return DecodedFile(file, height, width, num_channels > 1, largest_px, pixels if keep else None)


def _size(pixels: Integers) -> str:
    return f"{pixels.shape[2]} x {pixels.shape[1]} px"
