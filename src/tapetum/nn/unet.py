"""A UNet: from an image to feature maps, each smaller and wider than the last, and back.

References:
    | U-Net: Convolutional Networks for Biomedical Image Segmentation (Ronneberger et al., 2015)
    | https://arxiv.org/abs/1505.04597
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Decoder", "DecoderLevel", "Encoder"]


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


class DecoderLevel(nn.Module):
    """Double the size, join the encoder's feature map of that size, and mix the two.

    Args:
        up: Module that doubles height and width.
        blocks: Modules that process the joined maps, without changing the size.
        skip_level: Index of the encoder level to join; ``None`` for none.
        join: ``concatenate``, or ``add`` for maps of as many channels.
    """

    def __init__(
        self,
        up: nn.Module,
        blocks: nn.Sequential,
        *,
        skip_level: int | None,
        join: str = "concatenate",
    ) -> None:
        super().__init__()
        self.up = up
        self.blocks = blocks
        self.skip_level = skip_level
        self.join = join

    def forward(
        self, x: Float[Tensor, "b c_in h w"], features: Sequence[Tensor]
    ) -> Float[Tensor, "b c_out h_up w_up"]:
        """Process one level; ``features`` are the encoder's maps, the finest first."""
        y = self.up(x)
        if self.skip_level is not None:
            y = self._joined(y, features[self.skip_level])
        mixed: Tensor = self.blocks(y)
        return mixed

    def _joined(self, y: Tensor, skip: Tensor) -> Tensor:
        if self.join == "add":
            return y + skip
        return torch.cat([y, _with_dense_gradient(skip)], dim=1)


def _with_dense_gradient(skip: Tensor) -> Tensor:
    """Return the same tensor with a contiguous gradient.

    The encoder adds another gradient to it, which is ten times slower for a slice of channels.
    """
    if not skip.requires_grad:
        return skip
    order = (
        torch.channels_last
        if skip.is_contiguous(memory_format=torch.channels_last)
        else torch.contiguous_format
    )
    alias = skip.view_as(skip)
    alias.register_hook(lambda gradient: gradient.contiguous(memory_format=order))  # type: ignore[no-untyped-call]
    return alias


class Decoder(nn.Module):
    """The decoder of a UNet.

    Args:
        blocks: Modules that process the deepest feature map first.
        levels: Decoder levels, the deepest first.
        output: Module that projects to the channels of an image; the identity where the last level
            returns these.
    """

    def __init__(
        self, blocks: nn.Sequential, levels: Sequence[DecoderLevel], output: nn.Module
    ) -> None:
        super().__init__()
        self.blocks = blocks
        self.levels = nn.ModuleList(levels)
        self.output = output

    def forward(self, features: Sequence[Tensor]) -> Float[Tensor, "b c h w"]:
        """Return an image from the encoder's feature maps, the finest first."""
        y = self.blocks(features[-1])
        for level in self.levels:
            y = level(y, features)
        image: Tensor = self.output(y)
        return image
