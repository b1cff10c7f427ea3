"""Laws of what an export leaves behind: the file that was measured, or nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tapetum.arch import find_architecture
from tapetum.errors import PackageError
from tapetum.formats import Parity, export_network, package
from tapetum.nn import Network, build
from tapetum.runtime import Manifest, open_package
from tapetum.runtime.network import PackagedNetwork


def network_of(name: str) -> Network:
    """A fresh network in evaluation mode."""
    return build(find_architecture(name), seed=0).eval()


def test_the_bytes_that_were_measured_are_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parity in the manifest is that of the graph in the same file, metadata aside."""
    measured: list[bytes] = []
    measure = package.measure_parity

    def recorded(network: Network, graph_bytes: bytes, **settings: Any) -> Parity:
        measured.append(graph_bytes)
        return measure(network, graph_bytes, **settings)

    monkeypatch.setattr(package, "measure_parity", recorded)
    network = network_of("unet-s")
    manifest = Manifest.of(network.architecture, size_px=32)
    export_network(network, tmp_path / "p.tapetum", manifest)
    shipped = open_package(tmp_path / "p.tapetum").graph_bytes
    graphs = [onnx.load_model_from_string(content).graph for content in (*measured, shipped)]
    assert graphs[0] == graphs[1]
    assert len(graphs) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.tapetum"]


@pytest.mark.parametrize("name", ["unet-s", "dc-net-reduced-integrated", "mb2.5-s"])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_package_that_answers_otherwise_is_not_left(
    name: str, is_new: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the opened file differs from the network, the folder is as it was before."""
    if not is_new:
        (tmp_path / "p.tapetum").write_bytes(b"older")
    answer = PackagedNetwork.run

    def corrupted(network: PackagedNetwork, *arguments: Any) -> Any:
        given = answer(network, *arguments)
        return given._replace(
            denoised=None if given.denoised is None else given.denoised + np.float32(0.01),
            probabilities=None if given.probabilities is None else given.probabilities * 0.9,
        )

    monkeypatch.setattr(PackagedNetwork, "run", corrupted)
    network = network_of(name)
    classes = [str(digit) for digit in range(10)] if network.classifier else []
    manifest = Manifest.of(network.architecture, size_px=32, class_names=classes)
    with pytest.raises(PackageError, match="differs from the network"):
        export_network(network, tmp_path / "p.tapetum", manifest, overwrite=True)
    left = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    assert left == ({} if is_new else {"p.tapetum": b"older"})
