"""What can be timed by its name: an architecture, a package, any ONNX graph."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.arch import Architecture, architecture_names, find_architecture, spec
from tapetum.errors import InputError, nearest
from tapetum.graph import random_weights, write_graph
from tapetum.latency.conditions import Conditions
from tapetum.runtime import open_package

__all__ = [
    "BOXES",
    "Feeds",
    "Subject",
    "dense_architecture",
    "feeds_of",
    "open_subject",
    "subject_of",
    "subject_of_graph",
]

Feeds = Mapping[str, NDArray[np.float32]]
"""One array for each input of a graph, by name."""

BOXES = 2  # an image, where a graph names boxes
BOX_PX = 28


class Subject(NamedTuple):
    """A graph that can be timed.

    Attributes:
        model: The serialised ONNX graph.
        architecture: What it is; ``None`` for a graph of unknown origin.
        inputs: Shape of each input; free sizes are ``None``.
    """

    model: bytes
    architecture: Architecture | None
    inputs: Mapping[str, tuple[int | None, ...]]


def open_subject(name: str, *, channels: int, num_classes: int) -> Subject:
    """The graph of an architecture, a package or a file.

    Args:
        name: Of an architecture, or a path ending in ``.json``, ``.tapetum`` or ``.onnx``.
        channels: Of a named architecture.
        num_classes: Of a named architecture.

    Raises:
        InputError: There is no such thing, or it cannot be read.
    """
    path = Path(name)
    if path.suffix == ".tapetum":
        package = open_package(path)
        return subject_of_graph(package.graph_bytes, package.manifest.architecture)
    if path.suffix == ".onnx":
        try:
            return subject_of_graph(path.read_bytes())
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}", "check the path") from error
    if path.suffix == ".json":
        architecture = Architecture.read(path)
    elif name in architecture_names():
        architecture = find_architecture(
            name, channels=channels, num_classes=num_classes, boxes=False
        )
    else:
        raise InputError(
            f"{name!r} is no architecture, no package and no graph",
            "give a .tapetum, .onnx or .json file, or a name: "
            f"{nearest(name, architecture_names())}",
        )
    return subject_of(architecture)


def subject_of(architecture: Architecture) -> Subject:
    """The graph of an architecture that would ship, with random weights."""
    model = write_graph(architecture, random_weights(architecture, seed=0))
    inputs: dict[str, tuple[int | None, ...]] = {
        "noisy": (None, architecture.image_channels, None, None)
    }
    if architecture.classifies_boxes:
        inputs["boxes"] = (None, None, 4)
    return Subject(model.SerializeToString(), architecture, inputs)


def feeds_of(subject: Subject, conditions: Conditions, *, seed: int = 0) -> Feeds:
    """Random images, and boxes in them, of the shapes that the graph takes.

    Raises:
        InputError: The graph takes something else.
    """
    generator = np.random.default_rng(seed)
    sizes = (conditions.batch, conditions.channels, conditions.height_px, conditions.width_px)
    feeds = {}
    for name, shape in subject.inputs.items():
        if name == "boxes" and len(shape) == 3:
            corners = generator.uniform(0, 1, (conditions.batch, BOXES, 2))
            corners *= [
                max(0, conditions.width_px - BOX_PX),
                max(0, conditions.height_px - BOX_PX),
            ]
            feeds[name] = np.concatenate([corners, corners + BOX_PX], axis=-1).astype(np.float32)
        elif len(shape) == 4 and all(
            fixed in (None, size) for fixed, size in zip(shape, sizes, strict=True)
        ):
            feeds[name] = generator.random(sizes, dtype=np.float32)
        else:
            raise InputError(
                f"the graph takes {name} of shape {_shown(shape)}, not {_shown(sizes)}",
                "ask for the batch, the channels and the size that it takes",
            )
    return feeds


def dense_architecture() -> Architecture:
    """Nothing but large 3x3 convolutions: what a processor is quickest at.

    For images of 3 channels; the first layer brings them to the width of the others.
    """
    width, depth = 128, 4
    blocks = [spec.Conv(in_channels=3, out_channels=width)]
    blocks += [spec.Conv(in_channels=width, out_channels=width) for _ in range(depth)]
    return Architecture(
        name="dense",
        image_channels=3,
        classifier=spec.Classifier(
            source="noisy",
            region=spec.Whole(),
            blocks=tuple(blocks),
            pooling="mean",
            features=width,
            num_classes=2,
        ),
    )


def subject_of_graph(model: bytes, architecture: Architecture | None = None) -> Subject:
    """A graph that has been written already.

    Args:
        model: The serialised ONNX graph.
        architecture: What it is, where that is known.

    Raises:
        InputError: It is no graph.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        graph = onnx.load_model_from_string(model).graph
    except DecodeError as error:
        raise InputError("this is no ONNX graph", "export the network again") from error
    stored = {tensor.name for tensor in graph.initializer}
    inputs = {
        value.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else None
            for dim in value.type.tensor_type.shape.dim
        )
        for value in graph.input
        if value.name not in stored
    }
    return Subject(model, architecture, inputs)


def _shown(shape: tuple[int | None, ...]) -> str:
    return " x ".join("any" if size is None else str(size) for size in shape)
