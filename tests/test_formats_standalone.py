"""The plain ONNX graph of a package: the same results in any runtime, without our code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from drawn_shapes import draw_architecture
from packages import CLASSIFIER, DENOISER, JOINT, noise, package_of, real, toy
from tapetum.errors import PackageError
from tapetum.formats.standalone import standalone_graph
from tapetum.runtime import GraphSession, Package, Predictor, Preparation

SIZE_PX = 32
SIZES = [(32, 32), (20, 20), (75, 75), (40, 25), (25, 90), (33, 64), (200, 3)]


def session_of(package: Package, path: Path) -> GraphSession:
    """ONNX Runtime with the graph file, and nothing else."""
    path.write_bytes(standalone_graph(package).SerializeToString())
    return GraphSession(path.read_bytes(), threads=1)


def outputs_of(session: GraphSession, image: Any, boxes: Any = None) -> dict[str, Any]:
    """What a graph file gives for an image (h, w, c)."""
    feeds = {"noisy": np.ascontiguousarray(np.moveaxis(image, 2, 0)[np.newaxis])}
    if boxes is not None:
        feeds["boxes"] = np.asarray(boxes, np.float32)[np.newaxis]
    return dict(zip(session.output_names, session.run(session.output_names, feeds), strict=True))


@pytest.mark.parametrize("resize", ["squash", "letterbox", "crop"])
@pytest.mark.parametrize("name", [JOINT, CLASSIFIER])
def test_a_plain_graph_prepares_images_itself(name: str, resize: Any, tmp_path: Path) -> None:
    """For every size its label and image are those of the predictor."""
    preparation = Preparation(size_px=SIZE_PX, channels=3, resize=resize, background=0.25)
    package = real(name, boxes=False, channels=3, size_px=SIZE_PX, preparation=preparation)
    predictor, session = Predictor(package, threads=1), session_of(package, tmp_path / "one.onnx")
    for height, width in SIZES:
        image = noise(height, width, 3)
        found = outputs_of(session, image)
        wanted = predictor(image)
        np.testing.assert_allclose(found["probabilities"], wanted.probabilities, atol=1e-5)
        assert ("denoised" in found) == (wanted.pixels is not None)
        if wanted.pixels is not None:
            denoised = np.moveaxis(found["denoised"][0], 0, 2)
            np.testing.assert_allclose(denoised, wanted.pixels, atol=1e-5)


@pytest.mark.parametrize("resize", ["squash", "letterbox", "crop"])
def test_the_preparation_inside_is_ours(resize: Any, tmp_path: Path) -> None:
    """The mean that a classifier sees is that of the prepared image, pixel by pixel alike."""
    preparation = Preparation(size_px=16, channels=1, resize=resize, background=0.9)
    package = toy(CLASSIFIER, scale=1, preparation=preparation)
    session = session_of(package, tmp_path / "one.onnx")
    for height, width in SIZES:
        image = noise(height, width, 1)
        image[: height // 2] *= 0.1
        found = outputs_of(session, image)["probabilities"][0]
        mean = preparation.resized(image[np.newaxis, :, :, 0]).mean()
        offset = np.log(found[1] / found[0]) / 2
        assert offset == pytest.approx(mean - 0.5, abs=1e-5)


def test_boxes_and_denoisers_are_plain_graphs_too(tmp_path: Path) -> None:
    """They need no resize; boxes stay an input."""
    image, boxes = noise(70, 50, 1), [[2, 3, 30, 31], [20, 40, 48, 68]]
    package = real(JOINT, boxes=True)
    found = outputs_of(session_of(package, tmp_path / "one.onnx"), image, boxes)
    wanted = Predictor(package, threads=1)(image, boxes=boxes)
    np.testing.assert_allclose(found["probabilities"][0], wanted.probabilities, atol=1e-5)
    package = toy(DENOISER, gain=3)
    found = outputs_of(session_of(package, tmp_path / "two.onnx"), image)
    np.testing.assert_array_equal(found["denoised"][0, 0], np.clip(3 * image[:, :, 0], 0, 1))


@pytest.mark.parametrize("seed", range(8))
def test_drawn_networks_are_plain_graphs_too(seed: int, tmp_path: Path) -> None:
    """Every kind of block, stem, joint and branch gives the image and the label of its package."""
    network = draw_architecture(seed)
    package = package_of(network, size_px=SIZE_PX)
    image = noise(41, 38, network.image_channels)
    found = outputs_of(session_of(package, tmp_path / "one.onnx"), image)
    wanted = Predictor(package, threads=1)(image)
    assert wanted.pixels is not None
    denoised = np.moveaxis(found["denoised"][0], 0, 2)
    np.testing.assert_allclose(denoised, wanted.pixels.reshape(denoised.shape), atol=1e-4)
    if network.classifies:
        np.testing.assert_allclose(found["probabilities"], wanted.probabilities, atol=1e-4)


def test_the_graph_says_its_classes_and_preparation() -> None:
    """Whoever finds the file alone can read both from its metadata."""
    package = real(JOINT, boxes=False, size_px=SIZE_PX)
    metadata = {each.key: each.value for each in standalone_graph(package).metadata_props}
    assert tuple(json.loads(metadata["class_names"])) == package.manifest.class_names
    stored = Preparation.from_json(metadata["preparation"], source="the graph")
    assert stored == package.manifest.preparation


def test_weights_are_stored_once() -> None:
    """Both branches share their encoder."""
    package = real(JOINT, boxes=False, size_px=SIZE_PX)
    content = standalone_graph(package).SerializeToString()
    assert len(content) < 1.2 * len(package.graph_bytes) + 50_000


def test_in_the_size_of_the_prepared_image_there_is_one_pass() -> None:
    """Both outputs are those of one encoder, so that the file keeps the latency of the package."""
    package = real(JOINT, boxes=False, preparation=Preparation(size_px=SIZE_PX, channels=1))
    ours, whole = standalone_graph(package, (SIZE_PX, SIZE_PX)), standalone_graph(package)
    given = onnx.load_model_from_string(package.graph_bytes)
    counts = [
        sum(node.op_type == "Conv" for node in one.graph.node) for one in (given, ours, whole)
    ]
    assert counts[0] == counts[1] < counts[2]


def test_boxes_of_prepared_images_stay_in_packages() -> None:
    """A plain graph would need to map them."""
    preparation = Preparation(size_px=64, channels=1)
    with pytest.raises(PackageError, match=r"export it as .tapetum"):
        standalone_graph(real(JOINT, boxes=True, preparation=preparation))


def test_the_graph_is_valid() -> None:
    """The checker of ONNX accepts it with shapes inferred."""
    model = standalone_graph(real(JOINT, boxes=False, size_px=SIZE_PX))
    onnx.checker.check_model(model, full_check=True)
