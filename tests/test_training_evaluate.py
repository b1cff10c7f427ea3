"""Torch networks in the forms in which they are scored."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tapetum.data import Dataset
from tapetum.evaluation import PackageSubject, score
from tapetum.formats import pack
from tapetum.images import DecodedImage
from tapetum.nn import build
from tapetum.noise import Gaussian
from tapetum.runtime import Manifest, Preparation
from tapetum.training import RUNS, NetworkSubject, load_network, network_predict
from tiny_training import SIZE_PX, TINY_DATA, Squares, tiny_architecture, tiny_train

LEVELS = [Gaussian(sigma=0.05), Gaussian(sigma=0.2)]


def preparation(*, boxes: bool = False) -> Preparation:
    """How images of the tiny dataset are prepared."""
    return Preparation(size_px=None if boxes else SIZE_PX, channels=1)


@pytest.mark.parametrize("with_boxes", [False, True])
def test_a_network_and_its_package_score_alike(with_boxes: bool) -> None:
    """Labels of whole images and of boxes, and denoised images, are the same but for rounding."""
    network = build(tiny_architecture(boxes=with_boxes), seed=0).eval()
    how = preparation(boxes=with_boxes)
    images = Squares(6, with_boxes=with_boxes)
    dataset = Dataset(images, images, TINY_DATA)
    manifest = Manifest.of(
        network.architecture, size_px=SIZE_PX, preparation=how, class_names=Squares.class_names
    )
    package = pack(network, manifest)
    one, two = (
        score(subject, dataset, LEVELS)
        for subject in (NetworkSubject(network, how), PackageSubject(package, threads=1))
    )
    for row, other in zip(one.rows, two.rows, strict=True):
        assert row.accuracy == other.accuracy
        assert row.psnr_db == pytest.approx(other.psnr_db, abs=1e-3)
        assert row.ssim == pytest.approx(other.ssim, abs=1e-4)


def test_a_network_labels_the_prepared_image_and_denoises_the_whole_one() -> None:
    """A larger image goes through the network twice."""
    network = build(tiny_architecture(), seed=0)
    subject = NetworkSubject(network, preparation())
    pixels = np.random.default_rng(0).random((1, 50, 70), dtype=np.float32)
    whole = DecodedImage(pixels, None, 16, "grey")
    answer = subject.predict(whole, None)
    small = DecodedImage(preparation().resized(pixels), None, 16, "grey")
    assert answer.pixels is not None
    assert answer.probabilities is not None
    assert answer.pixels.shape == (1, 50, 70)
    np.testing.assert_array_equal(answer.probabilities, subject.predict(small, None).probabilities)
    assert subject.predict(whole, None, with_image=False).pixels is None


def test_scoring_leaves_the_network_as_it_is() -> None:
    """Its mode stays, as do its batch statistics; on a CPU the outputs are its own."""
    network = build(tiny_architecture(), seed=0)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    noisy = np.random.default_rng(0).random((2, 1, 32, 32), dtype=np.float32)
    denoised, logits = network_predict(network)(noisy, None)
    assert network.training
    assert all(value.equal(state[name]) for name, value in network.state_dict().items())
    if not torch.accelerator.is_available():
        with torch.inference_mode():
            expected = network.eval()(torch.from_numpy(noisy))
        np.testing.assert_array_equal(denoised, expected.image.numpy())
        np.testing.assert_array_equal(logits, expected.logits.numpy())


def test_a_network_is_run_where_it_would_be_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The images and a copy of the network go to that device; the network itself stays."""
    seen: list[str] = []
    network = build(tiny_architecture(), seed=0)
    network.register_forward_pre_hook(
        lambda module, inputs: seen.extend(
            tensor.device.type for tensor in (next(module.parameters()), inputs[0])
        )
    )
    found = torch.device("meta")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: found)
    predict = network_predict(network)
    with pytest.raises(NotImplementedError):  # nothing can be copied out of the meta device
        predict(np.zeros((1, 1, 32, 32), dtype=np.float32), None)
    assert seen == ["meta", "meta"]
    assert next(network.parameters()).device.type == "cpu"


def test_scores_are_kept_with_the_result(tmp_path: Path) -> None:
    """A result takes the scores of its run, and gives them back."""
    result = tiny_train(tmp_path / "run")
    subject = NetworkSubject(load_network(tmp_path / "run"), preparation())
    scores = score(subject, Dataset(Squares(4), Squares(4), TINY_DATA), LEVELS)
    run = RUNS.open(tmp_path / "run")
    run.finish(result.model_copy(update={"scores": scores}))
    assert run.result().scores == scores
