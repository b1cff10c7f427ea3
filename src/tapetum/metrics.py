r"""Metrics of denoised images and of labels, under one pinned protocol, without torch.

Each image is scored on its own, on the scale 0 to 1; take the mean over images afterwards:

.. math::
    \mathrm{PSNR}(\hat x, x) &= -10 \log_{10} \operatorname{mean}\,(\mathrm{clamp}(\hat x) - x)^2 \\
    \mathrm{SSIM}(a, b) &= \operatorname{mean}
        \frac{(2 \mu_a \mu_b + C_1)(2 \sigma_{ab} + C_2)}
             {(\mu_a^2 + \mu_b^2 + C_1)(\sigma_a^2 + \sigma_b^2 + C_2)},
        \qquad C_1 = 0.01^2,\; C_2 = 0.03^2

with the moments :math:`\mu, \sigma^2, \sigma_{ab}` under a Gaussian window of 11 x 11 pixels,
:math:`\sigma = 1.5`, that never leaves the image; each channel on its own, then their mean. These
are the numbers of scikit-image with ``gaussian_weights=True, sigma=1.5,
use_sample_covariance=False, data_range=1``. Other libraries pad the border or mix the channels; the
same two images then score 0.72 or 0.94.

Labels are scored over all images and boxes together, from the counts of :func:`confusion_matrix`.

References:
    Image Quality Assessment: From Error Visibility to Structural Similarity
    (Wang, Bovik, Sheikh, Simoncelli, 2004), https://doi.org/10.1109/TIP.2003.819861.

    On Calibration of Modern Neural Networks (Guo, Pleiss, Sun, Weinberger, 2017),
    https://arxiv.org/abs/1706.04599.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import DataError

__all__ = [
    "SSIM_WINDOW",
    "accuracy",
    "confusion_matrix",
    "expected_calibration_error",
    "macro_accuracy",
    "psnr",
    "recalls",
    "softmax",
    "ssim",
]


class _SsimWindow(NamedTuple):
    """The constants of SSIM, which the loss of a training shares."""

    size_px: int = 11
    sigma_px: float = 1.5
    c1: float = 0.01**2
    c2: float = 0.03**2

    def require(self, height: int, width: int) -> None:
        """Refuse images that are smaller than the window."""
        if min(height, width) < self.size_px:
            raise DataError(
                f"SSIM needs images of {self.size_px} x {self.size_px} px, but these have "
                f"{width} x {height}",
                "use larger images or leave SSIM out",
            )


SSIM_WINDOW = _SsimWindow()

_TILE_PX = 64  # SSIM is computed in tiles of this side, which stay in the cache

_Images = NDArray[np.floating[Any]]
_Maps = NDArray[np.float64]
_Counts = NDArray[np.int64]


def psnr(denoised: _Images, truth: _Images) -> NDArray[np.float64]:
    """Return the peak signal-to-noise ratio of each image.

    Args:
        denoised: Outputs of a network, shape (b, c, h, w); clamped to [0, 1] here.
        truth: The clean images, in [0, 1].

    Returns:
        Decibels, shape (b,); infinite for equal images.
    """
    error = np.clip(denoised, 0, 1) - truth
    mean = np.mean(np.square(error, out=error), axis=(1, 2, 3), dtype=np.float64)
    with np.errstate(divide="ignore"):
        decibels: NDArray[np.float64] = -10 * np.log10(mean)
    return decibels


def ssim(a: _Images, b: _Images) -> NDArray[np.float64]:
    """Return the structural similarity of each pair of images.

    Nothing is clamped here; clamp outputs of a network to [0, 1] for scores.

    Args:
        a: Images, shape (b, c, h, w), in [0, 1].
        b: Images to compare them with.

    Returns:
        Values from -1 to 1 (equal images), shape (b,).

    Raises:
        DataError: The images are smaller than the window.
    """
    SSIM_WINDOW.require(*a.shape[2:])
    margin = SSIM_WINDOW.size_px - 1
    height, width = (side - margin for side in a.shape[2:])
    sums = np.zeros(len(a))
    for top in range(0, height, _TILE_PX):
        for left in range(0, width, _TILE_PX):
            tile = (..., slice(top, top + _TILE_PX + margin), slice(left, left + _TILE_PX + margin))
            sums += _similarity(a[tile], b[tile]).sum(axis=(1, 2, 3))
    means: NDArray[np.float64] = sums / (a.shape[1] * height * width)
    return means


def accuracy(confusion: _Counts) -> float:
    """Return the share of right predictions, from the counts of :func:`confusion_matrix`."""
    return float(np.trace(confusion) / confusion.sum())


def macro_accuracy(confusion: _Counts) -> float:
    """Return the accuracy of each class, averaged over the classes that occur."""
    return float(np.nanmean(recalls(confusion)))


def recalls(confusion: _Counts) -> NDArray[np.float64]:
    """Return the share of right predictions of each class; NaN where a class does not occur."""
    num_images = confusion.sum(axis=1).astype(np.float64)
    num_images[num_images == 0] = np.nan
    shares: NDArray[np.float64] = np.diagonal(confusion) / num_images
    return shares


def softmax(logits: _Images) -> NDArray[np.float32]:
    """Return probabilities along the last axis; subtracting the largest logit prevents overflow."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float32] = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    return shares


def confusion_matrix(scores: _Images, labels: NDArray[np.integer[Any]]) -> _Counts:
    """Count the predictions of each class.

    Args:
        scores: A probability or logit for each class, shape (..., classes); the largest one is the
            prediction.
        labels: Index of the true class, shape (...).

    Returns:
        Counts, shape (classes, classes): true class by predicted class.

    Raises:
        DataError: There are no labels.
    """
    if labels.size == 0:
        raise DataError("there are no labels to score", "give at least one image")
    num_classes = scores.shape[-1]
    cells = labels.ravel() * num_classes + scores.argmax(axis=-1).ravel()
    counts = np.bincount(cells, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def expected_calibration_error(
    probabilities: _Images, labels: NDArray[np.integer[Any]], num_bins: int = 15
) -> float:
    r"""Return the expected calibration error (Guo et al., eq. 3).

    .. math:: \sum_m \frac{|B_m|}{n} \left| \mathrm{acc}(B_m) - \mathrm{conf}(B_m) \right|

    over bins :math:`B_m = ((m - 1) / M, m / M]` of the confidence, the largest probability.

    Args:
        probabilities: The probability of each class, shape (..., classes).
        labels: Index of the true class, shape (...).
        num_bins: Number :math:`M` of bins, of equal width.

    Raises:
        DataError: There are no labels.
    """
    if labels.size == 0:
        raise DataError("there are no labels to score", "give at least one image")
    is_right = (probabilities.argmax(axis=-1) == labels).ravel().astype(np.float64)
    confidence = probabilities.max(axis=-1).ravel().astype(np.float64)
    bins = np.clip(np.ceil(confidence * num_bins).astype(np.int64), 1, num_bins) - 1
    gaps = np.bincount(bins, weights=is_right - confidence)
    return float(np.abs(gaps).sum() / len(is_right))


def _similarity(a: _Images, b: _Images) -> _Maps:
    """Return the SSIM of each place of a tile where the whole window fits."""
    a, b = a.astype(np.float64), b.astype(np.float64)  # variances need all digits
    maps = np.stack((a, b, a * a, b * b, a * b))
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = _window(a.shape[2]) @ maps @ _window(a.shape[3]).T
    c1, c2 = SSIM_WINDOW.c1, SSIM_WINDOW.c2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    variances = (mean_aa - mean_a**2) + (mean_bb - mean_b**2)
    similarity: _Maps = luminance * (2 * (mean_ab - mean_a * mean_b) + c2) / (variances + c2)
    return similarity


@cache
def _window(side_px: int) -> _Maps:
    """Return the matrix (side_px - 10, side_px) that takes the mean under the window."""
    size_px = SSIM_WINDOW.size_px
    offset_px = np.arange(size_px) - size_px // 2
    weights = np.exp(-0.5 * (offset_px / SSIM_WINDOW.sigma_px) ** 2)
    weights /= weights.sum()
    matrix = np.zeros((side_px - size_px + 1, side_px))
    for row in range(len(matrix)):
        matrix[row, row : row + size_px] = weights
    return matrix
