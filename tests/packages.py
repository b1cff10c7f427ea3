"""Packages without training, for the tests of what runs them."""

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tapetum.arch import Architecture, architecture_names, find_architecture
from tapetum.graph import random_weights, write_graph
from tapetum.runtime import Manifest, Package, Preparation

CLASS_NAMES = ("dark", "bright")
JOINT, DENOISER, CLASSIFIER = "dc-net-reduced-integrated", "unet-s", "mb2.5-s"


def named_with_boxes() -> list[Any]:
    """Every named architecture without boxes, and those that classify also with them.

    The largest one, which has no other blocks than the others, is for slow tests.
    """
    names = architecture_names()
    found = [(name, False) for name in names]
    found += [
        (name, True) for name in names if find_architecture(name, boxes=True).classifies_boxes
    ]
    return [
        pytest.param(*one, marks=pytest.mark.slow) if one[0] == "unet-original" else one
        for one in found
    ]


def toy(
    name: str,
    *,
    channels: int = 1,
    gain: float = 1.0,
    scale: float = 1000.0,
    preparation: Preparation | None = None,
) -> Package:
    """A package that multiplies the image, and names it by whether its mean is above a half.

    Its manifest is that of a named network, which says what is denoised and named.
    """
    architecture = find_architecture(name, channels=channels, num_classes=2, boxes=False)
    names = CLASS_NAMES if architecture.classifier else ()
    manifest = Manifest.of(architecture, size_px=16, class_names=names, preparation=preparation)
    image, nodes = ["n", channels, "h", "w"], []
    outputs = []
    if manifest.denoises:
        nodes.append(helper.make_node("Mul", ["noisy", "gain"], ["denoised"]))
        outputs.append(helper.make_tensor_value_info("denoised", TensorProto.FLOAT, image))
    if manifest.classifies:
        nodes += [
            helper.make_node("GlobalAveragePool", ["noisy"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["means"]),
            helper.make_node("Sub", ["means", "half"], ["offsets"]),
            helper.make_node("Gemm", ["offsets", "weights"], ["logits"]),
        ]
        outputs.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2]))
    constants = {
        "gain": np.float32(gain),
        "half": np.float32(0.5),
        "weights": np.float32([[-scale, scale]] * channels) / channels,
    }
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("noisy", TensorProto.FLOAT, image)],
        outputs,
        [onnx.numpy_helper.from_array(np.asarray(v), key) for key, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return Package(manifest, model.SerializeToString(), "")


def real(
    name: str, *, size_px: int = 96, preparation: Preparation | None = None, **options: Any
) -> Package:
    """A package with a named network of random weights."""
    architecture = find_architecture(name, num_classes=10, **options)
    return package_of(architecture, size_px=size_px, preparation=preparation)


def package_of(
    architecture: Architecture, *, size_px: int, preparation: Preparation | None = None
) -> Package:
    """A package with a network of random weights."""
    model = write_graph(architecture, random_weights(architecture, seed=0))
    names = [str(number) for number in range(architecture.num_classes or 0)]
    manifest = Manifest.of(
        architecture, size_px=size_px, class_names=names, preparation=preparation
    )
    return Package(manifest, model.SerializeToString(), "")


def noise(*shape: int) -> NDArray[np.float32]:
    """Uniform on [0, 1), the same each time."""
    return np.random.default_rng(0).random(shape, dtype=np.float32)
