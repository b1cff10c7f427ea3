"""The scores of one noise level, image by image; images themselves are not kept."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tapetum import metrics
from tapetum.evaluation.subject import Answer
from tapetum.noise import Noise
from tapetum.scores import ScoreRow

__all__ = ["Tally"]

_Floats = NDArray[np.float32]


class Tally:
    """The scores of one noise level so far.

    Args:
        class_names: The class of each probability.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self._class_names = tuple(class_names)
        self._sums: dict[str, list[float]] = {}
        self._probabilities: list[_Floats] = []
        self._labels: list[NDArray[np.int64]] = []
        self._num_images = self._num_compared = 0

    def add(
        self,
        answer: Answer,
        *,
        noisy: _Floats | None,
        clean: _Floats | None,
        labels: NDArray[np.int64] | None,
    ) -> None:
        """Add the answer for one image.

        Args:
            answer: The outputs.
            noisy: The noisy image, shape (c, h, w); None where images are not compared.
            clean: The clean image, likewise.
            labels: The true label of the image, or of each box; None without labels.
        """
        self._num_images += 1
        if noisy is not None and clean is not None:
            self._num_compared += 1
            self._compare("noisy_", noisy, clean)
            if answer.pixels is not None:
                self._compare("", answer.pixels, clean)
        if answer.probabilities is not None and labels is not None:
            self._probabilities.append(answer.probabilities)
            self._labels.append(labels)

    def row(self, level: Noise | None) -> ScoreRow:
        """Return the scores as a row."""
        scores = {name: float(np.mean(values)) for name, values in self._sums.items()}
        title = "as given" if level is None else level.describe()
        counted = self._num_compared if self._num_compared < self._num_images else None
        return ScoreRow(
            title=title,
            noise=level,
            num_images=self._num_images,
            num_compared=counted,
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

    def _compare(self, prefix: str, image: _Floats, clean: _Floats) -> None:
        pair = np.clip(image, 0, 1)[np.newaxis], clean[np.newaxis]
        self._sums.setdefault(f"{prefix}psnr_db", []).append(float(metrics.psnr(*pair)[0]))
        if min(clean.shape[1:]) >= metrics.SSIM_WINDOW.size_px:
            self._sums.setdefault(f"{prefix}ssim", []).append(float(metrics.ssim(*pair)[0]))
