"""Look at every file of a folder before any is decoded: what its header says, and its digest."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tapetum.data.layout import ImageFile, Layout
from tapetum.data.threads import Progress, in_threads
from tapetum.errors import DataError
from tapetum.images import ImageFacts, LeftOut, inspect_image, read_image

__all__ = ["Look", "Surveyed", "ValueRange", "frames_of", "look", "survey"]

_WHOLE_BYTES = 64 * 2**20  # of larger files only both ends are read for the digest
_NUM_LOOKED = 48  # images that are decoded to see which values are in use
_LARGEST_LOOKED_PX = 40_000_000


class Surveyed(NamedTuple):
    """A file with the header of an image: what it says, and a digest of the content."""

    facts: ImageFacts
    size_bytes: int
    digest: str

    @property
    def shorter_side_px(self) -> int:
        """The smaller one of height and width."""
        return min(self.facts.height_px, self.facts.width_px)

    @property
    def size(self) -> str:
        """Width and height in words."""
        return f"{self.facts.width_px} x {self.facts.height_px} px"


class ValueRange(NamedTuple):
    """The lowest and the highest stored value of the images of one bit depth."""

    lowest: float
    highest: float


class Look(NamedTuple):
    """What some images show once they are decoded: colours, and values by bit depth."""

    num_images: int
    damaged: tuple[Path, ...]
    has_colour: bool
    ranges: Mapping[int, ValueRange]


def survey(
    images: Sequence[ImageFile], *, progress: Progress | None = None
) -> tuple[dict[Path, Surveyed], list[LeftOut]]:
    """Look at each file once; return what was seen, and the unreadable files with the reason."""
    files = _files(images)
    results = dict(zip(files, in_threads(_survey, files, progress), strict=True))
    seen = {file: found for file, found in results.items() if isinstance(found, Surveyed)}
    lost = [LeftOut(file, found) for file, found in results.items() if isinstance(found, str)]
    return seen, lost


def frames_of(layout: Layout, seen: Mapping[Path, Surveyed], lost: Sequence[LeftOut]) -> Layout:
    """Return a layout with an image for each frame of each file that was not lost."""
    faults = {one.path: _fault(one, seen) for one in layout.images if one.path in seen}
    lost = [*lost, *(LeftOut(path, fault) for path, fault in faults.items() if fault)]

    def frames(files: Sequence[ImageFile]) -> list[ImageFile]:
        return [
            one._replace(frame=frame)
            for one in files
            if faults.get(one.path, "unreadable") is None
            for frame in range(1 if one.box else seen[one.path].facts.num_frames)
        ]

    return layout.changed(frames, lost)


def _fault(one: ImageFile, seen: Mapping[Path, Surveyed]) -> str | None:
    """Return why an image cannot be used with its noisy twin."""
    twin = seen.get(one.files[-1])
    if twin is None:
        return "its noisy twin cannot be read"
    number, other = seen[one.path].facts.num_frames, twin.facts.num_frames
    if number != other:
        return f"it has {number} frames, its noisy twin {other}"
    size, other_size = seen[one.path].size, twin.size
    return None if size == other_size else f"it is {size}, its noisy twin {other_size}"


def look(images: Sequence[ImageFile], seen: Mapping[Path, Surveyed], white: float | None) -> Look:
    """Decode some of the images, evenly spread, to see their colours and values."""
    files = [file for file in _files(images) if _is_small(seen[file])]
    places = np.linspace(0, len(files) - 1, min(_NUM_LOOKED, len(files)))
    ranges: dict[int, ValueRange] = {}
    has_colour, num_images, damaged = False, 0, []
    for place in places:
        path = files[round(float(place))]
        try:
            decoded = read_image(path, white=white)
        except DataError:
            damaged.append(path)
            continue
        num_images += 1
        pixels, scale = decoded.pixels, decoded.white or 1.0
        has_colour |= len(pixels) == 3 and bool((pixels != pixels[:1]).any())
        lowest, highest = float(pixels.min()) * scale, float(pixels.max()) * scale
        known = ranges.get(decoded.bit_depth, (lowest, highest))
        ranges[decoded.bit_depth] = ValueRange(min(known[0], lowest), max(known[1], highest))
    return Look(num_images, tuple(damaged), has_colour, ranges)


def _files(images: Sequence[ImageFile]) -> list[Path]:
    """Return every file of some images once."""
    return list(dict.fromkeys(path for one in images for path in one.files))


def _is_small(one: Surveyed) -> bool:
    return one.facts.height_px * one.facts.width_px <= _LARGEST_LOOKED_PX


def _survey(path: Path) -> Surveyed | str:
    """Return what the file has, or why it cannot be read."""
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
