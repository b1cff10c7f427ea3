"""Decode the files of a folder in parallel and keep what fits into memory.

Each frame of a stack or animation is an image of its own. Transparent images are composited over
the background, and values are brought to the scale on which white is the largest value of the type.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.data.layout import ImageFile
from tapetum.data.threads import Progress, in_threads
from tapetum.errors import DataError
from tapetum.images import DecodedImage, LeftOut, decode_frames, resample
from tapetum.runtime import Preparation

__all__ = ["DecodedFile", "Decoding", "load_all"]

Integers = NDArray[np.uint8] | NDArray[np.uint16]
"""A stored image, (c, h, w); the largest value of the type is white."""

Streams = tuple[Iterator[DecodedImage], ...]  # of the image and its noisy twin

_AT_ONCE = 64  # frames of a file: a thread reads the file up to its first one


class Pixels(NamedTuple):
    """A decoded image and, in a paired folder, its noisy twin of the same height and width."""

    clean: Integers
    noisy: Integers | None


class Decoding(NamedTuple):
    """How files are decoded.

    Attributes:
        largest_px: Limit of the shorter side; larger images are reduced. None for no limit.
        white: The stored value that 1.0 stands for in deep files; None for their own.
    """

    largest_px: int | None = None
    white: float | None = None


@dataclass(frozen=True, eq=False)
class DecodedFile:
    """An image that can be read: a file, or a frame of it.

    Colour counts in the image and its twin.  The pixels are not kept where memory was full.  Notes
    say what decoding guessed.
    """

    file: ImageFile
    is_colour: bool
    decoding: Decoding
    kept: Pixels | None
    notes: tuple[str, ...] = ()

    def pixels(self) -> Pixels:
        """Return the pixels, from memory or else from the file."""
        if self.kept is not None:
            return self.kept
        try:
            return _read(self.file, _streams([self.file], self.decoding), self.decoding)[0]
        except DataError as error:
            raise DataError(
                f"{self.file.path} could be read before, but now {error.problem}", error.remedy
            ) from error


def load_all(
    files: Sequence[ImageFile],
    decoding: Decoding,
    *,
    kept_bytes: int,
    progress: Progress | None = None,
) -> tuple[list[DecodedFile], list[LeftOut]]:
    """Decode every image once; return the readable ones, and the others with the reason.

    Images beyond ``kept_bytes`` of memory are not kept.
    """
    memory = _Memory(kept_bytes)
    groups = in_threads(
        lambda frames: _load_frames(frames, decoding, memory), _by_file(files), progress
    )
    results = list(chain.from_iterable(groups))
    loaded = [one for one in results if isinstance(one, DecodedFile)]
    return loaded, [one for one in results if isinstance(one, LeftOut)]


def _by_file(files: Sequence[ImageFile]) -> list[list[ImageFile]]:
    """Return frames that follow each other in one file together, so that none is decoded twice."""
    groups: list[list[ImageFile]] = []
    for file in files:
        last = groups[-1][-1] if groups else None
        is_same = last is not None and (last.path, last.noisy_path) == (file.path, file.noisy_path)
        if last is None or not is_same or file.frame <= last.frame or len(groups[-1]) == _AT_ONCE:
            groups.append([])
        groups[-1].append(file)
    return groups


def _streams(frames: Sequence[ImageFile], decoding: Decoding) -> Streams:
    """Return the decoded frames of a file and of its noisy twin, one by one."""
    numbers = [file.frame for file in frames]
    return tuple(
        decode_frames(path, white=decoding.white, only=numbers) for path in frames[0].files
    )


def _load_frames(
    frames: Sequence[ImageFile], decoding: Decoding, memory: "_Memory"
) -> list[DecodedFile | LeftOut]:
    """Decode the frames of a file; behind a damaged one, each is read on its own."""
    streams = _streams(frames, decoding)
    loaded: list[DecodedFile | LeftOut] = []
    for file in frames:
        one = _load(file, streams, decoding, memory)
        if isinstance(one, LeftOut):
            streams = _streams(frames[len(loaded) + 1 :] or [file], decoding)
        loaded.append(one)
    return loaded


def _load(
    file: ImageFile, streams: Streams, decoding: Decoding, memory: "_Memory"
) -> DecodedFile | LeftOut:
    try:
        pixels, notes = _read(file, streams, decoding)
    except DataError as error:
        return LeftOut(file.path, error.problem)
    return DecodedFile(
        file=file,
        is_colour=any(len(part) > 1 for part in pixels if part is not None),
        decoding=decoding,
        kept=pixels if memory.takes(pixels) else None,
        notes=notes,
    )


def _read(file: ImageFile, streams: Streams, decoding: Decoding) -> tuple[Pixels, tuple[str, ...]]:
    """Return the pixels of the next image and its twin, and the notes of its decoding."""
    clean = next(streams[0])
    if file.noisy_path is None:
        return Pixels(_kept(clean, decoding), None), clean.notes
    try:
        noisy = next(streams[1])
    except DataError as error:
        problem = f"its noisy twin {file.noisy_path}: {error.problem}"
        raise DataError(problem, error.remedy) from error
    if noisy.pixels.shape[1:] != clean.pixels.shape[1:]:
        problem = f"it is {_size(clean)}, its noisy twin {_size(noisy)}"
        raise DataError(problem, "give twins the same size")
    return Pixels(_kept(clean, decoding), _kept(noisy, decoding)), clean.notes + noisy.notes


class _Memory:
    """Memory that threads take from."""

    def __init__(self, size_bytes: int) -> None:
        self._left = size_bytes
        self._lock = threading.Lock()

    def takes(self, pixels: Pixels) -> bool:
        """Whether there is room for pixels; it is theirs then."""
        size_bytes = sum(part.nbytes for part in pixels if part is not None)
        with self._lock:
            fits = size_bytes <= self._left
            self._left -= size_bytes if fits else 0
        return fits


def _kept(decoded: DecodedImage, decoding: Decoding) -> Integers:
    """Return an image as it is kept: reduced to the limit, with one channel where it is grey."""
    pixels = Preparation(channels=len(decoded.pixels)).colours(decoded)
    height, width = pixels.shape[1:]
    limit_px = decoding.largest_px
    ratio = 1.0 if limit_px is None else limit_px / min(height, width)
    if ratio < 1:
        pixels = resample(pixels, height=round(height * ratio), width=round(width * ratio))
    stored = replace(decoded, pixels=pixels, alpha=None).to_integers()
    is_grey = len(stored) == 3 and bool((stored == stored[:1]).all())  # many are stored as colour
    return stored[:1].copy() if is_grey else stored


def _size(decoded: DecodedImage) -> str:
    return f"{decoded.pixels.shape[2]} x {decoded.pixels.shape[1]} px"
