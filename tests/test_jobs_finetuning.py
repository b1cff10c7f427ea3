"""int8 that learns further: the same network, rounded in the same places, that loses less."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from drawn_shapes import trained
from every_block import every_block
from packages import package_of
from tapetum.arch import Architecture
from tapetum.data import Dataset
from tapetum.formats import PrecisionChoice, pack, quantise
from tapetum.formats import precision as precision_module
from tapetum.formats.precision import MOST_DB
from tapetum.graph import int8_layers
from tapetum.graph import quantise as quantise_module
from tapetum.jobs import finetuning as module
from tapetum.jobs.exporting import export_run
from tapetum.jobs.finetuning import finetune
from tapetum.nn import Network
from tapetum.runtime import open_package
from tapetum.training import RUNS
from test_formats_precision import took
from test_formats_quantise import NOISES, Waves
from tiny_training import TINY_DATA, Squares, tiny_recipe, tiny_train

COARSE = {"MOST_WEIGHT": 15, "MOST_VALUE": 63}


def in_int8(network: Network, images: Waves) -> tuple[bytes, bytes]:
    """The graph of a network with five classes, and the one in int8."""
    manifest = package_of(network.architecture, size_px=32).manifest
    package = pack(network, manifest)
    lower = quantise(package, images, NOISES, num_images=8, is_reduced=False, threads=1)
    return package.graph_bytes, lower.graph_bytes


def outputs(graph: bytes, noisy: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """What a graph returns."""
    return list(onnxruntime.InferenceSession(graph).run(None, {"noisy": noisy}))


def distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """The root of the mean squared difference."""
    return float(np.sqrt(np.square(first - second).mean()))


def constants(graph: bytes) -> dict[str, NDArray[np.generic]]:
    """The stored numbers of a graph."""
    stored = onnx.load_model_from_string(graph).graph.initializer
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in stored}


@pytest.mark.parametrize("architecture", every_block(), ids=range(len(every_block())))
def test_what_learns_is_what_ships(
    architecture: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rounded network is nearer to the graph in int8 than float is; at no rate it stays it."""
    monkeypatch.setattr(quantise_module, "MOST_WEIGHT", 3)  # far from float
    monkeypatch.setattr(module, "RATE_SHARE", 1e-30)
    network, images = trained(architecture), Waves(8, 3, (32, 32), boxes=False)
    fp32, int8 = in_int8(network, images)
    noisy = images.take(range(4), epoch=0, seed=0, train=False).images
    layers = int8_layers(onnx.load_model_from_string(int8))
    rounded = module._rounded(module._folded(network), layers)
    with torch.inference_mode():
        found = [one.numpy() for one in rounded(torch.from_numpy(noisy)) if one is not None]
    for learns, ships, plain in zip(found, outputs(int8, noisy), outputs(fp32, noisy), strict=True):
        assert distance(learns, ships) < 0.75 * distance(plain, ships)
    same = finetune(network, tiny_recipe(), images, int8, epochs=1)
    before, after = constants(int8), constants(same)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert np.allclose(after[name], value, rtol=1e-5, atol=1e-7), name
        assert value.dtype.kind == "f" or np.array_equal(after[name], value), name


@pytest.mark.slow
def test_at_least_half_of_the_loss_is_recovered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With few bits int8 loses more than 0.1 dB; after some epochs less than half, repeatably."""
    for name, most in COARSE.items():
        monkeypatch.setattr(quantise_module, name, most)
    monkeypatch.setattr(precision_module, "time_interleaved", lambda *_, **__: [took(2), took(1)])
    recipe = tiny_recipe(epochs=80, schedule="cosine", batch_size=8)
    run, dataset = tmp_path / "run", Dataset(Squares(16), Squares(8), TINY_DATA)
    tiny_train(run, recipe)
    ships = {"precision": "int8", "epochs": 30, "dataset": dataset}
    choice = export_run(run, tmp_path / "first.tapetum", **ships).precision
    assert choice is not None
    assert choice.finetuning is not None
    before = choice.model_copy(update={"int8": choice.finetuning.before})
    assert before.lost_db > MOST_DB
    assert choice.lost_db < before.lost_db / 2
    assert choice.finetuning.is_kept
    package = open_package(tmp_path / "first.tapetum")
    assert "fine-tuned for 30 epochs, without which it changes" in package.card
    stored = package.manifest.provenance["precision"]
    assert PrecisionChoice.model_validate(stored) == choice
    export_run(run, tmp_path / "second.tapetum", **ships)
    assert open_package(tmp_path / "second.tapetum").graph_bytes == package.graph_bytes
    assert RUNS.open(run).is_finished
