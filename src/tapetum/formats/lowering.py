"""Rewrite a graph for older operators, and fold it for one size of image.

Older runtimes know older operator sets, and OpenCV's dnn opens a graph only where the arithmetic of
sizes is folded into constants.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tapetum.errors import PackageError
from tapetum.runtime import load_onnxruntime

__all__ = ["NEWEST_OPSET", "OLDEST_OPSET", "folded", "lowered"]

OLDEST_OPSET, NEWEST_OPSET = 13, 21


def lowered(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return a graph of ours in the operators of another set.

    Args:
        model: A graph of a package or a plain graph; it is not changed.
        opset: Version of the operators, 13 to 21.

    Raises:
        PackageError: Boxes are classified, whose resampling needs version 16.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    nodes = [one for node in model.graph.node for one in _older(node, opset)]
    if opset < 16 and any(node.op_type == "RoiAlign" for node in nodes):
        problem = f"labels of boxes cannot be written in opset {opset}"
        raise PackageError(problem, "choose --opset 16 or above")
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    for index in range(5):  # 0 to 4, the places of a shape
        result.graph.initializer.append(numpy_helper.from_array(np.array([index]), _place(index)))
    _keep_read(result.graph)
    _set_opset(result, opset)
    return result


def _older(node: onnx.NodeProto, opset: int) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that do in an older set what one node does."""
    ends = {one.name: one.i for one in node.attribute if one.name in ("start", "end")}
    if node.op_type == "Shape" and ends and opset < 15:
        whole = f"{node.output[0]}/whole"
        yield helper.make_node("Shape", node.input, [whole], name=whole)
        ends = {"start": 0, "end": 4, **ends}  # images have four axes
        places = [_place(ends["start"]), _place(ends["end"])]
        yield helper.make_node("Slice", [whole, *places], node.output, name=node.name)
    elif node.op_type == "HardSwish" and opset < 14:
        gate = f"{node.output[0]}/gate"
        yield helper.make_node("HardSigmoid", node.input, [gate], name=gate, alpha=1 / 6, beta=0.5)
        yield helper.make_node("Mul", [*node.input, gate], node.output, name=node.name)
    else:
        yield node


def _place(index: int) -> str:
    return f"place/{index}"


def _keep_read(graph: onnx.GraphProto) -> None:
    """Leave out the constants that no node reads."""
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _set_opset(model: onnx.ModelProto, opset: int) -> None:
    """Name the operator set alone, with the oldest file version that goes with it."""
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", opset))
    model.ir_version = helper.find_min_ir_version_for(model.opset_import)


def folded(model: onnx.ModelProto, sizes: dict[str, int]) -> onnx.ModelProto:
    """Return a graph for images of one size, with all arithmetic of sizes folded into constants.

    Args:
        model: The graph; it is not changed.
        sizes: Numbers for free dimensions by their names: ``n``, ``height`` and ``width``.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in (*fixed.graph.input, *fixed.graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in sizes:
                dimension.dim_value = sizes[dimension.dim_param]
    if not {"height", "width"} <= sizes.keys():
        return fixed
    ours = onnx.load_model_from_string(_optimised(fixed.SerializeToString()))
    opset = next(one.version for one in model.opset_import if one.domain == "")
    _set_opset(ours, opset)  # ONNX Runtime adds its own sets, of which nothing is used
    del ours.metadata_props[:]
    ours.metadata_props.extend(model.metadata_props)
    onnx.checker.check_model(ours)
    return ours


def _optimised(content: bytes) -> bytes:
    """Return a graph after the rewrites of ONNX Runtime that hold for every runtime."""
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with TemporaryDirectory() as folder:
        written = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(written)
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return written.read_bytes()
