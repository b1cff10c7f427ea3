r"""The blocks that networks are made of.

.. math::
    \text{ConvNorm} &: \quad y = \phi(\nu(W * x)) \\
    \text{SqueezeExcite} &: \quad y = x \cdot s(R(\phi(Q(\operatorname{mean}_{h, w} x)))) \\
    \text{ResidualConv} &: \quad y = \phi(x + \nu(W * x)) \\
    \text{InvertedResidual} &: \quad y = [x +] \, P([S] (\phi(D_k(\phi(E(x)))))) \\
    \text{InvertedResidual, fused} &: \quad y = [x +] \, P([S] (\phi(E_k(x))))

with :math:`\nu` a normalisation, :math:`\phi` an activation, :math:`E` and :math:`P` 1x1
convolutions, :math:`D_k` a depth-wise and :math:`E_k` a full one of side :math:`k`; :math:`Q` and
:math:`R` 1x1 ones with few channels in between, :math:`s` the sigmoid.

References:
    | MobileNetV2: Inverted Residuals and Linear Bottlenecks (Sandler et al., 2018)
    | https://arxiv.org/abs/1801.04381

    | Squeeze-and-Excitation Networks (Hu et al., 2018)
    | https://arxiv.org/abs/1709.01507

    | EfficientNetV2: Smaller Models and Faster Training (Tan & Le, 2021)
    | https://arxiv.org/abs/2104.00298

    | RepVGG: Making VGG-style ConvNets Great Again (Ding et al., 2021)
    | https://arxiv.org/abs/2101.03697
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from tapetum.nn.norm import RowBatchNorm2d

__all__ = [
    "ConvNorm",
    "InvertedResidual",
    "ResidualConv",
    "SqueezeExcite",
    "activate",
    "normalise",
    "pad_to_stride",
]


def normalise(norm: str, channels: int) -> nn.Module:
    """Return a normalisation layer by name: ``batch``, ``group`` (one group) or ``none``."""
    if norm == "batch":
        return RowBatchNorm2d(channels)
    if norm == "group":
        return nn.GroupNorm(1, channels)
    return nn.Identity()


def activate(activation: str) -> nn.Module:
    """Return an activation layer by name: ``relu``, ``silu``, ``hard_swish`` or ``none``."""
    kinds = {"relu": nn.ReLU, "silu": nn.SiLU, "hard_swish": nn.Hardswish}
    return kinds[activation](inplace=True) if activation in kinds else nn.Identity()


class Conv2d(nn.Conv2d):
    """A convolution whose gradient is right on maps of one pixel in width too.

    In bf16 on a CPU, with a stride of 2, torch 2.14 leaves the gradient of the weights that lie
    beside such a map as it finds the memory. These maps are filtered in fp32.
    """

    def forward(self, x: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h_out w_out"]:
        """Filter."""
        is_fooled = x.shape[-1] == 1 and self.stride[1] > 1
        if not is_fooled or not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


class ConvNorm(nn.Module):
    """A convolution, a normalisation and an activation; stride 1 keeps the size.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_px: Side of the kernel; an even one needs stride 2.
        stride_px: Factor by which height and width shrink, rounded up; down with an even kernel.
        groups: Groups of channels; the number of channels for a depth-wise convolution.
        norm: ``batch``, ``group`` or ``none``; the convolution has a bias only with ``none``.
        activation: ``relu``, ``silu``, ``hard_swish`` or ``none``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_px: int = 3,
        stride_px: int = 1,
        groups: int = 1,
        norm: str = "batch",
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.conv = Conv2d(
            in_channels,
            out_channels,
            kernel_px,
            stride=stride_px,
            padding=(kernel_px - 1) // 2,
            groups=groups,
            bias=norm == "none",
        )
        self.norm = normalise(norm, out_channels)
        self.activation = activate(activation)

    def forward(self, x: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h_out w_out"]:
        """Filter, normalise and activate."""
        y: Tensor = self.activation(self.norm(self.conv(x)))
        return y


class ResidualConv(nn.Module):
    """A convolution to whose normalised result the input is added before the activation.

    Args:
        channels: Channels of input and output.
        kernel_px: Side of the kernel, odd.
        norm: ``batch``, ``group`` or ``none``.
        activation: ``relu``, ``silu``, ``hard_swish`` or ``none``.
    """

    def __init__(
        self, channels: int, *, kernel_px: int = 3, norm: str = "batch", activation: str = "relu"
    ) -> None:
        super().__init__()
        self.filter = ConvNorm(
            channels, channels, kernel_px=kernel_px, norm=norm, activation="none"
        )
        self.activation = activate(activation)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Filter, add the input and activate."""
        # In place: neither a convolution nor a normalisation needs its result for the gradient.
        y: Tensor = self.activation(self.filter(x).add_(x))
        return y


class SqueezeExcite(nn.Module):
    """Scale each channel by a function of the means of all channels.

    ``squeeze_channels`` and the activation are those between the two convolutions.
    """

    def __init__(self, channels: int, squeeze_channels: int, *, activation: str) -> None:
        super().__init__()
        plain = partial(ConvNorm, kernel_px=1, norm="none")
        self.squeeze = plain(channels, squeeze_channels, activation=activation)
        self.excite = plain(squeeze_channels, channels, activation="none")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return the input, each channel multiplied by a number from 0 to 1."""
        gate: Tensor = self.excite(self.squeeze(x.mean(dim=(2, 3), keepdim=True))).sigmoid()
        return x * gate


class InvertedResidual(nn.Module):
    """Expand, filter, and project back: MBConv, or fused MBConv.

    Args:
        in_channels: Input channels.
        hidden_channels: Channels between expansion and projection.
        out_channels: Output channels.
        kernel_px: Side of the filter's kernel, odd.
        stride_px: Factor by which height and width shrink, rounded up.
        squeeze_channels: Channels of the :class:`SqueezeExcite` before the projection; ``None``
            for none.
        norm: ``batch``, ``group`` or ``none``.
        activation: Activation after expansion and filter; the projection is linear.
        is_fused: Whether one full convolution expands and filters, in place of a 1 x 1 expansion
            and a filter of each channel on its own.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        *,
        kernel_px: int = 3,
        stride_px: int = 1,
        squeeze_channels: int | None = None,
        norm: str = "batch",
        activation: str = "relu",
        is_fused: bool = False,
    ) -> None:
        super().__init__()
        conv = partial(ConvNorm, norm=norm, activation=activation)
        filtering = partial(conv, kernel_px=kernel_px, stride_px=stride_px)
        expand = filtering if is_fused else partial(conv, kernel_px=1)
        self.expand = expand(in_channels, hidden_channels)
        self.depthwise: nn.Module = nn.Identity()
        if not is_fused:
            self.depthwise = filtering(hidden_channels, hidden_channels, groups=hidden_channels)
        self.weigh: nn.Module = nn.Identity()
        if squeeze_channels is not None:
            self.weigh = SqueezeExcite(hidden_channels, squeeze_channels, activation=activation)
        # Linear: an activation here would discard information.
        self.project = conv(hidden_channels, out_channels, kernel_px=1, activation="none")
        self.is_residual = stride_px == 1 and in_channels == out_channels

    def forward(self, x: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h_out w_out"]:
        """Expand, filter and project; add the input where shapes allow it."""
        y: Tensor = self.project(self.weigh(self.depthwise(self.expand(x))))
        return y.add_(x) if self.is_residual else y


def pad_to_stride(x: Float[Tensor, "b c h w"], stride_px: int) -> Float[Tensor, "b c h_pad w_pad"]:
    """Repeat the last row and column until height and width are multiples of ``stride_px``."""
    height, width = x.shape[-2:]
    bottom, right = -height % stride_px, -width % stride_px
    if not (bottom or right):
        return x
    return F.pad(x, (0, right, 0, bottom), mode="replicate")
