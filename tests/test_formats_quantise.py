"""Laws of packages in int8: they give nearly what fp32 gives, and are checked as such."""

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from drawn_shapes import draw_architecture
from tapetum.arch import find_architecture
from tapetum.data import ImageDataset, Samples
from tapetum.errors import InputError, PackageError
from tapetum.formats import quantise
from tapetum.formats.ranges import RangeChoice, RangeLoss
from tapetum.graph import random_weights, write_graph
from tapetum.latency import DeployedNetwork
from tapetum.noise import Gaussian
from tapetum.runtime import Manifest, Package, Predictor, Preparation, open_package, write_package
from tiny_package import members_of, rewrite, with_graph, with_manifest

module = import_module("tapetum.formats.quantise")  # the face has a function of this name

NOISES = (Gaussian(sigma=0.0), Gaussian(sigma=0.2))
CLASSES = ("a", "b", "c", "d")


class Waves(ImageDataset):
    """Smooth images of some size, with two boxes where that is asked for."""

    class_names = CLASSES
    source = "waves"

    def __init__(self, count: int, channels: int, size: tuple[int, int], *, boxes: bool) -> None:
        self.count, self.channels, self.size, self.boxes = count, channels, size, boxes

    def __len__(self) -> int:
        return self.count

    def take(self, indices: Any, *, epoch: int, seed: int, train: bool) -> Samples:
        """Draws the images; nothing is random."""
        del epoch, seed, train
        images = np.stack([wave(index, self.channels, self.size) for index in indices])
        labels = np.array([index % 4 for index in indices], np.int64)
        if not self.boxes:
            return Samples(images, None, labels, None)
        boxes = np.array([[[1, 2, 20, 18], [6, 5, 25, 27]]] * len(indices), np.float32)
        return Samples(images, None, np.stack([labels, labels], 1), boxes)


def wave(index: int, channels: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """A smooth image, (c, h, w), that depends on its index."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    value = np.sin(rows / (3 + index % 5)) * np.cos(columns / (4 + index % 7)) / 2 + 0.5
    shades = np.linspace(1, 0.5, channels).reshape(-1, 1, 1)
    return (value * shades).astype(np.float32)


def package_of(
    name: str, *, channels: int = 3, boxes: bool = False, size_px: int = 32, **fields: Any
) -> Package:
    """A package with a named network of random weights."""
    architecture = find_architecture(name, channels=channels, num_classes=4, boxes=boxes)
    names = CLASSES if architecture.classifies else ()
    manifest = Manifest.of(architecture, size_px=size_px, class_names=names, **fields)
    graph = write_graph(architecture, random_weights(architecture, seed=0))
    return Package(manifest, graph.SerializeToString(), "")


def lowered(
    package: Package,
    *,
    size: tuple[int, int] = (37, 29),
    count: int = 8,
    float_ends: bool = True,
) -> Package:
    """The package in int8, calibrated on some waves."""
    manifest = package.manifest
    boxes = manifest.labels == "boxes"
    images = Waves(count, manifest.image_channels, size, boxes=boxes)
    form = {"method": "percentile", "float_ends": float_ends, "num_images": 8}
    return quantise(package, images, NOISES, **form, is_reduced=False, threads=1)


def stored(package: Package, folder: Path) -> Package:
    """The package after it was written and opened."""
    path = folder / "p.tapetum"
    write_package(path, package.graph_bytes, package.manifest, "")
    return open_package(path)


NETWORKS = [
    ("dc-net-reduced-integrated", 1, False),
    ("dc-net-reduced-integrated", 3, True),
    ("dc-net-reduced-sequential", 3, False),
    ("dc-net-reduced-sequential", 1, True),
    ("unet-s", 3, False),
    ("unet-s-mb", 1, False),
    ("mb2.5-s", 3, False),
    ("mb2.5-s", 1, True),
]


@pytest.mark.parametrize(("name", "channels", "boxes"), NETWORKS)
def test_int8_gives_nearly_what_fp32_gives(
    name: str, channels: int, boxes: bool, tmp_path: Path
) -> None:
    """Image and probabilities of an odd size, written, checked, opened and predicted."""
    package = package_of(name, channels=channels, boxes=boxes)
    opened = stored(lowered(package), tmp_path)
    assert opened.manifest.precision == "int8"
    image = np.moveaxis(wave(11, channels, (45, 31)), 0, 2)
    places = [[2, 3, 21, 22]] if boxes else None
    wanted, given = (Predictor(one, threads=1)(image, boxes=places) for one in (package, opened))
    if wanted.pixels is not None:
        assert 0 < np.abs(wanted.pixels - given.pixels).mean() < 0.02
    if wanted.probabilities is not None:
        assert 0 < np.abs(wanted.probabilities - given.probabilities).max() < 0.05


@pytest.mark.parametrize("seed", range(6))
def test_drawn_networks_ship_in_int8(seed: int, tmp_path: Path) -> None:
    """Every kind of block, stem, joint and gate passes the check of a package, and runs."""
    architecture = draw_architecture(seed)
    classes = tuple("abcde") if architecture.classifies else ()
    manifest = Manifest.of(architecture, size_px=32, class_names=classes)
    graph = write_graph(architecture, random_weights(architecture, seed=0))
    package = Package(manifest, graph.SerializeToString(), "")
    opened = stored(lowered(package), tmp_path)
    channels = architecture.image_channels
    answer = Predictor(opened, threads=1)(np.moveaxis(wave(3, channels, (33, 39)), 0, 2))
    assert answer.pixels is not None
    assert answer.pixels.shape[:2] == (33, 39)


def test_the_same_images_give_the_same_bytes() -> None:
    """Nothing but package, images and seed counts; another seed draws other noise."""
    package = package_of("unet-s")
    assert lowered(package).graph_bytes == lowered(package).graph_bytes
    images = Waves(8, 3, (37, 29), boxes=False)
    form = {"method": "percentile", "num_images": 8, "is_reduced": False}
    other = quantise(package, images, NOISES, seed=1, **form)
    assert other.graph_bytes != lowered(package).graph_bytes


@pytest.mark.parametrize(
    ("percentile", "min_max", "best"),
    [(0.03, 0.01, "min-max"), (0.02, 0.02, "percentile")],
)
def test_auto_keeps_the_ranges_that_lose_less(
    percentile: float, min_max: float, best: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both graphs are compared with fp32; the losses of both are kept. Equal is percentile."""
    losses = iter([RangeLoss(db=percentile), RangeLoss(db=min_max)])
    monkeypatch.setattr(module, "_loss", lambda *_: next(losses))
    images, form = Waves(4, 3, (21, 19), boxes=False), {"num_images": 4, "threads": 1}
    made = quantise(package_of("unet-s"), images, NOISES, **form)
    found = RangeChoice.of(made.manifest)
    assert found is not None
    assert found.method == best
    assert {name: loss.db for name, loss in found.losses.items()} == {
        "percentile": percentile,
        "min-max": min_max,
    }
    monkeypatch.delattr(module, "_loss")  # one method alone is compared with nothing
    asked = quantise(package_of("unet-s"), images, NOISES, method=best, **form)
    assert asked.graph_bytes == made.graph_bytes
    assert RangeChoice.of(asked.manifest) == found.model_copy(update={"losses": {}})


@pytest.mark.parametrize(("name", "channels", "boxes"), NETWORKS[1:5:3])
def test_the_ends_can_be_in_int8_too(name: str, channels: int, boxes: bool, tmp_path: Path) -> None:
    """Then every convolution reads bytes and has weights in bytes, and gives nearly the same."""
    package = package_of(name, channels=channels, boxes=boxes)
    opened = stored(lowered(package, float_ends=False), tmp_path)
    nodes = onnx.load_model_from_string(opened.graph_bytes).graph.node
    in_float = [
        node.name
        for node in nodes
        if node.op_type in ("Conv", "ConvTranspose")
        and not all(one.endswith("/dequantised") for one in node.input)
    ]
    assert in_float == []
    found = RangeChoice.of(opened.manifest)
    assert found is not None
    assert "the first and last layers are in int8 too" in found.text
    image = np.moveaxis(wave(11, channels, (45, 31)), 0, 2)
    places = [[2, 3, 21, 22]] if boxes else None
    wanted, given = (Predictor(one, threads=1)(image, boxes=places) for one in (package, opened))
    if wanted.pixels is not None:
        assert np.abs(wanted.pixels - given.pixels).mean() < 0.03
    if wanted.probabilities is not None:
        assert np.abs(wanted.probabilities - given.probabilities).max() < 0.05


def test_fp32_is_left_as_it_was() -> None:
    """The package that was given still has its own graph and precision."""
    package = package_of("unet-s")
    before = package.graph_bytes
    lowered(package)
    assert (package.graph_bytes, package.manifest.precision) == (before, "fp32")


def test_ranges_are_those_of_what_the_device_sees() -> None:
    """The label's branch sees the prepared image, the decoder the image at its own resolution."""
    package = package_of("dc-net-reduced-integrated", size_px=16)
    scales = []
    for factor in (1.0, 4.0):

        class Brighter(Waves):
            def take(self, indices: Any, **options: Any) -> Samples:
                found = super().take(indices, **options)
                return found._replace(images=found.images * np.float32(factor))  # noqa: B023

        images = Brighter(8, 3, (64, 48), boxes=False)
        form = {"method": "percentile", "num_images": 8, "is_reduced": False}
        graph = quantise(package, images, NOISES[:1], **form).graph_bytes
        constants = onnx.load_model_from_string(graph).graph.initializer
        scales.append({t.name: numpy_helper.to_array(t) for t in constants if "Relu" in t.name})
    first = next(name for name in scales[0] if name.endswith("/scale"))
    assert scales[1][first] > 2 * scales[0][first]


def test_a_freak_pixel_does_not_make_the_steps_of_all_others_larger() -> None:
    """One pixel of eight images is a hundred times as bright, and every first scale stays."""
    scales = []
    for brightness in (1.0, 100.0):

        class Freak(Waves):
            def take(self, indices: Any, **options: Any) -> Samples:
                found = super().take(indices, **options)
                found.images[:, :, 99, 99] *= brightness if 0 in indices else 1.0  # noqa: B023
                return found

        images = Freak(8, 3, (240, 200), boxes=False)
        form = {"method": "percentile", "num_images": 8}
        graph = quantise(package_of("unet-s"), images, NOISES[:1], **form).graph_bytes
        constants = onnx.load_model_from_string(graph).graph.initializer
        scales.append({t.name: numpy_helper.to_array(t) for t in constants if "Relu" in t.name})
    first = next(name for name in scales[0] if name.endswith("/scale"))
    assert scales[1][first] == pytest.approx(scales[0][first], rel=0.2)


def test_tiles_give_what_the_whole_image_gives(tmp_path: Path) -> None:
    """Scales do not depend on the tile, so each pixel is rounded as in the whole image."""
    opened = stored(lowered(package_of("unet-s", channels=1)), tmp_path)
    image = wave(5, 1, (170, 150))[0]
    whole = Predictor(opened, threads=1)(image)
    tiled = Predictor(opened, threads=1, max_pixels=140 * 140)(image)
    assert tiled.tiled
    assert not whole.tiled
    assert np.abs(whole.pixels - tiled.pixels).max() <= 1e-5


@pytest.mark.parametrize("mode", ["label", "image"])
def test_one_branch_gives_what_both_give(mode: str, tmp_path: Path) -> None:
    """A graph that is reduced to an output keeps its pairs."""
    opened = stored(lowered(package_of("dc-net-reduced-integrated")), tmp_path)
    image = np.moveaxis(wave(2, 3, (32, 32)), 0, 2)
    both = Predictor(opened, threads=1)(image)
    one = Predictor(opened, threads=1, mode=mode)(image)
    if mode == "label":
        assert np.abs(one.probabilities - both.probabilities).max() <= 1e-6
    else:
        assert np.abs(one.pixels - both.pixels).max() <= 1e-6


@pytest.mark.parametrize("name", ["dc-net-reduced-integrated", "unet-s-mb", "mb2.5-m"])
def test_a_timed_candidate_has_the_nodes_that_ship(name: str) -> None:
    """Random weights and made-up ranges give the same nodes in the same places."""
    package = package_of(name)
    timed = DeployedNetwork.of(package.manifest.architecture, precision="int8")
    ships = DeployedNetwork.of_graph(lowered(package).graph_bytes)
    assert timed.precision == ships.precision == "int8"
    nodes = [
        [(node.op_type, list(node.input), list(node.output)) for node in graph.node]
        for graph in (
            onnx.load_model_from_string(timed.graph).graph,
            onnx.load_model_from_string(ships.graph).graph,
        )
    ]
    assert nodes[0] == nodes[1]


def test_few_images_are_refused() -> None:
    """Three images say too little of what a value can be; four are repeated with other noise."""
    package = package_of("unet-s")
    with pytest.raises(InputError, match="at least 4 images and one noise level, and there are 3"):
        lowered(package, count=3)
    with pytest.raises(InputError, match="one noise level, and there are 8 and 0"):
        quantise(package, Waves(8, 3, (32, 32), boxes=False), ())


def test_int8_is_not_put_into_int8() -> None:
    """The sentence says what to give instead."""
    with pytest.raises(PackageError, match="in int8 already; give the network in float"):
        lowered(lowered(package_of("unet-s")))


def test_weights_that_are_no_numbers_are_refused() -> None:
    """A range of NaN would give a graph that returns nothing."""
    package = package_of("unet-s")
    model = onnx.load_model_from_string(package.graph_bytes)
    bias = next(t for t in model.graph.initializer if t.name == "encoder.levels.0.0.conv.bias")
    bias.CopyFrom(numpy_helper.from_array(np.full(tuple(bias.dims), np.nan, np.float32), bias.name))
    with pytest.raises(PackageError, match="numbers that are not finite"):
        lowered(replace(package, graph_bytes=model.SerializeToString()))


def damaged(package: Package, folder: Path, change: Any) -> Path:
    """A package in int8 whose graph was changed, with the digest of the changed graph."""
    path = folder / "p.tapetum"
    write_package(path, package.graph_bytes, package.manifest, "")
    members = members_of(path)
    model = onnx.load_model_from_string(members["graph.onnx"])
    change(model.graph)
    rewrite(path, with_graph(members, model.SerializeToString()))
    return path


def first_scale(graph: onnx.GraphProto) -> onnx.TensorProto:
    """The scale of the first stored value."""
    name = next(node.input[1] for node in graph.node if node.op_type == "QuantizeLinear")
    return next(tensor for tensor in graph.initializer if tensor.name == name)


def set_scale(value: Any) -> Any:
    """A change of the first scale."""

    def change(graph: onnx.GraphProto) -> None:
        scale = first_scale(graph)
        scale.CopyFrom(numpy_helper.from_array(np.asarray(value), scale.name))

    return change


def forget_scale(graph: onnx.GraphProto) -> None:
    """The scale becomes the image."""
    name = first_scale(graph).name
    for node in graph.node:
        node.input[:] = ["noisy" if one == name else one for one in node.input]


def widen_weights(graph: onnx.GraphProto) -> None:
    """A stored weight says that it is float."""
    weight = next(t for t in graph.initializer if t.data_type == t.INT8 and len(t.dims) == 4)
    array = numpy_helper.to_array(weight).astype(np.float32)
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (set_scale(np.float32(0)), "a scale of int8 is not a positive number"),
        (set_scale(np.float32(np.nan)), "a scale of int8 is not a positive number"),
        (set_scale(np.float32(-1)), "a scale of int8 is not a positive number"),
        (set_scale(np.int64(1)), "a scale of int8 is no float32"),
        (forget_scale, "a scale of int8 is computed"),
        (widen_weights, "ONNX Runtime .* cannot load the graph"),
    ],
)
def test_a_damaged_pair_is_refused(change: Any, fault: str, tmp_path: Path) -> None:
    """In one sentence, before the first image."""
    path = damaged(lowered(package_of("unet-s")), tmp_path, change)
    with pytest.raises(PackageError, match=fault):
        Predictor.open(path)


@pytest.mark.parametrize(("is_int8", "said"), [(True, "fp32"), (False, "int8")])
def test_the_manifest_says_what_the_graph_is(is_int8: bool, said: str, tmp_path: Path) -> None:
    """A latency under the name of another precision would mislead."""
    package = package_of("unet-s")
    package = lowered(package) if is_int8 else package
    path = tmp_path / "p.tapetum"
    write_package(path, package.graph_bytes, package.manifest, "")
    rewrite(path, with_manifest(members_of(path), precision=said))
    with pytest.raises(PackageError, match=f"but the manifest says {said}"):
        open_package(path)


def test_a_package_of_before_is_in_fp32(tmp_path: Path) -> None:
    """Its manifest does not say so."""
    package = package_of("unet-s")
    path = tmp_path / "p.tapetum"
    write_package(path, package.graph_bytes, package.manifest, "")
    members = members_of(path)
    fields = json.loads(members["manifest.json"])
    del fields["precision"]
    rewrite(path, {**members, "manifest.json": json.dumps(fields).encode()})
    assert open_package(path).manifest.precision == "fp32"


def test_boxes_of_prepared_images_are_mapped(tmp_path: Path) -> None:
    """A box network with a preparation is calibrated on the boxes that it will see."""
    preparation = Preparation(size_px=24, channels=1)
    package = package_of("dc-net-reduced-integrated", channels=1, boxes=True,
                         preparation=preparation)  # fmt: skip
    opened = stored(lowered(package, size=(60, 50)), tmp_path)
    image = wave(4, 1, (60, 50))[0]
    wanted, given = (
        Predictor(one, threads=1)(image, boxes=[[3, 3, 30, 30]]) for one in (package, opened)
    )
    assert np.abs(wanted.probabilities - given.probabilities).max() < 0.05
