"""What every set of pictures offers: a length, names, and clean pictures by index.

Sets know nothing of noise, batches or processes (:mod:`tapetum.data.batches` does), and nothing
of files once they are open.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Clean", "Joined", "PictureSet", "Selection"]


class Clean(NamedTuple):
    """Clean pictures and what is known about them.

    Args:
        pictures: Shape (b, c, h, w), in [0, 1].
        noisy: The noisy twin of each picture, where the set brings its own noise; same shape.
        labels: Shape (b,), or (b, k) where each of k boxes has a name; None where nothing has.
        boxes: Shape (b, k, 4): left, top, right, bottom in pixels; None where labels belong to
            whole pictures.
    """

    pictures: NDArray[np.float32]
    noisy: NDArray[np.float32] | None
    labels: NDArray[np.int64] | None
    boxes: NDArray[np.float32] | None


@runtime_checkable
class PictureSet(Protocol):
    """Pictures by index."""

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each label; empty where nothing is labelled."""

    @property
    def source(self) -> str:
        """Where the pictures come from, in a sentence for people, without a full stop."""

    def __len__(self) -> int: ...

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Clean:
        """The pictures of some indices.

        Args:
            indices: Each from 0 up to the length.
            epoch: The pass over the set that this belongs to.
            seed: Where random choices come from.
            train: Whether the set may crop or flip at random.  What it then does to a picture
                depends on seed, epoch and index alone.
        """


class Selection:
    """Some pictures of a set, as a set of its own (a :class:`PictureSet`).

    Args:
        pictures: The whole set.
        indices: Which of them, in which order.
    """

    def __init__(self, pictures: PictureSet, indices: Sequence[int]) -> None:
        self.channels = pictures.channels
        self.class_names = pictures.class_names
        self.source = pictures.source
        self._pictures = pictures
        self._indices = tuple(indices)

    def __len__(self) -> int:
        return len(self._indices)

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Clean:
        """The pictures of some places in the selection; see :meth:`PictureSet.take`."""
        chosen = [self._indices[index] for index in indices]
        return self._pictures.take(chosen, epoch=epoch, seed=seed, train=train)


class Joined:
    """Two sets of one kind, one behind the other, as one (a :class:`PictureSet`).

    Args:
        first: Its pictures come first.
        second: Has the same channels and class names.
        source: Where all of them come from, in a sentence for people.
    """

    def __init__(self, first: PictureSet, second: PictureSet, *, source: str) -> None:
        self.channels = first.channels
        self.class_names = first.class_names
        self.source = source
        self._parts = (first, second)

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Clean:
        """The pictures of some indices; see :meth:`PictureSet.take`."""
        found = [self._one(index, epoch=epoch, seed=seed, train=train) for index in indices]
        return Clean(*(_stacked(column) for column in zip(*found, strict=True)))

    def _one(self, index: int, *, epoch: int, seed: int, train: bool) -> Clean:
        first, second = self._parts
        part, place = (first, index) if index < len(first) else (second, index - len(first))
        return part.take([place], epoch=epoch, seed=seed, train=train)


def _stacked(column: Sequence[NDArray[Any] | None]) -> Any:
    known = [values for values in column if values is not None]
    return np.concatenate(known) if known else None
