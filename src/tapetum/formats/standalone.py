"""A package as one plain ONNX graph, for runtimes and languages without Tapetum.

The preparation of images is inside of the graph. It takes a noisy image of any size, (n, channels,
height, width) in [0, 1], and returns the denoised image at that size, and the probabilities of the
prepared one. Class names, preparation, noise and origin stand in the metadata of the graph.

The graph holds both branches of the network, and runs them one after the other: the label is that
of the prepared image, and the denoised image has the size of the noisy one. Colours, alpha and the
white level are converted before an image enters it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tapetum.errors import PackageError
from tapetum.runtime import Manifest, Package, Preparation, facts_of

__all__ = ["standalone_graph"]

_SIDES = (2, 3)  # the axes of height and width


def standalone_graph(package: Package, size: tuple[int, int] | None = None) -> onnx.ModelProto:
    """Return the graph of a package with the preparation of images inside.

    Args:
        package: The package.
        size: Height and width of all images, where they are known. In the size of the prepared
            image nothing is resized, so that both outputs share one pass of the encoder.
    """
    manifest, model = package.manifest, onnx.load_model_from_string(package.graph_bytes)
    preparation = manifest.preparation
    if manifest.labels == "boxes" and preparation.size_px is not None:
        raise PackageError(
            f"{manifest.name} classifies boxes of prepared images, which a plain graph cannot map",
            "export it as .tapetum",
        )
    draft = _Draft()
    noisy, resized = ["denoised"] * manifest.denoises, list[str]()
    branch = resized if manifest.resizes_for_labels(size) else noisy
    branch.extend(["logits"] * manifest.classifies)
    if noisy:
        draft.branch(package, noisy, "noisy")
    if resized:
        draft.branch(package, resized, draft.prepared(preparation))
    if manifest.denoises:
        draft.add("Clip", ["denoised/raw", draft.number(0.0), draft.number(1.0)], "denoised")
    if manifest.classifies:
        draft.add("Softmax", ["logits/raw"], "probabilities", axis=-1)
    return _assembled(draft, manifest, model)


class _Draft:
    """The nodes and constants of a graph that is being written."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(self, operator: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Add a node with one output, and return the name of that."""
        output = output or f"prepare/{operator}.{len(self.nodes)}"
        node = helper.make_node(operator, inputs, [output], **attributes)
        node.name = output
        self.nodes.append(node)
        return output

    def integers(self, *values: int) -> str:
        """Return the name of a one-dimensional int64 constant."""
        return self._constant(np.array(values, np.int64))

    def number(self, value: float) -> str:
        """Return the name of a float32 scalar."""
        return self._constant(np.array(value, np.float32))

    def branch(self, package: Package, outputs: Sequence[str], source: str) -> None:
        """Add the nodes behind outputs of a graph, fed with ``source``; they end in ``/raw``."""
        graph = onnx.load_model_from_string(package.graph_for(outputs)).graph
        made = {name for node in graph.node for name in node.output}
        names = {name: f"{outputs[0]}/{name}" for name in made} | {"noisy": source}
        names |= {output: f"{output}/raw" for output in outputs}
        for node in graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = f"{outputs[0]}/{node.name or node.output[0]}"
            copy.input[:] = [names.get(name, name) for name in node.input]
            copy.output[:] = [names.get(name, name) for name in node.output]
            self.nodes.append(copy)
        self.constants |= {tensor.name: tensor for tensor in graph.initializer}

    def prepared(self, preparation: Preparation) -> str:
        """Add the preparation of ``noisy``, and return the name of the prepared image."""
        assert preparation.size_px is not None  # noqa: S101  (labels of whole images need one)
        size_px = preparation.size_px
        if preparation.resize == "letterbox":
            return self._letterboxed(size_px, preparation.background)
        seen = "noisy" if preparation.resize == "squash" else self._middle_square()
        return self._resized(seen, [self.integers(size_px)] * 2)

    def _middle_square(self) -> str:
        size = self.add("Shape", ["noisy"], start=2)
        side = self.add("ReduceMin", [size], keepdims=1)
        start = self.add("Div", [self.add("Sub", [size, side]), self.integers(2)])
        end = self.add("Add", [start, side])
        return self.add("Slice", ["noisy", start, end, self.integers(*_SIDES)])

    def _letterboxed(self, size_px: int, background: float) -> str:
        size = self.add("Shape", ["noisy"], start=2)
        sides = self.add("Cast", [size], to=TensorProto.FLOAT)
        longest = self.add("ReduceMax", [sides], keepdims=1)
        exact = self.add("Div", [self.add("Mul", [sides, self.number(float(size_px))]), longest])
        rounded = self.add("Cast", [self.add("Round", [exact])], to=TensorProto.INT64)
        inner = self.add("Max", [rounded, self.integers(1)])
        rest = self.add("Sub", [self.integers(size_px, size_px), inner])
        before = self.add("Div", [rest, self.integers(2)])
        none, after = self.integers(0, 0), self.add("Sub", [rest, before])
        pads = self.add("Concat", [none, before, none, after], axis=0)
        resized = self._resized("noisy", [self._item(inner, index) for index in (0, 1)])
        return self.add("Pad", [resized, pads, self.number(background)])

    def _resized(self, image: str, size: Sequence[str]) -> str:
        """Resample an image to height and width, each an int64 of shape (1,).

        The operator Resize treats the border in another way, so the weights are written out.
        """
        rows, columns = (
            self._weights(self.add("Shape", [image], start=axis, end=axis + 1), length)
            for axis, length in zip(_SIDES, size, strict=True)
        )
        narrow = self.add("MatMul", [image, self.add("Transpose", [columns], perm=[1, 0])])
        return self.add("MatMul", [rows, narrow])

    def _weights(self, source: str, target: str) -> str:
        """Return the weight of each source pixel in each target pixel, (target, source)."""
        lengths = [self.add("Cast", [name], to=TensorProto.FLOAT) for name in (source, target)]
        scale = self.add("Div", lengths)
        support = self.add("Max", [scale, self.number(1.0)])
        places = self.add("Mul", [self._centres(target), scale])
        column = self.add("Unsqueeze", [places, self.integers(1)])
        distance = self.add("Abs", [self.add("Sub", [self._centres(source), column])])
        share = self.add("Div", [distance, support])
        weights = self.add("Relu", [self.add("Sub", [self.number(1.0), share])])
        return self.add("Div", [weights, self.add("ReduceSum", [weights, self.integers(1)])])

    def _centres(self, length: str) -> str:
        """Return the centre of each pixel: 0.5, 1.5 and so on."""
        end = self.add("Squeeze", [length])
        zero, one = (self._constant(np.array(value)) for value in (0, 1))
        indices = self.add("Cast", [self.add("Range", [zero, end, one])], to=TensorProto.FLOAT)
        return self.add("Add", [indices, self.number(0.5)])

    def _item(self, values: str, index: int) -> str:
        return self.add("Slice", [values, self.integers(index), self.integers(index + 1)])

    def _constant(self, value: NDArray[Any]) -> str:
        name = f"prepare/{value.dtype}/{value.tolist()}"  # the network has constants of its own
        self.constants[name] = numpy_helper.from_array(value, name)
        return name


def _assembled(draft: _Draft, manifest: Manifest, model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model of a draft, with its inputs, outputs and metadata."""
    image: list[str | int] = ["n", manifest.image_channels, "height", "width"]
    rows: list[str | int] = ["n", "k"] if manifest.labels == "boxes" else ["n"]
    outputs = [("denoised", image)] if manifest.denoises else []
    if manifest.classifies:
        outputs.append(("probabilities", [*rows, len(manifest.class_names)]))
    graph = helper.make_graph(
        draft.nodes,
        manifest.name,
        list(model.graph.input),
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        list(draft.constants.values()),
    )
    complete = onnx.ModelProto()
    complete.CopyFrom(model)
    complete.graph.CopyFrom(graph)
    helper.set_model_props(complete, facts_of(manifest))
    onnx.checker.check_model(complete)
    return complete
