"""Say with figures where a folder holds few images for what is asked of them."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tapetum.data import Dataset

__all__ = ["few_images"]

FEW, FEW_OF_CLASS, FEW_VALIDATION = 100, 20, 100
MOST_NAMED = 5  # classes in a sentence


def few_images(dataset: Dataset) -> Iterator[str]:
    """Yield a sentence, without a full stop, for each way in which the images are few.

    Digits, of which as many are composed as are asked for, are passed over.
    """
    if dataset.summary is None:
        return
    num_train, num_validation = len(dataset.train), len(dataset.validation)
    if num_train < FEW:
        yield (
            f"few images to learn from: {num_train}, where {FEW} or more are advised; scores on "
            "other images can be much lower"
        )
    labels = dataset.train.labels
    if labels is not None and labels.ndim == 1:
        yield from _small_classes(labels, dataset.info.class_names)
    if num_validation < FEW_VALIDATION:
        yield (
            f"few images to score: {num_validation}, so "
            + (
                "scores are uncertain"
                if labels is None
                else f"an accuracy is uncertain by about {_points(num_validation):.0f} points "
                "either way"
            )
        )


def _small_classes(labels: NDArray[np.int64], names: tuple[str, ...]) -> Iterator[str]:
    """Yield the classes with few training images, with their numbers, the smallest first."""
    counts = np.bincount(labels, minlength=len(names))
    small = [(int(count), name) for count, name in zip(counts, names, strict=True)]
    small = sorted((one for one in small if one[0] < FEW_OF_CLASS), key=lambda one: one[0])
    if not small:
        return
    named = ", ".join(f"{name} {count}" for count, name in small[:MOST_NAMED])
    more = f" and {len(small) - MOST_NAMED} more classes" if len(small) > MOST_NAMED else ""
    yield (
        f"few training images of a class: {named}{more}, where {FEW_OF_CLASS} or more are advised; "
        "their labels will be unreliable"
    )


def _points(count: int) -> float:
    """Return two standard errors of an accuracy of one half, in percentage points."""
    return 100 / math.sqrt(count) if count else 100.0
