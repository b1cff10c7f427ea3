"""Write an architecture and its weights as the ONNX graph that is timed and shipped.

The graph takes images of any number and size: it pads them to the network's stride and crops the
result. Batch normalisation is folded into the convolutions. Writing takes milliseconds and no
torch, so that a search can write and time hundreds of networks.

Inputs and outputs (float32):

* ``noisy``: (n, channels, height, width)
* ``boxes``: (n, k, 4), left, top, right, bottom in pixels; for networks that classify boxes
* ``denoised``: like ``noisy``, not clamped
* ``logits``: (n, classes), or (n, k, classes) for boxes
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import onnx
from numpy.typing import NDArray

from tapetum.arch import Architecture, spec
from tapetum.graph.fold import EPSILON, fold_batch_norm, fold_identity
from tapetum.graph.sheet import Dimension, Sheet
from tapetum.graph.weights import check_weights

__all__ = ["write_graph"]

Weights = Mapping[str, NDArray[np.float32]]


def write_graph(
    architecture: Architecture, weights: Weights, *, temperature: float = 1.0
) -> onnx.ModelProto:
    """Write a network as an ONNX graph.

    Args:
        architecture: The architecture.
        weights: Weights by the names of the trained network's ``state_dict``; others are ignored.
        temperature: What the logits are divided by, so that the probabilities are calibrated in
            every runtime and format.

    Raises:
        ArchitectureError: Weights do not fit.
    """
    check_weights(architecture, weights)
    return _Writer(architecture, weights, temperature).write()


class _Writer:
    """Writes one network; each method writes one part and returns the name of its value."""

    def __init__(self, architecture: Architecture, weights: Weights, temperature: float) -> None:
        self.architecture = architecture
        self.weights = weights
        self.temperature = temperature
        self.sheet = Sheet()

    def write(self) -> onnx.ModelProto:
        channels = self.architecture.image_channels
        image: tuple[Dimension, ...] = ("n", channels, "height", "width")
        noisy = self.sheet.input("noisy", image)
        if self.architecture.classifies_boxes:
            self.sheet.input("boxes", ("n", "k", 4))
        source = noisy
        if self.architecture.decoder is not None:
            size = self.sheet.node("Shape", [noisy], path="size", start=2)
            features = self._encode(self._pad(noisy, size))
            denoised = self._finish(self._decode(features), noisy, size)
            self.sheet.output("denoised", denoised, image)
            source = features[-1] if self.architecture.kind == "integrated" else denoised
        if self.architecture.classifier is not None:
            self._classify(source)
        return self.sheet.model(self.architecture.name)

    def _pad(self, noisy: str, size: str) -> str:
        """Repeat the last row and column up to a multiple of the stride."""
        stride_px = self.architecture.stride_px
        if stride_px == 1:
            return noisy
        node, integers = self.sheet.node, self.sheet.integers
        # (size + stride - 1) // stride * stride: a remainder of a negative number, as in
        # -size % stride, is not the same in every runtime.
        raised = node("Add", [size, integers(stride_px - 1)], path="pad")
        steps = node("Div", [raised, integers(stride_px)], path="pad")
        padded = node("Mul", [steps, integers(stride_px)], path="pad")
        missing = node("Sub", [padded, size], path="pad")
        pads = node("Concat", [integers(*[0] * 6), missing], path="pad", axis=0)
        return node("Pad", [noisy, pads], path="pad", mode="edge")

    def _finish(self, decoded: str, noisy: str, size: str) -> str:
        """Crop to the size of the noisy image, and add what the gate lets through."""
        decoder = self.architecture.decoder
        assert decoder is not None  # noqa: S101  (only called where there is one)
        if decoder.gated:
            return self._add_gated(decoded, noisy, size)
        if self.architecture.stride_px == 1:
            return decoded
        zero, axes = self.sheet.integers(0, 0), self.sheet.integers(2, 3)
        return self.sheet.node("Slice", [decoded, zero, size, axes], path="crop")

    def _add_gated(self, decoded: str, noisy: str, size: str) -> str:
        """Cut the image and its gate out of the padded map, which takes no crop of its own."""
        node, integers = self.sheet.node, self.sheet.integers
        channels, axes = self.architecture.image_channels, integers(1, 2, 3)

        def cut(first: int, end: int) -> str:
            ends = node("Concat", [integers(end), size], path="gate", axis=0)
            return node("Slice", [decoded, integers(first, 0, 0), ends, axes], path="gate")

        rest = cut(0, channels)
        share = node("Sigmoid", [cut(channels, channels + 1)], path="gate")
        return node("Add", [rest, node("Mul", [noisy, share], path="gate")], path="gate")

    def _encode(self, value: str) -> list[str]:
        features = []
        for index, level in enumerate(self.architecture.encoder):
            value = self._blocks(level.blocks, value, f"encoder.levels.{index}")
            features.append(value)
        return features

    def _decode(self, features: Sequence[str]) -> str:
        decoder = self.architecture.decoder
        assert decoder is not None  # noqa: S101  (only called where there is one)
        value = self._blocks(decoder.blocks, features[-1], "decoder.blocks")
        for index, level in enumerate(decoder.levels):
            path = f"decoder.levels.{index}"
            value = self._upsample(level.up, value, f"{path}.up")
            if level.skip_level is not None:
                value = self._join([value, features[level.skip_level]], level.join, path)
            value = self._blocks(level.blocks, value, f"{path}.blocks")
        if decoder.output is None:
            return value
        return self._block(decoder.output, value, "decoder.output")

    def _join(self, maps: Sequence[str], join: str, path: str) -> str:
        if join == "add":
            return self.sheet.node("Add", maps, path=path)
        return self.sheet.node("Concat", maps, path=path, axis=1)

    def _upsample(self, up: spec.Up, value: str, path: str) -> str:
        match up:
            case spec.TransposedConv():
                parameters = [self._weight(f"{path}.{name}") for name in ("weight", "bias")]
                shape = {"kernel_shape": [2, 2], "strides": [2, 2]}
                return self.sheet.node("ConvTranspose", [value, *parameters], path=path, **shape)
            case spec.NearestConv():
                scales = self.sheet.weight("float32/doubled", np.array([1, 1, 2, 2], np.float32))
                modes = {"mode": "nearest", "nearest_mode": "floor"}
                modes["coordinate_transformation_mode"] = "asymmetric"
                value = self.sheet.node("Resize", [value, "", scales], path=path, **modes)
                return self._conv(value, path, norm="none", activation="none")
            case spec.PixelShuffle():
                value = self._conv(value, path, norm="none", activation="none")
                # In the order of torch: all four places of a channel are neighbours.
                return self.sheet.node("DepthToSpace", [value], path=path, blocksize=2, mode="CRD")

    def _classify(self, source: str) -> None:
        classifier = self.architecture.classifier
        assert classifier is not None  # noqa: S101  (logits are an output only where there is one)
        region = classifier.region
        shape: tuple[Dimension, ...] = ("n", classifier.num_classes)
        value = self._cut(source, region) if isinstance(region, spec.Boxes) else source
        value = self._blocks(classifier.blocks, value, "classifier.blocks")
        operators = {"max": "GlobalMaxPool", "mean": "GlobalAveragePool"}
        if classifier.pooling in operators:
            value = self.sheet.node(operators[classifier.pooling], [value], path="classifier")
        value = self.sheet.node("Flatten", [value], path="classifier", axis=1)
        if classifier.hidden_features is not None:
            value = self._linear(value, "classifier.hidden")
            value = self._activate(value, "hard_swish", "classifier.hidden")
        value = self._linear(value, "classifier.linear")
        if self.temperature != 1:
            # A node of its own: rounded weights could change the order of two classes.
            divisor = np.array(self.temperature, np.float32)
            stored = self.sheet.weight("classifier.temperature", divisor)
            value = self.sheet.node("Div", [value, stored], path="classifier")
        if isinstance(region, spec.Boxes):
            shape = ("n", "k", classifier.num_classes)
            counts = self.sheet.node("Shape", ["boxes"], path="classifier", start=0, end=2)
            full = [counts, self.sheet.integers(classifier.num_classes)]
            target = self.sheet.node("Concat", full, path="classifier", axis=0)
            value = self.sheet.node("Reshape", [value, target], path="classifier")
        self.sheet.output("logits", value, shape)

    def _linear(self, value: str, path: str) -> str:
        parameters = [self._weight(f"{path}.{name}") for name in ("weight", "bias")]
        return self.sheet.node("Gemm", [value, *parameters], path=path, transB=1)

    def _cut(self, source: str, region: spec.Boxes) -> str:
        """Resample every box; the graph computes the index of its image."""
        node, integers = self.sheet.node, self.sheet.integers
        counts = node("Shape", ["boxes"], path="cut", start=0, end=2)
        ones = node("Expand", [integers(1), counts], path="cut")
        # 1, 2, ... over the images, minus one: the index of each box's image.
        numbered = node("CumSum", [ones, integers(0)], path="cut", exclusive=1)
        indices = node("Reshape", [numbered, integers(-1)], path="cut")
        flat = node("Reshape", ["boxes", integers(-1, 4)], path="cut")
        stride_px = self.architecture.stride_px if self.architecture.kind == "integrated" else 1
        return node(
            "RoiAlign",
            [source, flat, indices],
            path="cut",
            coordinate_transformation_mode="half_pixel",
            output_height=region.size_px,
            output_width=region.size_px,
            sampling_ratio=1 if stride_px == 1 else 2,
            spatial_scale=1 / stride_px,
        )

    def _blocks(self, blocks: Sequence[spec.Block], value: str, path: str) -> str:
        for index, block in enumerate(blocks):
            value = self._block(block, value, f"{path}.{index}")
        return value

    def _block(self, block: spec.Block, value: str, path: str) -> str:
        match block:
            case spec.MaxPool():
                size = [block.size_px] * 2
                node = partial(self.sheet.node, "MaxPool", [value], path=path)
                return node(kernel_shape=size, strides=size)
            case spec.Conv() | spec.Downsample():
                conv = partial(self._conv, norm=block.norm, activation=block.activation)
                return conv(value, path, stride_px=block.stride_px)
            case spec.ResidualConv():
                conv = partial(self._conv, norm=block.norm, activation=block.activation)
                return conv(value, f"{path}.filter", is_residual=True)
            case spec.InvertedResidual() | spec.FusedInvertedResidual():
                return self._inverted_residual(block, value, path)

    def _inverted_residual(
        self,
        block: spec.Expanding,
        value: str,
        path: str,
    ) -> str:
        norm, activation = block.norm, block.activation
        conv = partial(self._conv, norm=norm, activation=activation)
        stride_px, groups = block.stride_px, block.hidden_channels
        if isinstance(block, spec.FusedInvertedResidual):
            hidden = conv(value, f"{path}.expand", stride_px=stride_px)
        else:
            hidden = conv(value, f"{path}.expand")
            hidden = conv(hidden, f"{path}.depthwise", stride_px=stride_px, groups=groups)
        if block.squeeze_channels is not None:
            hidden = self._weigh(hidden, f"{path}.weigh", activation=activation)
        result = self._conv(hidden, f"{path}.project", norm=norm, activation="none")
        if not block.is_residual:
            return result
        return self.sheet.node("Add", [value, result], path=path)

    def _weigh(self, value: str, path: str, *, activation: str) -> str:
        """Write a squeeze-and-excitation."""
        gate = self.sheet.node("GlobalAveragePool", [value], path=path)
        gate = self._conv(gate, f"{path}.squeeze", norm="none", activation=activation)
        gate = self._conv(gate, f"{path}.excite", norm="none", activation="none")
        gate = self.sheet.node("Sigmoid", [gate], path=path)
        return self.sheet.node("Mul", [value, gate], path=path)

    def _conv(
        self,
        value: str,
        path: str,
        *,
        stride_px: int = 1,
        groups: int = 1,
        is_residual: bool = False,
        norm: str,
        activation: str,
    ) -> str:
        arrays = self._folded(path, norm)
        if is_residual:
            arrays["weight"] = fold_identity(arrays["weight"])
        parameters = [
            self.sheet.weight(f"{path}.conv.{name}", array) for name, array in arrays.items()
        ]
        kernel_px = arrays["weight"].shape[-1]
        shape = {"kernel_shape": [kernel_px] * 2, "strides": [stride_px] * 2}
        pads = [(kernel_px - 1) // 2] * 4
        value = self.sheet.node(
            "Conv", [value, *parameters], path=path, **shape, pads=pads, group=groups
        )
        if norm == "group":
            value = self._group_norm(value, f"{path}.norm")
        return self._activate(value, activation, path)

    def _folded(self, path: str, norm: str) -> dict[str, NDArray[np.float32]]:
        """Return weight and bias of a convolution, which include a batch normalisation."""
        weight = self.weights[f"{path}.conv.weight"]
        if norm == "group":
            return {"weight": weight}
        if norm == "none":
            return {"weight": weight, "bias": self.weights[f"{path}.conv.bias"]}
        names = ("weight", "bias", "running_mean", "running_var")
        folded = fold_batch_norm(weight, {n: self.weights[f"{path}.norm.{n}"] for n in names})
        return dict(zip(("weight", "bias"), folded, strict=True))

    def _group_norm(self, value: str, path: str) -> str:
        """Write one group as an instance normalisation, which every runtime has."""
        node = self.sheet.node
        shape = node("Shape", [value], path=path)
        long = node("Reshape", [value, self.sheet.integers(0, 1, -1)], path=path)
        one = self.sheet.weight("float32/1", np.ones(1, dtype=np.float32))
        zero = self.sheet.weight("float32/0", np.zeros(1, dtype=np.float32))
        normed = node("InstanceNormalization", [long, one, zero], path=path, epsilon=EPSILON)
        value = node("Reshape", [normed, shape], path=path)
        for operator, name in (("Mul", "weight"), ("Add", "bias")):
            array = self.weights[f"{path}.{name}"].reshape(-1, 1, 1)
            constant = self.sheet.weight(f"{path}.{name}", array)
            value = node(operator, [value, constant], path=path)
        return value

    def _activate(self, value: str, activation: str, path: str) -> str:
        if activation == "relu":
            return self.sheet.node("Relu", [value], path=path)
        if activation == "hard_swish":
            return self.sheet.node("HardSwish", [value], path=path)
        if activation == "silu":
            gate = self.sheet.node("Sigmoid", [value], path=path)
            return self.sheet.node("Mul", [value, gate], path=path)
        return value

    def _weight(self, name: str) -> str:
        return self.sheet.weight(name, self.weights[name])
