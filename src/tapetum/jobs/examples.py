"""The images of a report, as the network got and returned them when it was scored."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.data import Dataset, ImageDataset
from tapetum.evaluation import Answer, Subject, noisy_image
from tapetum.images import resample
from tapetum.metrics import psnr
from tapetum.report import content
from tapetum.scores import ScoreRow, Scores

__all__ = ["example_groups", "mistake_images", "shown_images", "shown_levels"]

NUM_EXAMPLES = 4  # images at each noise level, where there are few classes
MOST_EXAMPLES = 8  # one of each class, where there are more
NUM_LEVELS = 3  # noise levels with images
MOST_PX = 256  # side of an image on the page

_Pixels = NDArray[np.float32]


class _Shown(NamedTuple):
    """An image at a noise level: noisy, answered and clean, at its own resolution."""

    name: str
    noisy: _Pixels
    answer: Answer
    clean: _Pixels
    labels: NDArray[np.int64] | None
    boxes: _Pixels | None


def example_groups(
    scores: Scores, dataset: Dataset, subject: Subject
) -> tuple[content.ExampleGroup, ...]:
    """Return the same few validation images at some noise levels, before and after.

    Images and noise are those of the scores. A network that does not denoise has no examples.

    Args:
        scores: Scores on the validation images of the dataset.
        dataset: The dataset.
        subject: The network that was scored.
    """
    indices, groups = shown_images(dataset.validation), []
    for row in shown_levels(scores.rows):
        found = [_shown(index, row, scores, dataset, subject) for index in indices]
        examples = tuple(
            _example(one, pixels, row.title, dataset.validation.class_names)
            for one in found
            if (pixels := one.answer.pixels) is not None
        )
        title = "Noise of the dataset" if row.noise is None else row.title
        groups.append(content.ExampleGroup(title, examples))
    return tuple(group for group in groups if group.examples)


def mistake_images(
    scores: Scores, dataset: Dataset, subject: Subject
) -> tuple[content.Mistake, ...]:
    """Return the worst mistakes with their images; see :func:`example_groups`."""
    found = []
    for one in scores.mistakes:
        row = scores.rows[one.level]
        shown = _shown(one.image, row, scores, dataset, subject)
        pixels = shown.answer.pixels
        found.append(
            content.Mistake(
                noisy=_fitted(shown.noisy),
                denoised=None if pixels is None else _fitted(pixels),
                true_name=one.true_name,
                name=one.name,
                probability=one.probability,
                caption=f"{shown.name}, noise: {row.title}",
            )
        )
    return tuple(found)


def shown_levels(rows: Sequence[ScoreRow]) -> list[ScoreRow]:
    """Return a few evenly spread levels with the strongest; a level without noise is left out."""
    noisy = [row for row in rows if not row.is_clean]
    if not noisy:
        return list(rows[:1])
    places = np.linspace(len(noisy) - 1, 0, NUM_LEVELS + 1)[:-1]
    return [noisy[index] for index in sorted({round(float(place)) for place in places})]


def shown_images(images: ImageDataset) -> list[int]:
    """Return the indices of a few images: evenly spread, and one of each class where these are few.

    The image of a class is the one in the middle of its images.
    """
    places = np.linspace(0, len(images) - 1, NUM_EXAMPLES)
    spread, labels = [round(float(place)) for place in places], images.labels
    if labels is None or labels.ndim != 1:
        return sorted(set(spread))
    classes = np.unique(labels)[:MOST_EXAMPLES]
    found = [np.flatnonzero(labels == one) for one in classes]
    chosen = [int(one[len(one) // 2]) for one in found]
    return sorted(set(chosen + spread[: max(0, NUM_EXAMPLES - len(chosen))]))


def _shown(index: int, row: ScoreRow, scores: Scores, dataset: Dataset, subject: Subject) -> _Shown:
    """Return a validation image as it was scored at a level."""
    sample, colours = dataset.validation.sample(index), subject.preparation.colours
    given = noisy_image(
        subject.preparation, sample, row.noise, protocol=scores.protocol, seed=scores.seed
    )
    return _Shown(
        name=sample.name or f"validation image {index + 1}",
        noisy=colours(given),
        answer=subject.predict(given, sample.boxes),
        clean=colours(sample.image),
        labels=sample.labels,
        boxes=sample.boxes,
    )


def _example(
    one: _Shown, denoised: _Pixels, level: str, class_names: Sequence[str]
) -> content.Example:
    before, after = (
        float(psnr(image[np.newaxis], one.clean[np.newaxis])[0]) for image in (one.noisy, denoised)
    )
    return content.Example(
        noisy=_fitted(one.noisy),
        denoised=_fitted(denoised),
        truth=_fitted(one.clean),
        caption=f"{one.name}, noise: {level}",
        labels=_labels(one, class_names),
        psnr_db=after,
        noisy_psnr_db=before,
    )


def _labels(one: _Shown, class_names: Sequence[str]) -> tuple[content.ExampleLabel, ...]:
    """Return the labels of an image, from left to right."""
    if one.answer.probabilities is None or one.labels is None:
        return ()
    scale = _scale(one.clean)
    boxes = [None] * len(one.labels) if one.boxes is None else (scale * one.boxes).tolist()
    labels = [
        content.ExampleLabel(
            name=class_names[int(row.argmax())],
            true_name=class_names[true],
            confidence=float(row.max()),
            box=None if box is None else (box[0], box[1], box[2], box[3]),
        )
        for row, true, box in zip(one.answer.probabilities, one.labels, boxes, strict=True)
    ]
    return tuple(sorted(labels, key=lambda label: label.box or ()))


def _scale(pixels: _Pixels) -> float:
    """Return the scale at which an image is small enough for a page."""
    longest_px: int = max(pixels.shape[1:])
    return min(1.0, MOST_PX / longest_px)


def _fitted(pixels: _Pixels) -> _Pixels:
    height, width = (max(1, round(_scale(pixels) * side)) for side in pixels.shape[1:])
    return resample(np.ascontiguousarray(pixels.clip(0, 1)), height=height, width=width)
