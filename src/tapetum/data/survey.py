"""Look at every file of a folder before any is decoded: what its header says, and its digest."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tapetum.data.layout import ImageFile
from tapetum.errors import DataError
from tapetum.images import ImageFacts, LeftOut, inspect_image, read_image
from tapetum.provenance import usable_cores

__all__ = ["Look", "Surveyed", "ValueRange", "frames_of", "look", "survey"]

_MOST_THREADS = 8
_WHOLE_BYTES = 64 * 2**20  # of larger files only both ends are read for the digest
_NUM_LOOKED = 48  # images that are decoded to see which values are in use
_LARGEST_LOOKED_PX = 40_000_000


class Surveyed(NamedTuple):
    """A file that has the header of an image.

    Attributes:
        facts: What the header says.
        size_bytes: Size of the file.
        digest: Digest of its content, in hexadecimal.
    """

    facts: ImageFacts
    size_bytes: int
    digest: str

    @property
    def shorter_side_px(self) -> int:
        """The smaller one of height and width."""
        return min(self.facts.height_px, self.facts.width_px)


class ValueRange(NamedTuple):
    """The stored values of the images of one bit depth.

    Attributes:
        lowest: The smallest value.
        highest: The largest value.
    """

    lowest: float
    highest: float


@dataclass(frozen=True)
class Look:
    """What some images show once they are decoded.

    Attributes:
        num_images: Number of images that were decoded.
        has_colour: Whether red, green and blue differ anywhere.
        ranges: The values in use by bit depth.
    """

    num_images: int
    has_colour: bool
    ranges: Mapping[int, ValueRange]


def survey(
    images: Iterable[ImageFile], *, progress: Callable[[int, int], None] | None = None
) -> tuple[dict[Path, Surveyed], list[LeftOut]]:
    """Look at each file once; return what was seen, and the unreadable files with the reason.

    Args:
        images: The images; several may be of one file.
        progress: Called after each file with the number done and the number of all.
    """
    files = [path for one in images for path in (one.path, one.noisy_path) if path is not None]
    files = list(dict.fromkeys(files))
    seen: dict[Path, Surveyed] = {}
    lost: list[LeftOut] = []
    pool = ThreadPoolExecutor(min(_MOST_THREADS, usable_cores()))
    try:
        results = zip(files, pool.map(_survey, files), strict=True)
        for done, (file, result) in enumerate(results, start=1):
            if isinstance(result, Surveyed):
                seen[file] = result
            else:
                lost.append(LeftOut(file, result))
            if progress is not None:
                progress(done, len(files))
    finally:
        pool.shutdown(cancel_futures=True)  # after an interrupt, do not wait for the rest
    return seen, lost


def frames_of(
    images: Sequence[ImageFile], seen: Mapping[Path, Surveyed]
) -> tuple[list[ImageFile], list[LeftOut]]:
    """Return an image for each frame of each file, and the files that cannot be used.

    Args:
        images: Images, each of the first frame.
        seen: The files that have the header of an image.
    """
    frames: list[ImageFile] = []
    lost: list[LeftOut] = []
    for one in images:
        clean, noisy = seen.get(one.path), seen.get(one.noisy_path or one.path)
        if clean is None:
            continue  # the survey has listed it
        if noisy is None:
            lost.append(LeftOut(one.path, "its noisy twin cannot be read"))
            continue
        number, other = clean.facts.num_frames, noisy.facts.num_frames
        if number != other:
            lost.append(LeftOut(one.path, f"it has {number} frames, its noisy twin {other}"))
            continue
        frames += [one._replace(frame=frame) for frame in range(1 if one.box else number)]
    return frames, lost


def look(
    images: Sequence[ImageFile], seen: Mapping[Path, Surveyed], white: float | None = None
) -> Look:
    """Decode some of the images, evenly spread, to see their colours and values.

    Args:
        images: The images.
        seen: The files that have the header of an image.
        white: The stored value that 1.0 stands for in deep files.
    """
    files = [path for one in images for path in (one.path, one.noisy_path) if path is not None]
    files = [file for file in dict.fromkeys(files) if _is_small(seen[file])]
    places = np.linspace(0, len(files) - 1, min(_NUM_LOOKED, len(files)))
    ranges: dict[int, ValueRange] = {}
    has_colour, num_images = False, 0
    for place in places:
        try:
            decoded = read_image(files[round(float(place))], white=white)
        except DataError:
            continue  # it is listed where all images are decoded
        num_images += 1
        pixels = decoded.pixels
        has_colour |= len(pixels) == 3 and bool((pixels != pixels[:1]).any())
        scale = decoded.white or 1.0
        lowest, highest = float(pixels.min()) * scale, float(pixels.max()) * scale
        before = ranges.get(decoded.bit_depth, ValueRange(lowest, highest))
        ranges[decoded.bit_depth] = ValueRange(
            min(before.lowest, lowest), max(before.highest, highest)
        )
    return Look(num_images, has_colour, ranges)


def _is_small(one: Surveyed) -> bool:
    return one.facts.height_px * one.facts.width_px <= _LARGEST_LOOKED_PX


def _survey(path: Path) -> Surveyed | str:
    try:
        facts = inspect_image(path)
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            digest = hashlib.blake2b(digest_size=12)
            if size_bytes > _WHOLE_BYTES:
                digest.update(file.read(2**20))
                file.seek(-(2**20), os.SEEK_END)
            digest.update(file.read(_WHOLE_BYTES))
    except DataError as error:
        return error.problem.removeprefix(f"cannot read {path}: ")
    except OSError as error:
        return error.strerror or str(error)
    return Surveyed(facts, size_bytes, digest.hexdigest())
