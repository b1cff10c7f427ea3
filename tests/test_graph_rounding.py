"""Laws of the rounding of weights: a layer in int8 gives nearly what it gives in float."""

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper
from torch import from_numpy
from torch.nn.functional import conv2d, pad

from tapetum.graph.rounding import Moments

Floats = NDArray[np.float32]
LAYERS = {  # channels in and out, kernel, groups, stride, pads
    "residual": (24, 24, 3, 1, 1, [1, 1, 1, 1]),
    "strided": (16, 32, 2, 1, 2, [0, 0, 0, 0]),
    "depthwise": (16, 16, 3, 16, 1, [1, 1, 1, 1]),
    "one-sided": (16, 8, 3, 1, 2, [0, 0, 1, 1]),
    "pointwise": (40, 16, 1, 1, 1, [0, 0, 0, 0]),
}


def maps(channels: int, count: int, seed: int) -> list[Floats]:
    """Maps as a network has them: positive, smooth, and alike in several channels."""
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).random((channels, 4))
    rows, columns = np.mgrid[:20, :17] / 20

    def one() -> Floats:
        turns = generator.uniform(1, 8, (4, 2))
        waves = np.sin(turns[:, :1, None] * rows + turns[:, 1:, None] * columns)
        noise = generator.normal(0, 0.05, (channels, 20, 17))
        mixed = np.einsum("ck,khw->chw", mixing, waves) + noise
        return np.maximum(mixed, 0)[np.newaxis].astype(np.float32)

    return [one() for _ in range(count)]


def layer(kind: str) -> tuple[NodeProto, Floats]:
    """A convolution and its weight; that of a residual one has 1 in its middle."""
    channels, out, kernel, groups, stride, pads = LAYERS[kind]
    weight = np.random.default_rng(1).normal(0, 0.05, (out, channels // groups, kernel, kernel))
    if kind == "residual":
        weight[range(out), range(out), 1, 1] += 1
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], strides=[stride] * 2, pads=pads, group=groups
    )
    return node, weight.astype(np.float32)


def outputs(kind: str, weight: NDArray[np.floating], values: list[Floats]) -> Floats:
    """What the layer gives with a weight."""
    *_, groups, stride, (top, left, bottom, right) = LAYERS[kind]
    given = pad(from_numpy(np.concatenate(values)), (left, right, top, bottom))
    kernels = from_numpy(weight.astype(np.float32))
    return conv2d(given, kernels, stride=stride, groups=groups).numpy()


def rounded(kind: str, most: int) -> tuple[Moments, Floats, Floats, NDArray[np.floating]]:
    """A layer's moments, weight, steps, and the weight in whole steps."""
    node, weight = layer(kind)
    moments = Moments(node, weight.shape)
    for value in maps(LAYERS[kind][0], 24, seed=2):
        moments.add(value, np.random.default_rng(3))
    steps = np.abs(weight).reshape(len(weight), -1).max(axis=1) / np.float32(most)
    return moments, weight, steps, moments.rounded(weight, steps, most)


@pytest.mark.parametrize("most", [127, 64])
@pytest.mark.parametrize("kind", LAYERS)
def test_outputs_change_less_than_with_the_nearest_integers(kind: str, most: int) -> None:
    """For other maps of the same kind, the squared change is at most 40 % of that."""
    moments, weight, steps, whole = rounded(kind, most)
    step = steps.reshape(-1, 1, 1, 1)
    others = maps(LAYERS[kind][0], 8, seed=4)
    wanted = outputs(kind, weight, others)

    def change(integers: NDArray[np.floating]) -> float:
        left = moments.mean_of(weight - integers * step).reshape(1, -1, 1, 1)
        shift = left if integers is whole else 0
        return float(np.square(outputs(kind, integers * step, others) + shift - wanted).mean())

    assert change(whole) < 0.4 * change(np.rint(weight / step))


@pytest.mark.parametrize("most", [127, 64])
def test_weights_are_whole_and_in_their_range(most: int) -> None:
    """The range of int8, or of 7 bits."""
    *_, whole = rounded("residual", most)
    np.testing.assert_array_equal(whole, np.rint(whole))
    assert np.abs(whole).max() == most


@pytest.mark.parametrize("kind", LAYERS)
def test_the_mean_is_that_of_the_outputs(kind: str) -> None:
    """Over all places of a constant map, which are all alike but for the border."""
    node, weight = layer(kind)
    moments = Moments(node, weight.shape)
    constant = np.full((1, LAYERS[kind][0], 160, 160), 0.5, np.float32)
    moments.add(constant, np.random.default_rng(0))
    inner = outputs(kind, weight, [constant])[0, :, 50, 50]
    np.testing.assert_allclose(moments.mean_of(weight), inner, atol=0.05)


def test_inputs_that_are_always_zero_do_no_harm() -> None:
    """Their weights are rounded to the nearest, and all others as without them."""
    node, weight = layer("residual")
    moments = Moments(node, weight.shape)
    moments.add(np.zeros((1, 24, 9, 9), np.float32), np.random.default_rng(0))
    steps = np.full(24, 0.01, np.float32)
    nearest = np.clip(np.rint(weight / 0.01), -127, 127)
    assert np.abs(moments.rounded(weight, steps, 127) - nearest).max() <= 1
