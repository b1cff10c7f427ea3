"""What every set of images offers: a length, names, and clean images by index.

Sets know nothing of noise, batches or processes (:mod:`tapetum.data.batches` does), and nothing
of files once they are open.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Concatenated", "ImageDataset", "Samples", "Subset"]


class Samples(NamedTuple):
    """Clean images and what is known about them.

    Args:
        images: Shape (b, c, h, w), in [0, 1].
        noisy: The noisy twin of each image, where the set brings its own noise; same shape.
        labels: Shape (b,), or (b, k) where each of k boxes has a name; None where nothing has.
        boxes: Shape (b, k, 4): left, top, right, bottom in pixels; None where labels belong to
            whole images.
    """

    images: NDArray[np.float32]
    noisy: NDArray[np.float32] | None
    labels: NDArray[np.int64] | None
    boxes: NDArray[np.float32] | None


@runtime_checkable
class ImageDataset(Protocol):
    """Images by index."""

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each label; empty where nothing is labelled."""

    @property
    def source(self) -> str:
        """Where the images come from, in a sentence for people, without a full stop."""

    def __len__(self) -> int: ...

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """The images of some indices.

        Args:
            indices: Each from 0 up to the length.
            epoch: The pass over the set that this belongs to.
            seed: Where random choices come from.
            train: Whether the set may crop or flip at random.  What it then does to an image
                depends on seed, epoch and index alone.
        """


class Subset:
    """Some images of a set, as a set of its own (a :class:`ImageDataset`).

    Args:
        images: The whole set.
        indices: Which of them, in which order.
    """

    def __init__(self, images: ImageDataset, indices: Sequence[int]) -> None:
        self.channels = images.channels
        self.class_names = images.class_names
        self.source = images.source
        self._images = images
        self._indices = tuple(indices)

    def __len__(self) -> int:
        return len(self._indices)

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """The images of some places in the selection; see :meth:`ImageDataset.take`."""
        chosen = [self._indices[index] for index in indices]
        return self._images.take(chosen, epoch=epoch, seed=seed, train=train)


class Concatenated:
    """Two sets of one kind, one behind the other, as one (a :class:`ImageDataset`).

    Args:
        first: Its images come first.
        second: Has the same channels and class names.
        source: Where all of them come from, in a sentence for people.
    """

    def __init__(self, first: ImageDataset, second: ImageDataset, *, source: str) -> None:
        self.channels = first.channels
        self.class_names = first.class_names
        self.source = source
        self._parts = (first, second)

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """The images of some indices; see :meth:`ImageDataset.take`."""
        found = [self._one(index, epoch=epoch, seed=seed, train=train) for index in indices]
        return Samples(*(_stacked(column) for column in zip(*found, strict=True)))

    def _one(self, index: int, *, epoch: int, seed: int, train: bool) -> Samples:
        first, second = self._parts
        part, place = (first, index) if index < len(first) else (second, index - len(first))
        return part.take([place], epoch=epoch, seed=seed, train=train)


def _stacked(column: Sequence[NDArray[Any] | None]) -> Any:
    known = [values for values in column if values is not None]
    return np.concatenate(known) if known else None
