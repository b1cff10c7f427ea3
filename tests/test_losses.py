"""Laws of the loss terms and of the three equations."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tapetum import metrics
from tapetum.errors import DataError, InputError
from tapetum.losses import (
    EQUATION_1,
    EQUATION_2,
    EQUATION_3,
    LossWeights,
    charbonnier,
    cross_entropy,
    joint_loss,
    ssim,
    ssim_loss,
    unbiased_squared_errors,
)


@pytest.fixture
def outputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A denoised image, logits of two boxes, the clean image, the labels."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand((3, 1, 16, 16), generator=generator)
    image = clean + 0.1 * torch.randn(clean.shape, generator=generator)
    logits = torch.randn((3, 2, 5), generator=generator)
    return image, logits, clean, torch.tensor([[0, 1], [2, 3], [4, 0]])


def test_charbonnier_is_nearly_the_absolute_error() -> None:
    """Far from zero the loss is the mean absolute error."""
    truth = torch.zeros(1, 1, 2, 2)
    denoised = torch.tensor([0.5, -0.5, 0.3, -0.3]).view(1, 1, 2, 2)
    assert charbonnier(denoised, truth).item() == pytest.approx(0.4, abs=1e-5)


def test_charbonnier_of_a_perfect_image_is_epsilon() -> None:
    """Without error the loss is epsilon, and its gradient is zero, not undefined."""
    denoised = torch.rand(1, 1, 4, 4, requires_grad=True)
    loss = charbonnier(denoised, denoised.detach(), epsilon=0.01)
    loss.backward()
    assert loss.item() == pytest.approx(0.01)
    assert not denoised.grad.any()


def smooth_pair(*shape: int, sigma: float = 0.2) -> tuple[Tensor, Tensor]:
    """Smooth images in [0, 1] with noise, and without."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((*shape[:2], 4, 5), generator=generator)
    truth = torch.nn.functional.interpolate(coarse, size=shape[2:], mode="bilinear")
    return truth + sigma * torch.randn(shape, generator=generator), truth


@pytest.mark.parametrize("shape", [(2, 3, 12, 13), (1, 1, 80, 70)])
def test_ssim_loss_is_the_metric(shape: tuple[int, ...]) -> None:
    """The structural loss is one less the mean of what the tables report."""
    one, other = smooth_pair(*shape)
    reported = metrics.ssim(one.numpy(), other.numpy())
    np.testing.assert_allclose(ssim(one, other), reported, atol=1e-6)
    assert ssim_loss(one, other).item() == pytest.approx(1 - reported.mean(), abs=1e-6)
    assert ssim_loss(one, one).item() == pytest.approx(0, abs=1e-6)


def test_ssim_does_not_clamp() -> None:
    """Values outside [0, 1] count as they are, so that a loss can bring them back."""
    noisy, truth = smooth_pair(1, 1, 16, 16, sigma=0.5)
    assert ssim(noisy, truth) != ssim(noisy.clamp(0, 1), truth)


def test_ssim_has_a_true_gradient() -> None:
    """The gradient of SSIM is that of its values."""
    noisy, truth = smooth_pair(1, 2, 12, 11)
    assert torch.autograd.gradcheck(ssim, (noisy.double().requires_grad_(), truth.double()))


def test_memory_format_does_not_matter_to_ssim() -> None:
    """Channels-last images have the same similarity."""
    noisy, truth = smooth_pair(2, 3, 16, 16)
    torch.testing.assert_close(
        ssim(noisy.contiguous(memory_format=torch.channels_last), truth), ssim(noisy, truth)
    )


def test_autocast_does_not_reach_ssim() -> None:
    """In a bf16 training SSIM is still computed in float32, of bf16 outputs too."""
    noisy, truth = smooth_pair(2, 1, 16, 16)
    noisy = noisy.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        inside = ssim(noisy, truth)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, ssim(noisy.float(), truth))


def test_cross_entropy_of_ignorance() -> None:
    """Equal logits cost the logarithm of the number of classes."""
    loss = cross_entropy(torch.zeros(2, 3, 7), torch.zeros(2, 3, dtype=torch.long))
    assert loss.item() == pytest.approx(math.log(7))


def test_cross_entropy_counts_boxes_alike() -> None:
    """Boxes of images cost what the same regions cost as images of their own."""
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn((4, 2, 5), generator=generator)
    labels = torch.randint(5, (4, 2), generator=generator)
    for smoothing in (0.0, 0.1):
        torch.testing.assert_close(
            cross_entropy(logits, labels, label_smoothing=smoothing),
            cross_entropy(logits.view(8, 5), labels.view(8), label_smoothing=smoothing),
        )


def test_label_smoothing_punishes_certainty() -> None:
    """Smoothed, absolute certainty costs; not smoothed, it costs nothing."""
    logits, labels = torch.tensor([[100.0, 0.0]]), torch.tensor([0])
    assert cross_entropy(logits, labels).item() == pytest.approx(0)
    assert cross_entropy(logits, labels, label_smoothing=0.1).item() == pytest.approx(5)


def test_equation_1(outputs: tuple[Tensor, ...]) -> None:
    """Eq. 1 is 0.1 cross-entropy + 0.9 Charbonnier, and computes no SSIM."""
    image, logits, clean, labels = outputs
    loss, terms = joint_loss(image, logits, clean, labels, weights=EQUATION_1)
    expected = 0.1 * cross_entropy(logits, labels) + 0.9 * charbonnier(image, clean)
    torch.testing.assert_close(loss, expected)
    assert set(terms) == {"cross_entropy", "charbonnier"}


def test_equation_2(outputs: tuple[Tensor, ...]) -> None:
    """Eq. 2 is 0.8 Charbonnier + 0.2 SSIM, without the names."""
    image, logits, clean, labels = outputs
    expected = 0.8 * charbonnier(image, clean) + 0.2 * ssim_loss(image, clean)
    loss, _ = joint_loss(image, None, clean, None, weights=EQUATION_2)
    torch.testing.assert_close(loss, expected)
    loss, _ = joint_loss(image, logits, clean, labels, weights=EQUATION_2)
    torch.testing.assert_close(loss, expected)


def test_equation_3(outputs: tuple[Tensor, ...]) -> None:
    """Eq. 3 is 0.1 cross-entropy + 0.9 eq. 2."""
    image, logits, clean, labels = outputs
    denoising, _ = joint_loss(image, None, clean, None, weights=EQUATION_2)
    loss, terms = joint_loss(image, logits, clean, labels, weights=EQUATION_3, label_smoothing=0.1)
    naming = cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(loss, 0.1 * naming + 0.9 * denoising)
    torch.testing.assert_close(terms["cross_entropy"], naming)
    assert set(terms) == {"cross_entropy", "charbonnier", "ssim"}


def test_default_is_equation_1() -> None:
    """Weights that nobody chose are the paper's for the controlled study."""
    assert LossWeights() == EQUATION_1


@pytest.mark.parametrize("weights", [EQUATION_1, EQUATION_3])
def test_classifier_gets_the_cross_entropy(
    outputs: tuple[Tensor, ...], weights: LossWeights
) -> None:
    """A network that only names is trained on the whole cross-entropy."""
    _, logits, clean, labels = outputs
    loss, terms = joint_loss(None, logits, clean, labels, weights=weights)
    torch.testing.assert_close(loss, cross_entropy(logits, labels))
    assert set(terms) == {"cross_entropy"}


def test_denoiser_gets_its_own_equation(outputs: tuple[Tensor, ...]) -> None:
    """A network that only denoises gets the Charbonnier loss from eq. 1, and eq. 2 from eq. 3."""
    image, _, clean, _ = outputs
    loss, _ = joint_loss(image, None, clean, None, weights=EQUATION_1)
    torch.testing.assert_close(loss, charbonnier(image, clean))
    loss, _ = joint_loss(image, None, clean, None, weights=EQUATION_3)
    torch.testing.assert_close(loss, joint_loss(image, None, clean, None, weights=EQUATION_2)[0])


def test_images_without_labels_train_the_image_alone(outputs: tuple[Tensor, ...]) -> None:
    """A joint network on unlabelled images is trained like a denoiser."""
    image, logits, clean, labels = outputs
    loss, _ = joint_loss(image, logits, clean, None, weights=EQUATION_3)
    alone, _ = joint_loss(image, None, clean, labels, weights=EQUATION_3)
    torch.testing.assert_close(loss, alone)


def test_gradient_reaches_both_outputs(outputs: tuple[Tensor, ...]) -> None:
    """The loss moves the image and the names; the reported terms carry no gradient."""
    image, logits, clean, labels = outputs
    image.requires_grad_()
    logits.requires_grad_()
    loss, terms = joint_loss(image, logits, clean, labels, weights=EQUATION_3)
    loss.backward()
    for output in (image, logits):
        assert output.grad.isfinite().all()
        assert output.grad.any()
    assert not any(term.requires_grad for term in terms.values())


def test_loss_is_finite_in_half_precision(outputs: tuple[Tensor, ...]) -> None:
    """Outputs of a bf16 training cost about the same, in float32."""
    image, logits, clean, labels = outputs
    expected, _ = joint_loss(image, logits, clean, labels, weights=EQUATION_3)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = joint_loss(image.bfloat16(), logits.bfloat16(), clean, labels, weights=EQUATION_3)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0.02, atol=0)


def test_nothing_to_train_for(outputs: tuple[Tensor, ...]) -> None:
    """Weights that leave no term name what they weigh and what there is."""
    image, logits, clean, labels = outputs
    with pytest.raises(InputError, match=r"weighs charbonnier, ssim, but .* gives cross_entropy"):
        joint_loss(None, logits, clean, labels, weights=EQUATION_2)
    with pytest.raises(InputError, match=r"gives no term; choose .* images that have labels"):
        joint_loss(None, logits, clean, None, weights=EQUATION_1)
    with pytest.raises(InputError, match=r"weighs cross_entropy, but .* charbonnier, ssim"):
        joint_loss(image, None, clean, None, weights=LossWeights(cross_entropy=1, charbonnier=0))


def test_small_images_train_without_ssim() -> None:
    """Images smaller than SSIM's window can be trained on eq. 1, not on eq. 2."""
    small = torch.rand(1, 1, 8, 8)
    loss, _ = joint_loss(small, None, small, None, weights=EQUATION_1)
    assert loss.item() == pytest.approx(1e-3)
    with pytest.raises(DataError, match="11 x 11"):
        joint_loss(small, None, small, None, weights=EQUATION_2)


@pytest.mark.parametrize(
    "fields",
    [
        {"cross_entropy": 0, "charbonnier": 0},
        {"cross_entropy": -0.1},
        {"ssim": math.inf},
    ],
)
def test_weights_that_make_no_loss(fields: dict[str, float]) -> None:
    """Weights are finite, none is negative, and they are not all zero."""
    with pytest.raises(ValidationError):
        LossWeights(**fields)


@pytest.mark.parametrize("name", LossWeights.model_fields)
def test_weights_tell_what_they_look_at(name: str, outputs: tuple[Tensor, ...]) -> None:
    """Each term alone looks at the names or at the image: at where its gradient goes."""
    image, logits, clean, labels = outputs
    image, logits = image.requires_grad_(), logits.requires_grad_()
    weights = LossWeights(**{field: float(field == name) for field in LossWeights.model_fields})
    loss, _ = joint_loss(image, logits, clean, labels, weights=weights)
    loss.backward()
    assert weights.uses_image == (image.grad is not None)
    assert weights.uses_labels == (logits.grad is not None)
    assert weights.uses_image != weights.uses_labels


def test_weights_of_classes_scale_the_loss_of_their_images() -> None:
    """The mean is over the images, so that the halves of a batch have the mean of the batch."""
    logits, labels = torch.randn((6, 3), generator=torch.manual_seed(0)), torch.arange(6) % 3
    weights = (2.0, 0.5, 0.0)
    alone = torch.stack([cross_entropy(logits[i : i + 1], labels[i : i + 1]) for i in range(6)])
    found = cross_entropy(logits, labels, class_weights=weights)
    torch.testing.assert_close(found, (alone * torch.tensor(weights)[labels]).mean())
    halves = [
        cross_entropy(logits[i : i + 3], labels[i : i + 3], class_weights=weights) for i in (0, 3)
    ]
    torch.testing.assert_close(found, torch.stack(halves).mean())


@pytest.mark.parametrize("gain", [0.0, 0.02])
def test_errors_without_clean_images_are_those_with_them(gain: float) -> None:
    """On average over pixels, under Gaussian and under Poisson-Gaussian noise."""
    generator = torch.Generator().manual_seed(0)
    clean = 0.3 + 0.4 * torch.rand((4, 1, 128, 128), generator=generator)
    photons = torch.poisson(clean / gain, generator) * gain if gain else clean
    noisy = photons + 0.1 * torch.randn(clean.shape, generator=generator)

    def denoise(noisy: Tensor) -> Tensor:
        return 0.5 * noisy + 0.3 * noisy.square()

    counted = clean > 0.4
    estimated = unbiased_squared_errors(
        denoise, noisy, gain * noisy + 0.1**2, counted=counted, generator=generator
    )
    true = ((denoise(noisy) - clean).square() * counted).sum((1, 2, 3)) / counted.sum((1, 2, 3))
    assert estimated.mean().item() == pytest.approx(true.mean().item(), rel=0.03)
