"""The images of a target camera, in two halves, as a network sees them.

One half estimates, the other one decides. Which image lies in which half depends on the seed and on
names; files of equal content count once. Of a stack the first frame is used.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tapetum.errors import DataError
from tapetum.images import display_name, find_white_level, read_image, resample, scan
from tapetum.noise import NoisePlan, add_noise, generator_for_image
from tapetum.progress import ProgressCallback
from tapetum.runtime import Preparation

__all__ = [
    "FEWEST",
    "CameraImages",
    "View",
    "Viewer",
    "apparent_sigma",
    "content_of",
    "find_images",
]

FEWEST, MOST = 20, 400  # images; each decoded one is large
NUM_WINDOWS = 4  # of an image at its own resolution
MOST_NAMED = 3
LEAST_SIGMA = 1 / 255  # below, 8 bits show nothing
FLOATS_AGREE = 1.1  # ratio of the white levels of two halves

Pixels = NDArray[np.float32]


class CameraImages(NamedTuple):
    """Files of a camera.

    Attributes:
        estimating: Files to estimate from.
        judging: Files to decide on.
        notes: What is not used, in sentences without a full stop.
    """

    estimating: tuple[Path, ...]
    judging: tuple[Path, ...]
    notes: tuple[str, ...]

    @property
    def total(self) -> int:
        """Number of files in both halves."""
        return len(self.estimating) + len(self.judging)

    def white_level(self, old: float | None) -> tuple[float | None, str]:
        """Return the white level that both halves show, or the old one, and why."""
        halves = [find_white_level(paths) for paths in (self.estimating, self.judging)]
        if all(half.reason is None and half.brightest is None for half in halves):
            return old, "no file has more than 8 bits, so white is 255"
        first, second = (half.white for half in halves)
        levels = sorted(level for level in (first, second) if level is not None)
        if first != second and (len(levels) < 2 or levels[1] > FLOATS_AGREE * levels[0]):
            return old, f"the two halves of the images differ ({first} and {second}): cannot tell"
        found = levels[-1] if levels else None
        reason = halves[0].reason or "the values fill 16 bits"
        return found, reason if found != old else f"as before: {reason}"


def find_images(folder: Path, seed: int) -> CameraImages:
    """Find the images of a folder and its sub-folders, and divide them.

    Raises:
        DataError: There is no such folder, or no image in it.
    """
    entries = list(scan(folder))
    paths = [entry for entry in entries if isinstance(entry, Path)]
    if not paths:
        raise DataError(f"no image in {display_name(folder)}", "give a folder with images")
    others = [entry for entry in entries if not isinstance(entry, Path)]
    notes = [f"{display_name(one.path)} was left out: {one.reason}" for one in others[:MOST_NAMED]]
    if len(others) > MOST_NAMED:
        notes.append(f"{len(others) - MOST_NAMED:,} more files were left out")
    if len(paths) > MOST:
        notes.append(f"{MOST:,} of {len(paths):,} images are used, chosen with seed {seed}")

    def draw(path: Path) -> bytes:
        name = display_name(path.relative_to(folder))
        return hashlib.blake2b(f"{seed}\0{name}".encode()).digest()

    chosen = sorted(paths, key=draw)[:MOST]
    unique = tuple({content_of(path): path for path in chosen}.values())
    if len(unique) < len(chosen):
        notes.append(f"{len(chosen) - len(unique):,} files equal others, and count once")
    return CameraImages(unique[::2], unique[1::2], tuple(notes))


def content_of(path: Path) -> str:
    """Return a digest of a file: that of the lists of a training, but for very large files."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=12)).hexdigest()


class View(NamedTuple):
    """What a network sees of an image.

    Attributes:
        whole: What training saw: the prepared image, or a window, (c, size, size).
        windows: Parts at the image's own resolution, which are denoised, (k, c, h, w).
        clean: The same without noise that was added; None where none was.
        folder_name: Name of the folder that the file lies in, which may be a class.
    """

    whole: Tensor
    windows: Tensor
    clean: Tensor | None
    folder_name: str


@dataclass(frozen=True)
class Viewer:
    """Opens images as a network sees them.

    Attributes:
        preparation: That of the network.
        size_px: Side of the training images.
        added: Noise that is added; None for images that bring their own.
        seed: Random seed of windows and noise; both also depend on the image.
    """

    preparation: Preparation
    size_px: int
    added: NoisePlan | None
    seed: int

    def each(
        self, paths: Sequence[Path], notes: list[str], progress: ProgressCallback
    ) -> Iterator[View]:
        """Yield the view of each file that can be read; the others are noted."""
        for done, path in enumerate(paths, start=1):
            try:
                yield self._view(path)
            except DataError as error:
                notes.append(error.problem)
            progress(done, len(paths), "opening, in images")

    def _view(self, path: Path) -> View:
        clean = self.preparation.colours(read_image(path, white=self.preparation.white))
        generator = generator_for_image(clean, self.seed)
        noisy = clean
        if self.added is not None:
            noise = self.added.draw(generator)
            noisy = add_noise(clean, noise, generator, protocol=self.added.protocol)
        height, width = clean.shape[1:]
        cuts = list(self._cuts(height, width, generator))
        whole = self.preparation.resized(noisy)
        if self.preparation.size_px is None:
            window = noisy[:, *cuts[0]]
            whole = resample(window, height=self.size_px, width=self.size_px)
        return View(
            torch.from_numpy(np.ascontiguousarray(whole)),
            _stacked(noisy, cuts),
            None if self.added is None else _stacked(clean, cuts),
            path.parent.name,
        )

    def _cuts(
        self, height: int, width: int, generator: np.random.Generator
    ) -> Iterator[tuple[slice, slice]]:
        """Yield square windows at random places; one of an image that is no larger."""
        side = min(self.size_px, height, width)
        for _ in range(1 if height == width == side else NUM_WINDOWS):
            top = int(generator.integers(height - side + 1))
            left = int(generator.integers(width - side + 1))
            yield slice(top, top + side), slice(left, left + side)


def _stacked(pixels: Pixels, cuts: Iterable[tuple[slice, slice]]) -> Tensor:
    return torch.from_numpy(np.stack([pixels[:, *cut] for cut in cuts]))


def apparent_sigma(views: Iterable[View]) -> float:
    """Return how strong independent noise can be in some images, at most.

    It is the spread of the finest diagonal detail, of which texture is a part. The median over
    pixels and over images is little moved by edges.
    """
    found = []
    for view in views:
        x = view.windows
        x = x[..., : x.shape[-2] // 2 * 2, : x.shape[-1] // 2 * 2]
        detail = x[..., ::2, ::2] - x[..., 1::2, ::2] - x[..., ::2, 1::2] + x[..., 1::2, 1::2]
        found.append(float(detail.abs().median()) / 2 / 0.6745)  # of a normal distribution
    return max(LEAST_SIGMA, float(np.median(found)))
