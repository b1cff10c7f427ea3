"""The order of the images of a pass, in which the images of small classes may come more often.

As everything that is random in a training it depends on seed and pass alone, so that a resumed run
and each of several processes draw the same images.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.data import ImageDataset
from tapetum.errors import DataError
from tapetum.noise import generator_for

__all__ = ["LARGEST_RATIO", "Draw", "class_weights", "draws_of_pass"]

LARGEST_RATIO = 20.0
"""The largest ratio of the weights of two classes: a handful of images must not decide alone."""

_SHUFFLE_KEY, _CHOICE_KEY = 2, 7  # keys of their own, so that order, choice and noise differ
_PASSES_APART = 2**32  # from one draw of an image to its next one in a pass


class Draw(NamedTuple):
    """An image of a pass.

    Args:
        image: Index of the image.
        epoch: The number that seeds its crop and its noise: that of the pass, or a far one where
            the image was drawn before in this pass, so that it looks different.
    """

    image: int
    epoch: int


def class_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """Return the weight of each class: inverse to its number of images, at most 20 times another.

    The mean weight over the images is 1, so that the labels together count as much as before. A
    class without images gets the largest weight.
    """
    weights = 1 / np.maximum(counts, max(counts) / LARGEST_RATIO)
    weights *= np.sum(counts) / np.sum(weights * counts)
    return tuple(weights.tolist())


def draws_of_pass(
    images: ImageDataset, *, seed: int, epoch: int, weights: Sequence[float] = ()
) -> list[Draw]:
    """Return the images of a pass in random order, as many as the dataset has.

    Args:
        images: The training images.
        seed: Random seed of the training.
        epoch: The number of the pass, from 0.
        weights: How often an image of each class is drawn, in proportion; empty for each image
            once. Among the images of a class the numbers of draws differ by at most 1.

    Raises:
        DataError: Images without labels cannot be weighted.
    """
    order = generator_for(seed, epoch, _SHUFFLE_KEY, 0).permutation(len(images))
    if not weights:
        return [Draw(index, epoch) for index in order.tolist()]
    labels = images.labels
    if labels is None:
        problem = "images without a label each cannot be sampled by class"
        raise DataError(problem, "choose the balance 'none'")
    draws = _balanced(labels, weights, seed=seed, epoch=epoch)
    return [draws[place] for place in order.tolist()]


def _balanced(
    labels: NDArray[np.int64], weights: Sequence[float], *, seed: int, epoch: int
) -> list[Draw]:
    """Return as many draws as there are images, class by class."""
    generator = generator_for(seed, epoch, _CHOICE_KEY)
    mass = np.bincount(labels, minlength=len(weights)) * np.asarray(weights)
    sums = np.cumsum(mass)
    # Rounded with one random offset: the number of draws of each class has the stated mean.
    ends = np.floor(sums / sums[-1] * len(labels) + generator.uniform())
    ends = np.minimum(ends, len(labels)).astype(int)
    draws = []
    for label, count in enumerate(np.diff(ends, prepend=0).tolist()):
        members = generator.permutation(np.flatnonzero(labels == label)).tolist()
        draws += [
            Draw(members[place % len(members)], epoch + place // len(members) * _PASSES_APART)
            for place in range(count)
        ]
    return draws
