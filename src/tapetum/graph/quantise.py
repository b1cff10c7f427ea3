r"""Put a graph into int8: weights are stored as bytes, and a pair of nodes stands behind a value.

A number :math:`x` is stored as :math:`q = \mathrm{clip}(\mathrm{round}(x / s) + z)`. A pair of
``QuantizeLinear`` and ``DequantizeLinear`` behind a value says so, and a runtime computes in int8
what lies between two pairs. Values are unsigned, each with a scale :math:`s` and a zero point
:math:`z`. Weights are signed, with a scale for each output channel and :math:`z = 0`.

The first convolution behind an image and the last one before an output stay in float unless the
user decides otherwise: in int8 they cost 0.2 to 0.9 dB. So does all that follows the last one. A
transposed convolution has no int8 form in onnxruntime: it becomes a 1x1 convolution and a pixel
shuffle, which are the same. Sizes are integers and are not touched.

The ``QDQQuantizer`` of onnxruntime inserts the same nodes, which a test compares. It takes up to
seconds for a network, and a candidate that is only timed has a tenth of one.

References:
    Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference
    (Jacob et al., 2018), https://arxiv.org/abs/1712.05877.
"""

from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tapetum.errors import PackageError
from tapetum.graph.int8_layers import IN_BYTES, IN_FLOAT, WEIGHTED
from tapetum.graph.rounding import Moments
from tapetum.graph.shuffle import shuffled
from tapetum.provenance import has_int8_instructions

__all__ = ["Quantiser", "Ranges"]

Ranges = Mapping[str, tuple[float, float]]
"""The smallest and the largest number of each value, by its name."""

MOST_VALUE, MOST_WEIGHT, MOST_REDUCED = 255, 127, 64
MOST_BIAS = 2**31 - 2**10  # int32, with room for the rounding of float32

_MOVED = frozenset(("DepthToSpace", "MaxPool", "Resize"))  # the numbers stay as they are
_COMPUTED = frozenset(("Add", "Concat", "Conv", "GlobalAveragePool", "Mul", "Sigmoid"))
_POSITIVE = frozenset(("Relu", "Sigmoid"))


class Quantiser:
    """Put one graph into int8.

    Args:
        model: A graph in float, as :func:`tapetum.graph.write_graph` writes it; it is not changed.
        float_ends: Whether the first and the last convolutions stay in float.

    Attributes:
        model: The graph in float whose values are put into int8: with pixel shuffles.

    Raises:
        PackageError: The graph is in int8 already, or no layer of it can be.
    """

    def __init__(self, model: onnx.ModelProto, *, float_ends: bool = True) -> None:
        self._float_ends = float_ends
        self.model = model = shuffled(model, kept=_before_outputs(model) if float_ends else ())
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._writers = {name: node for node in model.graph.node for name in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self._readers[name].append(node)
        if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
            raise PackageError("the network is in int8 already", "give the network in float")
        if not any(node.op_type == "Conv" for node in self._in_int8.values()):
            raise PackageError(
                "no layer of the network can be in int8: its first and last ones stay in float",
                "use the network in float",
            )

    @cached_property
    def values(self) -> tuple[str, ...]:
        """The values that are stored in int8, in the order of the graph."""
        found: dict[str, None] = {}
        for node in self._in_int8.values():
            found |= dict.fromkeys([*self._data(node), self._stored(node)])
        return tuple(found)

    def plausible_ranges(self) -> Ranges:
        """Return made-up ranges, for a graph with random weights that is only timed."""
        low = {name: 0.0 if self._is_positive(name) else -3.0 for name in self.values}
        return {name: (low[name], 4.0) for name in self.values}

    def moments(self) -> dict[str, Moments]:
        """Return what is to be known of the inputs of each convolution, by its name; yet empty."""
        return {
            name: Moments(node, tuple(self._weights[node.input[1]].dims))
            for name, node in self._in_int8.items()
            if node.op_type == "Conv"
        }

    def quantised(
        self,
        ranges: Ranges,
        moments: Mapping[str, Moments] = MappingProxyType({}),
        *,
        is_reduced: bool | None = None,
    ) -> onnx.ModelProto:
        """Return the graph in int8.

        Args:
            ranges: The range of each of :attr:`values`.
            moments: What convolutions read, by their names: their weights are rounded by it, and
                those of others to the nearest number.
            is_reduced: Whether weights have 7 bits; by default where this processor has no int8
                instructions. It adds two products in 16 bits then, which 8 bits overflow, or takes
                a slower way.
        """
        if is_reduced is None:
            is_reduced = not has_int8_instructions()
        sheet = _Int8Sheet(MOST_REDUCED if is_reduced else MOST_WEIGHT)
        made = {self._stored(node) for node in self._in_int8.values()}
        for name in self.values:
            sheet.prepare(name, ranges[self._source(name)])
            if name not in self._writers:
                sheet.add_pair(name)
        for node in self.model.graph.node:
            copied = onnx.NodeProto()
            copied.CopyFrom(node)
            is_int8 = node.name in self._in_int8
            for index, name in enumerate(node.input):
                if name in sheet.scales and (is_int8 or name in made):
                    copied.input[index] = sheet.dequantised(name)
            if is_int8 and node.op_type == "Conv":
                names = sheet.add_weights(node, self._weights, moments.get(node.name))
                del copied.input[1:]
                copied.input.extend(names)
            sheet.nodes.append(copied)
            for name in node.output:
                if name in sheet.scales:
                    sheet.add_pair(name)
        return sheet.filled_into(self.model)

    @cached_property
    def _in_int8(self) -> dict[str, onnx.NodeProto]:
        """The nodes that are computed in int8, by name."""
        ends = _before_outputs(self.model) | self._behind_images()
        return {
            node.name: node
            for node in self.model.graph.node
            if node.op_type in _COMPUTED | _MOVED
            and (node.name not in ends or (node.op_type == "Conv" and not self._float_ends))
            and node.output[0] in self._floats
            and not any(name in self._weights for name in self._data(node))
        }

    def _behind_images(self) -> set[str]:
        """Return the nodes from an image, noisy or denoised, to the first weights."""
        found: set[str] = set()
        waiting = [
            "noisy",
            *(self._writers["denoised"].input if "denoised" in self._writers else ()),
        ]
        while waiting:
            for node in self._readers[waiting.pop()]:
                if node.name in found or node.op_type == "Shape":
                    continue
                found.add(node.name)
                if node.op_type not in WEIGHTED:
                    waiting.extend(node.output)
        return found

    @cached_property
    def _floats(self) -> frozenset[str]:
        """The values of type float32."""
        inferred = onnx.shape_inference.infer_shapes(self.model).graph
        return frozenset(
            value.name
            for value in (*inferred.input, *inferred.value_info, *inferred.output)
            if value.type.tensor_type.elem_type == TensorProto.FLOAT
        )

    def _data(self, node: onnx.NodeProto) -> list[str]:
        """Return the inputs of a node that hold an image or a map, not weights or sizes."""
        many = node.op_type in ("Add", "Mul", "Concat")
        return list(node.input) if many else [node.input[0]]

    def _stored(self, node: onnx.NodeProto) -> str:
        """Return the output that is stored: behind an activation that the zero point does."""
        name = node.output[0]
        readers = self._readers[name]
        is_activated = len(readers) == 1 and readers[0].op_type == "Relu"
        return str(readers[0].output[0] if is_activated else name)

    def _source(self, name: str) -> str:
        """Return the value whose range this one has: numbers that only move keep their range."""
        writer = self._writers.get(name)
        while writer is not None and writer.op_type in _MOVED and writer.name in self._in_int8:
            name = writer.input[0]
            writer = self._writers.get(name)
        return name

    def _is_positive(self, name: str) -> bool:
        writer = self._writers.get(self._source(name))
        return writer is not None and writer.op_type in _POSITIVE


def _before_outputs(model: onnx.ModelProto) -> set[str]:
    """Return the nodes from the last weights to the outputs, these weights included."""
    writers = {name: node for node in model.graph.node for name in node.output}
    found: set[str] = set()
    waiting = [value.name for value in model.graph.output]
    while waiting:
        node = writers.get(waiting.pop())
        if node is None or node.name in found:
            continue
        found.add(node.name)
        if node.op_type not in WEIGHTED:
            waiting.extend(node.input)
    return found


class _Int8Sheet:
    """The nodes and constants of a graph in int8."""

    def __init__(self, most_weight: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.scales: dict[str, np.float32] = {}
        self._most_weight = most_weight
        self._constants: list[onnx.TensorProto] = []

    def prepare(self, name: str, limits: tuple[float, float]) -> None:
        """Store scale and zero point of a value; the range includes 0, which has to be exact."""
        low, high = min(limits[0], 0.0), max(limits[1], 0.0)
        scale = np.float32((high - low) / MOST_VALUE)
        scale = scale if scale > np.finfo(np.float32).tiny else np.float32(1)
        zero = np.uint8(np.clip(np.rint(-low / scale), 0, MOST_VALUE))
        self.scales[name] = scale
        self._constant(f"{name}/scale", scale)
        self._constant(f"{name}/zero", zero)

    def dequantised(self, name: str) -> str:
        """Return the name of a value behind its pair."""
        return name + IN_FLOAT

    def add_pair(self, name: str) -> None:
        """Add the two nodes behind a value."""
        numbers = [f"{name}/scale", f"{name}/zero"]
        stored = name + IN_BYTES
        self._node("QuantizeLinear", [name, *numbers], stored)
        self._node("DequantizeLinear", [stored, *numbers], self.dequantised(name))

    def add_weights(
        self,
        node: onnx.NodeProto,
        weights: Mapping[str, onnx.TensorProto],
        moments: Moments | None,
    ) -> list[str]:
        """Add weight and bias of a convolution in int8, and return their names."""
        weight = numpy_helper.to_array(weights[node.input[1]])
        bias = numpy_helper.to_array(weights[node.input[2]]) if len(node.input) == 3 else None
        most = np.abs(weight).reshape(len(weight), -1).max(axis=1)
        scale = most / np.float32(self._most_weight)
        input_scale = self.scales[node.input[0]]
        if bias is not None:  # its scale is the product of the others, and has to hold it
            scale = np.maximum(scale, np.abs(bias) / input_scale / MOST_BIAS)
        scale = np.where(scale > np.finfo(np.float32).tiny, scale, 1).astype(np.float32)
        steps = scale.reshape(-1, *[1] * (weight.ndim - 1))
        if moments is None or not moments.count:
            rounded = np.rint(weight / steps)
        else:
            rounded = moments.rounded(weight, scale, self._most_weight)
            bias = None if bias is None else bias + moments.mean_of(weight - rounded * steps)
        names = [self._stored_weight(node.input[1], rounded.astype(np.int8), scale)]
        if bias is not None:
            scale = scale * input_scale
            limit = np.iinfo(np.int32).max
            whole = np.clip(np.rint(bias.astype(np.float64) / scale), -limit, limit).astype(
                np.int32
            )
            names.append(self._stored_weight(node.input[2], whole, scale))
        return names

    def filled_into(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """Return a model with these nodes, and the weights that they still read."""
        read = {name for node in self.nodes for name in node.input}
        kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
        graph = helper.make_graph(
            self.nodes,
            model.graph.name,
            model.graph.input,
            model.graph.output,
            [*kept, *self._constants],
        )
        return helper.make_model(
            graph,
            opset_imports=model.opset_import,
            ir_version=model.ir_version,
            producer_name=model.producer_name,
            producer_version=model.producer_version,
        )

    def _stored_weight(
        self, name: str, numbers: NDArray[np.int8 | np.int32], scale: NDArray[np.float32]
    ) -> str:
        """Store a weight with a scale for each channel, and return its name in float."""
        self._constant(name + IN_BYTES, numbers)
        self._constant(f"{name}/scale", scale)
        self._constant(f"{name}/zero", np.zeros(scale.shape, numbers.dtype))
        inputs = [name + IN_BYTES, f"{name}/scale", f"{name}/zero"]
        return self._node("DequantizeLinear", inputs, self.dequantised(name), axis=0)

    def _constant(self, name: str, array: NDArray[np.generic] | np.generic) -> None:
        self._constants.append(numpy_helper.from_array(np.asarray(array), name))

    def _node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output
