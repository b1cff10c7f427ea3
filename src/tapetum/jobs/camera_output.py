r"""Fit the scale and the offset of a denoiser's output again, without clean images.

New batch statistics take the brightness of a camera out of all features, and so out of the image.
With :math:`r` the output of the decoder and :math:`g y` the share of the noisy image that a gated
network adds, each channel of the image becomes

.. math:: \hat x = a r + b + g y ,

where :math:`a` and :math:`b` minimise the squared error to the clean image :math:`x`. Of :math:`x`
only the mean and the covariance with :math:`r` are needed. Stein's lemma gives the latter,
:math:`\mathrm E[r_i x_i] = \mathrm E[r_i y_i] - \mathrm E[v_i \, \partial r_i / \partial y_i]`,
with the symbols of :mod:`tapetum.losses`. Both become part of the last convolution.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tapetum.jobs.camera import View
from tapetum.jobs.camera_losses import Stated, unclipped, variance
from tapetum.nn import Network

__all__ = ["fit_output"]

STEP = 1e-3


@torch.no_grad()
def fit_output(network: Network, views: Sequence[View], noise: Stated | None, *, seed: int) -> None:
    """Fit the output of a network in evaluation mode, in place.

    Args:
        network: A network that denoises.
        views: Images to fit on.
        noise: Their noise; None where it was added to clean ones.
        seed: Random seed of the pattern that gives the derivatives.
    """
    without = copy.deepcopy(network)
    zero = torch.zeros(views[0].windows.shape[1])
    _scale(without, zero, zero)

    def decoded(noisy: Tensor) -> tuple[Tensor, Tensor]:
        shared: Tensor = without(noisy).image
        return network(noisy).image - shared, shared

    sums = torch.zeros(5, len(zero), dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    for view in views:
        noisy, slopes = view.windows, torch.zeros(())
        rest, shared = decoded(noisy)
        counted = torch.ones_like(noisy)
        if noise is not None:
            pattern = torch.randint(0, 2, noisy.shape, generator=generator).to(noisy) * 2 - 1
            slopes = pattern * (decoded(noisy + STEP * pattern)[0] - rest) / STEP
            slopes, counted = slopes * variance(noise, noisy), unclipped(noise, noisy).to(noisy)
        wanted = (noisy if view.clean is None else view.clean) - shared
        values = (torch.ones_like(rest), rest, wanted, rest * rest, rest * wanted - slopes)
        sums += torch.stack([(one * counted).double().sum((0, 2, 3)) for one in values])
    count, r, t, rr, rt = sums
    spread = count * rr - r.square()
    if (spread > 0).all():
        scale = (count * rt - r * t) / spread
        _scale(network, scale.float(), ((t - scale * r) / count).float())


def _scale(network: Network, scale: Tensor, offset: Tensor) -> None:
    """Multiply what the decoder returns for each channel of the image, and add to it.

    The last convolution does both; it may compute several places of a channel, side by side.
    """
    assert network.decoder is not None  # noqa: S101  (it denoises)
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    last = [one for one in network.decoder.modules() if isinstance(one, kinds)][-1]
    assert last.bias is not None  # noqa: S101  (there is no normalisation behind it)
    gate = int(network.is_gated)
    copies = last.out_channels // (len(scale) + gate)
    scale = torch.cat([scale, torch.ones(gate)]).repeat_interleave(copies)
    offset = torch.cat([offset, torch.zeros(gate)]).repeat_interleave(copies)
    shape = (1, -1, 1, 1) if isinstance(last, nn.ConvTranspose2d) else (-1, 1, 1, 1)
    last.weight.mul_(scale.view(shape))
    last.bias.mul_(scale).add_(offset)
