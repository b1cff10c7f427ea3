"""The names and shapes of an architecture's weights, and random weights to time it with.

The names are those of the trained network's ``state_dict``, so that either can be written.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tapetum.arch import Architecture, spec
from tapetum.errors import ArchitectureError

__all__ = ["check_weights", "random_weights", "weight_shapes"]

Shapes = dict[str, tuple[int, ...]]


def weight_shapes(architecture: Architecture) -> Shapes:
    """Return name and shape of every weight that the graph needs."""
    shapes: Shapes = {}
    for index, level in enumerate(architecture.encoder):
        shapes.update(_blocks(level.blocks, f"encoder.levels.{index}"))
    if architecture.decoder is not None:
        shapes.update(_blocks(architecture.decoder.blocks, "decoder.blocks"))
        for index, step in enumerate(architecture.decoder.levels):
            path = f"decoder.levels.{index}"
            shapes.update(_up(step.up, f"{path}.up"))
            shapes.update(_blocks(step.blocks, f"{path}.blocks"))
        shapes.update(_block(architecture.decoder.output, "decoder.output"))
    if architecture.classifier is not None:
        classifier = architecture.classifier
        shapes.update(_blocks(classifier.blocks, "classifier.blocks"))
        shapes["classifier.linear.weight"] = (classifier.num_classes, classifier.features)
        shapes["classifier.linear.bias"] = (classifier.num_classes,)
    return shapes


def random_weights(architecture: Architecture, *, seed: int) -> dict[str, NDArray[np.float32]]:
    """Draw weights that keep the values of a forward pass in an ordinary range.

    Args:
        architecture: The architecture.
        seed: Equal seeds give equal weights.
    """
    generator = np.random.default_rng(seed)
    return {
        name: _draw(name, shape, generator) for name, shape in weight_shapes(architecture).items()
    }


def check_weights(architecture: Architecture, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Check that every weight is present and has the right shape.

    Raises:
        ArchitectureError: Weights are missing or have another shape; all faults at once.
    """
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


def _up(up: spec.Up, path: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    before, after = up.in_channels, up.out_channels
    match up:
        case spec.TransposedConv():
            yield f"{path}.weight", (before, after, 2, 2)
            yield f"{path}.bias", (after,)
        case spec.NearestConv():
            yield from _conv(path, (after, before, 3, 3), "none")
        case spec.PixelShuffle():
            yield from _conv(path, (4 * after, before, 1, 1), "none")


def _blocks(blocks: Sequence[spec.Block], path: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    for index, block in enumerate(blocks):
        yield from _block(block, f"{path}.{index}")


def _block(block: spec.Block, path: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    if isinstance(block, spec.Conv):
        shape = (block.out_channels, block.in_channels, block.kernel_px, block.kernel_px)
        yield from _conv(path, shape, block.norm)
    elif isinstance(block, spec.InvertedResidual):
        hidden, kernel_px = block.hidden_channels, block.kernel_px
        yield from _conv(f"{path}.expand", (hidden, block.in_channels, 1, 1), block.norm)
        yield from _conv(f"{path}.depthwise", (hidden, 1, kernel_px, kernel_px), block.norm)
        if block.squeeze_channels is not None:
            squeezed = block.squeeze_channels
            yield from _conv(f"{path}.weigh.squeeze", (squeezed, hidden, 1, 1), "none")
            yield from _conv(f"{path}.weigh.excite", (hidden, squeezed, 1, 1), "none")
        yield from _conv(f"{path}.project", (block.out_channels, hidden, 1, 1), block.norm)


def _conv(path: str, shape: tuple[int, ...], norm: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{path}.conv.weight", shape
    out = shape[:1]
    if norm == "none":
        yield f"{path}.conv.bias", out
        return
    yield f"{path}.norm.weight", out
    yield f"{path}.norm.bias", out
    if norm == "batch":
        yield f"{path}.norm.running_mean", out
        yield f"{path}.norm.running_var", out
