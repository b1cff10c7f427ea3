"""Laws of int8 graphs: the pairs lie where they belong, and compute what they say."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from drawn_shapes import draw_architecture
from tapetum.arch import Architecture, Shape, find_architecture
from tapetum.errors import PackageError
from tapetum.graph import Quantiser, random_weights, write_graph
from tapetum.runtime import GraphSession, load_onnxruntime, session

FLOAT_LAYERS = ("Conv", "ConvTranspose", "Gemm")
SIZES = ("Shape", "Div", "Expand", "CumSum")


def architecture_of(name: str, *, channels: int = 3, boxes: bool = False) -> Architecture:
    """A named network for four classes."""
    return find_architecture(name, channels=channels, num_classes=4, boxes=boxes)


def written(architecture: Architecture) -> onnx.ModelProto:
    """The graph in float, with random weights."""
    return write_graph(architecture, random_weights(architecture, seed=0))


def in_int8(model: onnx.ModelProto, *, is_reduced: bool = False) -> onnx.ModelProto:
    """The graph in int8, with made-up ranges."""
    quantiser = Quantiser(model)
    return quantiser.quantised(quantiser.plausible_ranges(), is_reduced=is_reduced)


def by_the_library(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in int8 as ``onnxruntime.quantization`` makes it, with the same ranges."""
    quantiser = Quantiser(model)
    nodes = quantiser.model.graph.node
    ranges = dict.fromkeys((name for node in nodes for name in node.output), (-3, 4))
    ranges |= quantiser.plausible_ranges()
    data = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges.items()
    }
    kept = [node.name for node in nodes if node.name not in quantiser._in_int8]
    library = QDQQuantizer(
        onnx.shape_inference.infer_shapes(quantiser.model),
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, data),
        nodes_to_quantize=[],
        nodes_to_exclude=[name for name in kept if "Relu" not in name],
        op_types_to_quantize=sorted({node.op_type for node in nodes}),
        extra_options={"WeightSymmetric": True},
    )
    return library.quantize_model()


def optimised(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    """How many of each operator onnxruntime really runs."""
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(model.SerializeToString(), options)
    return Counter(node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node)


def in_float_between(model: onnx.ModelProto) -> Any:
    """A session that takes the pairs by their word, and computes in float between them."""
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def weights_are_int8(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Whether the weight of a layer comes out of a DequantizeLinear."""
    writers = {name: other.op_type for other in model.graph.node for name in other.output}
    return writers.get(node.input[1]) == "DequantizeLinear"


@pytest.mark.parametrize("name", ["dc-net-reduced-integrated", "unet-s-mb", "unet-m"])
def test_the_library_inserts_the_same(name: str, tmp_path: Path) -> None:
    """The tool of onnxruntime gives the same operators to run, and the same image."""
    model = written(architecture_of(name))
    ours, theirs = in_int8(model), by_the_library(written(architecture_of(name)))
    assert optimised(ours, tmp_path) == optimised(theirs, tmp_path)
    noisy = np.random.default_rng(0).random((1, 3, 40, 32), dtype=np.float32)
    images = [
        GraphSession(one.SerializeToString()).run(["denoised"], {"noisy": noisy})[0]
        for one in (ours, theirs)
    ]
    assert np.array_equal(images[0], images[1])


@pytest.mark.parametrize(
    ("name", "boxes"),
    [
        ("dc-net-reduced-integrated", False),
        ("dc-net-reduced-integrated", True),
        ("dc-net-reduced-sequential", True),
        ("mb2.5-m", False),
        ("unet-s", False),
    ],
)
def test_layers_at_an_image_or_an_output_stay_float(name: str, boxes: bool) -> None:
    """Those behind an image, those before an output and linear ones; no others."""
    float_model = written(architecture_of(name, boxes=boxes))
    model = in_int8(float_model)
    layers = [node for node in model.graph.node if node.op_type in FLOAT_LAYERS]
    in_float = {node.name.split("/")[0] for node in layers if not weights_are_int8(model, node)}
    denoises = name.startswith(("dc-net", "unet"))
    expected = {"encoder.levels.0.0", "decoder.output"} if denoises else {"classifier.blocks.0"}
    if not name.startswith("unet"):
        expected.add("classifier.linear")
    if "sequential" in name:
        expected.add("classifier.blocks.0")
    assert in_float == expected
    assert len(layers) > len(in_float)


@pytest.mark.parametrize("seed", range(8))
def test_sizes_are_untouched(seed: int) -> None:
    """Every node that computes integers is there as it was, and reads what it read."""
    model = written(draw_architecture(seed))
    lowered = in_int8(model)
    after = {node.name: node for node in lowered.graph.node}
    for node in model.graph.node:
        if node.op_type in SIZES or node.name.startswith("pad/"):
            assert after[node.name] == node
    assert {node.name for node in model.graph.node} <= after.keys()


def test_every_int8_convolution_lies_between_two_pairs(tmp_path: Path) -> None:
    """None is left for onnxruntime to compute in float but the first and the last."""
    found = optimised(in_int8(written(architecture_of("unet-m"))), tmp_path)
    assert found["Conv"] == 2
    assert found["QLinearConv"] == 16  # three of them before a pixel shuffle
    assert found["Relu"] == 0


def numbers_of(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    """The constants of a graph."""
    return {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}


@pytest.mark.parametrize(("is_reduced", "most"), [(False, 127), (True, 64)])
def test_weights_are_the_nearest_steps_of_their_channel(is_reduced: bool, most: int) -> None:
    """Each weight is off by at most half a step, and each channel uses the whole range."""
    model = written(architecture_of("unet-m"))
    before, after = (
        numbers_of(one) for one in (Quantiser(model).model, in_int8(model, is_reduced=is_reduced))
    )
    names = [name for name in before if f"{name}/int8" in after and before[name].ndim == 4]
    assert names
    for name in names:
        scale = after[f"{name}/scale"].reshape(-1, 1, 1, 1)
        stored = after[f"{name}/int8"]
        assert np.abs(stored * scale - before[name]).max() <= 0.501 * scale.max()
        assert (np.abs(stored).reshape(len(stored), -1).max(1) == most).all()


def test_a_bias_far_above_its_weights_fits() -> None:
    """A channel without weights keeps its bias: the step of the weights grows where it has to."""
    architecture = architecture_of("unet-s")
    weights = random_weights(architecture, seed=0)
    weights["encoder.levels.1.1.conv.weight"][:2] = 0
    weights["encoder.levels.1.1.conv.weight"][0, 0, 0, 0] = 1e-12
    model = write_graph(architecture, weights)
    before, after = numbers_of(model), numbers_of(in_int8(model))
    name = "encoder.levels.1.1.conv.bias"
    found = after[f"{name}/int8"] * after[f"{name}/scale"].astype(np.float64)
    assert np.allclose(found, before[name], rtol=1e-3, atol=1e-3)


def test_a_value_that_is_always_zero_has_a_scale() -> None:
    """A dead layer divides by nothing."""
    model = written(architecture_of("unet-s"))
    quantiser = Quantiser(model)
    lowered = quantiser.quantised(dict.fromkeys(quantiser.values, (0.0, 0.0)))
    noisy = np.random.default_rng(0).random((1, 3, 24, 24), dtype=np.float32)
    session = GraphSession(lowered.SerializeToString())
    assert np.isfinite(session.run(["denoised"], {"noisy": noisy})[0]).all()


def test_zero_is_exact() -> None:
    """Zero padding and Relu need it: it lies in every range, and on a step."""
    model = written(architecture_of("unet-s"))
    quantiser = Quantiser(model)
    after = numbers_of(quantiser.quantised(dict.fromkeys(quantiser.values, (0.3, 2.0))))
    zeros = [value for name, value in after.items() if name.endswith("/zero") and not value.ndim]
    assert zeros
    assert set(map(int, zeros)) == {0}


def test_what_is_in_int8_is_not_put_there_again() -> None:
    """A second time would lose more, and gain nothing."""
    with pytest.raises(PackageError, match="in int8 already"):
        Quantiser(in_int8(written(architecture_of("unet-s"))))


def test_a_network_without_inner_layers_stays_float() -> None:
    """The first and the last layer are all that the smallest shape has."""
    shape = Shape(widths=(8,), encoder_depths=(0,), decoder_depths=())
    with pytest.raises(PackageError, match="no layer of the network can be in int8"):
        Quantiser(written(shape.architecture("tiny", image_channels=3, num_classes=None)))


@pytest.mark.parametrize("has_instructions", [True, False])
def test_large_sums_do_not_overflow(
    has_instructions: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runtime computes what the pairs say where every product is the largest possible."""
    monkeypatch.setattr(session, "has_int8_instructions", lambda: has_instructions)
    shape = Shape(widths=(8,), encoder_depths=(1,), decoder_depths=(), operator="conv")
    architecture = shape.architecture("most", image_channels=1, num_classes=None)
    weights = {
        name: np.full_like(value, 0.0 if "bias" in name or "mean" in name else 1.0)
        for name, value in random_weights(architecture, seed=0).items()
    }
    quantiser = Quantiser(write_graph(architecture, weights))
    model = quantiser.quantised(dict.fromkeys(quantiser.values, (0.0, 1000.0)), is_reduced=False)
    noisy = np.full((1, 1, 6, 6), 500, np.float32)
    (given,) = GraphSession(model.SerializeToString()).run(["denoised"], {"noisy": noisy})
    (wanted,) = in_float_between(model).run(["denoised"], {"noisy": noisy})
    assert np.allclose(given, wanted, rtol=1e-3)
