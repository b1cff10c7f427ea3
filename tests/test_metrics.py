"""Laws of the metrics, and their agreement with scikit-image."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tapetum.errors import DataError
from tapetum.metrics import (
    accuracy,
    confusion_matrix,
    expected_calibration_error,
    macro_accuracy,
    psnr,
    recalls,
    ssim,
)

Images = NDArray[np.floating[Any]]


def random_pair(*shape: int, seed: int = 0, sigma: float = 0.2) -> tuple[Images, Images]:
    """Smooth images in [0, 1] with noise, and without."""
    generator = np.random.default_rng(seed)
    rows, columns = (np.linspace(0, 3, side) for side in shape[2:])
    waves = 0.5 + 0.4 * np.sin(rows[:, None] * generator.random((*shape[:2], 1, 1)) + columns)
    return waves + sigma * generator.standard_normal(shape), waves


def shares_of(labels: NDArray[np.int64], num_classes: int, *, confidence: float) -> Images:
    """Probabilities that give the labels exactly this confidence."""
    shares = np.full((*labels.shape, num_classes), (1 - confidence) / (num_classes - 1))
    np.put_along_axis(shares, labels[..., None], confidence, axis=-1)
    return shares


# More than one tile of 64 px in each direction, and less.
@pytest.mark.parametrize("shape", [(3, 1, 32, 147), (2, 3, 140, 25), (1, 2, 11, 11)])
@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.5])
def test_ssim_equals_scikit_image(shape: tuple[int, ...], sigma: float) -> None:
    """SSIM is scikit-image's with the Gaussian window and population covariance."""
    noisy, truth = random_pair(*shape, sigma=sigma)
    expected = [
        structural_similarity(
            one,
            other,
            channel_axis=0,
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for one, other in zip(noisy, truth, strict=True)
    ]
    np.testing.assert_allclose(ssim(noisy, truth), expected, atol=1e-10)
    single = ssim(noisy.astype(np.float32), truth.astype(np.float32))
    np.testing.assert_allclose(single, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 1, 12, 17), (2, 3, 8, 9)])
def test_psnr_equals_scikit_image(shape: tuple[int, ...]) -> None:
    """PSNR is scikit-image's, for each image on its own, of the clamped output."""
    noisy, truth = random_pair(*shape, sigma=0.4)
    expected = [
        peak_signal_noise_ratio(one, other.clip(0, 1), data_range=1)
        for one, other in zip(truth, noisy, strict=True)
    ]
    np.testing.assert_allclose(psnr(noisy, truth), expected, rtol=1e-9)


def test_psnr_of_equal_images_is_infinite() -> None:
    """Equal images have an infinite PSNR, and clamping may make them equal."""
    truth = np.ones((2, 1, 8, 8))
    assert psnr(truth + np.array([0.0, 3.0]).reshape(2, 1, 1, 1), truth).tolist() == [math.inf] * 2


def test_psnr_of_a_constant_error() -> None:
    """An error of 0.1 everywhere is 20 dB."""
    truth = np.full((1, 3, 8, 8), 0.5)
    assert psnr(truth + 0.1, truth)[0] == pytest.approx(20)


def test_scoring_changes_no_image() -> None:
    """The arrays that are scored can be used afterwards."""
    noisy, truth = random_pair(1, 1, 16, 16, sigma=0.5)
    copies = noisy.copy(), truth.copy()
    psnr(noisy, truth)
    ssim(noisy, truth)
    assert (noisy == copies[0]).all()
    assert (truth == copies[1]).all()


def test_ssim_of_equal_images_is_one() -> None:
    """An image resembles itself perfectly, a constant one too."""
    noisy, _ = random_pair(2, 3, 16, 16)
    np.testing.assert_allclose(ssim(noisy, noisy), 1)
    flat = np.full((1, 1, 16, 16), 0.3)
    np.testing.assert_allclose(ssim(flat, flat), 1)


def test_ssim_is_symmetric() -> None:
    """The order of the two images does not matter."""
    noisy, truth = random_pair(2, 3, 20, 20)
    np.testing.assert_allclose(ssim(noisy, truth), ssim(truth, noisy))


def test_ssim_falls_with_noise() -> None:
    """More noise is less similar."""
    scores = [ssim(*random_pair(1, 1, 32, 32, sigma=sigma))[0] for sigma in (0, 0.1, 0.3, 1)]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 4


def test_each_image_is_scored_on_its_own() -> None:
    """The score of an image does not depend on its batch."""
    noisy, truth = random_pair(4, 3, 16, 18)
    for metric in (psnr, ssim):
        alone = [metric(noisy[i : i + 1], truth[i : i + 1])[0] for i in range(4)]
        np.testing.assert_allclose(metric(noisy, truth), alone, rtol=1e-12)


def test_ssim_of_small_images() -> None:
    """Images smaller than the window are refused with both sizes."""
    small = np.zeros((1, 1, 10, 20))
    with pytest.raises(DataError, match="images of 11 x 11 px, but these have 20 x 10"):
        ssim(small, small)


@pytest.mark.parametrize("shape", [(4,), (2, 2)])
def test_accuracy(shape: tuple[int, ...]) -> None:
    """Accuracy is the share of right labels, over images or over their boxes."""
    labels = np.array([0, 1, 2, 2]).reshape(shape)
    predicted = np.array([0, 1, 2, 0]).reshape(shape)
    assert accuracy(confusion_matrix(shares_of(predicted, 3, confidence=0.9), labels)) == 0.75


def test_the_confusion_matrix_counts_true_by_predicted_class() -> None:
    """Rows are true classes, columns are predictions."""
    predicted = shares_of(np.array([0, 2, 2, 1]), 3, confidence=0.9)
    counts = confusion_matrix(predicted, np.array([0, 0, 2, 2]))
    assert counts.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 1]]


def test_a_class_without_images_has_no_recall() -> None:
    """It does not count in the macro accuracy either."""
    counts = np.array([[3, 1, 0], [0, 0, 0], [0, 1, 1]])
    np.testing.assert_equal(recalls(counts), [0.75, np.nan, 0.5])
    assert macro_accuracy(counts) == 0.625


def test_macro_accuracy_counts_each_class_alike() -> None:
    """Ninety right of a common class and none of a rare one is one half."""
    counts = np.array([[90, 0], [10, 0]])
    assert accuracy(counts) == pytest.approx(0.9)
    assert macro_accuracy(counts) == 0.5


@pytest.mark.parametrize("num_right", [0, 5, 8, 10])
def test_calibration_error_is_the_gap(num_right: int) -> None:
    """Confidence of 80 % that is right k times of 10 is off by the difference."""
    labels = np.array([1] * num_right + [0] * (10 - num_right))
    shares = shares_of(np.ones_like(labels), 4, confidence=0.8)
    assert expected_calibration_error(shares, labels) == pytest.approx(abs(num_right / 10 - 0.8))


def test_calibration_error_does_not_cancel_between_bins() -> None:
    """Too sure here and too modest there is an error, though the averages agree."""
    predicted = np.zeros(10, dtype=np.int64)
    parts = [shares_of(predicted, 2, confidence=confidence) for confidence in (0.95, 0.55)]
    shares, labels = np.concatenate(parts), np.array([0] * 5 + [1] * 5 + [0] * 10)
    assert expected_calibration_error(shares, labels) == pytest.approx(0.45)
    assert expected_calibration_error(shares, labels, num_bins=1) == pytest.approx(0)


@pytest.mark.parametrize("num_bins", [1, 4, 15])
def test_calibration_error_is_its_definition(num_bins: int) -> None:
    """The error is the weighted sum over bins that hold their upper edge, the lowest one too."""
    generator = np.random.default_rng(3)
    powers = np.exp(generator.standard_normal((500, 30)) * np.linspace(0.1, 3, 500)[:, None])
    shares = powers / powers.sum(axis=1, keepdims=True)
    confidence, predicted = shares.max(axis=1), shares.argmax(axis=1)
    labels = predicted + (confidence * num_bins).astype(int) % 2  # neighbours must not be merged
    expected = 0.0
    for m in range(num_bins):
        inside = (confidence > m / num_bins) & (confidence <= (m + 1) / num_bins)
        if inside.any():
            right = (predicted == labels)[inside].mean()
            expected += inside.sum() / 500 * abs(right - confidence[inside].mean())
    assert expected_calibration_error(shares, labels, num_bins) == pytest.approx(expected)


def test_certain_and_right_is_calibrated() -> None:
    """Full confidence falls in the last bin."""
    assert expected_calibration_error(np.eye(3), np.arange(3)) == 0


@pytest.mark.parametrize("metric", [confusion_matrix, expected_calibration_error])
def test_no_labels(metric: Any) -> None:
    """Without labels there is no score, and the error says so."""
    with pytest.raises(DataError, match="no labels"):
        metric(np.zeros((0, 3)), np.zeros(0, dtype=np.int64))
