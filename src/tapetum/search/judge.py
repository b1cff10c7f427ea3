"""What a trained candidate is worth on held-out images, image by image.

Every candidate of a rung sees the same images with the same noise. Two candidates can therefore be
compared image by image, which is much more certain than comparing their means.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum import metrics
from tapetum.data import ImageDataset
from tapetum.nn import TrainableNetwork
from tapetum.records import Record
from tapetum.scores import SEEN_DB
from tapetum.training import Batch, Compute, Recipe, evaluation_batches

__all__ = ["Measures", "judge", "num_levels"]

_Values = NDArray[np.float64]


class Measures(Record):
    """Scores of a candidate on held-out images.

    The standard error of an accuracy is binomial, over images: those of one image at several noise
    levels are not counted as independent. A class without a mistake is not taken for certain
    (Laplace's rule of succession).

    Attributes:
        num_images: Number of images.
        num_views: Number of images times the noise levels that each was seen at.
        macro_accuracy: Accuracy of each class, averaged over the classes; None without labels or
            without a classifier.
        macro_accuracy_error: Its standard error.
        psnr_db: Mean PSNR of the noisy views, each counting at most 40 dB; None without a decoder.
            Clean views count only where there are no others: a network that copies its input would
            be ahead by them.
        psnr_error_db: Its standard error over images.
        balanced: For each image a value whose mean is the macro-averaged accuracy.
        decibels: For each image a value whose mean is the mean PSNR; 0 for an image that was seen
            without noise alone.
    """

    num_images: int
    num_views: int
    macro_accuracy: float | None = None
    macro_accuracy_error: float | None = None
    psnr_db: float | None = None
    psnr_error_db: float | None = None
    balanced: tuple[float, ...] | None = None
    decibels: tuple[float, ...] | None = None


def num_levels(recipe: Recipe, images: ImageDataset) -> int:
    """Return the number of noise levels at which an image can be judged; 1 for pairs."""
    is_paired = images.take([0], epoch=0, seed=0, train=False).noisy is not None
    return 1 if is_paired else len(recipe.noise.validated())


@torch.no_grad()
def judge(
    network: TrainableNetwork, images: ImageDataset, recipe: Recipe, *, views: int
) -> Measures:
    """Score a network on at most ``views`` held-out images, or on fewer at several noise levels.

    Args:
        network: In evaluation mode.
        images: Images that were held out.
        recipe: Has the noise.
        views: How often the network may run on an image, at least 1.
    """
    compute, seen = Compute(), _Seen()
    for rows, batch, is_compared in _views(images, recipe, views):
        moved = compute.move(batch, channels_last=recipe.channels_last)
        image, logits = network(moved.noisy, moved.boxes)
        seen.rows.append(np.asarray(rows))
        if image is not None and is_compared:
            decibels = metrics.psnr(_array(image), batch.clean.numpy())
            seen.compared.append(np.asarray(rows))
            seen.decibels.append(np.minimum(decibels, SEEN_DB))
        if logits is not None and batch.labels is not None:
            seen.labels.append(batch.labels.numpy().reshape(len(rows), -1))
            seen.guesses.append(_array(logits).argmax(-1).reshape(len(rows), -1))
    return seen.measures()


def _views(
    images: ImageDataset, recipe: Recipe, views: int
) -> Iterator[tuple[Sequence[int], Batch, bool]]:
    """Yield batches of views with the number of each image, from 0, and whether its PSNR counts."""
    chosen, levels = images.spread(views), num_levels(recipe, images)
    count = len(chosen)
    each = max(1, min(views // count, levels))
    # Clean ones last: one view alone should be a noisy one.
    noises = sorted(recipe.noise.validated()[:levels], key=lambda noise: noise.is_nothing)
    is_all_clean = all(noise.is_nothing for noise in noises)
    for number, noise in enumerate(noises):
        # In turn, so that every level meets images from all over the dataset.
        rows = [row for row in range(count) if (number - row) % levels < each]
        batches = evaluation_batches(
            images.subset([chosen[row] for row in rows]),
            noise,
            protocol=recipe.noise.protocol,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
        )
        for place, batch in enumerate(batches):
            start = place * recipe.batch_size
            here = rows[start : start + len(batch.clean)]
            yield here, batch, is_all_clean or not noise.is_nothing


def _array(values: torch.Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()


@dataclass
class _Seen:
    """The views of all images, batch by batch: the image of each, and how it was answered."""

    rows: list[NDArray[np.int64]] = field(default_factory=list)
    compared: list[NDArray[np.int64]] = field(default_factory=list)  # those of ``decibels``
    decibels: list[_Values] = field(default_factory=list)
    labels: list[NDArray[np.int64]] = field(default_factory=list)
    guesses: list[NDArray[np.int64]] = field(default_factory=list)

    def measures(self) -> Measures:
        """Return the scores over images; each image is the mean of its views."""
        rows = np.concatenate(self.rows)
        views = np.bincount(rows)

        def by_image(values: NDArray[Any]) -> _Values:
            sums = np.zeros((len(views), *values.shape[1:]))
            np.add.at(sums, rows, values)
            return sums / views.reshape(-1, *[1] * (values.ndim - 1))

        scores: dict[str, Any] = {}
        if self.decibels:
            decibels, compared = np.concatenate(self.decibels), np.concatenate(self.compared)
            scores |= _of_decibels(decibels, compared, len(views))
        if self.labels:
            labels, guesses = np.concatenate(self.labels), np.concatenate(self.guesses)
            scores |= _of_labels(by_image(labels).astype(np.int64), by_image(guesses == labels))
        return Measures(num_images=len(views), num_views=len(rows), **scores)


def _of_decibels(decibels: _Values, rows: NDArray[np.int64], num_images: int) -> dict[str, Any]:
    """Return the scores of views of images, of which some may have more than others, or none."""
    mean, views = decibels.mean(), np.bincount(rows, minlength=num_images)
    # What a view is above the mean, summed for each image: images with more views weigh more.
    above = np.bincount(rows, weights=decibels - mean, minlength=num_images) / views.mean()
    error = above.std(ddof=1) / math.sqrt(num_images) if num_images > 1 else 0.0
    return {
        "psnr_db": float(mean),
        "psnr_error_db": float(error),
        "decibels": tuple((above + mean * views / views.mean()).tolist()),
    }


def _of_labels(labels: NDArray[np.int64], right: _Values) -> dict[str, Any]:
    """Return the scores of labels (n, k) that were right at so many of the levels, (n, k)."""
    classes, members = np.unique(labels, return_inverse=True)
    members = members.reshape(labels.shape)
    counts = np.bincount(members.ravel())
    weights = labels.size / (len(classes) * counts)  # of a label, so that classes weigh the same
    hits = np.bincount(members.ravel(), weights=right.ravel())
    variances = _variance(hits, counts)
    return {
        "macro_accuracy": float((hits / counts).mean()),
        "macro_accuracy_error": float(np.sqrt(variances.sum()) / len(classes)),
        "balanced": tuple((weights[members] * right).mean(axis=1).tolist()),
    }


def _variance(hits: Any, counts: Any) -> Any:
    """Return the variance of a share of hits."""
    share = (hits + 1) / (counts + 2)
    return share * (1 - share) / counts
