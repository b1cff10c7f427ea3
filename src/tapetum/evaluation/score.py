"""Score a network on every image of a dataset at every noise level.

Each image is taken at its own resolution, noise is added to it there, and the network gets what a
device would get: the label comes from the prepared image, the denoised image is compared with the
clean one at full resolution. So the scores are those of ``tapetum predict``.
"""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapetum.data import Dataset, Sample
from tapetum.errors import InputError
from tapetum.evaluation.calibrating import Labelled, calibrate
from tapetum.evaluation.filters import FILTERED_IMAGES, has_filters
from tapetum.evaluation.subject import Subject
from tapetum.evaluation.tally import Measured, Tally, measure
from tapetum.images import DecodedImage, resample
from tapetum.noise import Noise, Protocol, add_noise, generator_for, generator_for_image
from tapetum.progress import ProgressCallback, silent
from tapetum.provenance import require_seed
from tapetum.runtime import Preparation
from tapetum.scores import Calibration, Mistake, ScoreRow, Scores

__all__ = ["measured", "noisy_image", "num_compared", "score"]

MAX_MEGAPIXELS = 2_000.0
"""Denoised pixels of all images and levels, beyond which only some images are denoised."""

_CHOICE_KEY = 4  # a key of its own, so that the choice of images and their noise are independent


def score(
    subject: Subject,
    dataset: Dataset,
    noises: Sequence[Noise],
    *,
    protocol: Protocol = "benchmark",
    seed: int = 0,
    max_megapixels: float | None = MAX_MEGAPIXELS,
    filters: bool = False,
    calibrates: bool = False,
    num_mistakes: int = 0,
    short_training: str = "",
    progress: ProgressCallback = silent,
) -> Scores:
    """Return the scores of a network on the validation images of a dataset.

    Every image is classified. Where the images at full resolution, times the noise levels, have
    more pixels than ``max_megapixels``, only a seeded choice of them is denoised and compared.

    Args:
        subject: The network.
        dataset: The dataset; paired images bring their own noise, which is the only level then.
        noises: The noise levels; equal ones are scored once.
        protocol: How a noisy image is stored.
        seed: Seed of the noise, as of ``tapetum predict --add-noise``, and of the choice.
        max_megapixels: Limit in millions of pixels; None for no limit.
        filters: Whether to run two classical filters on some images of each level, for comparison,
            where their packages are installed.
        calibrates: Whether a temperature is fitted to the probabilities, which are scaled by it
            before they are scored.
        num_mistakes: Number of mistakes to list, at most.
        short_training: That the training was far too short, for the scores; empty for nothing.
        progress: Called after each image.

    Raises:
        InputError: There is no noise level, or no image.
        DataError: A file cannot be read.
        MissingExtraError: scipy is not installed and a temperature is wanted.
    """
    require_seed(seed, "the seed of the noise")
    levels: list[Noise | None] = [None] if dataset.info.is_paired else [*dict.fromkeys(noises)]
    images = dataset.validation
    if not levels or not len(images):
        raise InputError(
            f"cannot score {len(images)} images on {len(levels)} noise levels",
            "give at least one of each",
        )
    if max_megapixels is not None and not max_megapixels > 0:
        raise InputError(f"the limit is {max_megapixels:g} megapixels", "give more than 0")
    count = num_compared(dataset, len(levels), max_megapixels)
    compared = _chosen(range(len(images)), count, seed)
    filtered = _chosen(compared, FILTERED_IMAGES, seed) if filters and has_filters() else set()
    tallies = [Tally(images.class_names) for _ in levels]

    def every_level(index: int) -> list[Measured]:
        sample, kinds = images.sample(index), (index in compared, index in filtered)
        return [measured(subject, sample, level, protocol, seed, *kinds) for level in levels]

    pool = ThreadPoolExecutor(subject.threads)
    try:
        for done, found in enumerate(pool.map(every_level, range(len(images))), start=1):
            for tally, one_level in zip(tallies, found, strict=True):
                tally.add(one_level)
            progress(done, len(images), "scoring, in images")
    finally:
        pool.shutdown(cancel_futures=True)  # after an interrupt, do not wait for the rest
    calibration = _calibrate(tallies) if calibrates else None
    scores = _scores(dataset, levels, tallies, protocol=protocol, seed=seed)
    added = {"calibration": calibration, "mistakes": _worst(tallies, num_mistakes)}
    return scores.model_copy(update=added | {"short_training": short_training})


def _calibrate(tallies: Sequence[Tally]) -> Calibration | None:
    """Scale all predictions by the temperature of all levels; None where nothing is classified."""
    found = [labelled for tally in tallies if (labelled := tally.labelled) is not None]
    if not found:
        return None
    calibration = calibrate(Labelled.joined(found))
    if calibration.temperature != 1:
        for tally in tallies:
            tally.temper(calibration.temperature)
    return calibration


def _worst(tallies: Sequence[Tally], count: int) -> tuple[Mistake, ...]:
    """Return the most certain mistakes of all levels, at most one for an image."""
    every = [one for level, tally in enumerate(tallies) for one in tally.mistakes(level)]
    worst: dict[int, Mistake] = {}
    for one in sorted(every, key=lambda one: -one.probability):
        worst.setdefault(one.image, one)
    return tuple(worst.values())[:count]


def measured(
    subject: Subject,
    sample: Sample,
    level: Noise | None,
    protocol: Protocol,
    seed: int,
    is_compared: bool,
    is_filtered: bool,
) -> Measured:
    """Return what is measured on one image at one noise level.

    Args:
        subject: The network.
        sample: The image.
        level: The noise; None for none, or for what a paired image brings.
        protocol: How a noisy image is stored.
        seed: Seed of the noise.
        is_compared: Whether the denoised image is compared with the clean one.
        is_filtered: Whether the classical filters are run, too.
    """
    given = noisy_image(subject.preparation, sample, level, protocol=protocol, seed=seed)
    answer = subject.predict(given, sample.boxes, with_image=is_compared)
    if not is_compared:
        return measure(answer, labels=sample.labels)
    noisy, clean = map(subject.preparation.colours, (given, sample.image))
    if answer.pixels is not None and answer.pixels.shape != clean.shape:  # a file for one size
        _, height, width = answer.pixels.shape
        noisy, clean = (resample(one, height=height, width=width) for one in (noisy, clean))
    return measure(answer, labels=sample.labels, noisy=noisy, clean=clean, filters=is_filtered)


def num_compared(dataset: Dataset, num_levels: int, max_megapixels: float | None) -> int:
    """Return how many images are denoised and compared with the clean ones."""
    height, width = dataset.info.image_px
    num_images = len(dataset.validation)
    if max_megapixels is None:
        return num_images
    most = int(max_megapixels * 1e6 / (height * width * num_levels))
    return min(num_images, max(1, most))


def _chosen(images: Collection[int], count: int, seed: int) -> set[int]:
    """Return a random choice of images; all of them where they are no more than ``count``."""
    return set(generator_for(seed, _CHOICE_KEY).permutation(sorted(images))[:count].tolist())


def noisy_image(
    preparation: Preparation,
    sample: Sample,
    level: Noise | None,
    *,
    protocol: Protocol = "benchmark",
    seed: int = 0,
) -> DecodedImage:
    """Return the noisy image that the network gets.

    Args:
        preparation: That of the network, whose channels the noise is added to.
        sample: A clean image; a paired one brings its own noise.
        level: The noise; None for none.
        protocol: How a noisy image is stored.
        seed: Seed of the noise, which also depends on the pixels.
    """
    if sample.noisy is not None:
        return sample.noisy
    if level is None:
        return sample.image
    image = preparation.in_channels(sample.image)
    generator = generator_for_image(image.pixels, seed)
    return replace(image, pixels=add_noise(image.pixels, level, generator, protocol=protocol))


def _scores(
    dataset: Dataset,
    levels: Sequence[Noise | None],
    tallies: Sequence[Tally],
    *,
    protocol: Protocol,
    seed: int,
) -> Scores:
    rows = [tally.row(level) for level, tally in zip(levels, tallies, strict=True)]
    counts = [found for tally in tallies if (found := tally.confusion()) is not None]
    names = dataset.validation.class_names
    return Scores(
        protocol=protocol,
        seed=seed,
        source=dataset.validation.source,
        rows=tuple(rows),
        mean=ScoreRow.mean_of(rows),
        confusion=_named(np.sum(counts, axis=0), names) if counts else {},
        num_trained=dataset.num_trained,
        missing_classes=tuple(name for name in names if name not in rows[0].recalls)
        if counts
        else (),
    )


def _named(counts: NDArray[np.int64], names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the counts by the names of the classes, without those that are 0."""
    return {
        name: {other: count for other, count in zip(names, row.tolist(), strict=True) if count}
        for name, row in zip(names, counts, strict=True)
        if row.any()
    }
