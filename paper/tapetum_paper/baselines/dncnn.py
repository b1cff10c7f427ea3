r"""DnCNN, a baseline: plain convolutions that predict the noise, which is then taken away.

.. math:: \hat x = y - R(y)

with :math:`R` a convolution and an activation, eighteen convolutions each with batch normalisation
and an activation, and a last convolution, all 3x3.

References:
    | Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising
    | (Zhang, Zuo, Chen, Meng and Zhang, 2017), https://arxiv.org/abs/1608.03981
"""

from jaxtyping import Float
from torch import Tensor, nn

from tapetum_paper.baselines.parts import ConvNorm

__all__ = ["DnCNN"]

WIDTH = 64
# The paper has 17 layers for one known noise level and 20 for the blind DnCNN-B, of grey and of
# colour; we never tell a network the level.
DEPTH = 20


class DnCNN(nn.Module):
    """The blind variant, DnCNN-B.

    Args:
        channels: Of the images.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ConvNorm(channels, WIDTH, has_norm=False),
            *(ConvNorm(WIDTH, WIDTH) for _ in range(DEPTH - 2)),
            ConvNorm(WIDTH, channels, has_norm=False, has_activation=False),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")  # as in the paper
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, noisy: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The image less its predicted noise; images of any size."""
        noise: Tensor = self.layers(noisy)
        return noisy - noise
