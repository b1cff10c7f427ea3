"""The trainable form of an architecture: one network, up to two outputs."""

from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tapetum.arch.spec import Architecture
from tapetum.errors import InputError
from tapetum.nn.decoder import Decoder
from tapetum.nn.encoder import Encoder
from tapetum.nn.heads import BoxClassifier, WholeClassifier

__all__ = ["Network", "Outputs"]


class Outputs(NamedTuple):
    """What a network says about noisy pictures.

    Attributes:
        picture: Cleaned, (b, c, h, w), not clamped; ``None`` where the network only names.
        logits: (b, classes), or (b, k, classes) for k boxes a picture; ``None`` where the network
            only cleans.
    """

    picture: Tensor | None
    logits: Tensor | None


class Network(nn.Module):
    """Encoder, decoder and classifier, joined as the architecture says (paper, figure 2).

    Made by :func:`tapetum.nn.build`, the one place where descriptions become modules.

    Args:
        architecture: The description, kept for whoever asks what this network is.
        encoder: Feature maps from a picture; ``None`` where the network only names.
        decoder: A picture from feature maps; present with the encoder.
        classifier: Names from a picture or the deepest map; ``None`` where the network only cleans.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        encoder: Encoder | None,
        decoder: Decoder | None,
        classifier: WholeClassifier | BoxClassifier | None,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = encoder
        self.decoder = decoder
        self.classifier = classifier

    def forward(
        self, noisy: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b k 4"] | None = None
    ) -> Outputs:
        """Cleans and names.

        Args:
            noisy: Pictures of any size, range [0, 1] before the noise.
            boxes: Left, top, right, bottom in pixels; for architectures that name boxes.

        Raises:
            InputError: The architecture names boxes and got none.
        """
        if self.encoder is None or self.decoder is None:
            return Outputs(None, self._name(noisy, boxes))
        features = self.encoder(pad_to_stride(noisy, self.architecture.stride_px))
        height, width = noisy.shape[-2:]
        picture = self.decoder(features)[..., :height, :width]
        source = features[-1] if self.architecture.kind == "integrated" else picture
        return Outputs(picture, self._name(source, boxes))

    def label(
        self, noisy: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b k 4"] | None = None
    ) -> Tensor | None:
        """The logits alone: an integrated network leaves its decoder out.

        Args:
            noisy: As in :meth:`forward`.
            boxes: As there.
        """
        if self.encoder is None or self.architecture.kind != "integrated":
            return self.forward(noisy, boxes).logits
        features = self.encoder(pad_to_stride(noisy, self.architecture.stride_px))
        return self._name(features[-1], boxes)

    def _name(self, x: Tensor, boxes: Tensor | None) -> Tensor | None:
        if self.classifier is None:
            return None
        if isinstance(self.classifier, WholeClassifier):
            logits: Tensor = self.classifier(x)
            return logits
        if boxes is None:
            raise InputError(
                f"{self.architecture.name} names boxes but got none",
                "pass boxes of shape (pictures, boxes, 4)",
            )
        logits = self.classifier(x, boxes)
        return logits


def pad_to_stride(x: Float[Tensor, "b c h w"], stride_px: int) -> Float[Tensor, "b c h_pad w_pad"]:
    """Repeats the last row and column until height and width are multiples of ``stride_px``."""
    height, width = x.shape[-2:]
    bottom, right = -height % stride_px, -width % stride_px
    if not (bottom or right):
        return x
    return F.pad(x, (0, right, 0, bottom), mode="replicate")
