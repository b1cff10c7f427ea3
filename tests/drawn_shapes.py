"""Random fast networks, and their trained form with random weights and statistics."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tapetum.arch import Architecture, Branch, Shape
from tapetum.graph import random_weights
from tapetum.nn import Network, build


class Draws:
    """Choices that depend on a seed alone."""

    def __init__(self, *seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def any_of(self, *options: Any) -> Any:
        """One of the options."""
        return options[int(self.generator.integers(len(options)))]

    def numbers(self, count: int, options: Sequence[int]) -> tuple[int, ...]:
        """So many of the options, each drawn anew."""
        return tuple(self.any_of(*options) for _ in range(count))


def draw_shape(seed: int) -> Shape:
    """A small shape; every kind of block, stem, joint and branch comes up in turn."""
    draws = Draws(seed)
    levels = draws.any_of(1, 2, 3, 4)
    operator = draws.any_of("residual_conv", "conv", "fused", "mbconv")
    stem = draws.any_of("half", "full")
    return Shape(
        widths=draws.numbers(levels, range(2, 13)),
        encoder_depths=draws.numbers(levels, range(3)),
        decoder_depths=draws.numbers(levels - 1, range(3)),
        operator=operator,
        expansion=draws.any_of(0.1, 1.5, 3.0),
        squeezes=operator in ("fused", "mbconv") and draws.any_of(True, False),
        stem=stem,
        detail_channels=draws.any_of(None, 5) if stem == "half" else None,
        down=draws.any_of("strided_conv", "max_pool"),
        up=draws.any_of("pixel_shuffle", "transposed_conv", "nearest_conv"),
        join=draws.any_of("add", "concatenate"),
        gated=draws.any_of(True, False),
        branch=Branch(
            operator=draws.any_of("conv", "mbconv"),
            widths=draws.numbers(draws.any_of(0, 1, 2), range(2, 10)),
            stride_px=draws.any_of(1, 2),
            pooling=draws.any_of("mean", "max"),
        ),
    )


def draw_architecture(seed: int) -> Architecture:
    """The network of a drawn shape, grey or RGB, with classes or without."""
    draws = Draws(seed, 1)
    channels, num_classes = draws.any_of(1, 3), draws.any_of(None, 5)
    shape = draw_shape(seed)
    return shape.architecture(f"drawn-{seed}", image_channels=channels, num_classes=num_classes)


def joint(**numbers: object) -> Architecture:
    """A small joint network of RGB images whose other numbers are those of fast networks."""
    plain = {"widths": (6, 8), "encoder_depths": (1, 1), "decoder_depths": (1,)}
    shape = Shape.model_validate(plain | numbers)
    return shape.architecture("joint", image_channels=3, num_classes=5)


def trained(architecture: Architecture) -> Network:
    """A network with random weights and batch statistics, as if it had been trained."""
    network = build(architecture, seed=0).eval()
    weights = random_weights(architecture, seed=1)
    network.load_state_dict({key: torch.from_numpy(w) for key, w in weights.items()}, strict=False)
    return network
