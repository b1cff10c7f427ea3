"""Collect the nodes, constants and names of an ONNX graph."""

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
    """The nodes of one graph; every method returns the name of a value."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[Dimension]) -> str:
        """Declare a float32 input; a dimension that is a word is free."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        return name

    def output(self, name: str, value: str, shape: Sequence[Dimension]) -> None:
        """Declare ``value`` as the float32 output ``name``."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=f"{name}/output"))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def node(self, operator: str, inputs: Sequence[str], *, path: str, **attributes: Any) -> str:
        """Add a node with one output, named after its place in the network."""
        name = f"{path}/{operator}.{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(operator, list(inputs), [name], name=name, **attributes)
        )
        return name

    def weight(self, name: str, value: NDArray[np.float32]) -> str:
        """Store a float32 constant under ``name``."""
        array = np.ascontiguousarray(value, dtype=np.float32)
        self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def integers(self, *values: int) -> str:
        """Store a one-dimensional int64 constant; equal ones are stored once."""
        name = "int64/" + ",".join(str(value) for value in values)
        self._constants[name] = numpy_helper.from_array(np.array(values, dtype=np.int64), name)
        return name

    def model(self, name: str) -> onnx.ModelProto:
        """Return the checked model.

        Inputs that no node reads are removed.
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
