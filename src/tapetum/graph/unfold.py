"""The weights of a network, from the folded constants of its graph."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tapetum.arch import Architecture, cost, spec
from tapetum.graph.fold import EPSILON, fold_identity
from tapetum.graph.weights import check_weights, weight_shapes

__all__ = ["unfold_weights"]

Arrays = Mapping[str, NDArray[np.float32]]


def unfold_weights(architecture: Architecture, constants: Arrays) -> dict[str, NDArray[np.float32]]:
    """Return weights of which :func:`write_graph` writes the same graph again, up to rounding.

    The scale of a batch normalisation cannot be told from that of its convolution: here it is one,
    with the mean zero.

    Args:
        architecture: The architecture of the network.
        constants: The constants of its graph in fp32, by name.

    Raises:
        ArchitectureError: A constant is missing, or has another shape.
    """
    residual = {
        f"{path}.filter.conv.weight"
        for path, block, _ in cost.placed_blocks(architecture, 1, 1)
        if isinstance(block, spec.ResidualConv)
    }
    temperature = constants.get("classifier.temperature", np.ones((), np.float32))
    weights: dict[str, NDArray[np.float32]] = {}
    for name, shape in weight_shapes(architecture).items():
        value = constants.get(name)
        if value is None:
            value = _of_norm(name, shape, constants)
        elif ".norm." in name:  # of a group: the graph has it as (c, 1, 1)
            value = value.reshape(-1)
        if name in residual and value is not None:
            value = value - fold_identity(np.zeros_like(value))
        if name.startswith("classifier.linear.") and value is not None:
            value = value / temperature
        if value is not None:
            weights[name] = value
    check_weights(architecture, weights)
    return weights


def _of_norm(name: str, shape: tuple[int, ...], constants: Arrays) -> NDArray[np.float32] | None:
    """Return a value of a batch normalisation that was folded into the bias before it."""
    path, _, value = name.rpartition(".norm.")
    match value:
        case "weight":
            return np.ones(shape, np.float32)
        case "bias":
            return constants.get(f"{path}.conv.bias")
        case "running_mean":
            return np.zeros(shape, np.float32)
        case "running_var":
            return np.full(shape, 1 - EPSILON, np.float32)
    return None
