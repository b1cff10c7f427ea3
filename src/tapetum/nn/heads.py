"""Classifiers of the whole image, or of boxes in it.

References:
    | Mask R-CNN (He et al., 2017), for the alignment of boxes, https://arxiv.org/abs/1703.06870
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import roi_align

__all__ = ["BoxClassifier", "WholeClassifier", "pool"]


def pool(x: Float[Tensor, "b c h w"], pooling: str) -> Float[Tensor, "b f"]:
    """Return one vector per map: ``max`` or ``mean`` over all places, or ``flatten``."""
    if pooling == "max":
        return x.amax(dim=(2, 3))
    if pooling == "mean":
        return x.mean(dim=(2, 3))
    return x.flatten(1)


class WholeClassifier(nn.Module):
    """Classify the whole image.

    Args:
        blocks: Modules that process the map first.
        pooling: As in :func:`pool`, without ``flatten``.
        features: Length of the pooled vector.
        num_classes: Number of classes.
    """

    def __init__(
        self, blocks: nn.Sequential, *, pooling: str, features: int, num_classes: int
    ) -> None:
        super().__init__()
        self.blocks = blocks
        self.pooling = pooling
        self.linear = nn.Linear(features, num_classes)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        """Return the logits."""
        logits: Tensor = self.linear(pool(self.blocks(x), self.pooling))
        return logits


class BoxClassifier(nn.Module):
    """Classify each box of an image.

    Args:
        blocks: Modules that process the boxes.
        size_px: Height and width to which each box is resampled.
        stride_px: Image pixels per place of the input map.
        pooling: As in :func:`pool`.
        features: Length of the pooled vector.
        num_classes: Number of classes.
    """

    def __init__(
        self,
        blocks: nn.Sequential,
        *,
        size_px: int,
        stride_px: int,
        pooling: str,
        features: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.blocks = blocks
        self.size_px = size_px
        self.stride_px = stride_px
        self.pooling = pooling
        self.linear = nn.Linear(features, num_classes)

    def forward(
        self, x: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b k 4"]
    ) -> Float[Tensor, "b k classes"]:
        """Return the logits of each box (left, top, right, bottom, in image pixels)."""
        num_images, num_boxes = boxes.shape[:2]
        logits: Tensor = self.linear(pool(self.blocks(self._cut(x, boxes)), self.pooling))
        return logits.view(num_images, num_boxes, -1)

    def _cut(
        self, x: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b k 4"]
    ) -> Float[Tensor, "bk c size size"]:
        num_images, num_boxes = boxes.shape[:2]
        # In float32 under autocast too: bf16 is exact only up to 256.
        image = torch.arange(num_images, device=x.device, dtype=torch.float32)
        regions = torch.cat(
            [image.repeat_interleave(num_boxes)[:, None], boxes.reshape(-1, 4).float()], dim=1
        )
        # Aligned, one sample per cell: a box of exactly size_px on an image is cut out unchanged.
        # On coarser maps two samples per side do not skip neighbouring places.
        cut: Tensor = roi_align(
            x.float(),
            regions,
            output_size=self.size_px,
            spatial_scale=1 / self.stride_px,
            sampling_ratio=1 if self.stride_px == 1 else 2,
            aligned=True,
        )
        return cut
