r"""LPIENet, a baseline: a small UNet of inverted residual attention blocks, made for phones.

A *stage* is a 3x3 convolution with an activation, two residual blocks and an attention:

.. math::
    \text{residual}(x) &= x + m + B(\epsilon(A(m))), \quad m = P(\epsilon(D(E(x)))) \\
    \text{attention}(x) &= x + J([s(G([\bar x, x^*])) \, x, \; s(R(\rho(Q(\bar x)))) \, x])

with :math:`D` a depth-wise 3x3 convolution, :math:`G` a 3x3 one, all other capitals 1x1 ones,
:math:`\epsilon` the exponential linear unit, :math:`\rho` the rectified one, :math:`s` the sigmoid,
:math:`\bar x` and :math:`x^*` the mean and the largest over the channels at each place.

Three stages climb down, halved by max pooling in between; two climb back, each doubled and joined
with the encoder's map of that size; a head makes an image of it, which is weighed place by place
and added to the noisy one.

The paper leaves details open; they are as in the code that its authors published
(https://github.com/mv-lab/AISP), whose 133,652 parameters this network has too.

References:
    | Perceptual Image Enhancement for Smartphone Real-Time Applications
    | (Conde, Vasluianu, Vazquez-Corral and Timofte, 2023), https://arxiv.org/abs/2210.13552
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tapetum_paper.baselines.parts import pad_to_stride

__all__ = ["LPIENet"]

STRIDE_PX = 4


class LPIENet(nn.Module):
    """The network of the paper.

    Args:
        channels: Of the images.
        widths: Channels of the three encoder stages, the finest first; the decoder mirrors them.
    """

    def __init__(self, channels: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        fine, middle, deep = widths
        self.encoder = nn.ModuleList(
            [_stage(channels, fine), _stage(fine, middle), _stage(middle, deep)]
        )
        self.decoder = nn.ModuleList([_stage(deep, middle), _stage(2 * middle, fine)])
        self.head = ImageHead(2 * fine, channels)
        self.weigh = PlaceWeights(channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)  # what Keras, its first home, begins with
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, noisy: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The denoised image; images of any size."""
        height, width = noisy.shape[-2:]
        padded = pad_to_stride(noisy, STRIDE_PX)
        fine = self.encoder[0](padded)
        middle = self.encoder[1](F.max_pool2d(fine, 2))
        deep = self.encoder[2](F.max_pool2d(middle, 2))
        x = torch.cat([_upsample(self.decoder[0](deep)), middle], dim=1)
        x = torch.cat([_upsample(self.decoder[1](x)), fine], dim=1)
        denoised: Tensor = padded + self.weigh(self.head(x))
        return denoised[..., :height, :width]


class Residual(nn.Module):
    """An inverted residual whose channels are not expanded, and two 1x1 convolutions behind it.

    Args:
        channels: That come in and go out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = _conv(channels, channels)
        self.depthwise = _conv(channels, channels, kernel_px=3, groups=channels)
        self.project = _conv(channels, channels)
        self.first = _conv(channels, channels)
        self.second = _conv(channels, channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Filters, and adds the input."""
        filtered: Tensor = self.project(F.elu(self.depthwise(self.expand(x))))
        mixed: Tensor = self.second(F.elu(self.first(filtered)))
        return x + filtered + mixed


class Attention(nn.Module):
    """Weighs every value twice, by what all channels hold around it and at its place.

    The paper calls the second one channel attention; the published code takes the mean over the
    channels for it, and not over the places, so that it weighs places too.

    Args:
        channels: That come in and go out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.around = _conv(2, channels, kernel_px=3)
        self.squeeze = _conv(1, channels)
        self.excite = _conv(channels, channels)
        self.join = _conv(2 * channels, channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Weighs, mixes, and adds the input."""
        mean, largest = x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)
        around = self.around(torch.cat([mean, largest], dim=1)).sigmoid()
        at_place = self.excite(self.squeeze(mean).relu()).sigmoid()
        weighed: Tensor = self.join(torch.cat([around * x, at_place * x], dim=1))
        return x + weighed


class ImageHead(nn.Module):
    """From feature maps to the channels of an image, along a filtered and a direct way.

    Args:
        in_channels: Of the maps.
        out_channels: Of the image.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.expand = _conv(in_channels, out_channels)
        self.depthwise = _conv(out_channels, out_channels, kernel_px=3, groups=out_channels)
        self.project = _conv(out_channels, out_channels)
        self.direct = _conv(in_channels, out_channels)

    def forward(self, x: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h w"]:
        """The sum of both ways."""
        filtered: Tensor = self.project(F.elu(self.depthwise(self.expand(x))))
        direct: Tensor = self.direct(x).relu()
        return filtered + direct


class PlaceWeights(nn.Module):
    """Weighs every value of an image by what surrounds it, from 0 to 1.

    Args:
        channels: Of the image.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.wide = _conv(channels, channels, kernel_px=7)
        self.middle = _conv(channels, channels, kernel_px=5)
        self.narrow = _conv(channels, channels, kernel_px=3)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The image times its weights."""
        weights: Tensor = self.narrow(self.middle(self.wide(x).relu()).relu()).sigmoid()
        return x * weights


def _stage(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        _conv(in_channels, out_channels, kernel_px=3),
        nn.ReLU(),
        Residual(out_channels),
        Residual(out_channels),
        Attention(out_channels),
    )


def _conv(in_channels: int, out_channels: int, *, kernel_px: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_px, padding=kernel_px // 2, groups=groups)


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
