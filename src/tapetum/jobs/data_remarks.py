"""Say with figures what a folder lacks, such as images, and what is lost of its images."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tapetum.data import Dataset, ImageDataset
from tapetum.noise import Protocol
from tapetum.records import Note, Weight
from tapetum.runtime import brightness_of

__all__ = ["data_remarks", "other_light"]

CAMERA_BITS = 8  # of a noisy image by the protocol camera
FEW, FEW_OF_CLASS, FEW_VALIDATION = 100, 20, 100
MOST_NAMED = 5  # classes in a sentence
MOST_OF_CLASS, MOST_LOOKED_AT = 20, 200  # images of a part whose brightness is compared
OTHER = 0.15  # of the brightness: a difference that labels may suffer from
STANDARD_ERRORS = 4  # of the difference, so that it is none of the choice


def data_remarks(dataset: Dataset, protocol: Protocol) -> tuple[Note, ...]:
    """Return sentences, without a full stop, on what the images lack, or lose by the protocol.

    Digits, of which as many are composed as are asked for, are passed over.
    """
    if dataset.summary is None:
        return ()
    lost = _lost_bits(dataset) if protocol == "camera" else ()
    said = (*lost, *_few_images(dataset), *_light_remark(other_light(dataset)))
    return tuple(Note(text, Weight.DATA) for text in said)


def _lost_bits(dataset: Dataset) -> Iterator[str]:
    """Yield a sentence where noisy images are rounded to fewer bits than the files have."""
    depths = {} if dataset.summary is None else dataset.summary.bit_depths
    deep = sum(count for bits, count in depths.items() if bits > CAMERA_BITS)
    if deep and not dataset.info.is_paired:
        yield (
            f"noisy images are rounded to {CAMERA_BITS} bits (--protocol camera), but {deep:,} of "
            "the files have more; --protocol benchmark keeps their values"
        )


def _few_images(dataset: Dataset) -> Iterator[str]:
    """Yield a sentence for each way in which the images are few."""
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


@lru_cache(maxsize=1)  # a command asks several times, and it takes half a second
def other_light(dataset: Dataset) -> Mapping[str, float]:
    """Return the classes whose validation images are much brighter or darker than the others.

    Returns:
        The mean value of the validation images over that of the training images, by class; classes
        with few images are left out, and so are composed digits.
    """
    if dataset.summary is None:
        return {}
    train, validation = (_brightness(part) for part in (dataset.train, dataset.validation))
    found = {}
    for label in sorted(train.keys() & validation.keys()):
        ours, theirs = train[label], validation[label]
        ratio = float(theirs.mean() / max(ours.mean(), 1e-3))
        error = math.hypot(*(one.std() / math.sqrt(len(one)) for one in (ours, theirs)))
        is_certain = abs(theirs.mean() - ours.mean()) > STANDARD_ERRORS * error
        if is_certain and abs(ratio - 1) > OTHER:
            found[dataset.info.class_names[label]] = ratio
    return found


def _light_remark(found: Mapping[str, float]) -> Iterator[str]:
    """Yield a sentence on the classes under another light, the largest difference first."""
    if found:
        order = sorted(found, key=lambda name: -abs(found[name] - 1))
        more = f" and {len(order) - MOST_NAMED} more" if len(order) > MOST_NAMED else ""
        named = ", ".join(f"{name} {_changed(found[name])}" for name in order[:MOST_NAMED])
        yield (
            "validation images have another brightness than training images of their class: "
            f"{named}{more}; labels are less certain under another light, and training images of "
            "both would help"
        )


def _changed(ratio: float) -> str:
    return f"{abs(ratio - 1):.0%} {'brighter' if ratio > 1 else 'darker'}"


def _brightness(part: ImageDataset) -> dict[int, NDArray[np.float64]]:
    """Return the mean value of some images of each class that has enough of them."""
    labels = part.labels
    if labels is None or labels.ndim != 1:
        return {}
    classes, counts = np.unique(labels, return_counts=True)
    each = min(MOST_OF_CLASS, MOST_LOOKED_AT // max(1, len(classes)))
    if each < FEW_OF_CLASS // 2:
        return {}
    enough = classes[counts >= FEW_OF_CLASS // 2].tolist()
    return {label: _means(part, np.flatnonzero(labels == label).tolist(), each) for label in enough}


def _means(part: ImageDataset, of_class: Sequence[int], count: int) -> NDArray[np.float64]:
    """Return the mean value of at most so many images, evenly spread over a class."""
    alike = part.subset(of_class)
    images = alike.take(alike.spread(count), epoch=0, seed=0, train=False).images
    return np.array([brightness_of(image) for image in images]).ravel()
