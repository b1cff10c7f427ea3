"""Parts that several baselines share."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["ConvNorm", "pad_to_stride"]


class ConvNorm(nn.Module):
    """A 3x3 convolution, an optional batch normalisation and an optional activation.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        has_norm: Whether batch normalisation follows; without it the convolution has a bias.
        has_activation: Whether a rectified linear unit follows.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        has_norm: bool = True,
        has_activation: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=not has_norm)
        self.norm = nn.BatchNorm2d(out_channels) if has_norm else nn.Identity()
        self.activation = nn.ReLU(inplace=True) if has_activation else nn.Identity()

    def forward(self, x: Float[Tensor, "b c_in h w"]) -> Float[Tensor, "b c_out h w"]:
        """Filter, normalise and activate; height and width stay."""
        y: Tensor = self.activation(self.norm(self.conv(x)))
        return y


def pad_to_stride(x: Float[Tensor, "b c h w"], stride_px: int) -> Float[Tensor, "b c h_pad w_pad"]:
    """Repeat the last row and column until height and width are multiples of ``stride_px``."""
    height, width = x.shape[-2:]
    bottom, right = -height % stride_px, -width % stride_px
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x
