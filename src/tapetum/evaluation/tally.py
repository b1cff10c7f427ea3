"""The scores of one noise level, image by image; images themselves are not kept."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum import metrics
from tapetum.evaluation.calibrating import Labelled, tempered
from tapetum.evaluation.filters import gains_of_filters
from tapetum.evaluation.subject import Answer
from tapetum.noise import Noise
from tapetum.scores import Mistake, ScoreRow

__all__ = ["Measured", "Tally", "measure"]

LEAST_COLOUR, LEAST_STEP = 0.01, 0.002  # mean of an image with any, of a range from 0 to 1

_Floats = NDArray[np.float32]


class Measured(NamedTuple):
    """What is kept of one image.

    Attributes:
        scores: Scores of the noisy and of the denoised image; empty where it is not compared.
        probabilities: Shape (1, classes), or (k, classes) for boxes; None without labels.
        labels: The true label of the image, or of each box; None without labels.
        gains: What :func:`~tapetum.evaluation.filters.gains_of_filters` returns, in dB; empty where
            the filters were not run.
    """

    scores: dict[str, float]
    probabilities: _Floats | None
    labels: NDArray[np.int64] | None
    gains: Mapping[str, float] = {}


def measure(
    answer: Answer,
    *,
    labels: NDArray[np.int64] | None,
    noisy: _Floats | None = None,
    clean: _Floats | None = None,
    filters: bool = False,
) -> Measured:
    """Compare the answer for one image with the truth.

    Args:
        answer: The outputs.
        labels: The true label of the image, or of each box; None without labels.
        noisy: The noisy image, shape (c, h, w); None where images are not compared.
        clean: The clean image, likewise.
        filters: Whether to run the classical filters too.
    """
    scores: dict[str, float] = {}
    gains: dict[str, float] = {}
    if noisy is not None and clean is not None:
        scores |= _compare("noisy_", noisy, clean)
        if answer.pixels is not None:
            scores |= _compare("", answer.pixels, clean) | _kept(answer.pixels, clean)
            gains = gains_of_filters(noisy, answer.pixels, clean) if filters else {}
    return Measured(scores, answer.probabilities, labels, gains)


class Tally:
    """The scores of one noise level so far.

    Args:
        class_names: The class of each probability.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self._class_names = tuple(class_names)
        self._scores: dict[str, list[float]] = {}
        self._gains: dict[str, list[float]] = {}
        self._probabilities: list[_Floats] = []
        self._labels: list[NDArray[np.int64]] = []
        self._images: list[NDArray[np.int64]] = []
        self._num_images = self._num_compared = 0

    def add(self, image: Measured) -> None:
        """Add what was measured on one image."""
        index = self._num_images
        self._num_images += 1
        self._num_compared += bool(image.scores)
        for name, value in image.scores.items():
            self._scores.setdefault(name, []).append(value)
        for name, value in image.gains.items():
            self._gains.setdefault(name, []).append(value)
        if image.probabilities is not None and image.labels is not None:
            self._probabilities.append(image.probabilities)
            self._labels.append(image.labels)
            self._images.append(np.full(len(image.labels), index))

    @property
    def labelled(self) -> Labelled | None:
        """The predictions so far; None where nothing is classified."""
        if not self._labels:
            return None
        columns = zip(self._images, self._probabilities, self._labels, strict=True)
        return Labelled.joined([Labelled(*row) for row in columns])

    def temper(self, temperature: float) -> None:
        """Divide the logits of all predictions so far by a temperature."""
        self._probabilities = [tempered(one, temperature) for one in self._probabilities]

    def mistakes(self, level: int) -> list[Mistake]:
        """Return the wrong labels of this noise level, the most certain ones first."""
        found = self.labelled
        if found is None:
            return []
        predicted, certain = found.probabilities.argmax(axis=1), found.probabilities.max(axis=1)
        wrong = np.flatnonzero(predicted != found.labels)
        return [
            Mistake(
                image=int(found.images[place]),
                level=level,
                true_name=self._class_names[found.labels[place]],
                name=self._class_names[predicted[place]],
                probability=float(certain[place]),
            )
            for place in wrong[np.argsort(-certain[wrong], kind="stable")].tolist()
        ]

    def row(self, level: Noise | None) -> ScoreRow:
        """Return the scores as a row."""
        scores = {name: float(np.mean(values)) for name, values in self._scores.items()}
        title = "as given" if level is None else level.describe()
        counted = self._num_compared if self._num_compared < self._num_images else None
        return ScoreRow(
            title=title,
            noise=level,
            num_images=self._num_images,
            num_compared=counted,
            filters_db=self._filters_db(scores.get("psnr_db", math.inf)),
            **scores,
            **self._label_scores(),
        )

    def _filters_db(self, ours_db: float) -> dict[str, float]:
        """Return the PSNR of each filter, relative to that of the network; none without that.

        Where the network restores one image exactly, its mean is infinite.
        """
        if not math.isfinite(ours_db):
            return {}
        return {name: ours_db + float(np.mean(gains)) for name, gains in self._gains.items()}

    def confusion(self) -> NDArray[np.int64] | None:
        """Return the counts of true class by predicted class; None where nothing is classified."""
        found = self.labelled
        return found and metrics.confusion_matrix(found.probabilities, found.labels)

    def _label_scores(self) -> dict[str, object]:
        labelled, confusion = self.labelled, self.confusion()
        if labelled is None or confusion is None:
            return {}
        _, shares, labels = labelled
        found = zip(self._class_names, metrics.recalls(confusion).tolist(), strict=True)
        return {
            "accuracy": metrics.accuracy(confusion),
            "macro_accuracy": metrics.macro_accuracy(confusion),
            "calibration_error": metrics.expected_calibration_error(shares, labels),
            "recalls": {name: recall for name, recall in found if recall == recall},
        }


def _compare(prefix: str, image: _Floats, clean: _Floats) -> dict[str, float]:
    pair = np.clip(image, 0, 1)[np.newaxis], clean[np.newaxis]
    scores = {f"{prefix}psnr_db": float(metrics.psnr(*pair)[0])}
    if min(clean.shape[1:]) >= metrics.SSIM_WINDOW.size_px:
        scores[f"{prefix}ssim"] = float(metrics.ssim(*pair)[0])
    return scores


def _kept(denoised: _Floats, clean: _Floats) -> dict[str, float]:
    """Return which share of the colour and of the local contrast of a clean image has come back.

    Only what has the direction of the clean image counts: noise that is left over adds nothing.
    Vivid colours weigh more than pale ones, and faint steps as much as strong ones. An image
    without colour, or a flat one, has no share.
    """
    found = {}
    ours, true = (image - image.mean(axis=0) for image in (denoised, clean))
    if float(np.abs(true).mean()) >= LEAST_COLOUR:
        found["colour_kept"] = float((ours * true).mean() / np.square(true).mean())
    ours, true = _steps(denoised), _steps(clean)
    if true.size and (strength := float(np.abs(true).mean())) >= LEAST_STEP:
        found["contrast_kept"] = float((ours * np.sign(true)).mean()) / strength
    return found


def _steps(image: _Floats) -> _Floats:
    """Return the differences of neighbouring pixels."""
    return np.concatenate([np.diff(image, axis=axis).ravel() for axis in (1, 2)])
