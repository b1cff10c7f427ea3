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

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat

from tapetum.arch import Architecture, cost, spec
from tapetum.records import Record

__all__ = ["LatencyModel", "fit_latency_model"]

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
NUM_FOLDS = 5


class LatencyModel(Record):
    """A latency as a sum of features, fitted to networks that were timed.

    Attributes:
        width_step: Channels in one vector of the runtime.
        height_px: Height of the images, in pixels.
        width_px: Width of the images, in pixels.
        rates: Milliseconds for one unit of each feature.
        num_networks: Number of networks that the rates were fitted to.
        relative_error: Mean error on networks, each predicted from the others.
        multiply_adds_error: The same for an affine function of multiply-adds, to compare with.
    """

    width_step: int
    height_px: int
    width_px: int
    rates: dict[str, NonNegativeFloat]
    num_networks: int
    relative_error: float
    multiply_adds_error: float

    def predict(self, architecture: Architecture) -> float:
        """Return the predicted latency of a network, in milliseconds."""
        features = _features(architecture, self.height_px, self.width_px, self.width_step)
        return float(features @ [self.rates[name] for name in FEATURES])


def fit_latency_model(
    networks: Sequence[Architecture],
    latencies_ms: Sequence[float],
    *,
    height_px: int,
    width_px: int,
    width_step: int,
) -> LatencyModel:
    """Fit the rates to networks that were timed; one network is enough, ten are good.

    Args:
        networks: The networks.
        latencies_ms: The latency of each, in milliseconds.
        height_px: Height of the images.
        width_px: Width of the images.
        width_step: Channels in one vector of the runtime.
    """
    size = (height_px, width_px)
    rows = np.stack([_features(network, *size, width_step) for network in networks])
    latencies = np.array(latencies_ms, dtype=np.float64)
    totals = np.array([cost.multiply_adds(network, *size) for network in networks])
    affine = np.stack([np.ones(len(rows)), totals / 1e6], axis=1)
    return LatencyModel(
        width_step=width_step,
        height_px=height_px,
        width_px=width_px,
        rates=dict(zip(FEATURES, _rates(rows, latencies, TYPICAL).tolist(), strict=True)),
        num_networks=len(rows),
        relative_error=_held_out_error(rows, latencies, TYPICAL),
        multiply_adds_error=_held_out_error(affine, latencies, np.array([0.1, 0.03])),
    )


def _features(architecture: Architecture, height: int, width: int, step: int) -> Array:
    """Return the features of one image, in the order of :data:`FEATURES`."""
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
    if isinstance(block, spec.InvertedResidual | spec.FusedInvertedResidual):
        hidden = block.hidden_channels
        if path.endswith(".depthwise"):
            return "depth-wise", _round_up(hidden, step) / hidden
        before, after = (before, hidden) if path.endswith(".expand") else (hidden, after)
    if min(before, after) < step:
        return "narrow", 1.0
    padding = _round_up(before, step) * _round_up(after, step) / (before * after)
    return f"dense, {'large' if is_large else 'small'} maps", padding


def _round_up(width: int, step: int) -> int:
    return -(-width // step) * step


def _rates(rows: Array, latencies: Array, typical: Array) -> Array:
    """Return the rates, zero or more, with the least squared relative errors."""
    relative = rows * typical / latencies[:, None]
    sums = relative.sum(1)
    speed = sums.sum() / (sums**2).sum()  # of this machine: the typical rates times it fit best
    relative *= speed
    gram = relative.T @ relative + RIDGE**2 * np.eye(len(typical))
    target = relative.sum(0) + RIDGE**2
    share = np.ones(len(typical))  # of what is typical
    for _ in range(SWEEPS):
        for feature in range(len(typical)):
            off = target[feature] - gram[feature] @ share
            share[feature] = max(0.0, share[feature] + off / gram[feature, feature])
    rates: Array = share * speed * typical
    return rates


def _held_out_error(rows: Array, latencies: Array, typical: Array) -> float:
    """Return the mean relative error of networks, each predicted from the other folds."""
    folds = np.arange(len(rows)) % min(NUM_FOLDS, len(rows))
    errors = np.zeros(len(rows))
    for fold in set(folds.tolist()):
        is_out = folds == fold
        known = ~is_out if len(rows) > 1 else is_out
        rates = _rates(rows[known], latencies[known], typical)
        errors[is_out] = rows[is_out] @ rates / latencies[is_out] - 1
    return float(np.abs(errors).mean())
