"""Laws of the measures, and their agreement with scikit-image."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from tapetum.errors import DataError
from tapetum.metrics import accuracy, expected_calibration_error, macro_accuracy, psnr, ssim


def random_pair(*shape: int, seed: int = 0, sigma: float = 0.2) -> tuple[Tensor, Tensor]:
    """Smooth images in [0, 1] with noise, and without."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((*shape[:2], 4, 5), generator=generator)
    truth = torch.nn.functional.interpolate(coarse, size=shape[2:], mode="bilinear")
    return truth + sigma * torch.randn(shape, generator=generator), truth


def alphas_of(labels: Tensor, num_classes: int, *, confidence: float) -> Tensor:
    """ArchitectureParameters that give the named classes exactly this probability."""
    rest = (1 - confidence) / (num_classes - 1)
    return torch.full((*labels.shape, num_classes), math.log(rest)).scatter(
        -1, labels[..., None], math.log(confidence)
    )


@pytest.mark.parametrize("shape", [(3, 1, 32, 47), (2, 3, 40, 25), (1, 2, 11, 11)])
@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.5])
def test_ssim_equals_scikit_image(shape: tuple[int, ...], sigma: float) -> None:
    """SSIM is scikit-image's with the Gaussian window and population covariance."""
    noisy, truth = random_pair(*shape, sigma=sigma)
    expected = [
        structural_similarity(
            one.numpy(),
            other.numpy(),
            channel_axis=0,
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for one, other in zip(noisy.double(), truth.double(), strict=True)
    ]
    np.testing.assert_allclose(ssim(noisy, truth), expected, atol=2e-5)
    np.testing.assert_allclose(ssim(noisy.double(), truth.double()), expected, atol=1e-10)


@pytest.mark.parametrize("shape", [(3, 1, 12, 17), (2, 3, 8, 9)])
def test_psnr_equals_scikit_image(shape: tuple[int, ...]) -> None:
    """PSNR is scikit-image's, for each image on its own, of the clamped output."""
    noisy, truth = random_pair(*shape, sigma=0.4)
    expected = [
        peak_signal_noise_ratio(one.numpy(), other.clamp(0, 1).numpy(), data_range=1)
        for one, other in zip(truth, noisy, strict=True)
    ]
    np.testing.assert_allclose(psnr(noisy, truth), expected, rtol=1e-5)


def test_psnr_of_equal_images_is_infinite() -> None:
    """Equal images have an infinite PSNR, and clamping may make them equal."""
    truth = torch.ones(2, 1, 8, 8)
    assert psnr(truth + torch.tensor([0.0, 3.0]).view(2, 1, 1, 1), truth).tolist() == [math.inf] * 2


def test_psnr_of_a_constant_error() -> None:
    """An error of 0.1 everywhere is 20 dB."""
    truth = torch.full((1, 3, 8, 8), 0.5)
    assert psnr(truth + 0.1, truth).item() == pytest.approx(20, abs=1e-4)


def test_ssim_of_equal_images_is_one() -> None:
    """An image resembles itself perfectly, a constant one too."""
    noisy, _ = random_pair(2, 3, 16, 16)
    torch.testing.assert_close(ssim(noisy, noisy), torch.ones(2))
    flat = torch.full((1, 1, 16, 16), 0.3)
    torch.testing.assert_close(ssim(flat, flat), torch.ones(1))


def test_ssim_is_symmetric() -> None:
    """The order of the two images does not matter."""
    noisy, truth = random_pair(2, 3, 20, 20)
    torch.testing.assert_close(ssim(noisy, truth), ssim(truth, noisy))


def test_ssim_falls_with_noise() -> None:
    """More noise is less similar."""
    scores = [ssim(*random_pair(1, 1, 32, 32, sigma=sigma)).item() for sigma in (0, 0.1, 0.3, 1)]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 4


def test_each_image_is_scored_on_its_own() -> None:
    """An image's score does not depend on its batch."""
    noisy, truth = random_pair(4, 3, 16, 18)
    for measure in (psnr, ssim):
        alone = torch.cat([measure(noisy[i : i + 1], truth[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(measure(noisy, truth), alone)


def test_ssim_does_not_clamp() -> None:
    """Values outside [0, 1] count as they are, so that a loss can bring them back."""
    noisy, truth = random_pair(1, 1, 16, 16, sigma=0.5)
    assert ssim(noisy, truth) != ssim(noisy.clamp(0, 1), truth)


def test_ssim_has_a_true_gradient() -> None:
    """The gradient of SSIM is that of its values."""
    noisy, truth = random_pair(1, 2, 12, 11)
    assert torch.autograd.gradcheck(ssim, (noisy.double().requires_grad_(), truth.double()))


def test_memory_format_does_not_matter() -> None:
    """Channels-last images score the same."""
    noisy, truth = random_pair(2, 3, 16, 16)
    torch.testing.assert_close(
        ssim(noisy.contiguous(memory_format=torch.channels_last), truth), ssim(noisy, truth)
    )


def test_autocast_does_not_reach_the_scores() -> None:
    """In a bf16 training SSIM is still computed in float32, of bf16 outputs too."""
    noisy, truth = random_pair(2, 1, 16, 16)
    noisy = noisy.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        inside = ssim(noisy, truth)
    assert inside.dtype == psnr(noisy, truth).dtype == torch.float32
    torch.testing.assert_close(inside, ssim(noisy.float(), truth))


def test_ssim_of_small_images() -> None:
    """Images smaller than the window are refused with both sizes."""
    small = torch.zeros(1, 1, 10, 20)
    with pytest.raises(DataError, match="images of 11 x 11 px, but these have 20 x 10"):
        ssim(small, small)


@pytest.mark.parametrize("shape", [(4,), (2, 2)])
def test_accuracy(shape: tuple[int, ...]) -> None:
    """Accuracy is the share of right names, over images or over their boxes."""
    labels = torch.tensor([0, 1, 2, 2]).view(shape)
    named = torch.tensor([0, 1, 2, 0]).view(shape)
    assert accuracy(alphas_of(named, 3, confidence=0.9), labels) == 0.75


def test_macro_accuracy_counts_each_class_alike() -> None:
    """Ninety right of a common class and none of a rare one is one half."""
    labels = torch.tensor([0] * 90 + [4] * 10)
    logits = alphas_of(torch.zeros_like(labels), 5, confidence=0.9)
    assert accuracy(logits, labels) == pytest.approx(0.9)
    assert macro_accuracy(logits, labels) == 0.5


def test_macro_accuracy_of_even_classes() -> None:
    """Where all classes are as common, macro accuracy is accuracy."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60).view(20, 3) % 6
    logits = torch.randn((20, 3, 6), generator=generator)
    assert macro_accuracy(logits, labels) == pytest.approx(accuracy(logits, labels))


@pytest.mark.parametrize("num_right", [0, 5, 8, 10])
def test_calibration_error_is_the_gap(num_right: int) -> None:
    """Confidence of 80 % that is right k times of 10 is off by the difference."""
    labels = torch.tensor([1] * num_right + [0] * (10 - num_right))
    logits = alphas_of(torch.ones_like(labels), 4, confidence=0.8)
    error = expected_calibration_error(logits, labels)
    assert error == pytest.approx(abs(num_right / 10 - 0.8), abs=1e-6)


def test_calibration_error_does_not_cancel_between_bins() -> None:
    """Too sure here and too modest there is an error, though the averages agree."""
    named = torch.zeros(20, dtype=torch.long)
    logits = torch.cat(
        [alphas_of(named[:10], 2, confidence=0.95), alphas_of(named[10:], 2, confidence=0.55)]
    )
    labels = torch.tensor([0] * 5 + [1] * 5 + [0] * 10)
    assert expected_calibration_error(logits, labels) == pytest.approx(0.45, abs=1e-6)
    assert expected_calibration_error(logits, labels, num_bins=1) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("num_bins", [1, 4, 15])
def test_calibration_error_is_its_definition(num_bins: int) -> None:
    """The error is the weighted sum over bins that hold their upper edge, the lowest one too."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn((500, 30), generator=generator, dtype=torch.float64)
    logits *= torch.linspace(0.1, 3, 500)[:, None]  # from nearly no confidence to nearly full
    confidence, named = logits.softmax(dim=-1).max(dim=-1)
    labels = named + (confidence * num_bins).long() % 2  # neighbours must not be merged
    expected = 0.0
    for m in range(num_bins):
        inside = (confidence > m / num_bins) & (confidence <= (m + 1) / num_bins)
        if inside.any():
            right = (named == labels)[inside].double().mean()
            expected += inside.sum().item() / 500 * abs(right - confidence[inside].mean()).item()
    assert expected_calibration_error(logits, labels, num_bins) == pytest.approx(expected)


def test_certain_and_right_is_calibrated() -> None:
    """Full confidence falls in the last bin."""
    labels = torch.tensor([[0, 1], [2, 1]])
    logits = 1e4 * torch.nn.functional.one_hot(labels, 3).float()
    assert expected_calibration_error(logits, labels) == 0


@pytest.mark.parametrize("measure", [accuracy, macro_accuracy, expected_calibration_error])
def test_no_labels(measure: object) -> None:
    """Without labels there is no score, and the error says so."""
    with pytest.raises(DataError, match="no labels"):
        measure(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
