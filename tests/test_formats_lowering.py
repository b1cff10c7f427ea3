"""Plain graphs for older runtimes: other operators and one size, but the same results."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from packages import CLASSIFIER, JOINT, noise, real
from tapetum.errors import PackageError
from tapetum.formats.lowering import folded, lowered
from tapetum.formats.standalone import standalone_graph
from tapetum.runtime import GraphSession, Package, Preparation

LETTERBOX = Preparation(size_px=32, channels=1, resize="letterbox")
SIZES = {"n": 1, "height": 40, "width": 52}


def plain(name: str = JOINT) -> onnx.ModelProto:
    """A plain graph whose preparation has all kinds of arithmetic."""
    return standalone_graph(real(name, boxes=False, channels=1, size_px=32, preparation=LETTERBOX))


def results(model: onnx.ModelProto, **feeds: Any) -> list[Any]:
    """What a graph gives for a noisy image of 40 x 52 px."""
    session = GraphSession(model.SerializeToString(), threads=1)
    image = noise(1, 1, 40, 52)
    return session.run(session.output_names, {"noisy": image, **feeds})


def opset_of(model: onnx.ModelProto) -> int:
    """The only operator set of a graph."""
    (only,) = model.opset_import
    return only.version


@pytest.mark.parametrize("opset", [13, 14, 15, 16, 21])
@pytest.mark.parametrize("name", [JOINT, "mobilenet-v3-small"])
def test_an_older_graph_computes_the_same(name: str, opset: int) -> None:
    """Operators that are newer are written out, and the checker of that version accepts it."""
    model = plain(name)
    older = lowered(model, opset)
    onnx.checker.check_model(older, full_check=True)
    assert opset_of(older) == opset
    for one, other in zip(results(model), results(older), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_boxes_need_a_newer_set() -> None:
    """Their resampling has another meaning before opset 16."""
    model = standalone_graph(real(JOINT, boxes=True))
    boxes = np.float32([[[2, 3, 30, 31]]])
    for one, other in zip(
        results(model, boxes=boxes), results(lowered(model, 16), boxes=boxes), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(PackageError, match="choose --opset 16"):
        lowered(model, 15)


def test_a_graph_of_one_size_has_no_arithmetic_of_sizes() -> None:
    """All shapes are numbers, only layers are left, and the results and facts are the same."""
    model = lowered(plain(), 16)
    fixed = folded(model, SIZES)
    assert opset_of(fixed) == 16
    assert fixed.ir_version <= 8  # as of ONNX Runtime 1.11
    left = {node.op_type for node in fixed.graph.node}
    assert not left & {"Shape", "Range", "Cast", "Squeeze", "Unsqueeze", "ReduceMax"}
    for value in (*fixed.graph.input, *fixed.graph.output):
        assert not any(one.dim_param for one in value.type.tensor_type.shape.dim)
    assert list(fixed.metadata_props) == list(model.metadata_props)
    for one, other in zip(results(model), results(fixed), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_batch_alone_keeps_the_size_free() -> None:
    """Only the number of images is settled."""
    shape = folded(plain(CLASSIFIER), {"n": 3}).graph.input[0].type.tensor_type.shape.dim
    assert [one.dim_param or one.dim_value for one in shape] == [3, 1, "height", "width"]


@pytest.mark.parametrize("name", [JOINT, "unet-s"])
def test_a_graph_of_one_size_opens_in_opencv(name: str, tmp_path: Path) -> None:
    """OpenCV's dnn, which refuses arithmetic of sizes, gives the same results."""
    dnn = pytest.importorskip("cv2", reason="opencv-python-headless is not installed").dnn
    package: Package = real(name, boxes=False, channels=1, size_px=32)
    model = folded(lowered(standalone_graph(package), 16), SIZES)
    path = tmp_path / "fixed.onnx"
    path.write_bytes(model.SerializeToString())
    network = dnn.readNetFromONNX(str(path))
    network.setInput(noise(1, 1, 40, 52), "noisy")
    given = network.forward([one.name for one in model.graph.output])
    for one, other in zip(results(model), given, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
