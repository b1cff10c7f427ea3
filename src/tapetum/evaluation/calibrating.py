"""Temperature scaling: probabilities that are right as often as they say.

A trained network is often too sure. All of its logits are divided by one number, the temperature,
that makes the held-out labels most probable. The order of the classes stays.

The calibration error after scaling is an honest one: the images are divided into two halves, and
each half is scaled by the temperature of the other. The network ships with that of all images.

References:
    On Calibration of Modern Neural Networks (Guo, Pleiss, Sun, Weinberger, 2017),
    https://arxiv.org/abs/1706.04599.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import needs_extra
from tapetum.metrics import expected_calibration_error, softmax
from tapetum.noise import generator_for
from tapetum.scores import Calibration

__all__ = ["Labelled", "calibrate", "fit_temperature", "negative_log_likelihood", "tempered"]

LOWEST, HIGHEST = 0.1, 10.0

_LEAST_PROBABILITY = 1e-45  # the smallest positive float32

_HALVES_KEY = 8  # a key of its own, so that the halves and the noise are independent

_Floats = NDArray[np.float32]
_Labels = NDArray[np.int64]


class Labelled(NamedTuple):
    """Predictions with the truth, those of one image and noise level a row, or one row for a box.

    Attributes:
        images: The index of the image of each row.
        probabilities: Shape (rows, classes).
        labels: The true class of each row.
    """

    images: NDArray[np.int64]
    probabilities: _Floats
    labels: NDArray[np.int64]

    def only(self, rows: NDArray[np.bool_]) -> "Labelled":
        """Return some of the rows."""
        return Labelled(self.images[rows], self.probabilities[rows], self.labels[rows])

    @classmethod
    def joined(cls, parts: Sequence["Labelled"]) -> "Labelled":
        """Return the rows of all parts."""
        images, probabilities, labels = zip(*parts, strict=True)
        return cls(np.concatenate(images), np.concatenate(probabilities), np.concatenate(labels))


def fit_temperature(found: Labelled) -> float:
    """Return the temperature under which the true labels are most probable.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    with needs_extra("measure", "scipy"):
        from scipy.optimize import minimize_scalar  # type: ignore[import-untyped,unused-ignore]

    def surprise(log_temperature: float) -> float:
        shares = tempered(found.probabilities, float(np.exp(log_temperature)))
        return negative_log_likelihood(shares, found.labels)

    bounds = (np.log(LOWEST), np.log(HIGHEST))
    return float(np.exp(minimize_scalar(surprise, bounds=bounds, method="bounded").x))


def calibrate(found: Labelled) -> Calibration:
    """Return the temperature of all predictions, and the calibration error before and after.

    It is 1 where there are too few images, or where scaling would not lower the error.
    """
    before = expected_calibration_error(found.probabilities, found.labels)
    images = np.unique(found.images)
    if len(images) < Calibration.FEWEST_IMAGES:
        return Calibration(num_images=len(images), error_before=before)
    chosen = generator_for(0, _HALVES_KEY).permutation(images)[: len(images) // 2]
    is_first = np.isin(found.images, chosen)
    scaled = np.empty_like(found.probabilities)
    for half in (is_first, ~is_first):
        scaled[half] = tempered(found.probabilities[half], fit_temperature(found.only(~half)))
    after = expected_calibration_error(scaled, found.labels)
    return Calibration(
        temperature=fit_temperature(found) if after < before else 1.0,
        num_images=len(images),
        error_before=before,
        error_after=after,
    )


def negative_log_likelihood(probabilities: _Floats, labels: _Labels) -> float:
    """Return the mean negative logarithm of the probability of the true class.

    Args:
        probabilities: The probability of each class, shape (n, classes).
        labels: Index of the true class, shape (n,).
    """
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(of_truth, _LEAST_PROBABILITY)).mean())


def tempered(probabilities: _Floats, temperature: float) -> _Floats:
    r"""Return the probabilities of logits that are divided by a temperature.

    .. math:: \mathrm{softmax}(z / T) = \mathrm{softmax}(\ln \mathrm{softmax}(z) / T)

    The order of the classes stays.

    Args:
        probabilities: The probability of each class, shape (..., classes).
        temperature: Above 1 they become less certain.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), _LEAST_PROBABILITY)) / temperature
    return softmax(logits)
