r"""Losses: equations 1, 2 and 3 of the paper, one of ours, and one that needs no clean image.

.. math::
    L_\mathrm{Char}(\hat x, x) &= \operatorname{mean} \sqrt{(\hat x - x)^2 + \epsilon^2} \\
    L_\mathrm{SSIM}(\hat x, x) &= 1 - \operatorname{mean} \mathrm{SSIM}(\hat x, x) \\
    L &= 0.1\, L_\mathrm{CE} + 0.9\, L_\mathrm{Char}
        && \text{joint, controlled study (1)} \\
    L_\mathrm{Den} &= 0.8\, L_\mathrm{Char} + 0.2\, L_\mathrm{SSIM}
        && \text{denoiser, search (2)} \\
    L &= 0.1\, L_\mathrm{CE} + 0.9\, L_\mathrm{Den}
        && \text{joint, search (3)}

Our term is the PSNR as a loss, up to sign and scale,

.. math::
    L_\mathrm{log}(\hat x, x) = \operatorname{mean}_i \ln \operatorname{MSE}(\hat x_i, x_i) .

The Charbonnier loss is dominated by very noisy images; under this one all images count alike.

:class:`LossWeights` has the weights of all terms.  A network with one task gets the terms of that
task, their weights scaled to sum to 1.  So eq. 1 gives a denoiser the Charbonnier loss and a
classifier the cross-entropy, as in the paper, and eq. 3 gives a denoiser eq. 2.

:func:`unbiased_squared_errors` needs no clean image.  Where the noise of a noisy image :math:`y` is
independent from pixel to pixel, with mean 0 and variance :math:`v_i`, Stein's lemma estimates the
squared error of a denoiser :math:`f` to the clean image :math:`x`,

.. math::
    \mathrm E \bigl[(f_i(y) - x_i)^2\bigr]
    = \mathrm E \Bigl[(f_i(y) - y_i)^2
    + v_i \Bigl(2 \frac{\partial f_i}{\partial y_i} - 1\Bigr)\Bigr],

exactly for Gaussian noise, and up to the second derivative of :math:`f` for Poisson-Gaussian noise,
with :math:`v_i = g y_i + \sigma^2`.  The derivatives come from a second pass, on the image plus a
small random pattern.

References:
    Pushing Joint Image Denoising and Classification to the Edge
    (Markhorst, van Gemert, Kayhan, 2024), https://arxiv.org/abs/2409.08943.

    Two Deterministic Half-Quadratic Regularization Algorithms for Computed Imaging
    (Charbonnier, Blanc-Féraud, Aubert, Barlaud, 1994), https://doi.org/10.1109/ICIP.1994.413553.

    Monte-Carlo SURE: A Black-Box Optimization of Regularization Parameters for General Denoising
    Algorithms (Ramani et al., 2008), https://doi.org/10.1109/TIP.2008.2001404.

    An Unbiased Risk Estimator for Image Denoising in the Presence of Mixed Poisson-Gaussian Noise
    (Le Montagner, Angelini, Olivo-Marin, 2014), https://doi.org/10.1109/TIP.2014.2300821.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from tapetum.errors import InputError
from tapetum.metrics import SSIM_WINDOW
from tapetum.records import Record

__all__ = ["EQUATION_1", "EQUATION_3", "LossWeights", "joint_loss", "unbiased_squared_errors"]

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class LossWeights(Record):
    """Weights of the loss terms; the default is eq. 1.

    Args:
        cross_entropy: Weight of the cross-entropy of the labels.
        charbonnier: Weight of the Charbonnier loss of the image.
        ssim: Weight of the SSIM loss of the image.
        log_mse: Weight of the logarithm of the squared error of each image.
    """

    cross_entropy: Weight = 0.1
    charbonnier: Weight = 0.9
    ssim: Weight = 0.0
    log_mse: Weight = 0.0

    @property
    def uses_labels(self) -> bool:
        """Whether a term uses the labels."""
        return self.cross_entropy > 0

    @property
    def uses_image(self) -> bool:
        """Whether a term uses the denoised image."""
        return any(getattr(self, name) > 0 for name in _IMAGE_TERMS)

    @model_validator(mode="after")
    def _counts_something(self) -> "LossWeights":
        if not any(self.model_dump().values()):
            raise ValueError("all weights are 0, so there is nothing to train for")
        return self


EQUATION_1 = LossWeights(cross_entropy=0.1, charbonnier=0.9)
EQUATION_2 = LossWeights(cross_entropy=0.0, charbonnier=0.8, ssim=0.2)
EQUATION_3 = LossWeights(cross_entropy=0.1, charbonnier=0.9 * 0.8, ssim=0.9 * 0.2)


def charbonnier(
    denoised: Float[Tensor, "b c h w"], truth: Float[Tensor, "b c h w"], *, epsilon: float = 1e-3
) -> Float[Tensor, ""]:
    """Return the mean absolute error, smooth near zero.

    Args:
        denoised: The output of the network, not clamped.
        truth: The clean images.
        epsilon: Scale below which errors are squared; also the loss of a perfect image.  The paper
            does not print its value.
    """
    return ((denoised - truth).square() + epsilon**2).sqrt().mean()


def ssim(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Return the structural similarity of each pair of images, with a gradient.

    The values are those of :func:`tapetum.metrics.ssim`.

    Args:
        a: Images, in [0, 1].
        b: Images to compare them with.

    Raises:
        DataError: The images are smaller than the window.
    """
    SSIM_WINDOW.require(*a.shape[2:])
    c1, c2 = SSIM_WINDOW.c1, SSIM_WINDOW.c2
    with torch.autocast(a.device.type, enabled=False):  # variances need all digits
        a, b = _at_least_float32(a), _at_least_float32(b)
        maps = torch.stack((a, b, a * a, b * b, a * b))
        mean_a, mean_b, mean_aa, mean_bb, mean_ab = _blur(maps)
        luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        variances = (mean_aa - mean_a**2) + (mean_bb - mean_b**2)
        structure = (2 * (mean_ab - mean_a * mean_b) + c2) / (variances + c2)
        similarity: Tensor = (luminance * structure).mean(dim=(1, 2, 3))
    return similarity


def ssim_loss(
    denoised: Float[Tensor, "b c h w"], truth: Float[Tensor, "b c h w"]
) -> Float[Tensor, ""]:
    """Return 1 minus the mean structural similarity: 0 for equal images, 2 at most."""
    return 1 - ssim(denoised, truth).mean()


def log_mse(
    denoised: Float[Tensor, "b c h w"], truth: Float[Tensor, "b c h w"], *, floor: float = 1e-6
) -> Float[Tensor, ""]:
    """Return the mean over images of the logarithm of their squared error.

    The floor is added to each error, so that a perfect image (beyond 60 dB) has no gradient.
    """
    errors = (denoised - truth).square().flatten(1).mean(dim=1)
    return (errors + floor).log().mean()


def cross_entropy(
    logits: Float[Tensor, "*n classes"],
    labels: Int[Tensor, "*n"],
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] = (),
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy over all images, or over all boxes of all images.

    The sum of weighted values is divided by their number, not by the sum of their weights as in
    torch: so the shares of a batch in several processes have the mean of the batch.
    """
    rows, classes = logits.flatten(0, -2), labels.flatten()
    if not class_weights:
        return F.cross_entropy(rows, classes, label_smoothing=label_smoothing)
    values = F.cross_entropy(rows, classes, label_smoothing=label_smoothing, reduction="none")
    return (values * rows.new_tensor(class_weights)[classes]).mean()


_IMAGE_TERMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "charbonnier": charbonnier,
    "ssim": ssim_loss,
    "log_mse": log_mse,
}


def joint_loss(
    image: Float[Tensor, "b c h w"] | None,
    logits: Float[Tensor, "*n classes"] | None,
    clean: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "*n"] | None,
    *,
    weights: LossWeights,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] = (),
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return the loss of the outputs of a network.

    Args:
        image: The denoised image, not clamped; ``None`` for a classifier.
        logits: A score for each class; ``None`` for a denoiser.
        clean: The clean images.
        labels: The true classes; ``None`` where they are unknown.
        weights: Weights of the terms.
        label_smoothing: Share of the target, from 0 to 1, spread evenly over all classes.
        class_weights: Weight of the cross-entropy of each class; empty for equal weights.

    Returns:
        The loss and its terms, by the names of ``weights``, not weighted and without gradient.  A
        term of weight 0 is not computed.

    Raises:
        InputError: No term is left: the weights do not fit the tasks of the network.
        DataError: The images are too small for the SSIM term.
    """
    terms: dict[str, Callable[[], Tensor]] = {}
    if logits is not None and labels is not None:
        logits = _at_least_float32(logits)
        terms["cross_entropy"] = partial(
            cross_entropy,
            logits,
            labels,
            label_smoothing=label_smoothing,
            class_weights=class_weights,
        )
    if image is not None:
        image = _at_least_float32(image)
        terms |= {name: partial(term, image, clean) for name, term in _IMAGE_TERMS.items()}
    shares = _shares(weights, terms)
    values = {name: terms[name]() for name in shares}
    loss = sum((shares[name] * value for name, value in values.items()), start=clean.new_zeros(()))
    return loss, {name: value.detach() for name, value in values.items()}


@torch.no_grad()
def unbiased_squared_errors(
    denoise: Callable[[Tensor], Tensor],
    noisy: Float[Tensor, "b c h w"],
    variance: Float[Tensor, "b c h w"],
    *,
    counted: Bool[Tensor, "b c h w"],
    generator: torch.Generator,
    step: float = 1e-3,
) -> Float[Tensor, " b"]:
    """Return an estimate of the squared error of each denoised image, without the clean one.

    A single estimate may be negative; the mean over many pixels is right.

    Args:
        denoise: The denoiser.
        noisy: Noisy images.
        variance: The variance of the noise at each pixel.
        counted: Pixels to average over, whose noise is not clipped.
        generator: Draws the pattern.
        step: Amplitude of the pattern.
    """
    pattern = torch.randint(0, 2, noisy.shape, generator=generator).to(noisy) * 2 - 1
    denoised = denoise(noisy)
    slopes = pattern * (denoise(noisy + step * pattern) - denoised) / step
    errors = (denoised - noisy).square() + variance * (2 * slopes - 1)
    return (errors * counted).sum(dim=(1, 2, 3)) / counted.sum(dim=(1, 2, 3)).clamp_min(1)


def _blur(maps: Float[Tensor, "*n h w"]) -> Float[Tensor, "*n h_out w_out"]:
    """Return the mean of each map under the Gaussian window, wherever the whole window fits."""
    # Maps are the channels of one image: on a CPU 20 times faster than single images.
    planes = maps.flatten(0, -3)
    size_px = SSIM_WINDOW.size_px
    offset_px = torch.arange(size_px, dtype=maps.dtype, device=maps.device) - size_px // 2
    weights = torch.exp(-0.5 * (offset_px / SSIM_WINDOW.sigma_px) ** 2)
    weights = (weights / weights.sum()).expand(len(planes), 1, 1, size_px)
    across = F.conv2d(planes[None], weights, groups=len(planes))
    means = F.conv2d(across, weights.transpose(2, 3), groups=len(planes))
    return means.reshape(*maps.shape[:-2], *means.shape[-2:])


def _at_least_float32(output: Tensor) -> Tensor:
    """Return the output in at least float32: a loss needs the precision."""
    return output.to(torch.promote_types(output.dtype, torch.float32))


def _shares(weights: LossWeights, terms: Mapping[str, object]) -> dict[str, float]:
    """Return the weights of the given terms, scaled to sum to 1 where a task is missing."""
    wanted = {name: weight for name, weight in weights if weight > 0}
    shares = {name: weight for name, weight in wanted.items() if name in terms}
    if not shares:
        raise InputError(
            f"nothing to train for: the loss weighs {', '.join(wanted)}, "
            f"but this network on these images gives {', '.join(terms) or 'no term'}",
            "choose other weights, or images that have labels",
        )
    if len(terms) == len(weights.model_dump()):
        return shares
    total = sum(shares.values())
    return {name: weight / total for name, weight in shares.items()}
