"""Classifiers of the whole image, or of boxes in it.

References:
    | Mask R-CNN (He et al., 2017), for the alignment of boxes, https://arxiv.org/abs/1703.06870
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import roi_align

__all__ = ["Classifier", "pool"]


def pool(x: Float[Tensor, "b c h w"], pooling: str) -> Float[Tensor, "b f"]:
    """Return one vector per map: ``max`` or ``mean`` over all places, or ``flatten``."""
    if pooling == "max":
        return x.amax(dim=(2, 3))
    if pooling == "mean":
        return x.mean(dim=(2, 3), keepdim=True).flatten(1)  # ExecuTorch hands only this to XNNPACK
    return x.flatten(1)


class Classifier(nn.Module):
    """Classify the whole image, or each box of it.

    Args:
        blocks: Modules that process the map, or the boxes.
        pooling: As in :func:`pool`; ``flatten`` for boxes only.
        features: Length of the pooled vector.
        hidden_features: Length of a hidden vector between it and the classes; ``None`` for none.
        num_classes: Number of classes.
        box_px: Height and width to which each box is resampled; ``None`` for the whole image.
        stride_px: Image pixels per place of the input map.
    """

    def __init__(
        self,
        blocks: nn.Sequential,
        *,
        pooling: str,
        features: int,
        num_classes: int,
        hidden_features: int | None = None,
        box_px: int | None = None,
        stride_px: int = 1,
    ) -> None:
        super().__init__()
        self.blocks = blocks
        self.pooling = pooling
        self.box_px, self.stride_px = box_px, stride_px
        self.hidden = None if hidden_features is None else nn.Linear(features, hidden_features)
        self.linear = nn.Linear(hidden_features or features, num_classes)

    def forward(
        self, x: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b k 4"] | None = None
    ) -> Float[Tensor, "b *k classes"]:
        """Return the logits; with boxes (left, top, right, bottom, in image pixels), of each."""
        x = x if boxes is None else self._cut(x, boxes)
        vector = pool(self.blocks(x), self.pooling)
        if self.hidden is not None:
            vector = nn.functional.hardswish(self.hidden(vector))
        logits: Tensor = self.linear(vector)
        return logits if boxes is None else logits.view(*boxes.shape[:2], -1)

    def _cut(
        self, x: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b k 4"]
    ) -> Float[Tensor, "bk c size size"]:
        # In float32 under autocast too: bf16 is exact only up to 256.
        image = torch.arange(len(boxes), device=x.device, dtype=torch.float32)
        image = image.repeat_interleave(boxes.shape[1])
        # Aligned, one sample per cell: a box of exactly its size on an image is cut out unchanged.
        # On coarser maps two samples per side do not skip neighbouring places.
        cut: Tensor = roi_align(
            x.float(),
            torch.cat([image[:, None], boxes.reshape(-1, 4).float()], dim=1),
            output_size=self.box_px,
            spatial_scale=1 / self.stride_px,
            sampling_ratio=1 if self.stride_px == 1 else 2,
            aligned=True,
        )
        return cut
