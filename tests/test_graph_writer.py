"""Laws of the written graph: it equals the network, at every size, with every choice of outputs."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from drawn_shapes import draw_architecture, joint, trained
from packages import named_with_boxes
from tapetum.arch import Architecture, architecture_names, find_architecture
from tapetum.arch.families import unet
from tapetum.errors import ArchitectureError
from tapetum.graph import random_weights, write_graph
from tapetum.graph.weights import weight_shapes
from tapetum.nn import Network, build

TOLERANCE = 1e-4
SIZES = [(2, 40, 48), (1, 61, 45)]  # a multiple of every stride, and none


def make(name: str, *, channels: int = 1, boxes: bool = True) -> Network:
    """A named network with random weights and statistics, as if it had been trained."""
    architecture = find_architecture(name, channels=channels, num_classes=5, boxes=boxes)
    network = build(architecture, seed=0).eval()
    weights = random_weights(architecture, seed=1)
    network.load_state_dict({key: torch.from_numpy(w) for key, w in weights.items()}, strict=False)
    return network


def run_graph(model: onnx.ModelProto, **feeds: NDArray[np.float32]) -> dict[str, NDArray]:
    """The outputs of a graph by name; feeds that it does not ask for are left out."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    asked = {value.name for value in session.get_inputs()}
    feeds = {name: value for name, value in feeds.items() if name in asked}
    outputs = [value.name for value in session.get_outputs()]
    return dict(zip(outputs, session.run(outputs, feeds), strict=True))


def inputs_for(count: int, channels: int, height: int, width: int) -> dict[str, NDArray]:
    """Noisy images, and three boxes each that lie partly between pixels and on the border."""
    generator = np.random.default_rng(3)
    boxes = generator.uniform(0, 12, (count, 3, 4)).astype(np.float32)
    boxes[..., 2:] += 28
    noisy = generator.normal(0.5, 0.5, (count, channels, height, width)).astype(np.float32)
    return {"noisy": noisy, "boxes": boxes}


@pytest.mark.parametrize(("name", "boxes"), named_with_boxes())
def test_the_graph_equals_the_network(name: str, boxes: bool) -> None:
    """Every named architecture gives the same outputs in both forms, odd sizes included."""
    network = make(name, channels=1 if boxes else 3, boxes=boxes)
    architecture = network.architecture
    model = write_graph(architecture, random_weights(architecture, seed=1))
    for count, height, width in SIZES:
        feeds = inputs_for(count, architecture.image_channels, height, width)
        with torch.no_grad():
            places = torch.from_numpy(feeds["boxes"]) if architecture.classifies_boxes else None
            expected = network(torch.from_numpy(feeds["noisy"]), places)
        results = run_graph(model, **feeds)
        for output, value in zip(("denoised", "logits"), expected, strict=True):
            assert (value is None) == (output not in results)
            if value is not None:
                assert results[output].shape == tuple(value.shape)
                assert np.abs(results[output] - value.numpy()).max() <= TOLERANCE


@pytest.mark.parametrize("name", architecture_names())
def test_weights_are_named_as_in_the_network(name: str) -> None:
    """Names and shapes are those of the trained network's own state."""
    architecture = find_architecture(name)
    state = build(architecture, seed=0).state_dict()
    shapes = {key: tuple(v.shape) for key, v in state.items() if "num_batches" not in key}
    assert weight_shapes(architecture) == shapes


def test_no_normalisation_is_left_in_the_graph() -> None:
    """Batch normalisation is folded into the convolutions."""
    architecture = find_architecture("unet-s")
    model = write_graph(architecture, random_weights(architecture, seed=0))
    assert {node.op_type for node in model.graph.node} <= {
        "Add", "Concat", "Conv", "ConvTranspose", "Div", "Identity",
        "MaxPool", "Mul", "Pad", "Relu", "Shape", "Slice", "Sub",
    }  # fmt: skip


@pytest.mark.parametrize("activation", ["silu", "hard_swish", "none"])
def test_other_activations_equal_the_network_too(activation: str) -> None:
    """What no named architecture uses yet is written right as well."""
    data = unet("test", base_width=4, depth=2, multiplier=2, convs=2, expansion=2).model_dump()
    for level in data["encoder"]:
        for block in level["blocks"]:
            if "activation" in block:
                block["activation"] = activation
    architecture = Architecture.model_validate(data)
    weights = random_weights(architecture, seed=1)
    network = build(architecture, seed=0).eval()
    network.load_state_dict({key: torch.from_numpy(w) for key, w in weights.items()}, strict=False)
    noisy = inputs_for(1, 1, 21, 22)["noisy"]
    with torch.no_grad():
        expected = network(torch.from_numpy(noisy)).image.numpy()
    result = run_graph(write_graph(architecture, weights), noisy=noisy)["denoised"]
    assert np.abs(result - expected).max() <= TOLERANCE


def test_weights_that_do_not_fit_are_refused() -> None:
    """Missing and misshapen weights are all named in one sentence."""
    architecture = find_architecture("unet-s")
    weights = random_weights(architecture, seed=0)
    del weights["decoder.output.conv.bias"]
    weights["decoder.levels.0.up.bias"] = np.zeros(3, dtype=np.float32)
    with pytest.raises(ArchitectureError, match=r"up\.bias has shape.*conv\.bias is missing"):
        write_graph(architecture, weights)


@pytest.mark.parametrize("kind", ["transposed_conv", "nearest_conv", "pixel_shuffle"])
def test_every_way_to_double_equals_the_network(kind: str) -> None:
    """Sizes, values and the names of weights; odd sizes included."""
    architecture = upsampling_by(kind)
    network = build(architecture, seed=0).eval()
    weights = random_weights(architecture, seed=1)
    assert set(weights) <= set(network.state_dict())
    network.load_state_dict({key: torch.from_numpy(w) for key, w in weights.items()}, strict=False)
    model = write_graph(architecture, weights)
    for count, height, width in SIZES:
        noisy = inputs_for(count, 1, height, width)["noisy"]
        with torch.no_grad():
            expected = network(torch.from_numpy(noisy)).image
        assert expected is not None
        found = run_graph(model, noisy=noisy)["denoised"]
        assert np.abs(found - expected.numpy()).max() <= TOLERANCE


@pytest.mark.parametrize("seed", range(60))
def test_the_graph_of_a_drawn_network_equals_it(seed: int) -> None:
    """Every block, stem, joint, gate and branch, at odd sizes, in grey and RGB."""
    architecture = draw_architecture(seed)
    network, weights = trained(architecture), random_weights(architecture, seed=1)
    state = network.state_dict()
    shapes = {key: tuple(v.shape) for key, v in state.items() if "num_batches" not in key}
    assert weight_shapes(architecture) == shapes
    model = write_graph(architecture, weights)
    for count, height, width in (*SIZES, (1, 16 + seed, 75 - seed)):
        noisy = inputs_for(count, architecture.image_channels, height, width)["noisy"]
        with torch.no_grad():
            expected = network(torch.from_numpy(noisy))
        found = run_graph(model, noisy=noisy)
        for output, value in zip(("denoised", "logits"), expected, strict=True):
            assert (value is None) == (output not in found)
            if value is not None:
                np.testing.assert_allclose(found[output], value.numpy(), rtol=1e-4, atol=1e-4)


def test_an_identity_is_part_of_its_convolution() -> None:
    """Nothing but one convolution and one activation is left of a residual convolution."""
    architecture = joint(encoder_depths=(2, 2), decoder_depths=(1,), join="concatenate")
    model = write_graph(architecture, random_weights(architecture, seed=0))
    operators = [node.op_type for node in model.graph.node if ".levels." in node.name]
    # Two stems, four residual convolutions and one that mixes; two upsamplings without activation.
    assert sorted(set(operators)) == ["Concat", "Conv", "DepthToSpace", "Relu"]
    assert (operators.count("Conv"), operators.count("Relu")) == (9, 7)


def test_a_gate_cuts_the_padded_image_once() -> None:
    """The image and its gate are cut out at the size of the noisy image, without another crop."""
    architecture = joint(gated=True)
    model = write_graph(architecture, random_weights(architecture, seed=0))
    operators = [node.op_type for node in model.graph.node if node.name.startswith("gate")]
    assert sorted(operators) == ["Add", "Concat", "Concat", "Mul", "Sigmoid", "Slice", "Slice"]
    assert not [node for node in model.graph.node if node.name.startswith("crop")]


def upsampling_by(kind: str) -> Architecture:
    """A small denoiser that doubles in some way."""
    data = find_architecture("unet-s").model_dump(mode="json")
    for level in data["decoder"]["levels"]:
        level["up"]["kind"] = kind
    return Architecture.model_validate(data)


@pytest.mark.parametrize("boxes", [True, False])
def test_a_temperature_divides_the_logits_and_nothing_else(boxes: bool) -> None:
    """By one rounded division, which cannot change the order of the classes."""
    architecture = find_architecture("dc-net-reduced-integrated", boxes=boxes)
    weights = random_weights(architecture, seed=1)
    feeds = inputs_for(2, 1, 40, 48)
    plain = run_graph(write_graph(architecture, weights), **feeds)
    scaled = run_graph(write_graph(architecture, weights, temperature=1.7), **feeds)
    np.testing.assert_array_equal(scaled["denoised"], plain["denoised"])
    np.testing.assert_array_equal(scaled["logits"], plain["logits"] / np.float32(1.7))
