"""Laws of the sizes of a graph: ours pass, and what would fill the memory does not."""

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.helper import make_node

from drawn_shapes import draw_architecture
from tapetum.arch import Architecture, architecture_names, find_architecture
from tapetum.arch.spaces import _SPACES, Frame
from tapetum.errors import InputError, PackageError
from tapetum.graph import random_weights, write_graph
from tapetum.runtime import Manifest, open_package
from tapetum.runtime.graphsizes import size_faults
from tiny_package import copy_of, members_of, rewrite, tiny_package, with_graph, with_manifest

Corrupt = Callable[[onnx.ModelProto], None]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good package; tests write others beside it."""
    return tiny_package(tmp_path_factory.mktemp("packages") / "good.tapetum")


def constant(model: onnx.ModelProto, name: str, *values: float) -> str:
    """Adds a constant; whole numbers are int64."""
    kind = np.float32 if any(isinstance(value, float) for value in values) else np.int64
    model.graph.initializer.append(numpy_helper.from_array(np.array(values, kind), name))
    return name


def before_all(model: onnx.ModelProto, *nodes: onnx.NodeProto, result: str) -> None:
    """Puts nodes in front, whose result every reader of the noisy image reads instead."""
    for node in model.graph.node:
        node.input[:] = [result if name == "noisy" else name for name in node.input]
    old = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *old])


def _expanded_constant(model: onnx.ModelProto) -> None:
    inputs = [constant(model, "one", 1.0), constant(model, "many", 1 << 15, 1 << 15)]
    model.graph.node.append(make_node("Expand", inputs, ["four_gib"]))


def _expanded_image(model: onnx.ModelProto) -> None:
    shape = constant(model, "many", 1 << 15, 1, 1, 1)
    before_all(model, make_node("Expand", ["noisy", shape], ["more"]), result="more")


def _doubled_again_and_again(model: onnx.ModelProto) -> None:
    scales = constant(model, "doubled", 1.0, 1.0, 2.0, 2.0)
    names = ["noisy", *(f"step{index}" for index in range(12))]
    nodes = [
        make_node("Resize", [before, "", scales], [after], mode="nearest")
        for before, after in pairwise(names)
    ]
    before_all(model, *nodes, result=names[-1])


def _padded(model: onnx.ModelProto) -> None:
    pads = constant(model, "pads", 0, 0, 0, 0, 0, 0, 1 << 20, 1 << 20)
    before_all(model, make_node("Pad", ["noisy", pads], ["padded"], mode="edge"), result="padded")


def _wide_pool(model: onnx.ModelProto) -> None:
    form = {"kernel_shape": [511, 511], "strides": [1, 1], "pads": [255] * 4}
    before_all(model, make_node("MaxPool", ["noisy"], ["pooled"], **form), result="pooled")


def _sizes_multiplied(model: onnx.ModelProto) -> None:
    nodes = [make_node("Shape", ["noisy"], ["shape0"])]
    nodes += [make_node("Mul", [f"shape{i}"] * 2, [f"shape{i + 1}"]) for i in range(8)]
    nodes.append(make_node("Expand", ["noisy", "shape8"], ["more"]))
    before_all(model, *nodes, result="more")


def _divided_by_zero(model: onnx.ModelProto) -> None:
    shape = make_node("Shape", ["noisy"], ["shape"])
    divided = make_node("Div", ["shape", constant(model, "zero", 0)], ["broken"])
    model.graph.node.extend([shape, divided])


def _weight_without_values(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer.add(name="empty", data_type=onnx.TensorProto.FLOAT)
    tensor.dims.extend([1 << 15, 1 << 15])
    tensor.raw_data = b"\0\0\0\0"


def _weight_of_texts(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer.add(name="texts", data_type=onnx.TensorProto.STRING, dims=[1])
    tensor.string_data.append(b"text")


def _many_samples(model: onnx.ModelProto) -> None:
    boxes, index = constant(model, "b", 0.0, 0.0, 9.0, 9.0), constant(model, "i", 0)
    rows = make_node("Reshape", [boxes, constant(model, "rows", 1, 4)], ["rows_of_boxes"])
    form = {"output_height": 64, "output_width": 64, "sampling_ratio": 4096}
    model.graph.node.extend(
        [rows, make_node("RoiAlign", ["noisy", "rows_of_boxes", index], ["cut"], **form)]
    )


@pytest.mark.parametrize(
    "corrupt",
    [
        *(_expanded_constant, _expanded_image, _doubled_again_and_again, _padded, _wide_pool),
        *(_sizes_multiplied, _divided_by_zero, _weight_without_values, _weight_of_texts),
        _many_samples,
    ],
)
def test_a_graph_that_would_fill_the_device_is_refused(
    corrupt: Corrupt, package: Path, tmp_path: Path
) -> None:
    """Nothing is run to notice it: the answer takes little time and little memory."""
    members = members_of(package)
    model = copy_of(onnx.load_model_from_string(members["graph.onnx"]))
    corrupt(model)
    rewrite(tmp_path / "bad.tapetum", with_graph(members, model.SerializeToString()))
    begun = time.process_time()
    with pytest.raises(PackageError, match="does not fit"):
        open_package(tmp_path / "bad.tapetum")
    assert time.process_time() - begun < 2


def of_spaces() -> list[Architecture]:
    """Random networks of every space and form."""
    frames = [
        Frame(image_px=32, num_classes=3),
        Frame(image_px=48, image_channels=3, num_classes=3, operators=8, decoder="mbconv"),
        Frame(image_px=32, num_classes=3, up="nearest_conv", learns_depth=True),
    ]
    generator = np.random.default_rng(0)
    spaces = [make(frame) for make in _SPACES.values() for frame in frames]
    return [space.architecture(space.random_of_any_size(generator)) for space in spaces]


def test_the_graphs_of_every_space_and_shape_pass() -> None:
    """Whatever a search finds is within the limits by a wide margin, and foreseen as a whole."""
    named = [find_architecture(name, num_classes=3) for name in architecture_names()[:12]]
    drawn = [draw_architecture(seed) for seed in range(20)]
    for architecture in (*of_spaces(), *named, *drawn):
        graph = write_graph(architecture, random_weights(architecture, seed=0))
        assert list(size_faults(architecture, graph)) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("encoder", "repeated"),
        ("image_channels", 10**9),
        ("encoder.0.blocks.0.out_channels", 10**15),
        ("encoder.0.blocks.0.kernel_px", 10**9 + 1),
        ("encoder.0.blocks.0.stride_px", 10**6),
        ("classifier.num_classes", 10**12),
    ],
)
def test_an_architecture_beyond_any_network_is_refused(
    field: str, value: object, package: Path, tmp_path: Path
) -> None:
    """400 levels, or numbers that would take all time and memory: one bounded sentence at once."""
    members = members_of(package)
    architecture = Manifest.from_json(members["manifest.json"], source="").architecture
    fields = architecture.model_dump(mode="json")
    *parents, last = field.split(".")
    place = fields
    for parent in parents:
        place = place[int(parent) if parent.isdigit() else parent]
    place[last] = place[last] * 100 if value == "repeated" else value
    rewrite(tmp_path / "bad.tapetum", with_manifest(members, architecture=fields))
    begun = time.process_time()
    with pytest.raises(InputError) as caught:
        open_package(tmp_path / "bad.tapetum")
    assert time.process_time() - begun < 1
    assert len(str(caught.value)) < 3_200
