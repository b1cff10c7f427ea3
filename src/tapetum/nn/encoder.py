"""The encoder of a UNet: from an image to feature maps, each smaller and wider than the last."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Encoder"]


class Encoder(nn.Module):
    """A chain of levels; the output of each level is kept.

    Args:
        levels: Modules, the finest level first.
    """

    def __init__(self, levels: Sequence[nn.Sequential]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Return the feature maps of all levels, the finest first."""
        features = []
        for level in self.levels:
            x = level(x)
            features.append(x)
        return features
