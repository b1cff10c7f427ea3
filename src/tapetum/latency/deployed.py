"""A network as it is deployed: an architecture, a package or any ONNX file, as a graph to time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from tapetum.arch import Architecture, open_architecture, spec
from tapetum.errors import InputError, PackageError
from tapetum.graph import Quantiser, random_weights, repeated_weights, write_graph
from tapetum.latency.conditions import Conditions
from tapetum.runtime import Manifest, Precision, open_package

if TYPE_CHECKING:
    from tapetum.latency.runtimes import Runtime

__all__ = ["CHANNELS", "NUM_BOXES", "DeployedNetwork", "Feeds", "dense_architecture"]

Feeds = Mapping[str, NDArray[np.float32]]
"""One array for each input of a graph, by name."""

SIZE_PX, CHANNELS = 224, 3  # of a network that does not say
NUM_BOXES = 2  # in each image, where a graph takes boxes
BOX_PX = 28


@dataclass(frozen=True)
class DeployedNetwork:
    """A graph that can be timed.

    Attributes:
        graph: The serialised ONNX graph.
        inputs: Shape of each input; ``None`` for a free size.
        architecture: The network's architecture; ``None`` for a graph of unknown origin.
        size_px: Side of the images that the network is for; ``None`` where it is not known.
        manifest: The description of its package; ``None`` where it is no package.
        precision: Number format of its computation.
    """

    graph: bytes
    inputs: Mapping[str, tuple[int | None, ...]]
    architecture: Architecture | None = None
    size_px: int | None = None
    manifest: Manifest | None = None
    precision: Precision = "fp32"

    @classmethod
    def open(
        cls, network: str | Path | Architecture, *, channels: int = CHANNELS, num_classes: int = 100
    ) -> Self:
        """Open a ``.json``, ``.tapetum`` or ``.onnx`` file, or make a named architecture.

        Args:
            network: A path, an architecture, or the name of one; the latter get random weights.
            channels: Image channels of a named architecture.
            num_classes: Classes of a named architecture.

        Raises:
            InputError: Nothing has this name, or the file cannot be read.
        """
        if isinstance(network, Architecture):
            return cls.of(network)
        path = Path(network)
        if path.suffix == ".tapetum":
            package = open_package(path)
            opened = cls.of_graph(package.graph_bytes, package.manifest.architecture)
            return replace(opened, size_px=package.manifest.size_px, manifest=package.manifest)
        if path.suffix == ".onnx":
            try:
                return cls.of_graph(path.read_bytes())
            except OSError as error:
                fault = f"cannot read {path}: {error.strerror}"
                raise InputError(fault, "check the path") from error
        form = {"channels": channels, "num_classes": num_classes, "boxes": False}
        files = "a .tapetum, .onnx or .json file"
        return cls.of(open_architecture(str(network), files=files, **form))

    @classmethod
    def of(
        cls, architecture: Architecture, *, precision: Precision = "fp32", is_small: bool = False
    ) -> Self:
        """Return the graph of an architecture as it would ship, with random weights.

        Args:
            architecture: The architecture.
            is_small: Whether the weights repeat, so that the graph can be compressed.
            precision: ``int8`` gives the nodes of :func:`tapetum.formats.quantise`, with made-up
                ranges, since only the latency counts. A network without a layer for it, such as
                the smallest shape, stays in fp32.
        """
        weights = (
            repeated_weights(architecture) if is_small else random_weights(architecture, seed=0)
        )
        model = write_graph(architecture, weights)
        if precision == "int8":
            try:
                quantiser = Quantiser(model)
                model = quantiser.quantised(quantiser.plausible_ranges())
            except PackageError:
                precision = "fp32"
        graph = model.SerializeToString()
        return cls(graph, _inputs_of(model.graph), architecture, precision=precision)

    @classmethod
    def of_graph(cls, graph: bytes, architecture: Architecture | None = None) -> Self:
        """Return a graph that has been written already; a fixed size is read from it.

        Raises:
            InputError: The bytes are not an ONNX graph.
        """
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

        try:
            parsed = onnx.load_model_from_string(graph).graph
        except DecodeError as error:
            raise InputError("the file is no ONNX graph", "export the network again") from error
        inputs = _inputs_of(parsed)
        fixed = next((shape[3] for shape in inputs.values() if len(shape) == 4), None)
        is_int8 = any("QuantizeLinear" in node.op_type for node in parsed.node)
        return cls(graph, inputs, architecture, fixed, precision="int8" if is_int8 else "fp32")

    @property
    def channels(self) -> int | None:
        """Channels of an image; ``None`` where the graph leaves them free."""
        return next((shape[1] for shape in self.inputs.values() if len(shape) == 4), None)

    def conditions(
        self,
        runtime: "Runtime",
        *,
        threads: int,
        batch: int = 1,
        channels: int | None = None,
        size_px: int | None = None,
    ) -> Conditions:
        """Return the conditions of this machine for the network.

        Args:
            runtime: The runtime that computes.
            threads: Inference threads.
            batch: Number of images in one pass.
            channels: Channels of the images; by default those of the network, else 3.
            size_px: Height and width of one pass; by default that of the network, else 224.

        Raises:
            InputError: A number is not possible.
        """
        return Conditions.here(
            runtime,
            threads=threads,
            batch=batch,
            channels=(self.channels or CHANNELS) if channels is None else channels,
            size_px=(self.size_px or SIZE_PX) if size_px is None else size_px,
        ).of(self)

    def random_inputs(self, conditions: Conditions) -> Feeds:
        """Return random images, and boxes in them, of the shapes that the graph takes.

        Raises:
            InputError: The graph takes other images.
        """
        generator = np.random.default_rng(0)
        sizes = (conditions.batch, conditions.channels, conditions.height_px, conditions.width_px)
        feeds = {}
        for name, shape in self.inputs.items():
            if name == "boxes" and len(shape) == 3:
                feeds[name] = _random_boxes(conditions, generator)
            elif len(shape) == 4 and all(
                fixed in (None, size) for fixed, size in zip(shape, sizes, strict=True)
            ):
                feeds[name] = generator.random(sizes, dtype=np.float32)
            else:
                raise InputError(
                    f"the graph takes {name} of shape {_shown(shape)}, not {_shown(sizes)}",
                    "request the batch, the channels and the size that it takes",
                )
        return feeds


def dense_architecture() -> Architecture:
    """Return large 3x3 convolutions only, which come near the processor's peak."""
    width, depth = 128, 4
    widths = [3, *[width] * depth]
    classifier = spec.Classifier(
        source="noisy",
        region=spec.Whole(),
        blocks=tuple(spec.Conv(in_channels=before, out_channels=width) for before in widths),
        pooling="mean",
        features=width,
        num_classes=2,
    )
    return Architecture(name="dense", image_channels=3, classifier=classifier)


def _inputs_of(graph: Any) -> dict[str, tuple[int | None, ...]]:
    """Return the shape of each input of an ONNX graph."""
    stored = {tensor.name for tensor in graph.initializer}
    return {
        value.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else None
            for dim in value.type.tensor_type.shape.dim
        )
        for value in graph.input
        if value.name not in stored
    }


def _random_boxes(conditions: Conditions, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return the corners of boxes inside each image, (batch, boxes, 4), in pixels."""
    side_px = min(BOX_PX, conditions.width_px, conditions.height_px)
    corners = generator.uniform(0, 1, (conditions.batch, NUM_BOXES, 2))
    corners *= [conditions.width_px - side_px, conditions.height_px - side_px]
    return np.concatenate([corners, corners + side_px], axis=-1).astype(np.float32)


def _shown(shape: tuple[int | None, ...]) -> str:
    return " x ".join("any" if size is None else str(size) for size in shape)
