"""Images of a folder as a dataset: what training and validation see of each file.

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

import numpy as np
from numpy.typing import NDArray

from tapetum.data.dataset import ImageDataset, Samples
from tapetum.data.loading import DecodedFile, decoding_threads
from tapetum.data.squares import Integers, Square, cut, middle_square, random_square
from tapetum.noise import generator_for

__all__ = ["FolderDataset"]

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


def _labels(
    images: Sequence[DecodedFile], class_names: tuple[str, ...]
) -> NDArray[np.int64] | None:
    if not class_names:
        return None
    numbers = {name: number for number, name in enumerate(class_names)}
    names = [image.file.class_name for image in images]
    return np.array([numbers[name] for name in names if name is not None], dtype=np.int64)
