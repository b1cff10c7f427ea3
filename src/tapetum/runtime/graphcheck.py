"""Check that a graph does what its manifest says, without running it.

Anyone may have made the file of a graph. Only the operators that :mod:`tapetum.graph` writes (and
those of quantized graphs) are accepted, in one flat list of nodes, with all weights inside the
file. Such a graph cannot read other files, loop without end or call itself. The size of every value
is foreseen (:mod:`tapetum.runtime.graphsizes`), so that it cannot fill the memory either.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tapetum.runtime.graphsizes import size_faults
from tapetum.runtime.manifest import Manifest
from tapetum.runtime.session import as_text, fits

if TYPE_CHECKING:  # imported where it is used, so that this module loads quickly
    import onnx

__all__ = ["graph_faults", "opset_of"]

_DOMAINS = ("", "ai.onnx")  # two names of the standard operators

_PAIR = ("DequantizeLinear", "QuantizeLinear")  # around what is computed in int8

# A test compares this with what the writer emits, quantization aside.
_OPERATORS = frozenset(
    (
        *("Add", "Concat", "Conv", "ConvTranspose", "CumSum", "DepthToSpace", "Div", "Expand"),
        *("Flatten", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "HardSwish"),
        *("Identity", "InstanceNormalization", "MaxPool", "Mul", "Pad", "Relu", "Reshape"),
        *("Resize", "RoiAlign", "Shape", "Sigmoid", "Slice", "Sub"),
        *_PAIR,
    )
)
_ATTRIBUTE_FIELDS = frozenset(("name", "type", "doc_string", "f", "i", "s", "floats", "ints"))
_WEIGHT_TYPES = (1, 2, 3, 6, 7, 10)  # float32, uint8, int8, int32, int64 and float16, by number
_MOST_NAMED = 5  # of the refused operators in one message


def graph_faults(manifest: Manifest, model: "onnx.ModelProto") -> list[str]:
    """Return everything about a graph that does not fit its manifest, each in half a sentence."""
    import onnx

    if not _is_text(model):  # the checks below and the runtime would fail on it
        return ["it holds names that are no text"]
    faults = [
        *_opset_faults(manifest, model),
        *_border_faults(manifest, model.graph),
        *_foreign_parts(model),
        *_precision_faults(manifest, model.graph),
    ]
    if faults:
        return faults
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        return [str(error).strip().splitlines()[0].rstrip(" .")]
    return list(size_faults(manifest.architecture, model))


def opset_of(model: "onnx.ModelProto") -> int:
    """Return the version of the standard operators of a graph; 0 if it declares none."""
    versions = [entry.version for entry in model.opset_import if entry.domain in _DOMAINS]
    return max(versions, default=0)


def _opset_faults(manifest: Manifest, model: "onnx.ModelProto") -> Iterator[str]:
    import onnx

    opset, newest = opset_of(model), onnx.defs.onnx_opset_version()
    if opset != manifest.graph_opset:
        yield f"it uses operator set {opset} but the manifest says {manifest.graph_opset}"
    if not 1 <= opset <= newest:
        yield (
            f"operator set {opset} is unknown here, where onnx {onnx.__version__} knows 1 to "
            f"{newest} (pip install --upgrade onnx onnxruntime may help)"
        )
    for entry in model.opset_import:
        if entry.domain not in _DOMAINS:
            yield f"it uses operators of {entry.domain!r}, which are unknown here"


def _border_faults(manifest: Manifest, graph: "onnx.GraphProto") -> Iterator[str]:
    """Return the faults of the inputs and outputs."""
    image = (None, manifest.image_channels, None, None)
    by_box = manifest.labels == "boxes"
    inputs: dict[str, tuple[int | None, ...]] = {"noisy": image}
    outputs: dict[str, tuple[int | None, ...]] = {}
    if by_box:
        inputs["boxes"] = (None, None, 4)
    if manifest.denoises:
        outputs["denoised"] = image
    if manifest.classifies:
        outputs["logits"] = (*((None, None) if by_box else (None,)), len(manifest.class_names))
    weights = {tensor.name for tensor in graph.initializer}
    fed = [value for value in graph.input if value.name not in weights]  # old graphs list weights
    yield from _value_faults("input", fed, inputs)
    yield from _value_faults("output", graph.output, outputs)


def _value_faults(
    role: str, values: "Iterable[onnx.ValueInfoProto]", expected: dict[str, tuple[int | None, ...]]
) -> Iterator[str]:
    import onnx

    types = {value.name: value.type.tensor_type for value in values}
    if set(types) != set(expected):
        given = ", ".join(sorted(types)) or "none"
        yield f"its {role}s are {given} instead of {', '.join(sorted(expected))}"
        return
    for name, shape in expected.items():
        tensor = types[name]
        sizes = tuple(
            entry.dim_value if entry.HasField("dim_value") else None for entry in tensor.shape.dim
        )
        if tensor.elem_type != onnx.TensorProto.FLOAT or not fits(sizes, shape):
            kinds = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}
            kind = kinds.get(tensor.elem_type, f"of unknown type {tensor.elem_type}")
            yield f"{role} {name!r} is {kind} {as_text(sizes)} instead of float {as_text(shape)}"


def _is_text(message: Any) -> bool:  # any protobuf message; protobuf has no types
    """Whether every text in a message, at any depth, is valid: protobuf returns others as bytes."""
    for field, value in message.ListFields():
        values = (
            [value] if isinstance(value, str | bytes) or hasattr(value, "ListFields") else value
        )
        if field.type == field.TYPE_STRING and any(isinstance(text, bytes) for text in values):
            return False
        if field.type == field.TYPE_MESSAGE and not all(map(_is_text, values)):
            return False
    return True


def _foreign_parts(model: "onnx.ModelProto") -> Iterator[str]:
    """Return the parts of a graph that a package must not have."""
    graph = model.graph
    foreign = {_operator(node) for node in graph.node} - _OPERATORS
    if foreign:
        shown = ", ".join(repr(name[:40]) for name in sorted(foreign)[:_MOST_NAMED])
        yield f"it holds operators that no package uses ({len(foreign)}: {shown})"
    if model.functions:
        yield "it holds functions of its own"
    if model.training_info:
        yield "it holds graphs for training"
    if not all(map(_is_plain, (attribute for node in graph.node for attribute in node.attribute))):
        yield "a node of it holds a graph or a tensor"
    if graph.sparse_initializer:
        yield "it holds sparse weights"
    if any(tensor.data_location or tensor.external_data for tensor in graph.initializer):
        yield "its weights point to a file outside the package"
    if any(tensor.data_type not in _WEIGHT_TYPES for tensor in graph.initializer):
        yield "it holds weights of a type that no package uses"


def _precision_faults(manifest: Manifest, graph: "onnx.GraphProto") -> Iterator[str]:
    """Return the faults of int8: another precision than the manifest says, or impossible scales."""
    from onnx import numpy_helper

    pairs = [node for node in graph.node if node.op_type in _PAIR]
    found = "int8" if pairs else "fp32"
    if found != manifest.precision:
        yield f"it is in {found} but the manifest says {manifest.precision}"
    stored = {tensor.name: tensor for tensor in graph.initializer}
    scales = {node.input[1] for node in pairs if len(node.input) > 1}
    if any(not set(node.input[1:]) <= stored.keys() for node in pairs):
        yield "a scale of int8 is computed"
    elif any(stored[name].data_type != stored[name].FLOAT for name in scales):
        yield "a scale of int8 is no float32"
    elif not all(_is_scale(numpy_helper.to_array(stored[name])) for name in scales):
        yield "a scale of int8 is not a positive number"


def _is_scale(values: NDArray[np.float32]) -> bool:
    return bool((np.isfinite(values) & (values > 0)).all())


def _operator(node: "onnx.NodeProto") -> str:
    """Return the operator of a node, with its domain unless that is the standard one."""
    return node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}"


def _is_plain(attribute: "onnx.AttributeProto") -> bool:
    """Whether an attribute is numbers or a text: no graph, no tensor, no reference."""
    return {field.name for field, _ in attribute.ListFields()} <= _ATTRIBUTE_FIELDS
