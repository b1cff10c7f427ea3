"""The scores of one noise level, image by image; images themselves are not kept."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum import metrics
from tapetum.evaluation.filters import gains_of_filters
from tapetum.evaluation.subject import Answer
from tapetum.noise import Noise
from tapetum.scores import ScoreRow

__all__ = ["Measured", "Tally", "measure"]

_Floats = NDArray[np.float32]


class Measured(NamedTuple):
    """What is kept of one image.

    Attributes:
        scores: Scores of the noisy and of the denoised image; empty where it is not compared.
        probabilities: Shape (1, classes), or (k, classes) for boxes; None without labels.
        labels: The true label of the image, or of each box; None without labels.
        gains: As of :func:`~tapetum.evaluation.filters.gains_of_filters`; empty where the filters
            were not run.
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
            scores |= _compare("", answer.pixels, clean)
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
        self._num_images = self._num_compared = 0

    def add(self, image: Measured) -> None:
        """Add what was measured on one image."""
        self._num_images += 1
        self._num_compared += bool(image.scores)
        for name, value in image.scores.items():
            self._scores.setdefault(name, []).append(value)
        for name, value in image.gains.items():
            self._gains.setdefault(name, []).append(value)
        if image.probabilities is not None and image.labels is not None:
            self._probabilities.append(image.probabilities)
            self._labels.append(image.labels)

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
            filters_db={name: scores["psnr_db"] + np.mean(v) for name, v in self._gains.items()},
            **scores,
            **self._label_scores(),
        )

    def confusion(self) -> NDArray[np.int64] | None:
        """Return the counts of true class by predicted class; None where nothing is classified."""
        if not self._labels:
            return None
        probabilities = np.concatenate(self._probabilities)
        return metrics.confusion_matrix(probabilities, np.concatenate(self._labels))

    def _label_scores(self) -> dict[str, object]:
        confusion = self.confusion()
        if confusion is None:
            return {}
        shares, labels = np.concatenate(self._probabilities), np.concatenate(self._labels)
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
