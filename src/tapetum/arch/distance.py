"""Tell how different two shapes are."""

import math

import numpy as np

from tapetum.arch.shape import Shape

__all__ = ["distance"]

# How much two shapes differ if one of these does.
WEIGHTS: dict[str, float] = {
    "operator": 1.0,
    "stem": 0.7,
    "join": 0.4,
    "gated": 0.3,
    "down": 0.3,
    "up": 0.3,
    "squeezes": 0.3,
    "expansion": 0.2,
}
BRANCH_WEIGHTS: dict[str, float] = {"operator": 0.3, "pooling": 0.2, "stride_px": 0.1}


def distance(one: Shape, other: Shape) -> float:
    """Return how different two shapes are: 0 for equal ones, 1 for another kind of block alone.

    Widths are compared in octaves at each resolution, depths in blocks.
    """
    kinds = sum(w * (getattr(one, name) != getattr(other, name)) for name, w in WEIGHTS.items())
    first, second = one.branch, other.branch
    kinds += sum(
        w * (getattr(first, name) != getattr(second, name)) for name, w in BRANCH_WEIGHTS.items()
    )
    branch = 0.15 * abs(len(first.widths) - len(second.widths))
    octaves = float(np.abs(_octaves(one) - _octaves(other)).sum())
    blocks = abs(_num_blocks(one) - _num_blocks(other))
    return float(kinds + branch + octaves / 8 + 0.05 * blocks)


def _octaves(shape: Shape) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return the logarithm of the width at full resolution, half of it, and so on; 0 for none."""
    profile = np.zeros(10)
    first = int(shape.stem == "half")
    profile[0] = math.log2(shape.detail_channels or 1)
    profile[first : first + len(shape.widths)] = np.log2(shape.widths)
    return profile


def _num_blocks(shape: Shape) -> int:
    return sum(shape.encoder_depths) + sum(shape.decoder_depths)
