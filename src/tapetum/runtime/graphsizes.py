"""Foresee the size of every value of a graph, so that none can fill the memory or hang the device.

The sizes of all values follow from those of the inputs. They are computed for some sizes of an
image without running anything, and compared with those of the architecture.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tapetum.arch import Architecture, cost

if TYPE_CHECKING:  # imported where it is used, so that this module loads quickly
    import onnx

__all__ = ["size_faults"]

Integers = NDArray[np.int64]

_ALLOWED_FACTOR = 32  # of the values of the architecture's layers; our writer needs up to 9
_ALLOWED_MORE = 2**22  # for borders, which dominate small images
_MOST_IN_A_SIZE = 64  # values of a constant that can be a size, or scales
_MOST_SAMPLES = 8  # of RoiAlign in each direction
_SIZES_PX = (64, 517, 8191)  # small, odd, and larger than most images


def size_faults(architecture: Architecture, model: "onnx.ModelProto") -> Iterator[str]:
    """Yield what is wrong with the sizes of a graph, each in half a sentence."""
    yield from _weight_faults(model.graph)
    lean, sizes = _without_weights(model), _SIZES_PX
    for size_px in sizes:
        feeds = {
            "noisy": (1, architecture.image_channels, size_px, size_px + 1),
            "boxes": (1, 2, 4),
        }
        try:
            work = _work(lean, feeds)
        except _UnforeseenError as error:
            yield str(error)
            return
        layers = cost.layer_costs(architecture, size_px, size_px + 1, num_boxes=2)
        expected = sum(layer.elements for layer in layers)
        weights = sum(math.prod(tensor.dims) for tensor in model.graph.initializer)
        if work > _ALLOWED_FACTOR * expected + 4 * weights + _ALLOWED_MORE:
            yield (
                f"an image of {size_px} px would make {work:.2g} values, where the architecture "
                f"makes {expected:.2g}"
            )
            return


class _UnforeseenError(Exception):
    """The sizes of a graph cannot be told without running it."""


def _weight_faults(graph: "onnx.GraphProto") -> Iterator[str]:
    """Yield a fault where a weight says that it is larger than its bytes."""
    for tensor in graph.initializer:
        values = [len(value) for field, value in tensor.ListFields() if field.name.endswith("data")]
        if math.prod(tensor.dims) > sum(values) or min(tensor.dims, default=0) < 0:
            yield f"the weight {tensor.name[:40]!r} has not the values that it says"


def _without_weights(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Return a copy whose weights are inputs without values; what may be sizes stays."""
    import onnx

    lean = onnx.ModelProto(ir_version=model.ir_version)
    lean.opset_import.extend(model.opset_import)
    lean.graph.name = "lean"
    lean.graph.node.extend(model.graph.node)
    lean.graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= _MOST_IN_A_SIZE:
            lean.graph.initializer.append(tensor)
        else:
            value = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            lean.graph.input.append(value)
    names = {value.name for value in (*lean.graph.input, *lean.graph.initializer)}
    lean.graph.input.extend(value for value in model.graph.input if value.name not in names)
    for output in lean.graph.output:
        output.type.tensor_type.ClearField("shape")  # what it says is not asked
    return lean


def _work(lean: "onnx.ModelProto", feeds: Mapping[str, tuple[int, ...]]) -> int:
    """Return the number of values that a run makes; some count more than once."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(lean)
    for value in model.graph.input:
        if value.name in feeds:
            dims = value.type.tensor_type.shape.dim
            for dim, size in zip(dims, feeds[value.name], strict=True):
                dim.Clear()
                dim.dim_value = size
    _compute_integers(model.graph, feeds)
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise _UnforeseenError("the sizes of its values contradict each other") from error
    sizes = {
        value.name: _num_elements(value)
        for value in (*inferred.graph.value_info, *inferred.graph.output)
    }
    return sum(
        _effort(node) * _size_of(output, sizes)
        for node in model.graph.node
        for output in node.output
        if output
    )


def _num_elements(value: "onnx.ValueInfoProto") -> int | None:
    """Return the number of elements of a value; None where a size is not known."""
    shape = value.type.tensor_type.shape
    if not value.type.tensor_type.HasField("shape"):
        return None
    sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in shape.dim]
    return None if min(sizes, default=0) < 0 else math.prod(sizes)


def _size_of(name: str, sizes: Mapping[str, int | None]) -> int:
    size = sizes.get(name)
    if size is None:
        raise _UnforeseenError(f"the size of {name[:40]!r} cannot be foreseen")
    return size


def _effort(node: "onnx.NodeProto") -> int:
    """Return how often a node looks at something for each of its values."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "MaxPool" and "kernel_shape" in attributes:
        return abs(math.prod(map(int, attributes["kernel_shape"].ints)))
    if node.op_type == "RoiAlign":
        samples = attributes["sampling_ratio"].i if "sampling_ratio" in attributes else 0
        if not 1 <= samples <= _MOST_SAMPLES:
            raise _UnforeseenError(f"RoiAlign takes {samples} samples")
        return int(samples**2)
    return 1


def _compute_integers(graph: "onnx.GraphProto", feeds: Mapping[str, tuple[int, ...]]) -> None:
    """Replace the nodes that compute sizes from those of the inputs by their results.

    The inference of onnx does most of this, but knows no division.
    """
    from onnx import numpy_helper

    integers = [tensor for tensor in graph.initializer if tensor.data_type == tensor.INT64]
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in integers}
    constants = set(known)
    kept = []
    for node in graph.node:
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        result = None
        if node.op_type == "Shape" and node.input[0] in feeds:
            shape = feeds[node.input[0]]
            end = attributes.get("end", len(shape))
            result = np.array(shape[attributes.get("start", 0) : end], np.int64)
        elif node.op_type in _INTEGER_OPERATORS and all(name in known for name in node.input):
            if node.op_type == "Div" and (
                node.input[1] not in constants or not known[node.input[1]].all()
            ):
                raise _UnforeseenError("it divides sizes by something else than a number")
            result = _integer_result(node.op_type, [known[name] for name in node.input])
        if result is None:
            kept.append(node)
            continue
        known[node.output[0]] = result
        graph.initializer.append(numpy_helper.from_array(result, node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)


def _integer_result(operator: str, values: list[Any]) -> Integers:
    try:
        result: Integers = np.asarray(_INTEGER_OPERATORS[operator](*values), np.int64)
    except (ValueError, TypeError) as error:
        raise _UnforeseenError("the sizes of its values contradict each other") from error
    if result.ndim != 1 or result.size > _MOST_IN_A_SIZE or abs(result).max(initial=0) > 2**40:
        raise _UnforeseenError("it computes sizes beyond those of any image")
    return result


_INTEGER_OPERATORS: Mapping[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.floor_divide,
    "Concat": lambda *values: np.concatenate(values),
}
