"""Whether a graph does what a manifest says, found out without running it.

A graph comes from a file that anyone may have made.  What is refused here is what would
otherwise fail in the middle of a folder of pictures, or read files that are none of its own.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from tapetum.runtime.manifest import Manifest

if TYPE_CHECKING:  # loaded where it is used, so that importing this module stays quick
    import onnx

__all__ = ["graph_faults", "opset_of"]

_DOMAINS = ("", "ai.onnx", "com.microsoft")  # the last has ONNX Runtime's own integer layers


def graph_faults(manifest: Manifest, model: "onnx.ModelProto") -> list[str]:
    """Everything about a graph that does not fit its manifest, each in half a sentence."""
    import onnx

    if not _is_text(model):  # everything below, and the runtime, would stumble over it
        return ["it holds names that are no text"]
    faults = [*_opset_faults(manifest, model), *_border_faults(manifest, model.graph)]
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(model.graph)):
        faults.append("its weights point to a file outside the package")
    if faults:
        return faults
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        faults.append(str(error).strip().splitlines()[0].rstrip(" ."))
    return faults


def opset_of(model: "onnx.ModelProto") -> int:
    """The version of the standard operators that a graph uses; 0 where it names none."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return max(versions, default=0)


def _opset_faults(manifest: Manifest, model: "onnx.ModelProto") -> Iterator[str]:
    import onnx

    opset, newest = opset_of(model), onnx.defs.onnx_opset_version()
    if opset != manifest.graph_opset:
        yield f"it uses operator set {opset} but the manifest says {manifest.graph_opset}"
    if not 1 <= opset <= newest:
        yield (
            f"operator set {opset} is unknown here, where onnx {onnx.__version__} knows 1 to "
            f"{newest} (a newer one may run it: pip install --upgrade onnx onnxruntime)"
        )
    for entry in model.opset_import:
        if entry.domain not in _DOMAINS:
            yield f"it uses operators of {entry.domain!r}, which are unknown here"


def _border_faults(manifest: Manifest, graph: "onnx.GraphProto") -> Iterator[str]:
    """What is wrong with the inputs and outputs."""
    picture = (None, manifest.picture_channels, None, None)
    by_box = manifest.labels == "boxes"
    inputs: dict[str, tuple[int | None, ...]] = {"noisy": picture}
    outputs: dict[str, tuple[int | None, ...]] = {}
    if by_box:
        inputs["boxes"] = (None, None, 4)
    if manifest.cleans:
        outputs["cleaned"] = picture
    if manifest.names:
        outputs["logits"] = (*((None, None) if by_box else (None,)), len(manifest.class_names))
    weights = {tensor.name for tensor in graph.initializer}
    fed = [value for value in graph.input if value.name not in weights]  # old graphs list weights
    yield from _value_faults("input", fed, inputs)
    yield from _value_faults("output", graph.output, outputs)


def _value_faults(
    role: str, values: "Iterable[onnx.ValueInfoProto]", expected: dict[str, tuple[int | None, ...]]
) -> Iterator[str]:
    import onnx

    found = {value.name: value.type.tensor_type for value in values}
    if set(found) != set(expected):
        yield (
            f"its {role}s are {', '.join(sorted(found)) or 'none'} instead of "
            f"{', '.join(sorted(expected))}"
        )
        return
    for name, shape in expected.items():
        tensor = found[name]
        sizes = tuple(
            entry.dim_value if entry.HasField("dim_value") else None for entry in tensor.shape.dim
        )
        fits = len(sizes) == len(shape) and all(
            want is None or size == want for size, want in zip(sizes, shape, strict=True)
        )
        if tensor.elem_type != onnx.TensorProto.FLOAT or not fits:
            kinds = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}
            kind = kinds.get(tensor.elem_type, f"of unknown type {tensor.elem_type}")
            yield f"{role} {name!r} is {kind} {_dims(sizes)} instead of float {_dims(shape)}"


def _dims(sizes: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in sizes) + ")"


def _is_text(message: Any) -> bool:  # any protobuf message; protobuf has no types
    """Whether every text in a message, at any depth, is one: protobuf returns others as bytes."""
    for field, value in message.ListFields():
        values = (
            [value] if isinstance(value, str | bytes) or hasattr(value, "ListFields") else value
        )
        if field.type == field.TYPE_STRING and any(isinstance(text, bytes) for text in values):
            return False
        if field.type == field.TYPE_MESSAGE and not all(map(_is_text, values)):
            return False
    return True


def _tensors(graph: "onnx.GraphProto") -> "Iterator[onnx.TensorProto]":
    """Every stored tensor of a graph, also inside its nodes and their inner graphs."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)
