"""Read the layers of a graph in int8, and give them other weights."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

__all__ = ["IN_BYTES", "IN_FLOAT", "WEIGHTED", "Int8Layer", "int8_layers", "with_weights"]

WEIGHTED = frozenset(("Conv", "ConvTranspose", "Gemm"))
IN_FLOAT, IN_BYTES = "/dequantised", "/int8"  # end the names of a value and of a constant

_Floats = NDArray[np.float32]


class Int8Layer(NamedTuple):
    """How a layer is rounded.

    Attributes:
        scale: Step of the numbers that it reads.
        zero: The byte that means zero there, from 0 to 255.
        constants: Weight (o, i, h, w) and bias (o,), as floats; empty where it computes in float.
        steps: Step of the weights of each output channel, (o,); likewise.
        most: The largest weight that is possible, in steps.
    """

    scale: float
    zero: int
    constants: tuple[_Floats, ...]
    steps: _Floats
    most: int


def int8_layers(model: onnx.ModelProto) -> dict[str, Int8Layer]:
    """Return the layers that read bytes, by the names of their modules in the trained network.

    Args:
        model: A graph in int8, as :class:`tapetum.graph.Quantiser` makes it.
    """
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    # Of all layers, since one may not reach what is possible.
    most = max(int(np.abs(one.astype(int)).max()) for one in stored.values() if one.dtype == "int8")
    found = {}
    for node in model.graph.node:
        if node.op_type in WEIGHTED and node.input[0].endswith(IN_FLOAT):
            value, *names = (name.removesuffix(IN_FLOAT) for name in node.input)
            layer = Int8Layer(
                scale=float(stored[f"{value}/scale"]),
                zero=int(stored[f"{value}/zero"]),
                constants=tuple(
                    (stored[name + IN_BYTES] * _steps(stored, name)).astype(np.float32)
                    for name in names
                    if name + IN_BYTES in stored
                ),
                steps=stored.get(f"{names[0]}/scale", np.empty(0, np.float32)),
                most=most,
            )
            found[names[0].removesuffix(".weight")] = layer
    return found


def with_weights(model: onnx.ModelProto, constants: Mapping[str, _Floats]) -> onnx.ModelProto:
    """Return a graph in int8 with other weights, in whole numbers of the steps that it has.

    Args:
        model: The graph; it is not changed.
        constants: Weights and biases by their names in the graph in float.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    tensors = {tensor.name: tensor for tensor in result.graph.initializer}
    stored = {name: numpy_helper.to_array(tensor) for name, tensor in tensors.items()}
    for given, value in constants.items():
        name, array = given, value
        if given not in stored:
            name = given + IN_BYTES
            kind = np.iinfo(stored[name].dtype)
            whole = np.rint(value.astype(np.float64) / _steps(stored, given))
            array = np.clip(whole, -kind.max, kind.max).astype(kind.dtype)
        array = array.reshape(stored[name].shape)
        tensors[name].CopyFrom(numpy_helper.from_array(array, name))
    return result


def _steps(stored: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    """Return the steps of a weight or a bias along its first axis."""
    return stored[f"{name}/scale"].reshape(-1, *[1] * (stored[name + IN_BYTES].ndim - 1))
