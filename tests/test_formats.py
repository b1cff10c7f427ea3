"""Laws of the export: what ships does what was trained, or nothing ships."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tapetum.arch import find_architecture
from tapetum.errors import PackageError
from tapetum.formats import Parity, export_network, measure_parity
from tapetum.formats.standalone import standalone_graph
from tapetum.graph import write_graph
from tapetum.nn import Network, build
from tapetum.runtime import GraphSession, Manifest, Predictor, open_package
from tapetum.scores import Calibration, ScoreRow, Scores


def network_of(name: str, *, boxes: bool = True) -> Network:
    """A fresh network in evaluation mode."""
    return build(find_architecture(name, boxes=boxes), seed=0).eval()


@pytest.mark.parametrize(
    ("name", "boxes"),
    [("dc-net-reduced-integrated", True), ("dc-net-reduced-sequential", False), ("unet-s", True)],
)
def test_what_ships_does_what_was_trained(name: str, boxes: bool, tmp_path: Path) -> None:
    """The package gives the network's own denoised image."""
    network = network_of(name, boxes=boxes)
    classes = [str(digit) for digit in range(10)] if network.classifier else []
    manifest = Manifest.of(network.architecture, size_px=64, class_names=classes)
    exported = export_network(network, tmp_path / "p.tapetum", manifest)
    assert exported.parity.worst <= 1e-4
    predictor = Predictor.open(tmp_path / "p.tapetum", mode="image")
    image = np.random.default_rng(0).random((60, 50), dtype=np.float32)
    with torch.no_grad():
        given = torch.from_numpy(image)[None, None]
        places = (
            torch.tensor([[[0.0, 0.0, 28.0, 28.0]]])
            if network.architecture.classifies_boxes
            else None
        )
        expected = network(given, places).image.clamp(0, 1)[0].numpy()
    assert np.abs(predictor(image).pixels - expected).max() <= 1e-4


def test_the_card_tells_people_what_it_is(tmp_path: Path) -> None:
    """Size, border, scores and commands are in the text."""
    row = ScoreRow(title="gaussian 0.2", noise=None, num_images=4, psnr_db=30.125, accuracy=0.5)
    scores = Scores(protocol="camera", seed=0, source="four", rows=(row,), mean=row)
    network = network_of("unet-s")
    manifest = Manifest.of(network.architecture, size_px=64, scores=scores)
    export_network(network, tmp_path / "p.tapetum", manifest)
    card = open_package(tmp_path / "p.tapetum").card
    assert "36,618 parameters" in card
    assert "| gaussian 0.2 | 30.12 | 50.0 |" in card
    assert "protocol camera" in card
    assert "tapetum predict p.tapetum" in card


def test_a_graph_of_other_weights_is_refused() -> None:
    """Parity measures: a network that learnt on since the graph was written does not match it."""
    network = network_of("unet-s")
    weights = {name: value.numpy().copy() for name, value in network.state_dict().items()}
    graph = write_graph(network.architecture, weights).SerializeToString()
    assert measure_parity(network, graph, size_px=64).worst <= 1e-4
    with torch.no_grad():
        network.decoder.output.conv.bias += 0.01
    parity = measure_parity(network, graph, size_px=64)
    assert parity.max_difference["denoised"] == pytest.approx(0.01, rel=0.01)
    with pytest.raises(PackageError, match=r"differs from the network .*denoised 1\.0e-02"):
        parity.require("unet-s")


def test_large_values_may_differ_in_proportion() -> None:
    """Only where that is asked for: an image ten times as bright may be off ten times as much."""
    network = network_of("unet-s")
    with torch.no_grad():
        network.decoder.output.conv.bias += 10
    weights = {name: value.numpy().copy() for name, value in network.state_dict().items()}
    graph = write_graph(network.architecture, weights).SerializeToString()
    plain, scaled = (
        measure_parity(network, graph, size_px=64, in_proportion=chosen).tolerance
        for chosen in (False, True)
    )
    assert plain == 1e-4
    assert 9e-4 < scaled < 13e-4


def test_what_is_not_a_number_is_no_parity() -> None:
    """A difference of NaN is refused, too."""
    parity = Parity(
        max_difference={"denoised": float("nan")}, sizes_px=(), num_images=1, runtime="none"
    )
    with pytest.raises(PackageError, match="differs"):
        parity.require("test")


def test_an_older_package_is_not_replaced_unasked(tmp_path: Path) -> None:
    """The old file stays as it was until overwriting is allowed."""
    path = tmp_path / "p.tapetum"
    network = network_of("unet-s")
    large, small = (Manifest.of(network.architecture, size_px=size_px) for size_px in (64, 32))
    export_network(network, path, large)
    before = path.read_bytes()
    with pytest.raises(PackageError, match="exists already"):
        export_network(network, path, small)
    assert path.read_bytes() == before
    export_network(network, path, small, overwrite=True)
    assert path.read_bytes() != before


def test_every_form_has_the_calibrated_probabilities(tmp_path: Path) -> None:
    """The package and the plain graph divide the logits by the temperature of the scores."""
    network, temperature = network_of("dc-net-reduced-integrated", boxes=False), 2.5
    calibration = Calibration(
        temperature=temperature, num_images=60, error_before=0.2, error_after=0.02
    )
    row = ScoreRow(title="mean", noise=None, num_images=60)
    scores = Scores(
        protocol="camera", seed=0, source="", rows=(row,), mean=row, calibration=calibration
    )
    classes = [str(digit) for digit in range(10)]
    manifest = Manifest.of(network.architecture, size_px=32, class_names=classes, scores=scores)
    exported = export_network(network, tmp_path / "p.tapetum", manifest)
    image = np.random.default_rng(0).random((1, 1, 32, 32), dtype=np.float32)
    with torch.no_grad():
        expected = (network(torch.from_numpy(image)).logits / temperature).softmax(dim=1).numpy()
    package = Predictor.open(tmp_path / "p.tapetum")(image[0, 0]).probabilities
    graph = standalone_graph(open_package(tmp_path / "p.tapetum")).SerializeToString()
    plain = GraphSession(graph).run(("probabilities",), {"noisy": image})
    np.testing.assert_allclose(package, expected, atol=1e-5)
    np.testing.assert_allclose(plain[0], expected, atol=1e-5)
    assert "calibrated by the temperature 2.50" in exported.remarks[0]
    assert "calibrated by the temperature 2.50" in open_package(tmp_path / "p.tapetum").card
