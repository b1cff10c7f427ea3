"""A training that starts from the weights of a run or a package."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from few_digits import RECIPE, SHORT, dataset
from tapetum.arch import Architecture
from tapetum.data import Dataset
from tapetum.errors import InputError
from tapetum.graph import random_weights, unfold_weights, write_graph
from tapetum.jobs import export, train
from tapetum.jobs.choose import architecture_for
from tapetum.jobs.start import _rescale, open_source, start_from
from tapetum.nn import TrainableNetwork, build
from tapetum.training import Batch, load_network

__all__ = ["dataset"]  # the fixture


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on these digits."""
    path = tmp_path_factory.mktemp("start") / "run"
    train("digits", path, architecture="dc-net-reduced-integrated", **SHORT)
    return path


@pytest.fixture(scope="module")
def package(run: Path) -> Path:
    """The package of the run."""
    export(run, run.parent / "run.tapetum")
    return run.parent / "run.tapetum"


def _fresh(architecture: Architecture) -> TrainableNetwork:
    return build(architecture, seed=7).eval()


@torch.no_grad()
def _outputs(network: TrainableNetwork) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    noisy = torch.rand(8, 1, 96, 96, generator=generator)
    boxes = torch.tensor([[[4.0, 4.0, 40.0, 40.0]]]).repeat(8, 1, 1)
    outputs = network(noisy, boxes)
    return [output for output in outputs if output is not None]


@pytest.mark.parametrize("origin", ["run", "package"])
def test_the_started_network_gives_the_outputs_of_its_source(
    origin: str, run: Path, package: Path, dataset: Dataset
) -> None:
    """All layers are taken, and those of a package get the scale that training divides by."""
    source = open_source(run if origin == "run" else package)
    network = _fresh(source.suited(dataset))
    start = start_from(network, source, dataset, RECIPE)
    assert start.fresh == ()
    expected = _outputs(load_network(run))
    for mine, theirs in zip(_outputs(network.eval()), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


def test_batch_norms_of_a_package_know_the_scale_of_their_inputs(
    package: Path, dataset: Dataset
) -> None:
    """With the statistics of a batch the outputs are nearly those with the stored ones."""
    source = open_source(package)
    network = _fresh(source.architecture)
    start_from(network, source, dataset, RECIPE)
    norms = [norm for norm in network.modules() if isinstance(norm, torch.nn.BatchNorm2d)]
    assert norms
    assert all(float(norm.running_var.max()) != pytest.approx(1.0, abs=1e-4) for norm in norms)


class _Scaled(torch.nn.Module):
    """A batch normalisation alone."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(2)

    def forward(self, noisy: torch.Tensor, boxes: None) -> torch.Tensor:
        del boxes
        return self.norm(noisy)


class _OnCpu(torch.Tensor):
    """A tensor that was moved to the CPU."""


def test_statistics_need_no_float64_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's GPU has none: what is on the device is moved before it is converted."""
    network, moved, double = _Scaled().eval(), list[str](), torch.Tensor.double
    monkeypatch.setattr(torch.Tensor, "cpu", lambda x: x.as_subclass(_OnCpu))
    monkeypatch.setattr(network, "to", moved.append)

    def checked(x: torch.Tensor) -> torch.Tensor:
        assert isinstance(x, _OnCpu) or moved == ["cpu"]
        return double(x)

    monkeypatch.setattr(torch.Tensor, "double", checked)
    images = 3 + 2 * torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    before = network(images, None)
    _rescale(network, {"norm"}, [Batch(images, images, None, None)])
    mean, variance = images.mean((0, 2, 3)), images.var((0, 2, 3), correction=0)
    torch.testing.assert_close(network.norm.running_mean, mean)
    torch.testing.assert_close(network.norm.running_var, variance)
    torch.testing.assert_close(network(images, None), before)


@pytest.mark.parametrize("name", ["dc-net-reduced-integrated", "mb1-s", "unet-s", "mb2.5-m"])
def test_unfolded_weights_fold_to_the_same_graph(name: str, dataset: Dataset) -> None:
    """Also where the logits are divided by a temperature."""
    import onnx

    architecture = architecture_for(name, dataset)
    weights = random_weights(architecture, seed=0)
    graph = write_graph(architecture, weights, temperature=2.0).graph
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    again = write_graph(architecture, unfold_weights(architecture, constants)).graph
    for one in again.initializer:
        expected = constants[one.name]
        if one.name.startswith("classifier.linear."):
            expected = expected / 2
        np.testing.assert_allclose(onnx.numpy_helper.to_array(one), expected, rtol=1e-4, atol=1e-6)


def test_other_classes_get_a_new_last_layer(run: Path, dataset: Dataset, tmp_path: Path) -> None:
    """Everything else is taken; the request and the result say so."""
    source = open_source(run)._replace(class_names=("a", "b"))
    network = _fresh(source.architecture)
    start = start_from(network, source, dataset, RECIPE)
    assert start.fresh == ("classifier.linear",)
    classifier = source.architecture.classifier
    assert classifier is not None
    fewer = classifier.model_copy(update={"num_classes": 3})
    smaller = source._replace(
        architecture=source.architecture.model_copy(update={"classifier": fewer})
    )
    assert smaller.suited(dataset) == source.architecture
    result = train("digits", tmp_path / "next", start=run, noise="gaussian:0-0.2", **SHORT)
    assert result.start is not None
    assert (result.start.source, result.start.fresh) == (run.name, ())
    assert "layers start from run" in (tmp_path / "next" / "report.html").read_text()


def test_without_labels_the_classifier_is_left_out(
    run: Path, dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    """And the image stays what it was; a network that only classifies is refused later."""
    unlabelled = replace(dataset, info=dataset.info.model_copy(update={"class_names": ()}))
    source = open_source(run)
    network = _fresh(source.suited(unlabelled))
    assert "so the classifier of run is left out" in caplog.text
    start = start_from(network, source, unlabelled, RECIPE)
    assert start.fresh == ()
    (image,) = _outputs(network.eval())
    torch.testing.assert_close(image, _outputs(load_network(run))[0], rtol=1e-3, atol=1e-4)
    classifier = source._replace(architecture=architecture_for("mb1-s", dataset))
    assert classifier.suited(unlabelled) == classifier.architecture


def test_a_source_without_a_layer_that_fits_is_refused(run: Path, dataset: Dataset) -> None:
    """Otherwise the option would have no effect."""
    network = _fresh(architecture_for("mb1-s", dataset))
    source = open_source(run)
    source = source._replace(weights={f"x.{k}": v for k, v in source.weights.items()})
    with pytest.raises(InputError, match="no layer of run fits"):
        start_from(network, source, dataset, RECIPE)


def test_an_architecture_is_needed_without_a_start(tmp_path: Path) -> None:
    """The sentence names both ways."""
    with pytest.raises(InputError, match="no architecture is given; name one, or give --start"):
        train("digits", tmp_path / "run", **SHORT)
    assert not (tmp_path / "run").exists()
