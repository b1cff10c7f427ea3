"""A sheet on which an ONNX graph is drawn: nodes in order, constants, fresh names.

Only what ``onnx.helper`` leaves to its caller; what the nodes mean is the writer's business.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tapetum import __version__

__all__ = ["IR_VERSION", "OPSET", "Dimension", "Sheet"]

OPSET = 18  # RoiAlign with half pixels needs 16, reductions over given axes 18
IR_VERSION = 9  # the oldest that goes with the opset, so that older runtimes open it

Dimension = int | str


class Sheet:
    """Collects the nodes of one graph; every method returns the name of a value."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[Dimension]) -> str:
        """Declares a float32 input; a dimension that is a word is free."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        return name

    def output(self, name: str, value: str, shape: Sequence[Dimension]) -> None:
        """Declares ``value`` to be the float32 output ``name``."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=f"{name}/output"))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def node(self, operator: str, inputs: Sequence[str], *, path: str, **attributes: Any) -> str:
        """Adds a node with one output, named after where it is in the network."""
        name = f"{path}/{operator}.{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(operator, list(inputs), [name], name=name, **attributes)
        )
        return name

    def weight(self, name: str, value: NDArray[np.float32]) -> str:
        """Stores a float32 constant under ``name``."""
        array = np.ascontiguousarray(value, dtype=np.float32)
        self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def integers(self, *values: int) -> str:
        """Stores a one-dimensional int64 constant; equal ones are stored once."""
        name = "int64/" + ",".join(str(value) for value in values)
        self._constants[name] = numpy_helper.from_array(np.array(values, dtype=np.int64), name)
        return name

    def model(self, name: str) -> onnx.ModelProto:
        """The checked model of all that was drawn.

        Only the inputs that a node reads are kept, so that a graph with fewer outputs asks for
        no more than it needs.
        """
        read = {value for node in self._nodes for value in node.input}
        graph = helper.make_graph(
            self._nodes,
            name,
            [value for value in self._inputs if value.name in read],
            self._outputs,
            initializer=list(self._constants.values()),
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="tapetum",
            producer_version=__version__,
        )
        onnx.checker.check_model(model)
        return model
