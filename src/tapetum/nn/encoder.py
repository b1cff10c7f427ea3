"""From an image to feature maps, each level smaller and wider than the one before."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Encoder"]


class Encoder(nn.Module):
    """Levels that work one after another; each one's output is kept.

    Args:
        levels: The finest first.
    """

    def __init__(self, levels: Sequence[nn.Sequential]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """The feature maps of all levels, the finest first."""
        features = []
        for level in self.levels:
            x = level(x)
            features.append(x)
        return features
