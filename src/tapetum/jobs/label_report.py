"""What a report says of the labels: the confusion matrix, and the worst mistakes as images."""

import numpy as np
from numpy.typing import NDArray

from tapetum.data import Dataset
from tapetum.evaluation import Subject, noisy_image
from tapetum.images import resample
from tapetum.report import content
from tapetum.scores import Mistake, Scores

__all__ = ["NUM_MISTAKES", "label_matrices", "mistake_images"]

NUM_MISTAKES = 12
MOST_CLASSES = 30  # of a matrix that can be read
MOST_PX = 256  # side of an image of a mistake


def label_matrices(scores: Scores | None) -> tuple[content.Matrix, ...]:
    """Return the confusion matrix; none without labels.

    Of many classes it has those that are recognised worst.
    """
    if scores is None or not scores.confusion:
        return ()
    names, recalls = list(scores.confusion), scores.mean.recalls
    note = "Mean over the noise levels. Each row is a true class and sums to 100 %."
    if len(names) > MOST_CLASSES:
        note += f" The {MOST_CLASSES} classes of {len(names):,} with the lowest recall."
        names = sorted(sorted(names, key=lambda name: recalls[name])[:MOST_CLASSES])
    shares = tuple(
        tuple(row.get(other, 0) / sum(row.values()) for other in names)
        for row in (scores.confusion[name] for name in names)
    )
    return (content.Matrix("Confusion matrix", "predicted", "true", tuple(names), shares, note),)


def mistake_images(
    scores: Scores | None, dataset: Dataset, subject: Subject
) -> tuple[content.Mistake, ...]:
    """Return the worst mistakes with their images, as the network got and returned them.

    Args:
        scores: Scores on the validation images of the dataset.
        dataset: The dataset.
        subject: The network that was scored.
    """
    if scores is None:
        return ()
    return tuple(_shown(one, scores, dataset, subject) for one in scores.mistakes)


def _shown(one: Mistake, scores: Scores, dataset: Dataset, subject: Subject) -> content.Mistake:
    sample, row = dataset.validation.sample(one.image), scores.rows[one.level]
    given = noisy_image(
        subject.preparation, sample, row.noise, protocol=scores.protocol, seed=scores.seed
    )
    denoised = subject.predict(given, sample.boxes).pixels
    return content.Mistake(
        noisy=_fitted(subject.preparation.colours(given)),
        denoised=None if denoised is None else _fitted(denoised),
        true_name=one.true_name,
        name=one.name,
        probability=one.probability,
        caption=f"validation image {one.image + 1}, noise: {row.title}",
    )


def _fitted(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an image that is small enough for a page."""
    height, width = pixels.shape[1:]
    scale = min(1.0, MOST_PX / max(height, width))
    size = {"height": max(1, round(scale * height)), "width": max(1, round(scale * width))}
    return resample(np.ascontiguousarray(pixels), **size)
