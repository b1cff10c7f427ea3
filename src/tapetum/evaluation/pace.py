"""How long scoring takes on this machine: some images are scored with a network that does nothing.

Decoding, noise, metrics and classical filters take longer than a fast network, and depend on the
images: their time is measured, and the time of the network is added.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.data import Dataset, DatasetInfo, Sample
from tapetum.evaluation.filters import FILTERED_IMAGES, has_filters
from tapetum.evaluation.score import measured, num_compared
from tapetum.evaluation.subject import Answer
from tapetum.images import DecodedImage
from tapetum.latency import bundle
from tapetum.noise import Noise, Protocol
from tapetum.runtime import Preparation

__all__ = ["ScoringPace", "scoring_pace"]

MOST_IMAGES, LONGEST_S = 8, 1.5  # of a measurement: whichever comes first

_Floats = NDArray[np.float32]


class ScoringPace(NamedTuple):
    """Processor seconds of scoring an image, without its network.

    Attributes:
        decoding_s: Time of decoding the image, once for all noise levels.
        labelled_s: Time of one noise level if only the label is scored.
        compared_s: Time of one noise level if the denoised image is compared, too.
        filters_s: Time of the classical filters at one noise level; 0 if they are missing.
        num_levels: Number of noise levels.
    """

    decoding_s: float
    labelled_s: float
    compared_s: float
    filters_s: float
    num_levels: int

    def seconds(
        self, dataset: Dataset, pass_s: float, *, max_megapixels: float, filters: bool
    ) -> float:
        """Return the processor seconds of scoring a network on the validation images.

        Args:
            dataset: The dataset, or one with fewer validation images.
            pass_s: Seconds that the network takes for an image of the size that it classifies.
            max_megapixels: Limit of denoised pixels of all images and levels, in millions.
            filters: Whether the classical filters are run.
        """
        height, width = dataset.info.image_px
        whole_s = pass_s * height * width / dataset.info.size_px**2
        num_whole = num_compared(dataset, self.num_levels, max_megapixels)
        num_filtered = min(num_whole, FILTERED_IMAGES) if filters else 0
        every = len(dataset.validation) * (self.labelled_s + pass_s)
        whole = num_whole * (self.compared_s - self.labelled_s + whole_s)
        levels_s = every + whole + num_filtered * self.filters_s
        return len(dataset.validation) * self.decoding_s + self.num_levels * levels_s


def scoring_pace(
    dataset: Dataset, noises: Sequence[Noise], *, protocol: Protocol = "benchmark"
) -> ScoringPace:
    """Score some images with a network that does nothing, and return how long that takes.

    Args:
        dataset: The dataset.
        noises: The noise levels; that in the middle is tried.
        protocol: How a noisy image is stored.
    """
    subject, images = _Nothing(dataset.info), dataset.validation
    level = None if dataset.info.is_paired else noises[len(noises) // 2]
    kinds = [(False, False), (True, False)] + [(True, True)] * has_filters()
    seconds: list[list[float]] = []
    clock = time.perf_counter if bundle.clock_is_coarse() else time.thread_time

    def view(sample: Sample, is_compared: bool, is_filtered: bool) -> float:
        begun_s = clock()
        measured(subject, sample, level, protocol, 0, is_compared, is_filtered)
        return clock() - begun_s

    for index in images.spread(1 + MOST_IMAGES):
        begun_s = clock()
        sample = images.sample(index)
        seconds.append([clock() - begun_s, *(view(sample, *kind) for kind in kinds)])
        if len(seconds) > 1 and np.sum(seconds[1:]) > LONGEST_S:
            break
    # The first image loads what the others find loaded.
    usual = np.median(seconds[1:] or seconds, axis=0).tolist()
    decoding_s, labelled_s, compared_s, *filtered_s = usual
    filters_s = max(0.0, filtered_s[0] - compared_s) if filtered_s else 0.0
    num_levels = 1 if level is None else len(noises)
    return ScoringPace(decoding_s, labelled_s, compared_s, filters_s, num_levels)


class _Nothing:
    """A network that returns the noisy image, and the same probability for each class."""

    threads = 1

    def __init__(self, info: DatasetInfo) -> None:
        self.preparation: Preparation = info.preparation
        count = len(info.class_names)
        self._probabilities = np.full((1, count), 1 / count, np.float32) if count else None

    def predict(
        self, image: DecodedImage, boxes: _Floats | None, *, with_image: bool = True
    ) -> Answer:
        """Return the noisy image; see :meth:`tapetum.evaluation.Subject.predict`."""
        pixels = self.preparation.colours(image)
        if not self.preparation.fits(*pixels.shape[1:]):
            self.preparation.resized(pixels)
        probabilities = self._probabilities
        if boxes is not None and probabilities is not None:
            probabilities = np.repeat(probabilities, len(boxes), axis=0)
        return Answer(pixels if with_image else None, probabilities)
