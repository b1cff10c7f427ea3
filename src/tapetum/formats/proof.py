"""Run a written file beside the package that it was made from.

Random images of several sizes show whether it computes the same; noisy validation images show what
it loses. A lower precision is timed beside fp32 in the same format.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from tapetum.data import Dataset, ImageDataset
from tapetum.evaluation import Answer, noisy_image
from tapetum.formats.exported import TOLERANCE_CALIBRATED, TOLERANCES, Comparison, Parity, Speed
from tapetum.formats.target import Outputs, Run, Settings
from tapetum.images import resample
from tapetum.latency import time_interleaved
from tapetum.metrics import SSIM_WINDOW, accuracy, confusion_matrix, macro_accuracy, psnr, ssim
from tapetum.noise import Noise, Protocol, generator_for
from tapetum.progress import ProgressCallback, silent
from tapetum.runtime import Manifest, Package, Predictor
from tapetum.scores import SEEN_DB

__all__ = [
    *("Examples", "at_size", "compare_images", "compare_speed", "probe", "random_images"),
    "run_one",
]

MOST_IMAGES = 64
MOST_MEGAPIXELS = 32.0  # of all images together
NUM_BOXES = 2

_CHOICE_KEY = 8  # a key of its own, so that the choice and the noise are independent

_Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Examples:
    """Validation images, and the noise that they get.

    Attributes:
        dataset: The dataset.
        noises: The noise levels of the training; each image gets one of them in turn.
        protocol: How a noisy image is stored.
        calibration: Images that say the ranges of int8; by default the training images.
    """

    dataset: Dataset
    noises: Sequence[Noise]
    protocol: Protocol = "benchmark"
    calibration: ImageDataset | None = None

    @property
    def of_calibration(self) -> ImageDataset:
        """The images that say the ranges of int8."""
        return self.dataset.train if self.calibration is None else self.calibration


def probe(
    package: Package, run: Run, settings: Settings, examples: Examples | None = None
) -> Parity:
    """Run package and file on the same images, of each size that the file takes.

    The images are random, but noisy validation images for a file that was calibrated. Its ranges
    hold for the images of the user, and random ones would be cut off at them.

    Args:
        package: The package.
        run: The opened file.
        settings: What it was written with.
        examples: The validation images and their noise; not used unless the file was calibrated.
    """
    manifest = package.manifest
    size_px, count = manifest.size_px, settings.batch or 1
    sizes = ((size_px, size_px), (size_px + 5, size_px + 11))
    sizes_px = sizes if settings.fixed is None else (settings.fixed,)
    is_calibrated = settings.precision == "int8" and manifest.precision == "fp32"
    shown = examples if is_calibrated else None
    generator, reference = np.random.default_rng(0), _reference(package)
    differences = _Differences()
    for size in sizes_px:
        images, boxes = random_images(manifest, count, size, generator)
        if shown is not None:
            images = _noisy_images(package, shown, count, size)
        wanted = [
            reference(image, None if boxes is None else boxes[index])
            for index, image in enumerate(images)
        ]
        for one, given in zip(wanted, _each(run(images, boxes)), strict=True):
            differences.add(one, given)
    return Parity(
        max_difference=differences.largest,
        sizes_px=sizes_px,
        num_images=count,
        images="random" if shown is None else "noisy",
        runtime=run.runtime,
        tolerance=TOLERANCE_CALIBRATED if is_calibrated else TOLERANCES[settings.precision],
    )


def random_images(
    manifest: Manifest, count: int, size: tuple[int, int], generator: np.random.Generator
) -> tuple[_Floats, _Floats | None]:
    """Return random images of a size, with boxes in them where a network classifies those."""
    height, width = size
    shape = (count, manifest.image_channels, height, width)
    images = generator.random(shape, dtype=np.float32)
    if manifest.labels != "boxes":
        return images, None
    corner = generator.uniform(0, 0.5, (count, NUM_BOXES, 2)) * (width, height)
    side = generator.uniform(0.2, 0.5, (count, NUM_BOXES, 2)) * (width, height)
    return images, np.concatenate([corner, corner + side], axis=2).astype(np.float32)


def _noisy_images(
    package: Package, examples: Examples, count: int, size: tuple[int, int]
) -> _Floats:
    """Return noisy validation images at a size, some of them again where they are few."""
    chosen = islice(cycle(_chosen(examples.dataset)), count)
    made = (_example(package, examples, one, i, size) for i, one in enumerate(chosen))
    return np.stack([noisy for noisy, *_ in made])


def compare_speed(
    run: Run,
    fp32: Run,
    manifest: Manifest,
    settings: Settings,
    *,
    progress: ProgressCallback = silent,
) -> Speed:
    """Time a file and the same one in fp32 in turn, on one random image or batch.

    Args:
        run: The opened file.
        fp32: The same in fp32.
        manifest: The description of the network.
        settings: What the file was written with.
        progress: Called after each timing.
    """
    size = settings.fixed or (manifest.size_px, manifest.size_px)
    images, boxes = random_images(manifest, settings.batch or 1, size, np.random.default_rng(0))
    opened = [partial(partial, one, images, boxes) for one in (run, fp32)]
    timings = time_interleaved(opened, pause_s=0.1, threads=run.threads, progress=progress)
    return Speed(size_px=size, num_images=len(images), file=timings[0], fp32=timings[1])


def compare_images(
    package: Package,
    run: Run,
    settings: Settings,
    examples: Examples,
    *,
    progress: ProgressCallback = silent,
) -> Comparison:
    """Run package and file on up to 64 noisy validation images.

    Args:
        package: The package.
        run: The opened file.
        settings: What it was written with; images are resized to a fixed size.
        examples: The images and their noise.
        progress: Called after each image.
    """
    reference, differences, tally = _reference(package), _Differences(), _Tally()
    chosen = _chosen(examples.dataset)
    told = "comparing the file with the package, in images"
    for done, index in enumerate(chosen):
        progress(done, len(chosen), told)
        noisy, clean, boxes, labels = _example(package, examples, index, done, settings.fixed)
        wanted = reference(noisy, boxes)
        given = run_one(run, noisy, boxes, settings.batch or 1)
        differences.add(wanted, given)
        tally.add(wanted, given, clean, labels)
    progress(len(chosen), len(chosen), told)
    return Comparison(
        num_images=len(chosen),
        size_px=settings.fixed,
        max_difference=differences.largest,
        between_db=differences.between_db,
        agreement=None if not tally.agrees else fmean(tally.agrees),
        psnr_db=_means(tally.decibels),
        ssim=_means(tally.similarities),
        accuracy=tally.of_labels(accuracy),
        macro_accuracy=tally.of_labels(macro_accuracy),
    )


def _reference(package: Package) -> Callable[[_Floats, _Floats | None], Answer]:
    """Return what the package gives for an image in its colours, (c, h, w)."""
    predictor = Predictor(package)

    def run(image: _Floats, boxes: _Floats | None) -> Answer:
        found = predictor(np.moveaxis(image, 0, 2), boxes=boxes)
        pixels = None if found.pixels is None else np.moveaxis(found.pixels, 2, 0)
        return Answer(pixels, found.probabilities)

    return run


def _each(outputs: Outputs) -> Iterator[Answer]:
    """Yield the outputs of each image of a batch, with the probabilities as rows."""
    count = len(next(value for value in outputs if value is not None))
    for index in range(count):
        denoised, rows = (None if value is None else value[index] for value in outputs)
        yield Answer(denoised, None if rows is None else rows.reshape(-1, rows.shape[-1]))


def run_one(run: Run, image: _Floats, boxes: _Floats | None, count: int) -> Answer:
    """Return what a file gives for one image, which fills a batch of a fixed number."""
    images = np.repeat(image[np.newaxis], count, axis=0)
    given = None if boxes is None else np.repeat(boxes[np.newaxis], count, axis=0)
    return next(_each(run(images, given)))


def _chosen(dataset: Dataset) -> list[int]:
    """Return a seeded choice of validation images, fewer where they are large."""
    height, width = dataset.info.image_px
    most = max(1, min(MOST_IMAGES, int(MOST_MEGAPIXELS * 1e6 / (height * width))))
    order = generator_for(0, _CHOICE_KEY).permutation(len(dataset.validation))
    return sorted(order[:most].tolist())


def _example(
    package: Package, examples: Examples, index: int, place: int, size: tuple[int, int] | None
) -> tuple[_Floats, _Floats, _Floats | None, NDArray[np.int64] | None]:
    """Return a noisy image, the clean one, its boxes and its labels, at a size or at their own."""
    preparation = package.manifest.preparation
    sample = examples.dataset.validation.sample(index)
    level = examples.noises[place % len(examples.noises)] if examples.noises else None
    given = noisy_image(preparation, sample, level, protocol=examples.protocol)
    noisy, clean = preparation.colours(given), preparation.colours(sample.image)
    boxes = sample.boxes if package.manifest.labels == "boxes" else None
    noisy, boxes = at_size(size, noisy, boxes)
    clean, _ = at_size(size, clean, None)
    return noisy, clean, boxes, sample.labels


def at_size(
    size: tuple[int, int] | None, image: _Floats, boxes: _Floats | None
) -> tuple[_Floats, _Floats | None]:
    """Return an image, (c, h, w), and its boxes at another height and width; None keeps theirs."""
    if size is None:
        return image, boxes
    height, width = size
    if boxes is not None:
        change = np.array([width, height] * 2) / np.array([*image.shape[:0:-1]] * 2)
        boxes = (boxes * change).astype(np.float32)
    return resample(image, height=height, width=width), boxes


class _Differences:
    """The largest differences by output, and the error between the denoised images."""

    def __init__(self) -> None:
        self.largest: dict[str, float] = {}
        self._errors: list[float] = []

    def add(self, wanted: Answer, given: Answer) -> None:
        pairs = {
            "denoised": (wanted.pixels, given.pixels),
            "probabilities": (wanted.probabilities, given.probabilities),
        }
        for name, (one, other) in pairs.items():
            if one is not None and other is not None:
                difference = np.abs(one.astype(np.float64) - other)
                largest = np.maximum(self.largest.get(name, 0.0), difference.max())  # keeps NaN
                self.largest[name] = float(largest)
                if name == "denoised":
                    self._errors.append(float((difference**2).mean()))

    @property
    def between_db(self) -> float | None:
        """PSNR of all denoised images against each other; None where they are equal."""
        error = fmean(self._errors) if self._errors else 0.0
        return None if error == 0 else float(-10 * np.log10(error))


class _Tally:
    """PSNR, SSIM and labels of the package and of the file."""

    def __init__(self) -> None:
        self.agrees: list[bool] = []
        self.decibels: list[tuple[float, float]] = []
        self.similarities: list[tuple[float, float]] = []
        self._labelled: list[tuple[_Floats, _Floats, NDArray[np.int64]]] = []

    def add(
        self, wanted: Answer, given: Answer, clean: _Floats, labels: NDArray[np.int64] | None
    ) -> None:
        if wanted.pixels is not None and given.pixels is not None:
            pair = [np.clip(one, 0, 1)[None] for one in (wanted.pixels, given.pixels)]
            first, second = (min(SEEN_DB, float(psnr(one, clean[None])[0])) for one in pair)
            self.decibels.append((first, second))
            if min(clean.shape[1:]) >= SSIM_WINDOW.size_px:
                first, second = (float(ssim(one, clean[None])[0]) for one in pair)
                self.similarities.append((first, second))
        if wanted.probabilities is None or given.probabilities is None:
            return
        ours, theirs = wanted.probabilities.argmax(axis=1), given.probabilities.argmax(axis=1)
        self.agrees += (ours == theirs).tolist()
        if labels is not None:
            self._labelled.append((wanted.probabilities, given.probabilities, labels))

    def of_labels(
        self, measure: Callable[[NDArray[np.int64]], float]
    ) -> tuple[float, float] | None:
        """Return a measure of the counts of both; None without labels."""
        columns = [np.concatenate(column) for column in zip(*self._labelled, strict=True)]
        if not columns or not len(columns[2]):
            return None
        first, second = (measure(confusion_matrix(one, columns[2])) for one in columns[:2])
        return first, second


def _means(pairs: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """Return the means of both columns; None without rows."""
    if not pairs:
        return None
    return fmean(one for one, _ in pairs), fmean(other for _, other in pairs)
