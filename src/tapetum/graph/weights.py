"""The names and shapes of an architecture's weights, and random weights to time it with.

The names are those of the trained network's ``state_dict``, so that either can be written.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tapetum.arch import Architecture, cost, spec
from tapetum.errors import ArchitectureError

__all__ = ["check_weights", "random_weights", "repeated_weights", "weight_shapes"]

REPEATED = 1024  # values, a fraction of what a compressor looks back

Shapes = dict[str, tuple[int, ...]]


def weight_shapes(architecture: Architecture) -> Shapes:
    """Return name and shape of every weight that the graph needs."""
    shapes: Shapes = {}
    for path, block, _ in cost.placed_blocks(architecture, 1, 1):
        shapes.update(_block(block, path))
    if architecture.classifier is not None:
        shapes |= _linear(architecture.classifier)
    return shapes


def random_weights(architecture: Architecture, *, seed: int) -> dict[str, NDArray[np.float32]]:
    """Draw weights that keep the values of a forward pass in an ordinary range."""
    generator = np.random.default_rng(seed)
    return {
        name: _draw(name, shape, generator) for name, shape in weight_shapes(architecture).items()
    }


def repeated_weights(architecture: Architecture) -> dict[str, NDArray[np.float32]]:
    """Return weights that repeat a short pattern: files of them are small once compressed.

    They are for timings, which do not depend on the values.
    """
    pattern = np.random.default_rng(0).random(REPEATED, dtype=np.float32) - np.float32(0.5)
    return {
        name: _repeated(name, shape, pattern) for name, shape in weight_shapes(architecture).items()
    }


def _repeated(
    name: str, shape: tuple[int, ...], pattern: NDArray[np.float32]
) -> NDArray[np.float32]:
    if len(shape) == 1:  # of a normalisation, which is folded into the weights, or a bias
        is_scale = name.endswith(("running_var", "norm.weight"))
        return np.full(shape, 1.0 if is_scale else 0.01, np.float32)
    fan_in = shape[0] if name.endswith("up.weight") else int(np.prod(shape[1:]))
    return np.resize(pattern * np.float32((12 / fan_in) ** 0.5), shape)


def check_weights(architecture: Architecture, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Check that every weight is present and has the right shape."""
    faults = []
    for name, shape in weight_shapes(architecture).items():
        if name not in weights:
            faults.append(f"{name} is missing")
        elif tuple(weights[name].shape) != shape:
            faults.append(f"{name} has shape {tuple(weights[name].shape)}, not {shape}")
    if faults:
        raise ArchitectureError(
            f"these weights do not fit {architecture.name}: {'; '.join(faults)}",
            "give the weights that were trained with this architecture",
        )


def _draw(name: str, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
    if name.endswith(("running_var", "norm.weight")):
        return generator.uniform(0.5, 1.5, shape).astype(np.float32)
    if len(shape) == 1:
        return generator.normal(0, 0.1, shape).astype(np.float32)
    fan_in = shape[0] if name.endswith("up.weight") else int(np.prod(shape[1:]))
    # Uniform and in float32, which is four times as fast as normal: a latency table
    # draws millions of weights for each of some hundred networks, again in every round.
    weights = generator.random(shape, dtype=np.float32) - np.float32(0.5)
    return np.asarray(weights * np.float32((12 / fan_in) ** 0.5))


def _block(block: spec.Block | spec.Up, path: str) -> Shapes:
    if isinstance(block, spec.MaxPool):
        return {}
    before, after = block.in_channels, block.out_channels
    match block:
        case spec.TransposedConv():
            return {f"{path}.weight": (before, after, 2, 2), f"{path}.bias": (after,)}
        case spec.NearestConv():
            return _conv(path, (after, before, 3, 3), "none")
        case spec.PixelShuffle():
            return _conv(path, (4 * after, before, 1, 1), "none")
        case spec.Conv() | spec.Downsample():
            return _conv(path, (after, before, block.kernel_px, block.kernel_px), block.norm)
        case spec.ResidualConv():
            shape = (after, before, block.kernel_px, block.kernel_px)
            return _conv(f"{path}.filter", shape, block.norm)
        case spec.InvertedResidual() | spec.FusedInvertedResidual():
            return _inverted_residual(block, path)


def _inverted_residual(block: spec.Expanding, path: str) -> Shapes:
    before, hidden, after = block.in_channels, block.hidden_channels, block.out_channels
    kernel = (block.kernel_px, block.kernel_px)
    if isinstance(block, spec.FusedInvertedResidual):
        shapes = _conv(f"{path}.expand", (hidden, before, *kernel), block.norm)
    else:
        shapes = _conv(f"{path}.expand", (hidden, before, 1, 1), block.norm)
        shapes |= _conv(f"{path}.depthwise", (hidden, 1, *kernel), block.norm)
    if (squeezed := block.squeeze_channels) is not None:
        shapes |= _conv(f"{path}.weigh.squeeze", (squeezed, hidden, 1, 1), "none")
        shapes |= _conv(f"{path}.weigh.excite", (hidden, squeezed, 1, 1), "none")
    return shapes | _conv(f"{path}.project", (after, hidden, 1, 1), block.norm)


def _linear(classifier: spec.Classifier) -> Shapes:
    before, hidden = classifier.features, classifier.hidden_features
    shapes: Shapes = {}
    if hidden is not None:
        shapes["classifier.hidden.weight"] = (hidden, before)
        shapes["classifier.hidden.bias"] = (hidden,)
        before = hidden
    shapes["classifier.linear.weight"] = (classifier.num_classes, before)
    shapes["classifier.linear.bias"] = (classifier.num_classes,)
    return shapes


def _conv(path: str, shape: tuple[int, ...], norm: str) -> Shapes:
    vectors = {
        "none": ("conv.bias",),
        "group": ("norm.weight", "norm.bias"),
        "batch": ("norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"),
    }
    return {f"{path}.conv.weight": shape} | {f"{path}.{name}": shape[:1] for name in vectors[norm]}
