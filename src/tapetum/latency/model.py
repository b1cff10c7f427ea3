r"""Predict the latency of a network from few features, fitted to networks that were timed whole.

A fast network takes about

.. math::
    t = \sum_f r_f \, x_f ,

with a rate :math:`r_f \ge 0` for each feature :math:`x_f`: the call itself, its layers, the
multiply-adds of dense convolutions on large and on small maps (with channels rounded up to the
vectors of the processor), of depth-wise ones and of those with fewer channels than a vector, such
as the first and the last one, elements written and shuffled, weights read, and squeezes. The rates
minimise squared relative errors; a small ridge decides where ten networks cannot tell two features
apart.

The model only proposes networks. Each one that counts is timed.
"""

import numpy as np
from numpy.typing import NDArray

from tapetum.arch import Architecture, cost, spec

__all__ = ["features_of", "fit_rates"]

Array = NDArray[np.float64]

FEATURES = (
    *("call", "layers", "dense, large maps", "dense, small maps", "depth-wise", "narrow"),
    *("elements", "shuffled elements", "weights", "squeezes"),
)
# In milliseconds: rates of a processor of 2020 or later on one thread, which only say how strongly
# the ridge holds each feature, and where to start with few networks.
TYPICAL = np.array([0.03, 0.005, 2e-8, 2e-8, 5e-8, 6e-8, 3e-7, 5e-7, 2e-7, 0.02])
RIDGE = 0.05  # a rate that is off by its typical value costs as much as a relative error of 5 %
SWEEPS = 200
LARGE = 4  # pixels of the image for each place of a large map, at most


def features_of(architecture: Architecture, height: int, width: int, step: int) -> Array:
    """Return the features of a network, in the order of :data:`FEATURES`.

    Channels that fill one vector of the runtime are a ``step``.
    """
    counts = dict.fromkeys(FEATURES, 0.0) | {"call": 1.0}
    for path, block, size in cost.placed_blocks(architecture, height, width):
        is_large = height * width <= LARGE * size[0] * size[1]
        for layer in cost.block_costs(block, size, path):
            counts["layers"] += 1
            counts["elements"] += layer.elements
            counts["shuffled elements"] += layer.elements * isinstance(block, spec.PixelShuffle)
            counts["weights"] += layer.parameters
            if ".weigh." in layer.path:
                counts["squeezes"] += 0.5  # it has two layers
                continue
            kind, padding = _kind(layer.path, block, is_large=is_large, step=step)
            counts[kind] += padding * layer.multiply_adds
    return np.array([counts[name] for name in FEATURES])


def _kind(
    path: str, block: spec.Block | spec.Up, *, is_large: bool, step: int
) -> tuple[str, float]:
    """Return the feature that counts a layer, and its channels rounded up over its channels."""
    assert not isinstance(block, spec.MaxPool)  # noqa: S101  (it has no layers)
    before, after = block.in_channels, block.out_channels
    if isinstance(block, spec.Expanding):
        hidden = block.hidden_channels
        if path.endswith(".depthwise"):
            return "depth-wise", round_up(hidden, step) / hidden
        before, after = (before, hidden) if path.endswith(".expand") else (hidden, after)
    if min(before, after) < step:
        return "narrow", 1.0
    padding = round_up(before, step) * round_up(after, step) / (before * after)
    return f"dense, {'large' if is_large else 'small'} maps", padding


def round_up(width: int, step: int) -> int:
    return -(-width // step) * step


def fit_rates(rows: Array, latencies: Array) -> Array:
    """Return milliseconds for one unit of each feature, with the least squared relative errors.

    The features of one network that was timed are enough, those of ten are good.
    """
    relative = rows * TYPICAL / latencies[:, None]
    sums = relative.sum(1)
    speed = sums.sum() / (sums**2).sum()  # of this machine: the typical rates times it fit best
    relative *= speed
    gram = relative.T @ relative + RIDGE**2 * np.eye(len(TYPICAL))
    target = relative.sum(0) + RIDGE**2
    share = np.ones(len(TYPICAL))  # of what is typical
    for _ in range(SWEEPS):
        for feature in range(len(TYPICAL)):
            off = target[feature] - gram[feature] @ share
            share[feature] = max(0.0, share[feature] + off / gram[feature, feature])
    rates: Array = share * speed * TYPICAL
    return rates
