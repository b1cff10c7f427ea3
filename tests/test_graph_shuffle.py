"""Laws of pixel shuffles in place of transposed convolutions: the same image, and nothing else."""

from collections import Counter

import numpy as np
import onnx
import pytest

from drawn_shapes import joint
from tapetum.graph import Quantiser, random_weights, write_graph
from tapetum.graph.shuffle import shuffled
from tapetum.runtime import GraphSession


def written(**numbers: object) -> onnx.ModelProto:
    """A network with transposed convolutions."""
    network = joint(**{"up": "transposed_conv", **numbers})
    return write_graph(network, random_weights(network, seed=0))


def operators(model: onnx.ModelProto) -> Counter[str]:
    """How many nodes there are of each kind."""
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("numbers", [{}, {"stem": "full", "join": "concatenate"}], ids=str)
def test_the_network_stays_the_same(numbers: dict[str, object]) -> None:
    """Image and labels, at an odd size; the graph that was given is not changed."""
    model = written(**numbers)
    before = model.SerializeToString(deterministic=True)
    changed = shuffled(model)
    onnx.checker.check_model(changed)
    assert model.SerializeToString(deterministic=True) == before
    noisy = np.random.default_rng(0).random((2, 3, 21, 30), dtype=np.float32)
    results = [
        GraphSession(one.SerializeToString()).run(["denoised", "logits"], {"noisy": noisy})
        for one in (model, changed)
    ]
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_every_one_is_replaced_but_those_that_are_kept() -> None:
    """By a convolution and a pixel shuffle each."""
    model = written()
    before, after = operators(model), operators(shuffled(model))
    assert before["ConvTranspose"] == after["DepthToSpace"] == 2
    assert after["Conv"] == before["Conv"] + 2
    names = [node.name for node in model.graph.node if node.op_type == "ConvTranspose"]
    assert operators(shuffled(model, kept=names)) == before


def test_int8_keeps_the_last_one_in_float() -> None:
    """It makes the image, in float anyway, and is faster than a pixel shuffle."""
    model = written()
    last = [node.name for node in model.graph.node if node.op_type == "ConvTranspose"][-1]
    quantiser = Quantiser(model)
    left = [node.name for node in quantiser.model.graph.node if node.op_type == "ConvTranspose"]
    assert left == [last]
    assert operators(quantiser.quantised(quantiser.plausible_ranges()))["DepthToSpace"] == 1
