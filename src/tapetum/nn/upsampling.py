r"""Three modules that double height and width.

:class:`TransposedConvUp` is the transposed convolution of the paper, with a fast gradient,

.. math:: y = W \circledast x + b, \qquad \partial L / \partial b = \sum_{n, h, w} g

If the gradient of the bias is requested together with the others, torch does not use oneDNN's fast
kernels: with 12 channels to 8, at 96 px in bf16, all three gradients take five times as long as
those of input and weight. The gradient of the bias is a sum, and is computed separately here.
The other two leave no checkerboard.

References:
    | Deconvolution and Checkerboard Artifacts (Odena, Dumoulin, Olah, 2016)
    | https://doi.org/10.23915/distill.00003

    | Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional
      Neural Network (Shi et al., 2016), https://arxiv.org/abs/1609.05158
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["NearestConv", "PixelShuffle", "TransposedConvUp"]

STRIDE, ZERO, ONE = (2, 2), (0, 0), (1, 1)


class TransposedConvUp(nn.ConvTranspose2d):
    """A transposed convolution (kernel 2, stride 2) with the results and the state of torch's."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=STRIDE, stride=STRIDE)

    def forward(
        self,
        x: Float[Tensor, "b c_in h w"],
        output_size: list[int] | None = None,  # noqa: ARG002  (torch's signature)
    ) -> Float[Tensor, "b c_out h_up w_up"]:
        """Double height and width."""
        assert self.bias is not None  # noqa: S101  (made above)
        y: Tensor = _Upsample.apply(x, self.weight, self.bias)
        return y


class NearestConv(nn.Module):
    """Repeat each place as 2 x 2, then filter with a kernel of 3 px."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h_up w_up"]:
        """Double height and width."""
        y: Tensor = self.conv(nn.functional.interpolate(x, scale_factor=2, mode="nearest"))
        return y


class PixelShuffle(nn.Module):
    """Compute four times the channels and arrange them as 2 x 2 places."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4 * out_channels, 1)

    def forward(self, x: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h_up w_up"]:
        """Double height and width."""
        return nn.functional.pixel_shuffle(self.conv(x), 2)


class _Upsample(torch.autograd.Function):
    """The transposed convolution and its three gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        y = nn.functional.conv_transpose2d(x, weight, bias, stride=STRIDE)
        # Under autocast y has a shorter type, and its gradient needs operands of that type.
        ctx.save_for_backward(x.to(y.dtype), weight.to(y.dtype))
        ctx.types = (x.dtype, weight.dtype, bias.dtype)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        x, weight = ctx.saved_tensors
        # Stride, padding, dilation, transposed, output padding, groups.
        geometry = (STRIDE, ZERO, ONE, True, ZERO, 1)
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient, x, weight, None, *geometry, [True, True, False]
        )
        gradients = (of_x, of_weight, gradient.sum(dim=(0, 2, 3)))
        return tuple(value.to(kind) for value, kind in zip(gradients, ctx.types, strict=True))
