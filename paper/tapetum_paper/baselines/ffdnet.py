r"""FFDNet, a baseline: plain convolutions at half the size, with the noise level as an input.

.. math:: \hat x = U(F(D(y), \sigma))

with :math:`D` the pixel unshuffle by 2, :math:`U` the shuffle back, :math:`\sigma` spread over a
map of its own, and :math:`F` a convolution and an activation, convolutions each with batch
normalisation and an activation, and a last convolution, all 3x3.

References:
    | FFDNet: Toward a Fast and Flexible Solution for CNN based Image Denoising
    | (Zhang, Zuo and Zhang, 2018), https://arxiv.org/abs/1710.04026

    | Fast Noise Variance Estimation
    | (Immerkaer, 1996), https://doi.org/10.1006/cviu.1996.0060
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tapetum_paper.baselines.parts import ConvNorm, pad_to_stride

__all__ = ["FFDNet", "noise_level"]

# Width and number of layers (paper, section III).
GREY, COLOUR = (64, 15), (96, 12)


class FFDNet(nn.Module):
    """The network of the paper, with an estimate of the noise level.

    Args:
        channels: Of the images; 1 takes the grey variant, more take the one for colour.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        width, depth = GREY if channels == 1 else COLOUR
        self.layers = nn.Sequential(
            ConvNorm(4 * channels + 1, width, has_norm=False),
            *(ConvNorm(width, width) for _ in range(depth - 2)),
            ConvNorm(width, 4 * channels, has_norm=False, has_activation=False),
        )
        # differs from the paper: it keeps the filters orthogonal while they learn; here they only
        # begin so, since one loop trains all networks alike.
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.orthogonal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, noisy: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The denoised image; images of any size from 3 x 3 px."""
        height, width = noisy.shape[-2:]
        quarters = F.pixel_unshuffle(pad_to_stride(noisy, 2), 2)
        # differs from the paper: there a user gives the level; all our networks are blind, so that
        # this one estimates it from the image.
        level = noise_level(noisy)[:, None, None, None].expand(-1, 1, *quarters.shape[-2:])
        denoised: Tensor = self.layers(torch.cat([quarters, level], dim=1))
        return F.pixel_shuffle(denoised, 2)[..., :height, :width]


def noise_level(noisy: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    r"""The standard deviation of the noise in each image, if the noise is white and Gaussian.

    .. math:: \hat\sigma = \frac16 \sqrt{\frac\pi2} \, \operatorname{mean} |\Delta_x \Delta_y \, y|

    Second differences in both directions leave nothing of what is even or a straight edge along
    them, and six times the noise.  Texture is taken for noise: the estimate is too high on it.

    Args:
        noisy: Images of at least 3 x 3 px.

    Returns:
        On the scale of the images.
    """
    response = _second_difference(_second_difference(noisy).transpose(2, 3))
    return math.sqrt(math.pi / 2) / 6 * response.abs().mean(dim=(1, 2, 3))


def _second_difference(x: Tensor) -> Tensor:
    return x[..., 2:] - 2 * x[..., 1:-1] + x[..., :-2]
