"""Trainable networks: one module with up to two outputs."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tapetum.arch import Architecture, NetworkFacts
from tapetum.errors import InputError
from tapetum.nn.blocks import pad_to_stride
from tapetum.nn.heads import Classifier
from tapetum.nn.unet import Decoder, Encoder

__all__ = ["Network", "Outputs", "TrainableNetwork"]


class Outputs(NamedTuple):
    """The outputs of a network.

    Attributes:
        image: The denoised image, (b, c, h, w), not clamped; ``None`` for a classifier.
        logits: Shape (b, classes), or (b, k, classes) for k boxes per image; ``None`` for a
            denoiser.
    """

    image: Tensor | None
    logits: Tensor | None


class TrainableNetwork(nn.Module, ABC):
    """The interface of training, evaluation and export: a module and facts about it.

    :class:`Network` is built from an architecture. Derive from this class to train a network of
    your own.
    """

    architecture: Architecture | NetworkFacts

    @abstractmethod
    def forward(
        self, noisy: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b k 4"] | None = None
    ) -> Outputs:
        """Denoise and classify; see :meth:`Network.forward`."""

    @abstractmethod
    def freeze_unused(self, *, uses_image: bool, uses_labels: bool) -> None:
        """Freeze the parts whose output no loss uses.

        They get no gradient, and several processes would wait for one.

        Args:
            uses_image: Whether a loss uses the denoised image.
            uses_labels: Whether a loss uses the class scores.
        """


class Network(TrainableNetwork):
    """Encoder, decoder and classifier, joined as in figure 2 of the paper.

    Use :func:`tapetum.nn.build` to make one.

    Args:
        architecture: The architecture of the network.
        encoder: Returns feature maps; ``None`` for a classifier.
        decoder: Returns an image from feature maps; present with the encoder.
        classifier: Returns logits from an image or the deepest map; ``None`` for a denoiser.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        encoder: Encoder | None,
        decoder: Decoder | None,
        classifier: Classifier | None,
    ) -> None:
        super().__init__()
        self.architecture: Architecture = architecture
        self.encoder = encoder
        self.decoder = decoder
        self.classifier = classifier
        self.is_gated = architecture.decoder is not None and architecture.decoder.gated

    def forward(
        self, noisy: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b k 4"] | None = None
    ) -> Outputs:
        """Denoise and classify.

        Args:
            noisy: Images of any size, in [0, 1] before the noise.
            boxes: Left, top, right, bottom in pixels, for a network that classifies boxes.

        Raises:
            InputError: The network classifies boxes and got none.
        """
        if self.encoder is None or self.decoder is None:
            return Outputs(None, self._classify(noisy, boxes))
        features = self.encoder(pad_to_stride(noisy, self.architecture.stride_px))
        height, width = noisy.shape[-2:]
        image = self.decoder(features)[..., :height, :width]
        if self.is_gated:
            image = _add_gated(image, noisy)
        source = features[-1] if self.architecture.kind == "integrated" else image
        return Outputs(image, self._classify(source, boxes))

    def label(
        self, noisy: Float[Tensor, "b c h w"], boxes: Float[Tensor, "b k 4"] | None = None
    ) -> Tensor | None:
        """Return the logits alone; an integrated network skips its decoder."""
        if self.encoder is None or self.architecture.kind != "integrated":
            return self.forward(noisy, boxes).logits
        features = self.encoder(pad_to_stride(noisy, self.architecture.stride_px))
        return self._classify(features[-1], boxes)

    def freeze_unused(self, *, uses_image: bool, uses_labels: bool) -> None:
        """Freeze the classifier, or the decoder that no classifier reads; see the base class."""
        if self.classifier is not None and not uses_labels:
            self.classifier.requires_grad_(False)
        is_integrated = self.architecture.kind == "integrated"
        if is_integrated and self.decoder is not None and not uses_image:
            self.decoder.requires_grad_(False)

    def _classify(self, x: Tensor, boxes: Tensor | None) -> Tensor | None:
        if self.classifier is None:
            return None
        takes_boxes = self.architecture.classifies_boxes
        if takes_boxes and boxes is None:
            raise InputError(
                f"{self.architecture.name} classifies boxes but got none",
                "pass boxes of shape (images, boxes, 4)",
            )
        logits: Tensor = self.classifier(x, boxes if takes_boxes else None)
        return logits


def _add_gated(
    decoded: Float[Tensor, "b c_and_gate h w"], noisy: Float[Tensor, "b c h w"]
) -> Float[Tensor, "b c h w"]:
    """Add the share of the noisy image that the last channel of ``decoded`` lets through."""
    # One split, since the gradient of each slice would be a whole map of zeros; and first in the
    # type of the image, since torch converts a part of the channels ten times as slowly.
    rest, gate = torch.split(decoded.to(noisy.dtype), [noisy.shape[1], 1], dim=1)
    return torch.addcmul(rest, gate.sigmoid(), noisy)
