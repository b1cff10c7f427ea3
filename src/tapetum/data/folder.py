"""A folder of images as a dataset.

Opening a folder decodes every file once, so that unreadable files are known before the training
starts. Decoded images stay in memory, up to a limit; the others are read again when needed.

An image becomes ``size_px`` x ``size_px`` in one of two ways.

*Labelled* images are resampled, since a label needs the whole object in view. Validation uses the
largest central square. Training uses a random square of 80 to 100 % of that side, but of at least
``size_px`` pixels.

*Unlabelled and paired* images are cut, since resampling would change their texture and average away
the noise of a given twin. Validation cuts the central square of ``size_px``, training one anywhere.
A smaller image is enlarged, a smaller pair is skipped.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapetum.data.dataset import Dataset, DatasetInfo, ImageDataset, Samples, Skipped
from tapetum.data.layout import Layout, find_layout
from tapetum.data.loading import DecodedFile, Progress, decoding_threads, load_all
from tapetum.data.splitting import split
from tapetum.data.squares import Integers, Square, cut, middle_square, random_square
from tapetum.errors import DataError
from tapetum.noise import generator_for

__all__ = ["FolderDataset", "open_folder"]

SMALLEST_PX = 16
"""The smallest size of images: SSIM needs 11 px, and networks halve the size several times."""

LARGEST_DEFAULT_PX = 256
"""The largest default size: larger images train slowly on a CPU."""

_KEPT_BYTES = 2 * 1024**3
_KEPT_RATIO = 2  # of the size: labelled images are kept this large, so that crops stay sharp
_SMALLEST_SHARE = 0.8  # of the shorter side: the smallest training square of a labelled image
_CROP_KEY = 1  # a key of its own, so that crops and noise are independent

_View = tuple[NDArray[np.float32], NDArray[np.float32] | None]


class FolderDataset(ImageDataset):
    """Images of a folder.

    Args:
        images: The decoded files; all of them labelled or none, all of them paired or none.
        class_names: The name of each label; empty without labels.
        channels: 1 for grey, 3 for RGB; images are converted.
        size_px: Height and width of the images that :meth:`take` returns.
        flip: Whether training may mirror images left to right.
        source: The origin of the images, in a sentence for people.
    """

    def __init__(
        self,
        images: Sequence[DecodedFile],
        *,
        class_names: tuple[str, ...],
        channels: int,
        size_px: int,
        flip: bool = True,
        source: str,
    ) -> None:
        self.class_names = class_names
        self.channels = channels
        self.size_px = size_px
        self.source = source
        self._images = tuple(images)
        self._labels = _labels(self._images, class_names)
        self._flip = flip

    def __len__(self) -> int:
        return len(self._images)

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """Return the images of some indices; see :meth:`ImageDataset.take`.

        Raises:
            DataError: A file that has to be read again cannot be read.
        """

        def view(index: int) -> _View:
            generator = generator_for(seed, epoch, index, _CROP_KEY) if train else None
            return self._view(self._images[index], generator)

        if all(self._images[index].kept is not None for index in indices):
            views = [view(index) for index in indices]
        else:
            with ThreadPoolExecutor(decoding_threads()) as pool:
                views = list(pool.map(view, indices))
        twins = [noisy for _, noisy in views if noisy is not None]
        return Samples(
            images=np.stack([clean for clean, _ in views]),
            noisy=np.stack(twins) if twins else None,
            labels=None if self._labels is None else self._labels[np.asarray(indices)],
            boxes=None,
        )

    def _view(self, image: DecodedFile, generator: np.random.Generator | None) -> _View:
        """Return an image and its twin, cut alike; at random if there is a generator."""
        square = self._square(image, generator)
        is_flipped = generator is not None and self._flip and bool(generator.integers(2))

        def square_of(pixels: Integers) -> NDArray[np.float32]:
            values = cut(pixels, square, size_px=self.size_px, channels=self.channels)
            return values[:, :, ::-1] if is_flipped else values

        clean, noisy = image.pixels()
        return square_of(clean), None if noisy is None else square_of(noisy)

    def _square(self, image: DecodedFile, generator: np.random.Generator | None) -> Square:
        longest_px = image.shorter_side_px
        shortest_px = max(self.size_px, ceil(_SMALLEST_SHARE * longest_px))
        if self._labels is None or image.file.noisy_path is not None:
            shortest_px = longest_px = min(longest_px, self.size_px)
        if generator is None:
            return middle_square(image.height, image.width, side_px=longest_px)
        side_px = int(generator.integers(min(shortest_px, longest_px), longest_px + 1))
        return random_square(image.height, image.width, side_px=side_px, generator=generator)


def open_folder(
    root: Path,
    *,
    seed: int,
    size_px: int | None = None,
    channels: int | None = None,
    val_fraction: float = 0.2,
    flip: bool = True,
    kept_bytes: int = _KEPT_BYTES,
    score_all: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Open a folder of images in one of the layouts of :mod:`tapetum.data.layout`.

    Args:
        root: The folder.
        seed: Random seed of the split, where the folder has no validation part.
        size_px: Height and width of the images; by default the shortest side of all, rounded down
            to a multiple of 8, and at most 256.
        channels: 1 or 3; by default 3 if any image has colour, else 1.
        val_fraction: Share of each class that validates, where the folder has no validation part.
        flip: Whether training may mirror images left to right.
        kept_bytes: Memory for decoded images, in bytes; the others are read when needed.
        score_all: Whether the validation part holds all images, for scoring.
        progress: Called after each file with the number of files done and the number of all files.

    Raises:
        DataError: There is no such folder, no readable image, a class without one, or an impossible
            request.
    """
    _check_request(size_px, channels, val_fraction)
    layout = find_layout(root)
    is_cut = layout.is_paired or not layout.class_names
    largest_px = None if is_cut else _KEPT_RATIO * (size_px or LARGEST_DEFAULT_PX)
    files = [*layout.train, *(layout.val or ())]
    loaded, unreadable = load_all(
        files, largest_px=largest_px, kept_bytes=kept_bytes, progress=progress
    )
    size_px = size_px or _common_size_px(loaded)
    loaded, too_small = _large_enough(loaded, size_px) if layout.is_paired else (loaded, [])
    skipped = (*layout.skipped, *unreadable, *too_small)
    train, val = split(layout, loaded, skipped, val_fraction=val_fraction, seed=seed)
    channels = channels or (3 if any(image.is_colour for image in loaded) else 1)
    how = "as given" if layout.val is not None else f"chosen with seed {seed}"

    def part(images: list[DecodedFile], source: str) -> FolderDataset:
        return FolderDataset(
            images,
            class_names=layout.class_names,
            channels=channels,
            size_px=size_px,
            flip=flip,
            source=source,
        )

    info = DatasetInfo(
        source=str(root.resolve()),
        description=f"{root}: {len(train):,} training and {len(val):,} validation images "
        f"({how}), {_kind(layout)}, {'grey' if channels == 1 else 'RGB'}, {size_px} x {size_px} px",
        size_px=size_px,
        channels=channels,
        class_names=layout.class_names,
        num_train=len(train),
        num_validation=len(val),
        seed=seed,
        is_paired=layout.is_paired,
    )
    training = part(train, f"{len(train):,} training images of {root} ({how})")
    if score_all:
        return Dataset(training, part([*train, *val], f"all images of {root.name}"), info, skipped)
    validation = part(val, f"{len(val):,} validation images of {root} ({how})")
    return Dataset(training, validation, info, skipped)


def _check_request(size_px: int | None, channels: int | None, val_fraction: float) -> None:
    faults = []
    if size_px is not None and size_px < SMALLEST_PX:
        faults.append(f"a size of {size_px} px is below {SMALLEST_PX} px")
    if channels not in (None, 1, 3):
        faults.append(f"images have 1 channel (grey) or 3 (RGB), not {channels}")
    if not 0 < val_fraction < 1:
        faults.append(f"a validation share of {val_fraction:g} is not between 0 and 1")
    if faults:
        raise DataError("; ".join(faults), "change these arguments")


def _common_size_px(loaded: Sequence[DecodedFile]) -> int:
    """Return the shortest side of all, rounded down to a multiple of 8, within our bounds."""
    shortest_px = min((image.shorter_side_px for image in loaded), default=SMALLEST_PX)
    return min(max(shortest_px // 8 * 8, SMALLEST_PX), LARGEST_DEFAULT_PX)


def _large_enough(
    loaded: Sequence[DecodedFile], size_px: int
) -> tuple[list[DecodedFile], list[Skipped]]:
    """Split off the pairs that are smaller than ``size_px``; twins are never enlarged."""
    small = [
        (image.file.path, f"it is {image.width} x {image.height} px, below {size_px} px")
        for image in loaded
        if image.shorter_side_px < size_px
    ]
    return [image for image in loaded if image.shorter_side_px >= size_px], small


def _labels(
    images: Sequence[DecodedFile], class_names: tuple[str, ...]
) -> NDArray[np.int64] | None:
    if not class_names:
        return None
    numbers = {name: number for number, name in enumerate(class_names)}
    names = [image.file.class_name for image in images]
    return np.array([numbers[name] for name in names if name is not None], dtype=np.int64)


def _kind(layout: Layout) -> str:
    num_classes = len(layout.class_names)
    labels = f"{num_classes} {'class' if num_classes == 1 else 'classes'}"
    return f"{labels if num_classes else 'no labels'}{', paired' if layout.is_paired else ''}"
